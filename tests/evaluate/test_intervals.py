"""Intervals: width against theory and a slow bootstrap, groups, and the fast path."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cartcast.errors import UsageError
from cartcast.evaluate import intervals
from cartcast.evaluate.auc import auc_interval
from cartcast.evaluate.calibration import ece_interval
from cartcast.evaluate.intervals import bootstrap, compare, multipliers, percentiles
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
        if name in (*intervals.OWN, "recall", "precision", "accuracy"):
            continue
        size = intervals.observations(intervals.vectors(y, p, None, g), "classifier")
        low, high = percentiles(np.array(slow[name]), 0.5, size)
        assert fast[name].low == pytest.approx(low, rel=1e-9), name
        assert fast[name].high == pytest.approx(high, rel=1e-9), name


@pytest.mark.parametrize("name", ["mae", "rmse", "r2", "gini", "bias", "lift_top_decile"])
def test_amounts_equal_a_slow_loop(name):
    rng = np.random.default_rng(2)
    y = rng.lognormal(0, 0.5, 600) * (rng.uniform(size=600) < 0.4)
    p = y * 0.5 + rng.uniform(size=600)
    bags, times = multipliers(np.arange(600), draws=20, seed=1)
    slow = [SCORES[name](y, p, times[bags, k]) for k in range(20)]
    powers = {"mae": 2, "bias": 2, "rmse": 4, "r2": 4}
    mass = y ** powers.get(name, 1)
    size = max(mass.sum() ** 2 / (mass @ mass), 2.0)
    fast = bootstrap(y, p, task="regressor", scores=(name,), draws=20, seed=1)[name]
    low, high = percentiles(np.array(slow), 0.9, size)
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


def test_the_percentiles_of_few_are_further_out():
    # The normal share beyond sqrt(n / (n - 1)) times the quantile of Student with n - 1.
    uniform = np.linspace(0, 1, 100_001)
    for size, side in ((5, 0.0010), (10, 0.0086), (100, 0.0232)):
        low, high = percentiles(uniform, 0.95, size)
        assert low == pytest.approx(side, abs=2e-3)
        assert high == pytest.approx(1 - side, abs=2e-3)


def ranked(rng, buyers, visitors=500):
    """Return labels, scores and visitors; a visitor has one label and one to five rows."""
    bought = rng.uniform(size=visitors) < buyers / visitors
    g = np.repeat(np.arange(visitors), rng.integers(1, 6, visitors))
    score = 1.1 * bought + rng.normal(size=visitors)
    return bought[g] * 1.0, 1 / (1 + np.exp(-score[g] - 0.5 * rng.normal(size=len(g)))), g


@pytest.mark.parametrize("buyers", [9, 14, 40])
def test_the_interval_of_an_auc_covers_with_few_buyers(buyers):
    truth = evaluate(*ranked(np.random.default_rng(0), 50_000, 100_000)[:2])["roc_auc"]
    rng, held, runs = np.random.default_rng(1), 0, 0
    while runs < 400:
        y, p, g = ranked(rng, buyers)
        found = auc_interval(intervals.vectors(y, p, None, g), 0.9)
        if found is not None:
            runs += 1
            held += found[0] <= truth <= found[1]
    assert 0.87 <= held / runs <= 0.95


def test_a_recall_near_one_has_an_interval():
    rng, held = np.random.default_rng(6), 0
    for _ in range(150):
        y = (rng.uniform(size=300) < 0.08) * 1.0
        p = np.where(rng.uniform(size=300) < 0.97, 0.2 + 0.1 * y, 0.05)
        found = bootstrap(y, p, scores=("recall",), threshold=0.1)["recall"]
        held += found.low <= 0.97 <= found.high
    assert held / 150 >= 0.84


def test_too_few_buyers_have_no_interval():
    y, p, g = ranked(np.random.default_rng(2), 60)
    few = np.isin(g, np.unique(g[y == 1])[7:]) & (y == 1)
    found = bootstrap(y[~few], p[~few], None, g[~few], scores=("roc_auc", "ece"))
    assert found["roc_auc"].value is not None
    assert found["roc_auc"].low is found["ece"].low is None


def calibrated(rng, bold, rows=1500):
    """Return labels and predictions whose log-odds are `bold` times too far from the middle."""
    odds = rng.normal(-2.0, 1.0, rows)
    y = (rng.uniform(size=rows) < 1 / (1 + np.exp(-odds))) * 1.0
    return y, 1 / (1 + np.exp(2.0 - bold * (odds + 2.0))), 1 / (1 + np.exp(-odds))


@pytest.mark.parametrize("bold", [0.7, 1.0, 1.3, 1.6])
def test_the_interval_of_a_calibration_error_covers(bold):
    _, p, q = calibrated(np.random.default_rng(0), bold, 1_000_000)
    bins = np.argsort(np.argsort(p)) * 10 // len(p)
    truth = np.abs(np.bincount(bins, q - p)).sum() / len(p)
    truth = 0.0 if bold == 1.0 else truth
    rng, held, runs = np.random.default_rng(3), 0, 60
    for _ in range(runs):
        y, p, _ = calibrated(rng, bold)
        low, high = ece_interval(intervals.vectors(y, p), 0.9)
        held += low <= truth <= high
    assert held / runs >= 0.85


@pytest.mark.parametrize(("rows", "told"), [(1000, 0.05), (4000, 0.01), (600, 0.4), (900, 0.9)])
@pytest.mark.parametrize("side", [-1, 1])
def test_one_bin_is_judged_by_the_chance_of_its_prediction(rows, told, side):
    """Few buyers make a low share, whose own variance is low: the model's is the binomial one."""
    sd = math.sqrt(rows * told * (1 - told))
    for errors, chance in ((1.8, True), (2.7, False)):
        buyers = round(rows * told + side * errors * sd)
        found = ece_interval(intervals.vectors(np.arange(rows) < buyers, np.full(rows, told)), 0.9)
        assert (found[0] == 0.0) == chance, (buyers, found)


def test_a_clear_calibration_error_is_told_from_chance():
    y, p, _ = calibrated(np.random.default_rng(4), 2.0, 4000)
    found = bootstrap(y, p, scores=("ece",))["ece"]
    assert 0.0 < found.low <= found.value <= found.high
    beside = compare(y, {"bold": p, "mean": np.full(4000, y.mean())}, against="mean", score="ece")
    assert beside["bold"].low > 0.0


def test_a_difference_of_calibration_errors_follows_the_rule_of_one():
    """Against a model whose error is all but certain, the ends are those of the other alone."""
    y, p, _ = calibrated(np.random.default_rng(5), 1.3, 3000)
    for q in (p, np.clip(p * 1.4, 0, 1)):
        alone = bootstrap(y, q, scores=("ece",))["ece"]
        sure = np.where(y > 0, 1 - 1e-9, 1e-9)
        beside = compare(y, {"it": q, "sure": sure}, against="sure", score="ece")["it"]
        assert beside.low == pytest.approx(alone.low, abs=1e-6)
        assert beside.high == pytest.approx(alone.high, abs=1e-6)


def test_a_difference_of_aucs_covers_zero_for_equal_models():
    rng, held = np.random.default_rng(5), 0
    for _ in range(200):
        y, p, g = ranked(rng, 15)
        other = np.clip(p + rng.normal(0, 0.1, len(p)), 0, 1)
        same = np.clip(p + rng.normal(0, 0.1, len(p)), 0, 1)
        found = compare(y, {"a": other, "b": same}, None, g, against="a", score="roc_auc")["b"]
        held += found.low is None or found.low <= 0.0 <= found.high
    assert 0.84 <= held / 200 <= 0.97


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
