from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
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
        span = timedelta(weeks=got.within)
        members = [s for s in members if s[0][0] + span <= last]
        orders = [sum(o for t, o in s if t < s[0][0] + span) for s in members]
        returns = [len(s) > 1 and s[1][0] < s[0][0] + span for s in members]
        assert (c.returned.did, c.returned.of) == (sum(returns), len(members))
        assert (c.bought.did, c.bought.of) == (sum(o > 0 for o in orders), len(members))
        assert c.bought_again[:2] == (sum(o > 1 for o in orders), c.bought.did)
    assert got.returned.of == sum(c.returned.of for c in got.cohorts)
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


def test_a_late_cohort_is_followed_as_long_as_an_early_one(as_log):
    """Every visitor comes back with the same chance a week; ten weeks, the same each week."""
    rng = np.random.default_rng(0)
    made = []
    for v in range(1500):
        first = float(rng.uniform(0, 70))
        moments = [first, *(first + np.cumsum(rng.exponential(25, 6)))]
        for k, day in enumerate(m for m in moments if m < 70):
            at = datetime(2024, 1, 1) + timedelta(days=float(day))
            made.append(
                {"session_id": f"{v}-{k}", "visitor_id": f"v{v}", "event_time": at,
                 "event_order": 1, "event_type": "view_item"}
            )  # fmt: skip
    found = cohorts(as_log(made))
    truth = 1 - np.exp(-7 * found.within / 25)
    assert found.within == 4
    known = [c for c in found.cohorts if c.returned.of]
    assert len(known) < len(found.cohorts)
    assert all(abs(c.returned.value - truth) < 0.15 for c in known if c.returned.of > 100)
    assert found.returned.low <= truth <= found.returned.high
    assert found.cohorts[-1].returned.value is None
    assert cohorts(as_log(made), within=2).within == 2


def test_a_log_that_cannot_tell(events, as_log):
    with pytest.raises(DataError, match="clock is 'session'"):
        cohorts(as_log(events, clock="session"))
    with pytest.raises(DataError, match="visitor_id"):
        cohorts(as_log([{**e, "visitor_id": None} for e in events]))
    with pytest.raises(UsageError, match="at least 1"):
        cohorts(as_log(events), periods=0)
