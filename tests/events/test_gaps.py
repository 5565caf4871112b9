"""Holes in the feed are found; nights, weekends and noise are not taken for holes."""

from __future__ import annotations

import numpy as np
import pytest

from cartcast.events.gaps import find_gaps

DAY = 86_400


def shop_day(days: float, per_minute: float, width: int, rng: np.random.Generator) -> np.ndarray:
    """Poisson counts of a shop with a steep night (1 % of the day's rate) and half weekends."""
    seconds = np.arange(int(days * DAY // width)) * width
    hour = seconds % DAY / 3600
    awake = 1 / (1 + np.exp(-2 * (hour - 6.5))) / (1 + np.exp(2 * (hour - 23))) + 0.01
    week = np.where(seconds // DAY % 7 >= 5, 0.5, 1.0)
    return rng.poisson(per_minute * width / 60 * awake * week).astype(float)


CASES = [(1, 100, 60), (1.5, 200, 60), (2, 200, 60), (4, 30, 300), (9, 10, 600), (30, 3, 1800)]


@pytest.mark.parametrize(("days", "per_minute", "width"), CASES)
def test_ordinary_days_have_no_gaps(days, per_minute, width):
    for seed in range(5):
        counts = shop_day(days, per_minute, width, np.random.default_rng(seed))
        assert find_gaps(0.0, width, counts) == []


@pytest.mark.parametrize(("days", "per_minute", "width"), CASES)
@pytest.mark.parametrize("left", [0.0, 0.05])
def test_two_silent_hours_are_found(days, per_minute, width, left):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        counts = shop_day(days, per_minute, width, rng)
        start = int((int(days / 2) * DAY + 12 * 3600) // width)
        end = start + 7200 // width
        counts[start:end] = rng.binomial(counts[start:end].astype(int), left)
        (gap,) = find_gaps(0.0, width, counts)
        assert abs(gap.start - start * width) <= 3 * width
        assert abs(gap.end - end * width) <= 3 * width
        assert gap.events < 0.2 * gap.expected


def test_a_missing_day_of_a_daily_log():
    rng = np.random.default_rng(1)
    counts = rng.poisson(np.where(np.arange(60) % 7 >= 5, 500, 1000)).astype(float)
    assert find_gaps(0.0, DAY, counts) == []
    counts[24] = 0
    assert [(g.start, g.end) for g in find_gaps(0.0, DAY, counts)] == [(24 * DAY, 25 * DAY)]


@pytest.mark.parametrize("counts", [[], [5.0], [100.0] * 3, [0.0, 100.0, 100.0, 100.0, 0.0]])
def test_edges_are_no_gaps(counts):
    assert find_gaps(0.0, 60, np.array(counts)) == []


def _clustered(rng: np.random.Generator, days: int) -> np.ndarray:
    """Half-hour counts of events that come in sessions of very different length."""
    hour = np.arange(48 * days) / 2 % 24
    sessions = rng.poisson(6 * (1.2 + np.sin((hour - 9) / 24 * 2 * np.pi)))
    lengths = [np.minimum(rng.geometric(0.15, n) * rng.choice([1, 1, 4], n), 300) for n in sessions]
    return np.array([float(found.sum()) for found in lengths])


@pytest.mark.parametrize("seed", range(12))
def test_events_that_come_in_sessions_are_no_hole_but_a_hole_is(seed: int) -> None:
    counts = _clustered(np.random.default_rng(seed), days=60)
    assert find_gaps(0.0, 1800, counts) == []
    broken = counts.copy()
    broken[1224:1236] = 0.0
    (gap,) = find_gaps(0.0, 1800, broken)
    assert gap.start <= 1226 * 1800
    assert gap.end >= 1234 * 1800
