"""Where sessions end: SQL, stream, kernel and the whole contract against one plain loop."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartcast import events
from cartcast.errors import UsageError
from cartcast.features import Count, FeatureSet
from cartcast.features.shop_clock import ShopClock
from cartcast.live.event import Event
from cartcast.sessions import BREAKS, LiveRules, SessionRules, visits_sql

T0 = datetime(2024, 3, 30, 21, 0, tzinfo=UTC)  # midnights, and the night of the summer time
GAP = 600.0
ZONES = (None, "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata")


@st.composite
def visitors(draw: Any) -> list[dict[str, Any]]:
    """Events of two visitors in time order, with ties, and pauses of exactly the gap."""
    steps = draw(st.lists(
        st.sampled_from([0.0, 1.0, 0.000001, 599.999999, 600.0, 600.000001, 1500.0, 5000.0]),
        min_size=1, max_size=30,
    ))  # fmt: skip
    when, found = 0.0, []
    for number, step in enumerate(steps):
        when += step
        kind = draw(st.sampled_from(["view_item", "search", "purchase", "purchase"]))
        found.append({
            "visitor_id": draw(st.sampled_from("ab")),
            "time": int(T0.timestamp() * 1e6) + round(when * 1e6),
            "number": number,
            "event_type": kind,
            "campaign": draw(st.sampled_from([None, None, "x", "y"])),
            "order_id": draw(st.sampled_from([None, "1", "2"])) if kind == "purchase" else None,
        })  # fmt: skip
    return found


def loop(rows: list[dict[str, Any]], rules: SessionRules, zone: str | None) -> list[int]:
    """Return the session of each row: one pass over each visitor's events, nothing shared."""
    found = [0] * len(rows)
    shop = ZoneInfo(zone or "UTC")
    for visitor in "ab":
        mine = [r for r in rows if r["visitor_id"] == visitor]
        session, named = 0, None
        for place, row in enumerate(mine):
            new = place == 0
            if place:
                last = mine[place - 1]
                new = row["time"] - last["time"] > rules.gap * 1e6
                if "midnight" in rules.breaks:
                    days = {datetime.fromtimestamp(r["time"] / 1e6, shop).date()
                            for r in (last, row)}  # fmt: skip
                    new = new or len(days) == 2
                if "purchase" in rules.breaks and last["event_type"] == "purchase":
                    orders = {r["order_id"] for r in (last, row)}
                    new = new or row["event_type"] != "purchase" or len(orders) == 2
                if "campaign" in rules.breaks and row["campaign"]:
                    new = new or row["campaign"] != named
            named = row["campaign"] or (None if new else named)
            session += new
            found[row["number"]] = session
    return found


def by_sql(rows: list[dict[str, Any]], rules: SessionRules, zone: str | None) -> list[int]:
    from cartcast.events.zones import offset_sql

    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    with duckdb.connect() as con:
        con.register("given", table)
        con.execute("CREATE VIEW events AS SELECT *, make_timestamp(time) AS event_time FROM given")
        local = f"(event_time + to_minutes({offset_sql('event_time', zone)}))"
        query = visits_sql(
            rules, "events", "visitor_id", "number, event_time", local, "event_time, number"
        )
        return [
            r[0] for r in con.execute(f"SELECT visit FROM ({query}) ORDER BY number").fetchall()
        ]


class Standing:
    """What a stream keeps of one visitor's session."""

    def __init__(self, event: Event) -> None:
        assert isinstance(event.event_time, int)
        self.last_time, self.campaign, self.bought = event.event_time, None, None


def by_stream(rows: list[dict[str, Any]], rules: SessionRules, zone: str | None) -> list[int]:
    live = LiveRules(rules, ShopClock(zone).local)
    kept: dict[str, tuple[int, Standing]] = {}
    found = []
    for row in rows:
        event = Event(row["event_type"], event_time=row["time"], campaign=row["campaign"],
                      order_id=row["order_id"])  # fmt: skip
        count, standing = kept.get(row["visitor_id"], (0, None))
        if standing is None or live.starts(standing, event, row["time"]):
            count, standing = count + 1, Standing(event)
        live.note(standing, event)
        standing.last_time = row["time"]
        kept[row["visitor_id"]] = (count, standing)
        found.append(count)
    return found


SCHEMA = pa.schema(
    {"visitor_id": pa.string(), "time": pa.int64(), "number": pa.int64(),
     "event_type": pa.string(), "campaign": pa.string(), "order_id": pa.string()}
)  # fmt: skip
SOME = st.lists(st.sampled_from(BREAKS), unique=True).map(tuple)


@settings(max_examples=200, deadline=None)
@given(visitors(), SOME, st.sampled_from(ZONES))
def test_sql_and_stream_are_the_loop(
    rows: list[dict[str, Any]], breaks: tuple[str, ...], zone: str | None
) -> None:
    rules = SessionRules(GAP, breaks)
    truth = loop(rows, rules, zone)
    assert by_sql(rows, rules, zone) == truth
    assert by_stream(rows, rules, zone) == truth


@settings(max_examples=15, deadline=None)
@given(visitors(), SOME, st.sampled_from(ZONES))
def test_the_contract_and_the_kernel_are_the_loop(
    rows: list[dict[str, Any]], breaks: tuple[str, ...], zone: str | None
) -> None:
    table = pa.table({
        **{c: [r[c] for r in rows] for c in ("visitor_id", "event_type", "number")},
        # A column without a value has no type, as little as it has in a file.
        **{c: [r[c] or "" for r in rows] for c in ("campaign", "order_id")},
        "event_time": pa.array([r["time"] for r in rows], pa.timestamp("us")),
    })  # fmt: skip
    rules = SessionRules(GAP, breaks)
    log = events.load(
        table, session_gap=GAP, session_breaks=breaks, zone=zone, max_reject_share=1.0
    )
    made = log.table(["number", "session_id"]).to_pylist()
    kept = {int(r["number"]): r["session_id"] for r in made}
    # The contract leaves out repeats: what is left is cut.
    left = [{**r, "number": k} for k, r in enumerate(r for r in rows if r["number"] in kept)]
    names = [kept[r["number"]] for r in rows if r["number"] in kept]
    truth = [(r["visitor_id"], n) for r, n in zip(left, loop(left, rules, zone), strict=True)]
    assert len(set(zip(names, truth, strict=True))) == len(set(names)) == len(set(truth))
    if not breaks:
        plain = pa.table({
            "visitor_id": [r["visitor_id"] for r in left],
            "event_type": [r["event_type"] for r in left],
            "event_time": pa.array([r["time"] for r in left], pa.timestamp("us")),
        })  # fmt: skip
        counted = FeatureSet(n=Count()).replay(plain, at="end", session_gap=GAP)
        sizes = sorted(truth.count(s) for s in set(truth))
        assert sorted(int(n) for n in counted["n"].to_pylist()) == sizes


@pytest.mark.parametrize("gap", [0, -1, float("nan"), float("inf")])
def test_the_gap_is_positive(gap: float) -> None:
    with pytest.raises(UsageError, match="session_gap > 0"):
        SessionRules(gap)


def test_breaks_have_names() -> None:
    with pytest.raises(UsageError, match="Did you mean 'midnight'"):
        SessionRules(breaks=("midnite",))


def test_equal_rules_are_told_by_what_they_do() -> None:
    one, other = (
        SessionRules(60, ("campaign", "midnight")),
        SessionRules(60, ("midnight", "campaign")),
    )
    assert one.same_as(other)
    assert str(one) == str(other) == "a pause of 60 s and campaign, midnight"
    assert SessionRules.from_dict(one.as_dict()) == one
    assert all(
        not SessionRules(gap).same_as(SessionRules(more)) for gap, more in pairwise((1, 2, 3))
    )
