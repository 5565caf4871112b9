"""A visitor who comes eight times is one visitor: no interval of an insight is narrower for it."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from cartcast import insights
from cartcast.evaluate.share import Share

STEPS = ["view_item", "add_to_cart", "purchase"]
SHOWN = {
    "dashboard": lambda log: insights.overview(log, grain="week").conversion,
    "trend": lambda log: insights.overview(log, grain="week").trend[1].conversion,
    "funnel, first": lambda log: insights.funnel(log, STEPS).steps[1].of_first,
    "funnel, previous": lambda log: insights.funnel(log, STEPS).steps[2].of_previous,
    "funnel by visitor": lambda log: insights.funnel(log, STEPS, unit="visitor").steps[2].of_first,
    "funnel by device": lambda log: insights.funnel(log, STEPS, by="device").steps[1].of_first,
    "breakdown": lambda log: insights.breakdown(log, "device").rows[0].conversion,
    "breakdown by hour": lambda log: insights.breakdown(log, "hour").rows[0].conversion,
    "hours": lambda log: next(c.conversion for c in insights.heat_map(log).cells if c.sessions),
}


@pytest.fixture(scope="module")
def logs() -> dict[int, pa.Table]:
    """Return a log in which each of 300 visitors comes once, and one in which each comes eight times.

    All sessions of a visitor go alike, within one hour.
    """
    rng = np.random.default_rng(0)
    made: dict[int, list[dict]] = {1: [], 8: []}
    for v in range(300):
        start = datetime(2024, 1, 1) + timedelta(days=int(rng.integers(28)), hours=9 + v % 2)
        device = str(rng.choice(["mobile", "desktop"]))
        steps = STEPS[: 1 + int(rng.choice(3, p=[0.5, 0.3, 0.2]))]
        for times, rows in made.items():
            for visit in range(times):
                at = start + timedelta(minutes=5 * visit)
                rows += [
                    {"visitor_id": f"v{v}", "session_id": f"{v}.{visit}", "event_type": step,
                     "event_order": k, "event_time": at + timedelta(seconds=k), "device": device}
                    for k, step in enumerate(steps, 1)
                ]  # fmt: skip
    return {times: pa.Table.from_pylist(rows) for times, rows in made.items()}


@pytest.mark.parametrize("name", SHOWN)
def test_sessions_of_one_visitor_are_not_news(logs, name: str) -> None:
    once, again = (SHOWN[name](log) for log in logs.values())
    assert isinstance(once, Share)
    assert again.value == pytest.approx(once.value)
    assert again.low <= once.low + 0.005
    assert again.high >= once.high - 0.005
    # With few visitors their variance is itself a guess, and Student's quantile is wider.
    assert again.high - again.low < 1.4 * (once.high - once.low)
