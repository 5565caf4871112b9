from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from scipy.stats import spearmanr

from cartcast.errors import UsageError
from cartcast.insights import Slice, breakdown, correlations, distribution, overview, write_sessions


def bought(events) -> set[str]:
    return {s for s, n in sold(events).items() if n}


def sold(events) -> dict[str, int]:
    seen: set = set()
    made: dict[str, int] = defaultdict(int)
    for e in sorted(events, key=lambda e: (e["session_id"], e["event_order"])):
        if e["event_type"] == "purchase":
            key = (e["order_id"], e["item_id"])
            made[e["session_id"]] += e["order_id"] is None or key not in seen
            seen.add(key)
    return made


def test_a_session_column_splits_the_sessions(events, log, oracle_units):
    got = breakdown(log, "device")
    buyers = bought(events)
    truth: dict = defaultdict(lambda: [0, 0])
    for s, rows in oracle_units["session"](events).items():
        truth[rows[0]["device"]][0] += 1
        truth[rows[0]["device"]][1] += s in buyers
    assert got.counted == "session"
    assert {r.value: [r.sessions, r.conversion.did] for r in got.rows} == dict(truth)
    assert sum(r.revenue for r in got.rows) == pytest.approx(overview(log).revenue)


def test_an_event_column_counts_a_session_at_each_of_its_values(events, log, oracle_units):
    got = breakdown(log, "category")
    buyers = bought(events)
    truth: dict = defaultdict(set)
    for s, rows in oracle_units["session"](events).items():
        values = {r["category"] for r in rows} - {None} or {None}
        for v in values:
            truth[v].add(s)
    assert got.counted == "any"
    # What was sold without a category has no session of its own beside those that have one.
    rows = [r for r in got.rows if r.sessions]
    assert {r.value: r.sessions for r in rows} == {v: len(s) for v, s in truth.items()}
    assert {r.value: r.conversion.did for r in rows} == {
        v: len(s & buyers) for v, s in truth.items()
    }


@pytest.mark.parametrize("column", ["category", "item_id", "price"])
def test_money_is_the_values_own_and_adds_up(events, log, column):
    got = breakdown(log, column, largest=40)
    seen, own = set(), defaultdict(float)
    for e in sorted(events, key=lambda e: (e["session_id"], e["event_order"])):
        key = (e["order_id"], e["item_id"])
        if e["event_type"] != "purchase" or (e["order_id"] is not None and key in seen):
            continue
        seen.add(key)
        value = None if e[column] is None else str(e[column])
        own[value] += (e["price"] or 0) * (1 if e["quantity"] is None else e["quantity"])
    assert {r.value: r.revenue for r in got.rows if r.revenue} == pytest.approx(
        {v: m for v, m in own.items() if m}
    )
    assert sum(r.revenue for r in got.rows) == pytest.approx(overview(log).revenue)
    assert sum(r.basket for r in got.rows) > overview(log).revenue
    small = breakdown(log, column, largest=1, bins=2)
    assert sum(r.revenue for r in small.rows) == pytest.approx(overview(log).revenue)


def test_small_values_become_other(log):
    got = breakdown(log, "device", largest=1)
    assert [r.value for r in got.rows[1:] if r.value] == ["other"]
    assert sum(r.sessions for r in got.rows) == got.sessions


def test_numbers_are_cut_at_quantiles(log):
    got = breakdown(log, "price_mean", bins=4)
    known = [r for r in got.rows if r.low is not None]
    assert sum(r.sessions for r in got.rows) == got.sessions
    assert [r.low for r in known] == sorted(r.low for r in known)
    for a, b in itertools.pairwise(known):
        assert a.high < b.low


def test_calendar_and_slices(log, tmp_path, as_log, events):
    hours = breakdown(log, "hour")
    assert [int(r.value) for r in hours.rows] == sorted(int(r.value) for r in hours.rows)
    where = Slice(values={"device": "mobile"})
    table = write_sessions(log, tmp_path / "s.parquet")
    for column in ("category", "weekday", "month", "events"):
        assert breakdown(log, column, where=where) == breakdown(
            log, column, where=where, sessions=table
        )
    with pytest.raises(UsageError, match="no hour here"):
        breakdown(as_log(events, clock="day"), "hour")
    with pytest.raises(UsageError, match="Did you mean 'category'"):
        breakdown(log, "categry")


def test_distribution_of_numbers_counts_every_value(events, log):
    got = distribution(log, "price")
    prices = [e["price"] for e in events if e["price"] is not None]
    assert (got.kind, got.of, got.unit) == ("number", "event", "currency")
    assert (got.count, got.unknown) == (len(prices), len(events) - len(prices))
    assert sum(b.n for b in got.bars) == len(prices)
    assert got.mean == pytest.approx(np.mean(prices))
    assert got.quantiles == pytest.approx(np.quantile(prices, [0.05, 0.25, 0.5, 0.75, 0.95]))


def test_distribution_of_whole_numbers_has_a_bar_each(events, log, oracle_units):
    got = distribution(log, "events")
    lengths = [len(r) for r in oracle_units["session"](events).values()]
    assert sum(b.n for b in got.bars) == len(lengths)
    assert {b.low: b.n for b in got.bars if b.n} == {
        float(k): lengths.count(k) for k in set(lengths)
    }


def test_bars_of_whole_numbers_hold_equally_many(events, log, oracle_units):
    lengths = [len(r) for r in oracle_units["session"](events).values()]
    got = distribution(log, "events", bins=3)
    assert got.whole
    *bars, tail = got.bars if got.bars[-1].label.endswith("more") else (*got.bars, None)
    assert len({b.high - b.low for b in bars}) == 1
    for b in bars:
        assert b.label == (f"{b.low:g}" if b.low == b.high else f"{b.low:g} to {b.high:g}")
        assert b.n == sum(b.low <= n <= b.high for n in lengths)
    assert sum(b.n for b in got.bars) == len(lengths)
    assert tail is None or tail.n == sum(n >= tail.low for n in lengths)
    assert not distribution(log, "price").whole


def test_distribution_of_words(events, log):
    got = distribution(log, "device", largest=1)
    assert got.kind == "word"
    assert sum(b.n for b in got.bars) == got.count
    assert got.bars[-1].label == "other"
    assert distribution(log, "brand").bars == ()
    with pytest.raises(UsageError, match="no column"):
        distribution(log, "nothing")


def test_correlations_equal_scipy(events, log, oracle_units):
    got = correlations(log)
    rows = oracle_units["session"](events)
    size = [len(r) for r in rows.values()]
    carts = [sum(e["event_type"] == "add_to_cart" for e in r) for r in rows.values()]
    i, j = got.columns.index("events"), got.columns.index("carts")
    assert got.values[i][j] == pytest.approx(spearmanr(size, carts).statistic)
    assert got.values[i][i] == pytest.approx(1.0)
    assert got.sessions == len(rows)
