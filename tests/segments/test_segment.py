"""Segments against a plain loop over the events, and what their files refuse."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cartcast.errors import DefinitionError, NotFoundError, UsageError
from cartcast.insights import Slice, cohorts, funnel, list_sessions, paths
from cartcast.insights.paths import END, START
from cartcast.insights.sessions import make_sessions
from cartcast.insights.source import opened
from cartcast.segments import (
    COHORT,
    Bought,
    Cohort,
    Did,
    Range,
    Reached,
    Scored,
    Seen,
    Segment,
    Values,
    Walk,
    asked,
    condition_from,
    read_segment,
    remove_segment,
    save_segment,
    segment_from,
    segment_names,
)

from ..insights.conftest import RICH, done, make_log, random_events
from ..insights.test_overview import money

DEVICES = ["mobile", "desktop", "tv; DROP TABLE events", None, "no such"]


@pytest.fixture(scope="module")
def shop():
    events = random_events(11, sessions=150)
    return events, make_log(events)


@pytest.fixture(scope="module")
def scores(shop, tmp_path_factory):
    events, _ = shop
    rng = random.Random(2)
    found = {e["session_id"]: rng.choice([None, *(k / 10 for k in range(10))]) for e in events}
    path = tmp_path_factory.mktemp("scores") / "sc'ores.parquet"
    pq.write_table(pa.table({"session_id": list(found), "score": list(found.values())}), path)
    return found, path


class Oracle:
    """Who belongs, by loops: sessions, and the sessions of visitors, as lists of events."""

    def __init__(self, events: list[dict], scores: dict) -> None:
        self.sessions: dict[str, list[dict]] = defaultdict(list)
        for e in sorted(events, key=lambda e: (e["session_id"], e["event_order"])):
            self.sessions[e["session_id"]].append(e)
        self.visitor = {s: own[0]["visitor_id"] or s for s, own in self.sessions.items()}
        self.sold, self.scores = money(events), scores
        self.end = max(e["event_time"] for e in events)

    def number(self, session: str, column: str) -> float | None:
        own = self.sessions[session]
        if column == "events":
            return len(own)
        if column == "carts":
            return sum(e["event_type"] == "add_to_cart" for e in own)
        if column == "seconds":
            times = [e["event_time"] for e in own]
            return (max(times) - min(times)).total_seconds()
        # Every price is above 0: without money no price is known.
        return self.sold.get(session, (0, 0))[1] or None

    def holds(self, c, unit: list[str]) -> bool:
        """Return whether a condition holds for sessions of one unit together."""
        own = [e for s in unit for e in self.sessions[s]]
        match c:
            case Values(column="device"):
                known = [next((e["device"] for e in self.sessions[s] if e["device"]), None)
                         for s in unit]  # fmt: skip
                return any(k in c.values for k in known) != c.exclude
            case Values(column=column):
                return any(e[column] in c.values for e in own) != c.exclude
            case Range(column="price"):
                return any(self.between(c, e["price"]) for e in own)
            case Range(column=column):
                told = [n for s in unit if (n := self.number(s, column)) is not None]
                return self.between(c, sum(told) if told else None)
            case Did():
                return (sum(done(e, c.event) for e in own) >= c.times) != c.negated
            case Bought():
                return any(s in self.sold for s in unit) == c.yes
            case Scored():
                return any((self.scores[s] or -1) >= c.least for s in unit)
            case Walk():
                return any(self.walks(c, s) for s in unit)
            case Reached():
                return any(self.reaches(c, s) for s in unit)
            case Cohort():
                return self.followed(c, self.visitor[unit[0]])
            case Seen():
                visits = [s for s in self.sessions if self.visitor[s] == self.visitor[unit[0]]]
                last = max(e["event_time"] for s in visits for e in self.sessions[s])
                return last >= self.end - timedelta(seconds=c.seconds)
        raise AssertionError(c)

    def walks(self, c: Walk, session: str) -> bool:
        steps = [e[c.column] or "(unknown)" for e in self.sessions[session]]
        if c.anchor not in steps:
            return False
        at = steps.index(c.anchor)
        way = steps[: at + 1][::-1] if c.to else steps[at:]
        way = [w for k, w in enumerate(way) if k == 0 or w != way[k - 1]]
        far = way[c.step] if c.step < len(way) else None
        return c.step <= len(way) and way[c.step - 1] == c.near and far == c.far

    def reaches(self, c: Reached, session: str) -> bool:
        rest, reached = self.sessions[session], 0
        for step in c.steps:
            at = next((k for k, e in enumerate(rest) if done(e, step)), None)
            if at is None:
                break
            rest, reached = rest[at + 1 :], reached + 1
        if c.next is not None:
            again = [e["event_type"] for e in rest if not done(e, c.steps[reached - 1])]
            return reached == c.reached and (again or [""])[0] == c.next
        return reached == c.reached if c.lost else reached >= c.reached

    def followed(self, c: Cohort, visitor: str) -> bool:
        visits = {s: own[0]["event_time"] for s, own in self.sessions.items()
                  if self.visitor[s] == visitor}  # fmt: skip
        first = min(visits.values())
        if (first.date() - timedelta(days=first.weekday())).isoformat() != c.week:
            return False
        weeks = {s: (at - first) // timedelta(days=7) for s, at in visits.items()}
        own = [s for s, k in weeks.items() if k == c.after]
        orders = sum(self.sold.get(s, (0, 0))[0] for s in own)
        until = sum(self.sold.get(s, (0, 0))[0] for s, k in weeks.items() if k <= c.after)
        return {
            None: True,
            "returned": len(own) > (1 if c.after == 0 else 0),
            "bought": orders > 0,
            "bought_again": orders > 0 and until > 1,
        }[c.did]

    @staticmethod
    def between(c: Range, value: float | None) -> bool:
        least, most = c.least, c.most
        return (
            value is not None
            and (least is None or value >= least)
            and (most is None or value <= most)
        )

    def members(self, segment: Segment) -> set[str]:
        units = defaultdict(list)
        for s in self.sessions:
            units[self.visitor[s] if segment.of == "visitor" else s].append(s)
        return {
            s for unit in units.values() if all(self.holds(c, unit) for c in segment.where)
            for s in unit
        }  # fmt: skip


def random_segment(rng: random.Random, table) -> Segment:
    kinds = ["view_item", "add_to_cart", "purchase", "search", "page=2", 'category=qu"oted', *RICH]

    def walk():
        words = ["view_item", "add_to_cart", "purchase"]
        anchor, step = rng.choice(words), rng.randint(1, 2)
        near = anchor if step == 1 else rng.choice(words)
        far = rng.choice([w for w in [*words, None] if w != near])
        return Walk(anchor, step, near, far, to=rng.random() < 0.5)

    def cohort():
        week, did = f"2024-01-{rng.choice(['01', '08', '15'])}", rng.choice([None, *COHORT])
        return Cohort(week) if did is None else Cohort(week, rng.randint(0, 2), did)

    def reached():
        steps, k = (
            rng.sample(["view_item", "page=2", "add_to_cart", "purchase", *RICH], 3),
            rng.randint(1, 3),
        )
        lost = rng.random() < 0.5
        came = rng.choice(["", "view_item", "search"]) if lost and k < 3 else None
        return Reached(tuple(steps), k, lost, came)

    def condition():
        least, most = sorted(rng.sample([0.0, 1.0, 2.0, 5.0, 10.0, 60.0, 700.0], 2))
        ends = rng.choice([(least, None), (None, most), (least, most)])
        return rng.choice(
            [
                Values("device", tuple(rng.sample(DEVICES, rng.randint(1, 3))), rng.random() < 0.4),
                Values("category", (rng.choice(["x", 'qu"oted', None]),), rng.random() < 0.4),
                Range(rng.choice(["events", "carts", "seconds", "revenue", "price"]), *ends),
                Did(rng.choice(kinds), rng.randint(1, 3), rng.random() < 0.4),
                Bought(rng.random() < 0.5),
                Scored("run", rng.random(), table),
                Seen(rng.randint(1, 20) * 86_400.0 + 7),
                walk(),
                cohort(),
                reached(),
            ]
        )  # fmt: skip

    where = tuple(condition() for _ in range(rng.randint(1, 3)))
    of = rng.choice(["session", "visitor"])
    return Segment("any", where, of)


def test_members_are_those_of_a_loop(shop, scores):
    events, log = shop
    oracle, rng, empty, full = Oracle(events, scores[0]), random.Random(8), 0, 0
    with opened(log) as source:
        columns = make_sessions(source)
        for _ in range(150):
            segment = random_segment(rng, scores[1])
            sql, parameters = asked(segment, columns, source.columns)
            rows = source.rows(f"SELECT session_id FROM sessions WHERE {sql}", parameters)
            told = {r[0] for r in rows}
            assert told == oracle.members(segment), segment
            empty, full = empty + (not told), full + (len(told) == len(oracle.sessions))
            kept = segment_from(segment.as_dict(), "any")
            assert kept == segment or any(isinstance(c, Scored) for c in segment.where)
    assert empty + full < 110


NUMBERS = {
    "int64": pa.int64(), "uint64": pa.uint64(), "int32": pa.int32(), "uint16": pa.uint16(),
    "decimal": pa.decimal128(20, 2), "whole": pa.decimal128(20, 0), "float": pa.float64(),
    "text": pa.string(),
}  # fmt: skip


def test_a_number_is_the_same_in_every_type_and_however_it_is_asked(shop):
    events, log = shop
    for name, kind in NUMBERS.items():
        given = [5, 50, None] + [2**53, 2**53 + 1] * (kind.bit_width > 32 if name != "text" else 1)
        given += [Decimal("0.50"), Decimal("5.25")] * (name in ("decimal", "float"))
        own = [given[k % len(given)] for k in range(len(events))]
        own = [None if v is None else {"text": str, "float": float}.get(name, Decimal)(v)
               for v in own]  # fmt: skip
        if "int" in name:
            own = [None if v is None else int(v) for v in own]
        log = log.append_column(name, pa.array(own, kind))
    oracle = Oracle(log.to_pylist(), {})
    words = ("5", "+5.0", "05", "50", str(2**53), f"{2**53 + 1}.0", "0.5", "5.250", "x")
    found = set()
    with opened(log) as source:
        columns = make_sessions(source)
        for name in NUMBERS:
            for word in words:
                alike = {
                    "text": lambda v, word=word: v == word,
                    "float": lambda v, word=word: word != "x" and v == float(word),
                }.get(name, lambda v, word=word: word != "x" and v == Decimal(word))
                for condition, kinds in (
                    (Values(name, (word,)), None),
                    (Did(f"{name}={word}"), None),
                    (Did(f"view_item[{name}={word}]"), "view_item"),
                ):
                    sql, parameters = asked(Segment("s", (condition,)), columns, source.columns)
                    rows = source.rows(f"SELECT session_id FROM sessions WHERE {sql}", parameters)
                    truth = {
                        s for s, own in oracle.sessions.items()
                        if any(e[name] is not None and alike(e[name]) and
                               kinds in (None, e["event_type"]) for e in own)
                    }  # fmt: skip
                    assert {r[0] for r in rows} == truth, condition
                    found |= {(name, word)} if truth else set()
    assert {n for n, _ in found} == {*NUMBERS}
    assert {("int64", f"{2**53 + 1}.0"), ("decimal", "5.250"), ("decimal", "0.5")} <= found


def test_a_flow_and_a_cell_are_as_many_as_their_sessions_and_visitors(shop):
    _, log = shop

    def members(condition):
        return list_sessions(log, where=Slice(segments=(Segment("s", (condition,)),)), most=0)

    for direction in ("from", "to"):
        found = paths(log, "add_to_cart", direction=direction, depth=2, largest=50)
        for flow in found.flows[::5]:
            near, far = (flow.source, flow.target)[:: -1 if direction == "to" else 1]
            end = None if far in (START, END) else far
            walk = Walk("add_to_cart", flow.step, near, end, to=direction == "to")
            assert members(walk).sessions == flow.sessions, flow
    steps = ("view_item", "add_to_cart", "purchase")
    whole = funnel(log, steps)
    for i in whole.instead[::3]:
        lost = Reached(steps, i.reached, lost=True, next=i.event or "")
        assert members(lost).sessions == i.units
    for k, step in enumerate(whole.steps, 1):
        assert members(Reached(steps, k)).sessions == step.reached
        if k > 1:
            assert members(Reached(steps, k - 1, lost=True)).sessions == step.lost
    for week in cohorts(log, periods=3).weeks[::4]:
        for did in COHORT:
            if (share := getattr(week, did)) is not None:
                cell = Cohort(str(week.week), week.k, did)
                assert members(cell).visitors == share.did, cell


def test_an_insight_is_cut_to_the_segment(shop, tmp_path):
    events, log = shop
    segment = Segment("carts", (Did("add_to_cart"), Values("device", ("mobile",))))
    mine = Oracle(events, {}).members(segment)
    where = Slice(segments=(segment,))
    own = make_log([e for e in events if e["session_id"] in mine])
    assert list_sessions(log, where=where).sessions == len(mine)
    assert funnel(log, where=where).steps == funnel(own).steps


@pytest.mark.parametrize(
    ("where", "why"),
    [
        (Values("devise", ("mobile",)), "no column 'devise'. Did you mean 'device'"),
        (Did("add_to_card"), "no 'add_to_card' event .* Did you mean 'add_to_cart'"),
        (Did("colour=red"), "no column 'colour'"),
        (Range("visitor_code", 1), "no column 'visitor_code'"),
    ],
)
def test_what_a_log_lacks_is_one_line(shop, where, why):
    with pytest.raises(UsageError, match=why):
        list_sessions(shop[1], where=Slice(segments=(Segment("s", (where,)),)))


def test_what_does_not_add_up_is_no_property_of_a_visitor(shop):
    with pytest.raises(UsageError, match="items of several sessions does not add up"):
        list_sessions(
            shop[1], where=Slice(segments=(Segment("s", (Range("items", 1),), "visitor"),))
        )


def test_who_was_seen_needs_a_clock(shop):
    with pytest.raises(UsageError, match="who was seen when, but the log's clock is 'order'"):
        log = make_log(shop[0], clock="order")
        list_sessions(log, where=Slice(segments=(Segment("s", (Seen(60),)),)))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({}, "needs `where:`"),
        ({"wear": []}, "unknown key 'wear'. Did you mean 'where'"),
        ({"where": [{"bought": "yes"}]}, "bought is true or false"),
        ({"where": [{"colum": "a"}]}, "Did you mean 'column'"),
        ({"where": [{"column": "a"}]}, "needs in, or not_in, or from and to"),
        ({"where": [{"column": "a", "in": ["x"], "from": 1}]}, "needs in, or not_in"),
        ({"where": [{"column": "a", "from": 3, "to": 1}]}, "from 3 lies above to 1"),
        ({"where": [{"did": "x", "times": 0}]}, "times must be a whole number >= 1"),
        ({"where": [{"did": "page="}]}, "event type or column=value"),
        ({"where": [{"seen": "often"}]}, "duration"),
        ({"where": [{"score_from": 0.5, "run": "../../etc"}]}, "id or alias"),
        ({"where": [{"found": "x", "run": "/root/run"}]}, "id or alias"),
        ({"where": [{"score_from": float("nan")}]}, "must be a number"),
        ({"where": [{"path_from": "a", "step": 2}]}, "near must be a word"),
        ({"where": [{"funnel": ["a", "b"], "reached": 3}]}, "at most the 2 steps"),
        ({"where": [{"funnel": ["a", "b"], "reached": 1, "next": "c"}]}, "next is the event"),
        ({"where": [{"funnel": ["a["]}]}, "s': funnel: a step is"),
        ({"where": [{"cohort": "May"}]}, "cohort must be a day"),
        ({"where": [{"cohort": "2024-05-01", "cohort_did": "buy"}]}, "cohort_did is one of"),
        ({"where": [{"bought": True}], "of": "user"}, "session or visitor"),
    ],
)
def test_a_wrong_definition_is_one_line(data, why):
    with pytest.raises(UsageError, match=why) as told:
        segment_from(data, "s")
    assert "\n" not in str(told.value)


def test_a_segment_is_kept_as_a_file_and_counts_its_versions(tmp_path):
    odd = Segment("odd", (Values("campaign", ("a\n- bought: true", "NO", "=1", None)),))
    assert save_segment(tmp_path, odd) == read_segment(tmp_path, "odd") == odd
    assert save_segment(tmp_path, odd).version == 1
    changed = Segment("odd", (Bought(False), Scored("champion", 0.25), Seen(90_000)), "visitor")
    assert save_segment(tmp_path, changed).version == 2
    assert read_segment(tmp_path, "odd").same(changed)
    (tmp_path / "segments" / "not a name.yaml").write_text("")
    assert segment_names(tmp_path) == ["odd"]
    with pytest.raises(NotFoundError, match="Did you mean 'odd'"):
        read_segment(tmp_path, "odt")
    with pytest.raises(UsageError, match="letters, digits"):
        save_segment(tmp_path, Segment("../odd", (Bought(),)))
    (tmp_path / "segments" / "odd.yaml").write_text("where: [")
    with pytest.raises(DefinitionError, match="not valid YAML"):
        read_segment(tmp_path, "odd")
    (tmp_path / "segments" / "odd.yaml").write_text("where: [bought: true]")
    remove_segment(tmp_path, "odd")
    assert segment_names(tmp_path) == []


def test_what_could_not_be_read_again_is_not_saved_and_what_cannot_is_removed(tmp_path):
    with pytest.raises(DefinitionError, match="lies above"):
        save_segment(tmp_path, Segment("odd", (Range("events", 5, 1),)))
    assert not (tmp_path / "segments" / "odd.yaml").exists()
    (tmp_path / "segments").mkdir(exist_ok=True)
    (tmp_path / "segments" / "odd.yaml").write_text("where: [bougt: true]")
    remove_segment(tmp_path, "odd")
    assert segment_names(tmp_path) == []


def test_spaces_of_a_value_count():
    walk = Walk(" a", 2, "b ", " c", column="category")
    assert condition_from(walk.as_dict(), "here") == walk


def test_a_duration_that_is_none_names_its_place():
    with pytest.raises(DefinitionError, match="^here: seen: "):
        condition_from({"seen": "often"}, "here")
