from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cartcast.evaluate.auc import auc, auc_error
from cartcast.leakage.statistics import auc_bounds, counts, difference, r2_bounds, share


def test_auc_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        y = rng.integers(0, 2, 60).astype(float)
        score = rng.integers(0, 9, 60).astype(float)
        assert auc(y, score) == pytest.approx(roc_auc_score(y, score))
    assert np.isnan(auc(np.ones(5), np.arange(5.0)))


def test_auc_error_is_not_below_that_of_many_samples() -> None:
    """Hanley and McNeil's formula errs on the careful side for normal scores."""
    rng = np.random.default_rng(1)
    y = np.r_[np.ones(60), np.zeros(200)]
    areas = [auc(y, y * 1.2 + rng.normal(size=260)) for _ in range(600)]
    ratio = auc_error(float(np.mean(areas)), 60, 200) / np.std(areas)
    assert 0.95 < ratio < 1.35


def test_auc_bounds_hold_their_promise() -> None:
    """The lower bound at 1.645 standard errors is above the truth in about 5 % of samples."""
    from scipy.stats import norm

    rng = np.random.default_rng(2)
    y = np.r_[np.ones(40), np.zeros(160)]
    truth = norm.cdf(1.5 / np.sqrt(2))
    above = 0
    for _ in range(500):
        area = auc(y, y * 1.5 + rng.normal(size=200))
        above += auc_bounds(area, 40, 160, 1.645).low > truth
    assert above / 500 <= 0.08


def test_bounds_contain_the_value_and_narrow_with_rows() -> None:
    wide, narrow = (auc_bounds(0.8, n, n, 3.0) for n in (50, 5000))
    assert wide.low < narrow.low < 0.8 < narrow.high < wide.high
    assert np.isnan(auc_bounds(float("nan"), 5, 5, 3.0).low)
    assert auc_bounds(0.5, 3, 3, 4.0).low >= 0.0


def test_shares_and_their_difference() -> None:
    a, b = share(300, 1000), share(100, 1000)
    gap = difference(a, b)
    assert gap.low > 0.1
    assert gap.value == pytest.approx(0.2)
    assert difference(share(3, 10), share(1, 10)).low < 0
    assert np.isnan(share(0, 0).value)


def test_r2_bounds() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    found = r2_bounds(x + rng.normal(size=2000), x, 2000, 3.0)
    assert found.low < 0.5 < found.high
    assert found.high - found.low < 0.15
    assert np.isnan(r2_bounds(np.ones(9), np.arange(9.0), 9, 3.0).value)


def test_counts_are_of_groups_and_of_their_class() -> None:
    """Forty visitors wrote the hundred positives, four of them half; 900 negatives stand alone."""
    y = np.r_[np.ones(100), np.zeros(900)]
    groups = np.r_[
        np.repeat(np.arange(4), 12), np.repeat(np.arange(4, 40), 2)[:52], 50 + np.arange(900)
    ]
    positives, negatives = counts(y, groups)
    assert positives == pytest.approx(100**2 / (4 * 12**2 + 26 * 2**2))
    assert negatives == pytest.approx(900)
