"""The e-detector: its budget by simulation, its sums by a slow oracle, and when a change began."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cartcast.monitoring.detector import BETS, CUT, detect, threshold


def slow(values: list[float], level: float) -> list[bool]:
    """Shiryaev-Roberts by its definition: the sum over every start of the likelihood since then."""
    out, begin = [], 0
    for t in range(len(values)):
        total = 0.0
        for bet in BETS:
            for start in range(begin, t + 1):
                part = [min(x, CUT) for x in values[start : t + 1] if not math.isnan(x)]
                # A day without data is no day: a start on it is that of no new sum.
                if not math.isnan(values[start]):
                    total += math.exp(sum(bet * x - bet**2 / 2 for x in part))
        out.append(total / len(BETS) >= level)
        if out[-1]:
            begin = t + 1
    return out


def test_the_recursion_is_the_sum_over_all_starts() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0.4, 1, 60)
    x[[5, 6, 30]] = np.nan
    wanted = slow(x.tolist(), 12.0)
    assert sum(wanted) > 2
    assert detect(x, 12.0).alarm[:, 0].tolist() == wanted


def normal(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, 1, (730, 600))


def heavy(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_t(5, (730, 600)) / (5 / 3) ** 0.5


def odd_days(rng: np.random.Generator) -> np.ndarray:
    # Rare days far up, the others a little lower, so that the mean is 0 all the same.
    far = rng.random((730, 600)) < 0.01
    return np.where(far, 4.0, rng.normal(-0.04, 0.9, (730, 600)))


@pytest.mark.parametrize("draw", [normal, heavy, odd_days])
def test_false_alarms_stay_within_the_budget(draw) -> None:
    level = threshold(budget=1, processes=1)
    false = detect(draw(np.random.default_rng(7)), level).alarm.sum() / 600 / (730 / 365.25)
    # 600 pairs of years: three deviations of a count of about 700.
    assert false <= 1.0 + 3 * 1200**-0.5
    # The test can fail: a tenth of a deviation more than accepted is beyond it.
    assert detect(draw(np.random.default_rng(7)) + 0.4, level).alarm.sum() > 2 * 1200


def test_dependent_days_within_the_margin_do_not_alarm() -> None:
    rng = np.random.default_rng(3)
    x = np.zeros((730, 300))
    steps = rng.normal(0, 1, x.shape)
    for t in range(1, 730):
        x[t] = 0.5 * x[t - 1] + 0.75**0.5 * steps[t]
    assert detect(x - 1.0, threshold(1, 1)).alarm.sum() / 600 < 0.1


def test_it_says_since_when() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(-0.5, 1, (200, 200))
    x[120:] += 2.0
    found = detect(x, threshold(1, 5))
    first = found.alarm[120:].argmax(axis=0) + 120
    since = found.since[first, np.arange(200)]
    assert abs(np.median(since) - 120) <= 1
    assert np.percentile(np.abs(since - 120), 80) <= 6


def test_half_the_budget_is_twice_the_proof() -> None:
    assert threshold(0.5, 5) == 2 * threshold(1, 5)
    assert threshold(1, 10) == 2 * threshold(1, 5)
