from __future__ import annotations

from datetime import timedelta

import pytest

from cartcast.errors import DataError, UsageError
from cartcast.insights import cohorts


def visits(events, oracle_units):
    """Return visitor -> sorted (start, orders) of the sessions, by a plain loop."""
    seen_orders = set()
    made: dict[str, list] = {}
    for session, rows in oracle_units["session"](events).items():
        orders = 0
        named = set()
        for r in rows:
            if r["event_type"] != "purchase":
                continue
            if r["order_id"] is None:
                orders += 1
            elif (r["order_id"], r["item_id"]) not in seen_orders:
                seen_orders.add((r["order_id"], r["item_id"]))
                named.add(r["order_id"])
        visitor = rows[0]["visitor_id"] or session
        start = min(r["event_time"] for r in rows)
        made.setdefault(visitor, []).append((start, orders + len(named)))
    return {v: sorted(s) for v, s in made.items()}


def test_equals_a_plain_loop(events, log, oracle_units):
    got = cohorts(log, periods=6)
    truth = visits(events, oracle_units)
    last = max(start for s in truth.values() for start, _ in s)
    weeks: dict = {}
    for sessions in truth.values():
        first = sessions[0][0]
        monday = (first - timedelta(days=first.weekday())).date()
        weeks.setdefault(monday, []).append(sessions)
    assert [c.week for c in got.cohorts] == sorted(weeks)
    for c in got.cohorts:
        members = weeks[c.week]
        assert c.visitors == len(members)
        assert c.returned.did == sum(len(s) > 1 for s in members)
        assert c.bought.did == sum(sum(o for _, o in s) > 0 for s in members)
        assert c.bought_again.did == sum(sum(o for _, o in s) > 1 for s in members)
    for w in got.weeks:
        complete = w.week + timedelta(days=7 * (w.k + 2)) <= last.date() + timedelta(days=1)
        if not complete:
            assert w.returned is None
            assert w.bought is None
            continue
        back = buy = again = 0
        for s in weeks[w.week]:
            then = [(t, o) for t, o in s if (t - s[0][0]).total_seconds() // 604_800 == w.k]
            back += len(then) > (1 if w.k == 0 else 0)
            buy += any(o for _, o in then)
            again += any(o and sum(p for q, p in s if q < t) + o > 1 for t, o in then)
        assert (w.returned.did, w.bought.did, w.bought_again.did) == (back, buy, again)


def test_a_log_that_cannot_tell(events, as_log):
    with pytest.raises(DataError, match="clock is 'session'"):
        cohorts(as_log(events, clock="session"))
    with pytest.raises(DataError, match="visitor_id"):
        cohorts(as_log([{**e, "visitor_id": None} for e in events]))
    with pytest.raises(UsageError, match="at least 1"):
        cohorts(as_log(events), periods=0)
