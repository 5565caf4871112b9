from __future__ import annotations

import itertools
from collections import Counter
from datetime import date

import pytest

from cartcast.errors import DataError, UsageError
from cartcast.insights import Slice, heat_map, overview, write_sessions


def money(events):
    """Return session -> (orders, revenue) by a plain loop over the purchases."""
    seen = set()
    made: dict[str, list] = {}
    for e in sorted(events, key=lambda e: (e["session_id"], e["event_order"])):
        if e["event_type"] != "purchase":
            continue
        key = (e["visitor_id"] or e["session_id"], e["order_id"], e["item_id"])
        if e["order_id"] is not None:
            if key in seen:
                continue
            seen.add(key)
        lines = made.setdefault(e["session_id"], [])
        lines.append((e["order_id"] or object(), (e["price"], e["quantity"])))
    return {
        s: (
            len({o for o, _ in lines}),
            sum(p * (1 if q is None else q) for _, (p, q) in lines if p is not None),
        )
        for s, lines in made.items()
    }


def test_figures_equal_a_plain_loop(events, log, oracle_units):
    got = overview(log)
    sold = money(events)
    assert got.sessions == len({e["session_id"] for e in events})
    assert got.visitors == len({e["visitor_id"] or e["session_id"] for e in events})
    assert got.events == len(events)
    assert got.conversion.did == len(sold)
    assert got.orders == sum(n for n, _ in sold.values())
    assert got.revenue == pytest.approx(sum(m for _, m in sold.values()))
    assert got.average_order == pytest.approx(got.revenue / got.orders)
    assert got.currency == "EUR"
    last = Counter(
        (rows[-1]["event_type"], rows[-1]["page"])
        for s, rows in oracle_units["session"](events).items()
        if s not in sold
    )
    assert {(x.event, x.page): x.sessions for x in got.leaving}.items() <= last.items()
    assert got.leaving[0].sessions == max(last.values())


@pytest.mark.parametrize("grain", ["hour", "day", "week", "month"])
def test_trend_adds_up_and_has_no_holes(log, grain):
    got = overview(log, grain=grain)
    assert sum(t.sessions for t in got.trend) == got.sessions
    assert sum(t.conversion.did for t in got.trend) == got.conversion.did
    assert sum(t.revenue for t in got.trend) == pytest.approx(got.revenue)
    starts = [t.start for t in got.trend]
    assert starts == sorted(set(starts))
    if grain == "day":
        assert {(b - a).days for a, b in itertools.pairwise(starts)} == {1}
    empty = [t for t in got.trend if t.sessions == 0]
    assert all(t.conversion.value is None and t.average_order is None for t in empty)


def test_slice_by_days_and_values(events, log, tmp_path, oracle_units):
    where = Slice(date(2024, 1, 10), date(2024, 1, 20), {"device": "mobile"})
    kept = {
        s
        for s, rows in oracle_units["session"](events).items()
        if date(2024, 1, 10) <= min(r["event_time"] for r in rows).date() <= date(2024, 1, 20)
        and rows[0]["device"] == "mobile"
    }
    got = overview(log, where=where)
    assert got.sessions == len(kept)
    table = write_sessions(log, tmp_path / "s.parquet")
    assert overview(log, where=where, sessions=table) == got
    assert next(n for _, n in overview(log).funnel) >= got.funnel[0][1]


def test_the_usual_funnel_is_that_of_funnel(log):
    from cartcast.insights import funnel

    assert dict(overview(log).funnel) == {s.step: s.reached for s in funnel(log).steps}


def test_what_is_not_known_is_null(events, as_log):
    views = [{**e, "event_type": "view_item", "price": None} for e in events]
    got = overview(as_log(views, clock="order", currency=None))
    assert (got.conversion, got.revenue, got.average_order, got.currency) == (None,) * 4
    assert (got.grain, got.trend) == (None, ())
    with pytest.raises(UsageError, match="by hour"):
        overview(as_log(events, clock="day"), grain="hour")
    with pytest.raises(UsageError, match="grain"):
        overview(as_log(events), grain="second")
    with pytest.raises(UsageError, match="Did you mean 'device'"):
        overview(as_log(events), where=Slice(values={"devise": "x"}))


def test_heat_map_adds_up(events, log, oracle_units, as_log):
    got = heat_map(log)
    assert len(got.cells) == 168
    truth = Counter()
    for rows in oracle_units["session"](events).values():
        at = min(r["event_time"] for r in rows)
        truth[(at.isoweekday(), at.hour)] += 1
    assert {(c.weekday, c.hour): c.sessions for c in got.cells if c.sessions} == dict(truth)
    assert sum(c.conversion.did for c in got.cells) == overview(log).conversion.did
    with pytest.raises(DataError, match="time of day"):
        heat_map(as_log(events, clock="day"))


def test_a_file_that_is_no_log(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_text("not parquet")
    with pytest.raises(DataError, match="not a Parquet file"):
        overview(path)
