"""Stream sessions equal batch sessions in any order of arrival; the oracle is plain Python."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartcast.errors import UsageError
from cartcast.live.event import Event
from cartcast.live.session import Rules, Visitor, decode, dump_session, encode, load_session
from cartcast.live.sessions import Sessions
from cartcast.sessions import SessionRules

T0 = 1_700_000_000_000_000
GAP = 600.0
WINDOW = 120.0


def make(number: int, seconds: float, **more: Any) -> Event:
    more.setdefault("visitor_id", "v")
    more.setdefault("event_type", "view_item")
    return Event(event_id=f"e{number}", event_time=T0 + int(seconds * 1e6), **more)


def _day(event: Event, zone: str | None) -> date:
    assert isinstance(event.event_time, int)
    return datetime.fromtimestamp(event.event_time / 1e6, ZoneInfo(zone or "UTC")).date()


def oracle(events: list[Event], scorer: Any, rules: Rules) -> dict[str, tuple[int, int, Any]]:
    """Batch: sort each visitor's events, cut at gaps and breaks, fold; by event id."""
    table: dict[str, tuple[int, int, Any]] = {}
    ordered = sorted(
        enumerate(events), key=lambda p: (p[1].event_time, p[1].event_order or 2**62, p[0])
    )
    seen: dict[str, Any] = {}
    for _, event in ordered:
        who = event.visitor_id or ""
        past = seen.setdefault(who, {"sessions": 0, "counts": {}, "last": None, "open": None,
                                     "campaign": None})  # fmt: skip
        last, state, click = past["open"] or (None, None, 0)
        new = last is None or (event.event_time - last.event_time) / 1e6 > rules.sessions.gap
        if last is not None and "midnight" in rules.sessions.breaks:
            new = new or _day(event, rules.zone) != _day(last, rules.zone)
        if (
            last is not None
            and "purchase" in rules.sessions.breaks
            and last.event_type == "purchase"
        ):
            new = new or event.event_type != "purchase" or event.order_id != last.order_id
        if "campaign" in rules.sessions.breaks:
            new = new or event.campaign not in (None, past["campaign"])
            past["campaign"] = event.campaign or (None if new else past["campaign"])
        if new:
            from cartcast.live.scorer import Past

            state, click = (
                scorer.start(Past(past["sessions"], dict(past["counts"]), past["last"])),
                0,
            )
            past["sessions"] += 1
        state = scorer.step(state, event)
        click += 1
        past["open"] = (event, state, click)
        for kind in (event.event_type, f"category={event.category}"):
            past["counts"][kind] = past["counts"].get(kind, 0) + 1
        past["last"] = event.event_time
        table[event.event_id or ""] = (past["sessions"], click, scorer.values(state))
    return table


@st.composite
def arrivals(draw: Any) -> list[Event]:
    """Events of two visitors, with ties, gaps near the limit, disorder, and repeats."""
    steps = draw(st.lists(st.sampled_from([0.0, 1.0, 30.0, 90.0, 599.0, 600.0, 601.0, 700.0]),
                          min_size=1, max_size=40))  # fmt: skip
    now, events = 0.0, []
    for number, step in enumerate(steps):
        now += step
        kind = draw(st.sampled_from(["view_item", "view_item", "search", "purchase"]))
        events.append(
            make(
                number, now, event_type=kind, visitor_id=draw(st.sampled_from("ab")),
                price=draw(st.sampled_from([None, 1.0, 2.5])),
                category=draw(st.sampled_from([None, "x", "y"])),
                campaign=draw(st.sampled_from([None, None, "a", "b"])),
                order_id=draw(st.sampled_from([None, "1", "2"])) if kind == "purchase" else None,
            )
        )  # fmt: skip
    delays = [draw(st.sampled_from([0.0, 0.0, 40.0, 110.0, 300.0])) for _ in events]
    order = sorted(range(len(events)), key=lambda i: (events[i].event_time / 1e6 + delays[i], i))  # type: ignore[operator]
    arrived = [events[i] for i in order]
    for _ in range(draw(st.integers(0, 3))):
        arrived.insert(draw(st.integers(0, len(arrived))), draw(st.sampled_from(events)))
    return arrived


def test_a_late_event_joins_sessions_that_a_break_has_since_followed(scorer: Any) -> None:
    """Two visits 629 s apart become one by a click between; a campaign has begun a third."""
    rules = Rules(SessionRules(GAP, ("campaign",)), late_window=WINDOW)
    arrived = [make(0, 0.0), make(1, 629.0), make(2, 629.0, campaign="a"), make(3, 599.0)]
    table: dict[str, int] = {}

    def watch(session: Any, click: int, event: Event, state: Any) -> None:
        table[event.event_id or ""] = click

    sessions = Sessions(scorer, rules, watch=watch)
    assert [sessions.apply(e, 0).status for e in arrived][-1] == "late_accepted"
    assert table == {"e0": 1, "e3": 2, "e1": 3, "e2": 1}
    assert sessions.visitors["v"].sessions == 2


def test_breaks_without_end_keep_a_bounded_past(scorer: Any) -> None:
    """A campaign a click: what can no longer be put right is refused, and nothing is misplaced."""
    rules = Rules(SessionRules(GAP, ("campaign",)), late_window=WINDOW)
    sessions = Sessions(scorer, rules)
    for k in range(200):
        newest = sessions.apply(make(k, k / 10, campaign=str(k)), 0).session
    kept = 0
    while (newest := newest.previous) is not None:
        kept += 1
    assert kept <= 33
    assert sessions.apply(make(900, 0.05), 0).status == "too_late"
    assert sessions.apply(make(901, 19.85), 0).status == "late_accepted"


@pytest.mark.parametrize(
    ("breaks", "zone"),
    [
        ((), None),
        (("purchase",), None),
        (("campaign",), None),
        (("campaign", "purchase"), None),
        (("midnight",), None),
        (("midnight",), "Europe/Berlin"),
    ],
)
def test_any_order_of_arrival_ends_in_the_batch_table(
    scorer: Any, breaks: tuple[str, ...], zone: str | None
) -> None:
    rules = Rules(SessionRules(GAP, breaks), late_window=WINDOW, zone=zone)

    @settings(max_examples=150, deadline=None)
    @given(arrivals())
    def check(arrived: list[Event]) -> None:
        table: dict[str, tuple[int, Any]] = {}

        def watch(session: Any, click: int, event: Event, state: Any) -> None:
            table[event.event_id or ""] = (click, scorer.values(state))

        sessions = Sessions(scorer, rules, watch=watch)
        taken = []
        for event in arrived:
            outcome = sessions.apply(msgspec.structs.replace(event), 0)
            if outcome.status in ("accepted", "late_accepted"):
                taken.append(event)
        truth = oracle(taken, scorer, rules)
        assert {k: v[1:] for k, v in truth.items()} == table
        newest = {}
        for event_id, (number, _, _) in truth.items():
            who = next(e.visitor_id for e in taken if e.event_id == event_id)
            newest[who] = max(newest.get(who, 0), number)
        assert {who: v.sessions for who, v in sessions.visitors.items()} == newest

    check()


def test_an_event_within_the_window_joins_two_sessions(scorer: Any) -> None:
    sessions = Sessions(scorer, Rules(SessionRules(GAP), late_window=WINDOW))
    first = sessions.apply(make(1, 0), 0).session.id
    second = sessions.apply(make(2, 650), 0).session
    assert second.id != first
    outcome = sessions.apply(make(3, 580), 0)
    assert (outcome.status, outcome.session.id, outcome.session.clicks) == (
        "late_accepted",
        first,
        3,
    )


def test_too_late_and_repeated_are_told_apart(scorer: Any) -> None:
    sessions = Sessions(scorer, Rules(SessionRules(GAP), late_window=WINDOW))
    sessions.apply(make(1, 0), 0)
    sessions.apply(make(2, 200), 0)
    assert sessions.apply(make(3, 79), 0).status == "too_late"
    assert sessions.apply(make(1, 0), 0).status == "duplicate"
    assert sessions.apply(make(4, 81), 0).status == "late_accepted"


def test_a_login_inside_a_session_does_not_split_it(scorer: Any) -> None:
    sessions = Sessions(scorer, Rules())
    before = sessions.apply(make(1, 0, visitor_id="device"), 0).session
    during = sessions.apply(make(2, 1, visitor_id="device", user_id="ann"), 0).session
    after = sessions.apply(make(3, 2, visitor_id=None, user_id="ann"), 0).session
    other = sessions.apply(make(4, 3, visitor_id="phone", user_id="ann"), 0).session
    assert before is during is after
    assert (after.clicks, other is after) == (4, True)


def test_a_session_is_bounded(scorer: Any) -> None:
    rules = Rules(SessionRules(GAP), late_window=WINDOW, max_events=500, max_kept=40)
    sessions = Sessions(scorer, rules)
    statuses = [sessions.apply(make(n, n * 0.01), 0).status for n in range(600)]
    session = sessions.find(("vv",))
    assert session is not None
    assert statuses.count("accepted") == 500
    assert statuses[-1] == "too_many"
    assert len(session.tail) <= 40
    assert len(session.seen) == 500


def test_state_survives_bytes_with_its_kept_events(scorer: Any) -> None:
    rules = Rules(SessionRules(GAP), late_window=WINDOW, max_kept=30)
    sessions = Sessions(scorer, rules)
    for number in range(60):
        sessions.apply(make(number, number, price=1.0), 0)
    session = sessions.find(("vv",))
    assert session is not None
    data = encode(dump_session(session, scorer.dump))
    again = load_session(decode(data), scorer.load)
    visitor = Visitor.load(decode(encode(sessions.visitors["v"].dump())))
    other = Sessions(scorer, rules, dict.fromkeys(again.keys, again), {"v": visitor})
    for target in (sessions, other):
        assert target.apply(make(100, 50.5), 0).status == "late_accepted"
    assert scorer.values(again.state) != {}
    assert other.index["vv"].state == sessions.index["vv"].state
    assert sorted(other.index["vv"].seen) == sorted(sessions.index["vv"].seen)


@pytest.mark.parametrize(
    "rules", [{"late_window": 1800.0}, {"late_window": -1.0}, {"sessions": SessionRules(60)}]
)
def test_rules_that_cannot_be_kept_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Rules(**rules)


def test_a_session_goes_on_after_a_rest_and_takes_late_events_again(scorer: Any) -> None:
    rules = Rules(SessionRules(GAP), late_window=WINDOW)
    resting, plain = Sessions(scorer, rules), Sessions(scorer, rules)
    arrived = [make(n, n) for n in range(5)] + [make(10 + n, 400 + n * 2) for n in range(60)]
    arrived += [make(100, 403), make(101, 455), make(102, 399)]
    for place, event in enumerate(arrived):
        if place == 5:
            session = resting.find(("vv",))
            assert session is not None
            resting.rest(session)
            assert isinstance(resting.index["vv"], bytes)
            assert resting.apply(make(99, 3.5), 0).status == "too_late"
        outcomes = [s.apply(msgspec.structs.replace(event), 0) for s in (resting, plain)]
        assert outcomes[0].status == outcomes[1].status
    assert resting.index["vv"].state == plain.index["vv"].state
    assert resting.index["vv"].clicks == 68


def test_crowded_sessions_fold_their_oldest_events_once(scorer: Any) -> None:
    rules = Rules(SessionRules(GAP), late_window=WINDOW, max_kept=100)
    sessions, steps = Sessions(scorer, rules), [0]
    step = scorer.step

    def counted(state: Any, event: Event) -> Any:
        steps[0] += 1
        return step(state, event)

    scorer.step = counted
    for number in range(1000):
        sessions.apply(make(number, number * 0.01), 0)
    assert steps[0] == 1000
    session = sessions.find(("vv",))
    assert session is not None
    assert 60 < len(session.tail) <= 100
    assert sessions.apply(make(2000, 9.755), 0).status == "late_accepted"
    for number in range(3000, 3200):
        sessions.apply(make(number, 10 + number * 0.01), 0)
    session = sessions.find(("vv",))
    assert session is not None
    assert len(session.tail) <= 101
    assert session.clicks == 1201


@pytest.mark.slow
def test_a_session_with_a_million_events_stays_bounded(scorer: Any) -> None:
    sessions = Sessions(scorer, Rules())
    statuses: dict[str, int] = {}
    for number in range(1_000_000):
        status = sessions.apply(make(number, number * 0.001), 0).status
        statuses[status] = statuses.get(status, 0) + 1
    session = sessions.find(("vv",))
    assert session is not None
    assert statuses == {"accepted": 10_000, "too_many": 990_000}
    assert (len(session.seen), len(session.tail) <= 256) == (10_000, True)
