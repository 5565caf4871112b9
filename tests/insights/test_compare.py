"""Two slices side by side, against a plain loop and the jackknife over visitors."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import date

import numpy as np
import pytest
from scipy.stats import t as student

from cartcast.errors import UsageError
from cartcast.insights import (
    Slice,
    compare,
    compare_breakdowns,
    compare_funnels,
    overview,
    write_sessions,
)  # fmt: skip

from .conftest import make_log, random_events
from .test_overview import money

MOBILE, DESKTOP = Slice(values={"device": "mobile"}), Slice(values={"device": "desktop"})


@pytest.fixture(scope="module")
def shop():
    events = random_events(4, sessions=400)
    return events, make_log(events)


def by_visitor(events: list[dict]) -> list[np.ndarray]:
    """Return of each visitor: sessions, buying ones, orders and revenue, by device (2, 4)."""
    sold, sessions = money(events), {}
    for e in sorted(events, key=lambda e: (e["session_id"], e["event_order"])):
        sessions.setdefault(e["session_id"], (e["visitor_id"] or e["session_id"], e["device"]))
    found: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((2, 4)))
    for session, (visitor, device) in sessions.items():
        if device in ("mobile", "desktop"):
            orders, revenue = sold.get(session, (0, 0.0))
            found[visitor][int(device == "desktop")] += (1, session in sold, orders, revenue)
    return list(found.values())


def jackknife(parts: list[np.ndarray], measure) -> float:
    """Return the standard error of a measure when one visitor at a time is left out."""
    whole, n = sum(parts), len(parts)
    left = np.array([measure(whole - part) for part in parts])
    return math.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum())


def test_values_are_those_of_each_slice(shop):
    _, log = shop
    found = compare(log, MOBILE, DESKTOP)
    for side, where in (("here", MOBILE), ("there", DESKTOP)):
        o = overview(log, where=where)
        for name in ("sessions", "visitors", "orders", "revenue", "average_order"):
            assert getattr(found[name], side) == pytest.approx(getattr(o, name))
        assert getattr(found["conversion"], side) == pytest.approx(o.conversion.value)


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("average_order", lambda w: math.log(w[0, 3] / w[0, 2]) - math.log(w[1, 3] / w[1, 2])),
        ("revenue_per_session", lambda w: math.log(w[0, 3] / w[0, 0] / w[1, 3] * w[1, 0])),
    ],
)
def test_the_interval_is_the_jackknifes(shop, name, measure):
    events, log = shop
    parts = by_visitor(events)
    d = compare(log, MOBILE, DESKTOP)[name]
    assert math.log1p(d.change) == pytest.approx(measure(sum(parts)))
    reach = (math.log1p(d.high) - math.log1p(d.low)) / 2
    # The quantile rests on fewer visitors than there are.
    assert student.ppf(0.975, len(parts)) < reach / jackknife(parts, measure) * 1.05
    assert reach / jackknife(parts, measure) < 2.3


def test_the_shares_are_compared_with_what_they_have_in_common(shop):
    events, log = shop
    parts = by_visitor(events)
    d = compare(log, MOBILE, DESKTOP)["conversion"]
    error = jackknife(parts, lambda w: w[0, 1] / w[0, 0] - w[1, 1] / w[1, 0])
    assert (d.high - d.low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_steps_and_values_differ_as_whole_slices_do(shop, tmp_path):
    """A funnel's step and a value's conversion are shares: each against the jackknife."""
    events, log = shop
    kinds: dict[str, list[str]] = defaultdict(list)
    facts = {}
    for e in sorted(events, key=lambda e: (e["session_id"], e["event_order"])):
        kinds[e["session_id"]].append(e["event_type"])
        facts.setdefault(e["session_id"], (e["visitor_id"] or e["session_id"], e["device"]))
    sold = money(events)
    steps, values = defaultdict(lambda: np.zeros((2, 2))), defaultdict(lambda: np.zeros((2, 2)))
    for session, (visitor, device) in facts.items():
        if device not in ("mobile", "desktop"):
            continue
        side, own = int(device == "desktop"), kinds[session]
        if "view_item" in own:
            rest = own[own.index("view_item") + 1 :]
            steps[visitor][side] += (1, "add_to_cart" in rest)
        if own[0] == "view_item":
            values[visitor][side] += (1, session in sold)
    (step,) = compare_funnels(log, MOBILE, DESKTOP, ["view_item", "add_to_cart"])
    stored = write_sessions(log, tmp_path / "sessions.parquet")
    again = compare_funnels(log, MOBILE, DESKTOP, ["view_item", "add_to_cart"], sessions=stored)
    assert again == (step,)
    found = compare_breakdowns(log, "first_event", MOBILE, DESKTOP)
    value = next(d for d in found if d.measure == "view_item")

    def measure(w):
        return w[0, 1] / w[0, 0] - w[1, 1] / w[1, 0]

    for d, parts in ((step, list(steps.values())), (value, list(values.values()))):
        assert d.change == pytest.approx(measure(sum(parts)))
        assert (d.high - d.low) / 2 == pytest.approx(1.96 * jackknife(parts, measure), rel=0.1)
    both = compare(log, MOBILE, DESKTOP)["conversion"]
    of = next(d for d in compare_breakdowns(log, "device", MOBILE, MOBILE))
    assert of.here == pytest.approx(both.here)


def test_a_slice_does_not_differ_from_itself(shop):
    _, log = shop
    for d in compare(log, MOBILE, MOBILE).values():
        assert (d.change, d.low, d.high) == pytest.approx((0, 0, 0), abs=0.005)
        assert not d.sure


def test_what_cannot_be_compared_is_null(shop):
    events, log = shop
    empty = Slice(start=date(1999, 1, 1), end=date(1999, 1, 2))
    for d in compare(log, MOBILE, empty).values():
        assert (d.change, d.low, d.high) == (None, None, None)
        assert not d.sure
    looking = make_log([e for e in events if e["event_type"] != "purchase"])
    assert set(compare(looking, MOBILE, DESKTOP)) == {"sessions", "visitors"}
    with pytest.raises(UsageError, match="no session column"):
        compare(log, MOBILE, Slice(values={"devize": "x"}))
