from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict

import pytest

from cartcast.errors import UsageError
from cartcast.insights import Slice, bought_together, compare_items, items, overview, write_sessions

from .conftest import by_session, random_events


def owner(e: dict) -> str:
    return e["visitor_id"] or e["session_id"]


def lines(events) -> list[dict]:
    """Return the purchases that count: an order's item once."""
    seen, kept = set(), []
    for e in sorted(events, key=lambda e: (e["session_id"], e["event_order"])):
        key = (owner(e), e["order_id"], e["item_id"])
        if e["event_type"] == "purchase" and (e["order_id"] is None or key not in seen):
            seen.add(key)
            kept.append(e)
    return kept


def did(events, column) -> dict[str, dict[str, set[str]]]:
    """Return the sessions that viewed, carted and bought each value."""
    told: dict = defaultdict(lambda: defaultdict(set))
    for e in [*(e for e in events if e["event_type"] != "purchase"), *lines(events)]:
        if e[column] is not None:
            told[e[column]][e["event_type"]].add(e["session_id"])
    return told


@pytest.mark.parametrize("column", ["item_id", "category"])
def test_rows_are_those_of_a_loop(events, log, column, tmp_path):
    got = items(log, column)
    truth = did(events, column)
    money = Counter()
    for e in lines(events):
        if e[column] is not None:
            quantity = 1 if e["quantity"] is None else e["quantity"]
            money[e[column]] += (e["price"] or 0) * quantity
    assert {r.value for r in got.rows} == set(truth)
    for r in got.rows:
        own = truth[r.value]
        viewed = own["view_item"]
        assert (r.views, r.buyers) == (len(viewed), len(own["purchase"]))
        assert (r.to_cart.did, r.to_cart.of) == (len(viewed & own["add_to_cart"]), len(viewed))
        assert r.bought.did == len(viewed & own["purchase"])
        assert r.revenue == pytest.approx(money[r.value])
        # Between its own rate and that of all.
        mean = got.prior.a / (got.prior.a + got.prior.b)
        ends = sorted((r.bought.value, mean))
        assert ends[0] - 1e-9 <= r.rate.value <= ends[1] + 1e-9
    revenue = [r.revenue for r in got.rows]
    assert revenue == sorted(revenue, reverse=True)
    assert got.revenue <= overview(log).revenue + 1e-9
    where = Slice(values={"device": "mobile"})
    table = write_sessions(log, tmp_path / "s.parquet")
    assert items(log, column, where=where) == items(log, column, where=where, sessions=table)
    assert items(log, column, largest=1).rows == got.rows[:1]


@pytest.fixture(scope="module")
def shop():
    """A larger log, in which pairs and changes are many."""
    events = random_events(11, sessions=400)
    for e in events:
        if e["event_type"] == "purchase" and e["event_order"] % 3:
            # Many visitors have the same order ids.
            e["order_id"] = f"o{int(e['session_id'][1:]) % 50}"
    return events


def test_pairs_are_those_of_a_loop(shop, as_log):
    baskets = defaultdict(set)
    for e in lines(shop):
        lone = (e["session_id"], e["event_order"])
        baskets[(owner(e), e["order_id"]) if e["order_id"] else lone].add(e["item_id"])
    ids = [o for _, o in baskets if isinstance(o, str)]
    assert len({*ids}) < len(ids)
    total = len(baskets)
    alone = Counter(v for b in baskets.values() for v in b if v)
    both = Counter(
        p for b in baskets.values() for p in itertools.combinations(sorted(b - {None}), 2)
    )
    got = bought_together(as_log(shop), least=3)
    assert {tuple(sorted(p[:2])): p.orders for p in got} == {
        p: n for p, n in both.items() if n >= 3
    }
    assert got
    for p in got:
        a, b = alone[p.first], alone[p.second]
        assert a >= b
        assert p[3:] == pytest.approx(
            (p.orders / total, p.orders / a, p.orders / b, p.orders * total / (a * b))
        )
    lifts = [p.lift for p in got]
    assert lifts == sorted(lifts, reverse=True)
    assert len(bought_together(as_log(shop), least=1, largest=2)) == 2
    device = {s: own[0]["device"] for s, own in by_session(shop).items()}
    mine = as_log([e for e in shop if device[e["session_id"]] == "mobile"])
    where = Slice(values={"device": "mobile"})
    assert bought_together(as_log(shop), where=where, least=2) == bought_together(mine, least=2)


def test_what_rises_and_falls_is_that_of_a_loop(shop, as_log):
    log = as_log(shop)
    half = sorted(e["event_time"] for e in shop)[len(shop) // 2].date()
    here, there = Slice(start=half), Slice(values={"device": "mobile"})
    got = compare_items(log, here, there, "category", least=1)
    begun, who = {}, {}
    for e in sorted(shop, key=lambda e: e["event_order"], reverse=True):
        begun[e["session_id"]] = e["event_time"].date()
        who[e["session_id"]] = e["visitor_id"] or e["session_id"]
    phone = {e["session_id"] for e in shop if e["device"] == "mobile"}
    for d in got:
        sides = (
            Counter(
                who[s] for s in did(shop, "category")[d.measure]["purchase"] if begun[s] >= half
            ),
            Counter(who[s] for s in did(shop, "category")[d.measure]["purchase"] if s in phone),
        )
        a, b = (sum(c.values()) for c in sides)
        assert (d.here, d.there) == (a, b)
        assert d.change == pytest.approx(a / b - 1)
        error = math.sqrt(sum((sides[0][v] / a - sides[1][v] / b) ** 2 for v in {*who.values()}))
        # Student's quantile is a little wider than the normal one.
        wide = math.log((1 + d.high) / (1 + d.low)) / 2
        assert 1.95 * error < wide < 2.3 * error
    assert {d.measure for d in got} == {"x", "y", 'qu"oted'}
    assert not compare_items(log, here, there, "category", least=10_000)


def test_what_cannot_be_asked(log):
    with pytest.raises(UsageError, match="no column 'itm'"):
        items(log, "itm")
    with pytest.raises(UsageError, match="largest"):
        items(log, largest=0)
    with pytest.raises(UsageError, match="least >= 1"):
        bought_together(log, least=0)
