"""Intervals: width against theory and a slow bootstrap, groups, and the fast path."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cartcast.errors import UsageError
from cartcast.evaluate import intervals
from cartcast.evaluate.intervals import bootstrap, compare, multipliers
from cartcast.evaluate.scores import SCORES, evaluate


def sample(seed, n=2000, per_group=1):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n // per_group), per_group)
    q = np.repeat(rng.beta(1, 4, n // per_group), per_group)
    y = np.repeat((rng.uniform(size=n // per_group) < q[::per_group]) * 1.0, per_group)
    p = np.clip(q + rng.normal(0, 0.02, n), 0.001, 0.999)
    return y, p, g


def test_draws_equal_a_slow_loop_that_repeats_groups():
    y, p, g = sample(1, n=300, per_group=3)
    names = [n for n in SCORES if "classifier" in SCORES[n].tasks]
    bags, times = multipliers(g, draws=20, seed=5)
    fast = bootstrap(y, p, None, g, draws=20, seed=5, level=0.5, scores=names)
    slow = {n: [] for n in names}
    for k in range(20):
        weight = times[bags, k]
        for name, value in evaluate(y, p, weight, scores=names).items():
            slow[name].append(np.nan if value is None else value)
    for name in names:
        if name == "ece":
            continue
        low, high = np.nanquantile(slow[name], [0.25, 0.75])
        assert fast[name].low == pytest.approx(low, rel=1e-9), name
        assert fast[name].high == pytest.approx(high, rel=1e-9), name


@pytest.mark.parametrize("name", ["mae", "rmse", "r2", "gini", "bias", "lift_top_decile"])
def test_amounts_equal_a_slow_loop(name):
    rng = np.random.default_rng(2)
    y = rng.lognormal(0, 1, 200) * (rng.uniform(size=200) < 0.4)
    p = y * 0.5 + rng.uniform(size=200)
    bags, times = multipliers(np.arange(200), draws=20, seed=1)
    slow = [SCORES[name](y, p, times[bags, k]) for k in range(20)]
    fast = bootstrap(y, p, task="regressor", scores=(name,), draws=20, seed=1)[name]
    low, high = np.quantile(slow, [0.05, 0.95])
    assert (fast.low, fast.high) == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9))


def test_the_width_of_a_mean_is_the_normal_one():
    rng = np.random.default_rng(3)
    y = rng.normal(10, 2, 4000)
    found = bootstrap(y, np.zeros(4000), task="regressor", scores=("bias",), draws=600)["bias"]
    expected = 2 * 1.645 * 2 / math.sqrt(4000)
    assert found.high - found.low == pytest.approx(expected, rel=0.12)


def test_rows_of_one_visitor_are_drawn_together():
    y, p, g = sample(4, n=3000, per_group=6)
    alone = bootstrap(y, p, scores=("log_loss",))["log_loss"]
    grouped = bootstrap(y, p, None, g, scores=("log_loss",))["log_loss"]
    wider = (grouped.high - grouped.low) / (alone.high - alone.low)
    assert wider == pytest.approx(math.sqrt(6), rel=0.2)


def test_bags_keep_the_width(monkeypatch):
    y, p, g = sample(5, n=8000)
    full = bootstrap(y, p, None, g, scores=("brier", "roc_auc"), draws=400)
    monkeypatch.setattr(intervals, "BAGS", 1000)
    monkeypatch.setattr(intervals, "BINS", 500)
    bagged = bootstrap(y, p, None, g, scores=("brier", "roc_auc"), draws=400)
    for name in full:
        wide = full[name].high - full[name].low
        assert bagged[name].high - bagged[name].low == pytest.approx(wide, rel=0.2)
        assert bagged[name].value == full[name].value


def test_intervals_cover():
    truth, covered, runs = 0.1, 0, 120
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        y = (rng.uniform(size=400) < truth) * 1.0
        found = bootstrap(
            y, np.full(400, truth), task="regressor", scores=("bias",), draws=100, seed=seed
        )["bias"]
        covered += found.low <= 0.0 <= found.high
    assert 0.82 <= covered / runs <= 0.97


def test_the_same_seed_gives_the_same_interval():
    y, p, g = sample(6)
    assert bootstrap(y, p, None, g, seed=7) == bootstrap(y, p, None, g, seed=7)


def test_the_calibration_error_interval_holds_its_value():
    for seed in range(5):
        y, p, g = sample(seed, n=1000)
        found = bootstrap(y, p, None, g, scores=("ece",))["ece"]
        assert 0.0 <= found.low <= found.value <= found.high


def test_undefined_has_no_interval():
    assert bootstrap([0, 0, 0], [0.1, 0.2, 0.3], scores=("roc_auc",))["roc_auc"] == (
        None,
        None,
        None,
    )
    one_visitor = bootstrap([0, 1], [0.1, 0.9], None, ["a", "a"], scores=("roc_auc",))["roc_auc"]
    assert one_visitor == (1.0, None, None)
    few = bootstrap([0, 0, 0, 1], [0.1, 0.2, 0.3, 0.4], scores=("roc_auc",))["roc_auc"]
    assert few.value == 1.0
    assert few.low is None


def test_null_groups_stand_alone():
    bags, times = multipliers(intervals.vectors([0, 1, 1], [0, 0, 0], None, ["a", None, None])[3])
    assert len(set(bags)) == 3
    assert times.shape == (3, intervals.DRAWS)


def test_a_paired_difference_is_narrower_than_two_intervals():
    y, p, g = sample(8, n=4000)
    worse = np.clip(p * 0.97 + 0.005, 0, 1)
    both = {"good": p, "worse": worse}
    paired = compare(y, both, None, g, against="good", score="log_loss")["worse"]
    alone = bootstrap(y, p, None, g, scores=("log_loss",))["log_loss"]
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)
    assert paired.low <= paired.value <= paired.high


def test_bad_options_are_refused():
    with pytest.raises(UsageError, match="0 < level < 1, got 1"):
        bootstrap([0, 1], [0, 1], level=1)
    with pytest.raises(UsageError, match="at least 20, got 3"):
        bootstrap([0, 1], [0, 1], draws=3)
    with pytest.raises(UsageError, match="unknown model 'x'"):
        compare([0, 1], {"a": [0, 1]}, against="x")
