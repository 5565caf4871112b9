"""Sessions and order against a slow, obvious loop."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from cartcast import events
from cartcast.errors import UsageError

START = 1_709_300_000
DAY = 86_400


def random_log(seed: int, count: int = 400) -> list[dict]:
    rng = random.Random(seed)
    return [
        {
            "user_id": f"u{rng.randrange(6)}",
            # Whole minutes, so that ties and gaps of exactly the limit occur.
            "timestamp": START + 60 * rng.randrange(3 * 24 * 60),
            "event": rng.choice(["view", "cart", "purchase"]),
            "campaign": rng.choice(["", "", "", "a", "b"]),
            "number": str(i),
        }
        for i in range(count)
    ]


def by_loop(rows: list[dict], gap: float, breaks: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return (session, position) of each row, by one pass over each visitor's events."""
    found: dict[str, tuple[str, int]] = {}
    for user in {r["user_id"] for r in rows}:
        mine = [r for r in rows if r["user_id"] == user]
        mine.sort(key=lambda r: (r["timestamp"], int(r["number"])))
        last = campaign = None
        visit = position = 0
        for row in mine:
            new = last is None or row["timestamp"] - last > gap
            if last is not None and "midnight" in breaks:
                new = new or row["timestamp"] // DAY != last // DAY
            if "campaign" in breaks and row["campaign"]:
                new = new or row["campaign"] != campaign
            campaign = row["campaign"] or (None if new else campaign)
            visit, position = (visit + 1, 1) if new else (visit, position + 1)
            last = row["timestamp"]
            found[row["number"]] = (f"{user}/{visit}", position)
    return [found[r["number"]] for r in rows]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("breaks", [(), ("midnight",), ("campaign",), ("midnight", "campaign")])
def test_sessions_equal_the_loop(seed, breaks):
    rows = random_log(seed)
    log = events.load(pa.Table.from_pylist(rows), session_gap=1800, session_breaks=breaks)
    got = {
        r["number"]: (r["session_id"], r["event_order"])
        for r in log.table(["number", "session_id", "event_order"]).to_pylist()
    }
    expected = by_loop(rows, 1800, breaks)
    partner: dict[str, str] = {}
    for row, (session, position) in zip(rows, expected, strict=True):
        own_session, own_position = got[row["number"]]
        assert own_position == position
        assert partner.setdefault(session, own_session) == own_session
    assert len(set(partner.values())) == len(partner) == log.summary.sessions


def test_session_ids_do_not_depend_on_the_order_of_rows():
    rows = random_log(7)
    other = random.Random(1).sample(rows, len(rows))
    ids = [
        set(events.load(pa.Table.from_pylist(r)).table(["session_id"])["session_id"].to_pylist())
        for r in (rows, other)
    ]
    assert ids[0] == ids[1]


def test_the_sources_own_order_breaks_ties():
    rows = [
        {
            "session_id": "s",
            "timestamp": START,
            "event": "view",
            "event_order": o,
            "item_id": str(o),
        }
        for o in (3, 1, 2)
    ]
    log = events.load(pa.Table.from_pylist(rows))
    assert log.table(["item_id"])["item_id"].to_pylist() == ["1", "2", "3"]
    rows[0]["event_order"] = 1  # not unique any more: the order of rows decides
    log = events.load(pa.Table.from_pylist(rows))
    assert log.table(["item_id"])["item_id"].to_pylist() == ["3", "1", "2"]


def test_order_without_a_clock():
    rows = [{"session_id": s, "event_order": o, "event": "view"} for o in (2, 1) for s in "ab"]
    log = events.load(pa.Table.from_pylist(rows))
    assert (log.clock, log.order) == ("order", "session")
    table = log.table(["session_id", "event_order", "event_time"]).to_pylist()
    assert [(r["session_id"], r["event_order"]) for r in table] == [
        ("a", 1), ("a", 2), ("b", 1), ("b", 2),
    ]  # fmt: skip
    assert table[0]["event_time"] is None
    assert log.summary.censored_share is None


def test_seconds_of_the_session():
    rows = [{"session_id": "a", "session_seconds": s, "event": "view"} for s in (9.5, 0, 3)]
    log = events.load(pa.Table.from_pylist(rows))
    assert log.clock == "session"
    assert log.table(["session_seconds"])["session_seconds"].to_pylist() == [0, 3, 9.5]


@pytest.mark.parametrize("gap", [0, -1, float("nan")])
def test_gap_is_positive(gap):
    with pytest.raises(UsageError, match="session_gap > 0"):
        events.load(pa.Table.from_pylist(random_log(1)), session_gap=gap)


def test_unknown_break():
    with pytest.raises(UsageError, match="Did you mean 'midnight'"):
        events.load(pa.Table.from_pylist(random_log(1)), session_breaks=["midnite"])
