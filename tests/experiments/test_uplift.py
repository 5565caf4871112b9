"""Whom to treat: identities, slow loops, a known truth, and Hillstrom's real test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import DataError, UsageError
from cartcast.experiments.difference import mean_estimate
from cartcast.experiments.gain import calibration, gain_curve
from cartcast.experiments.policy import compare_policies, policy_value, snips, unit_scores
from cartcast.experiments.rule import learn_rule
from cartcast.experiments.uplift import LEARNERS, fit_uplift

THIRD = [1 / 3, 1 / 3, 1 / 3]


@pytest.fixture(scope="module")
def mails(hillstrom_file: Path) -> pd.DataFrame:
    return pd.read_csv(hillstrom_file)


def test_hillstrom_policy_values(mails: pd.DataFrame) -> None:
    arms = ["No E-Mail", "Mens E-Mail", "Womens E-Mail"]
    arm = mails.segment.map(arms.index).to_numpy()
    targeted = np.where(mails.mens == 1, 1, 2)
    policies = {"nobody": np.zeros(len(arm)), "all mens": np.ones(len(arm)),
                "all womens": np.full(len(arm), 2), "targeted": targeted}  # fmt: skip
    scores = unit_scores(mails.spend, arm, THIRD)
    # EXPERIMENTS.md 2.10: IPS with its error, SNIPS.
    for name, (ips, error, normed) in {
        "nobody": (0.651953, 0.079371, 0.652789), "all mens": (1.42086, 0.121738, 1.422617),
        "all womens": (1.079911, None, 1.077202), "targeted": (1.432155, 0.12062, 1.428628),
    }.items():  # fmt: skip
        value = policy_value(scores, policies[name])
        assert value.value == pytest.approx(ips, abs=6e-6)
        assert error is None or value.error == pytest.approx(error, abs=2e-6)
        found = snips(mails.spend, arm, THIRD, policies[name])
        assert found.value == pytest.approx(normed, abs=6e-7)
    told = compare_policies(scores, policies, reference="all mens")
    (finding,) = told.findings
    assert finding.code == "XP118"
    assert "'targeted' is +0.01129" in finding.message
    assert told.gains["targeted"].low < 0 < told.gains["targeted"].high
    assert told.gains["nobody"].high < 0
    assert told.treated == {"nobody": 0, "all mens": 1, "all womens": 1, "targeted": 1}


def test_doubly_robust_without_a_model_is_ips() -> None:
    rng = np.random.default_rng(0)
    y, arm, p = rng.gamma(2, size=500), rng.integers(0, 2, size=500), [0.3, 0.7]
    plain = unit_scores(y, arm, p)
    assert np.allclose(unit_scores(y, arm, p, np.zeros((500, 2))), plain)
    policy = rng.integers(0, 2, size=500)
    slow = sum(y[i] / p[arm[i]] for i in range(500) if arm[i] == policy[i]) / 500
    assert policy_value(plain, policy).value == pytest.approx(slow)
    # A perfect model leaves no noise: every unit's outcome under each arm is known.
    both = np.column_stack([y, y + 1])
    got = both[np.arange(500), arm]
    perfect = unit_scores(got, arm, p, both)
    assert np.allclose(perfect, both)
    # A policy by chance is the mixture of the two.
    half = policy_value(plain, np.full((500, 2), 0.5)).value
    ends = [policy_value(plain, np.full(500, k)).value for k in (0, 1)]
    assert half == pytest.approx(np.mean(ends))


def test_policy_value_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(400):
        x = rng.normal(size=400)
        arm = (rng.random(400) < 0.3).astype(int)
        means = np.column_stack([np.exp(x / 2), np.exp(x / 2) + x])
        y = rng.poisson(np.maximum(means[np.arange(400), arm], 0.05)).astype(float)
        truth = np.where(x > 0, np.maximum(means[:, 1], 0.05), means[:, 0]).mean()
        wrong = np.full((400, 2), y.mean())  # a bad model costs width, not coverage
        v = policy_value(unit_scores(y, arm, [0.7, 0.3], wrong), (x > 0).astype(int), level=0.9)
        hits.append(v.low <= truth <= v.high)
    assert 0.85 <= np.mean(hits) <= 0.95


def test_visitors_with_several_units_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=200), 5)
    groups = np.repeat(np.arange(200), 5)
    alone, together = mean_estimate(values), mean_estimate(values, groups=groups)
    assert together.error == pytest.approx(values[::5].std(ddof=1) / np.sqrt(200))
    assert together.error > 2 * alone.error


def shop(seed: int, n: int = 4000, knows: float = 1.0):
    """A test whose true effect is `knows * x1` on top of 0.2, with noise and a useless column."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["x1", "x2", "x3"])
    t = (rng.random(n) < 0.5).astype(int)
    tau = 0.2 + knows * X.x1.to_numpy()
    y = X.x2.to_numpy() + t * tau + rng.normal(size=n)
    return X, t, y, tau


@pytest.mark.parametrize("learner", LEARNERS)
def test_learners_find_a_known_effect(learner: str) -> None:
    X, t, y, tau = shop(0)
    u = fit_uplift(X, t, y, propensity=0.5, learner=learner)
    assert np.corrcoef(u.uplift, tau)[0, 1] > 0.97
    assert np.abs(u.uplift - tau).mean() < 0.12
    curve = gain_curve(u.uplift, u.effects)
    assert curve.qini.low > 0
    assert curve.average.low <= tau.mean() <= curve.average.high
    for band in calibration(u.uplift, u.effects):
        assert abs(band.predicted - band.effect.value) < 4 * band.effect.error + 0.05
    regret = np.maximum(tau, 0).mean() - (tau * (u.uplift > 0)).mean()
    assert regret < 0.01


def test_binary_outcomes_use_a_classifier() -> None:
    X, t, y, tau = shop(1)
    u = fit_uplift(X, t, (y > 0).astype(int), propensity=0.5, groups=np.arange(len(y)) // 2)
    assert ((u.predicted >= 0) & (u.predicted <= 1)).all()
    assert np.corrcoef(u.uplift, tau)[0, 1] > 0.8


def test_a_ranking_that_knows_nothing_earns_nothing() -> None:
    t_values, naive = [], []
    for seed in range(60):
        X, t, y, _ = shop(seed, n=300, knows=0.0)
        for kept, sequential in ((t_values, True), (naive, False)):
            u = fit_uplift(X, t, y, propensity=0.5, sequential=sequential, outcome_model="mean")
            q = gain_curve(u.uplift, u.effects, folds=u.fold if sequential else None).qini
            kept.append(q.value / q.error)
    assert np.mean(np.abs(t_values) > 1.96) <= 0.14
    assert 0.72 < np.std(t_values) < 1.3
    # With folds that teach each other the same test is wrong far too often.
    assert np.mean(np.abs(naive) > 1.96) > 0.15


def test_sequential_folds_still_find_what_is_there() -> None:
    X, t, y, _ = shop(2)
    u = fit_uplift(X, t, y, propensity=0.5, sequential=True)
    taught = u.fold < 0
    assert taught.sum() == 800
    assert np.isnan(u.uplift[taught]).all()
    curve = gain_curve(u.uplift, u.effects, folds=u.fold)
    assert curve.qini.low > 0
    assert curve.qini.value == pytest.approx(
        1 / (2 * np.sqrt(np.pi)), rel=0.15
    )  # of normal effects


def test_the_curve_equals_a_slow_loop() -> None:
    rng = np.random.default_rng(3)
    uplift, effects = rng.normal(size=60), rng.normal(size=60)
    curve = gain_curve(uplift, effects, points=6)
    ordered = [e for _, e in sorted(zip(-uplift, effects, strict=True))]
    for k, point in enumerate(curve.points, 1):
        assert point.gain.value == pytest.approx(sum(ordered[: 10 * k]) / 60)
    # The area by the trapezoid over every unit, less that of the straight line.
    heights = np.concatenate([[0], np.cumsum(ordered) / 60])
    area = ((heights[1:] + heights[:-1]) / 2).mean() - heights[-1] / 2
    assert curve.qini.value == pytest.approx(area)
    # Ties share alike: the order of rows is no matter.
    same = gain_curve(np.zeros(60), effects)
    assert same.qini.value == pytest.approx(0, abs=1e-12)
    assert same.points[2].over_random.value == pytest.approx(0, abs=0.02)


def test_a_rule_of_few_lines() -> None:
    X, t, y, tau = shop(5, n=8000)
    u = fit_uplift(X, t, y, propensity=0.5)
    rule = learn_rule(X, u.effects, cost=0.1)
    assert 2 <= len(rule.leaves) <= 4
    assert all("x1" in c for leaf in rule.leaves for c in leaf.conditions[:1])
    assert rule.gain.low > 0
    assert rule.over_everybody.low > 0
    best = np.maximum(tau - 0.1, 0).mean()
    assert 0.7 * best < rule.gain.value < 1.2 * best
    assert rule.lines()[0].startswith(("treat", "leave"))
    assert sum(leaf.share for leaf in rule.leaves) == pytest.approx(1)


def test_hillstrom_cannot_be_told_apart(mails: pd.DataFrame) -> None:
    two = mails[mails.segment != "Womens E-Mail"].iloc[::2]
    X = two[["recency", "history", "mens", "womens", "newbie"]].reset_index(drop=True)
    t = (two.segment == "Mens E-Mail").to_numpy().astype(int)
    u = fit_uplift(X, t, two.spend.to_numpy(), propensity=0.5)
    best = (u.uplift > 0).astype(int)
    policies = {"everybody": np.ones(len(t)), "nobody": np.zeros(len(t)), "uplift": best,
                "at random": np.full((len(t), 2), 0.5)}  # fmt: skip
    told = compare_policies(u.scores, policies, reference="everybody")
    assert [f.code for f in told.findings] == ["XP118"]
    assert told.gains["nobody"].high < 0


def test_bad_input() -> None:
    X, t, y, _ = shop(0, n=300)
    scores = unit_scores([1.0, 2.0], [0, 1], [0.5, 0.5])
    for bad, error, message in (
        (lambda: fit_uplift(X, t, y, propensity=1.0), UsageError, "0 < propensity"),
        (lambda: fit_uplift(X, t, y, propensity=0.5, learner="s"), UsageError, "unknown learner"),
        (lambda: fit_uplift(X, t, y, propensity=0.5, outcome_model="rigde"), UsageError, "'ridge'"),
        (lambda: fit_uplift(X, t, np.where(y > 0, y, np.nan), propensity=0.5), DataError, "not finite"),
        (lambda: fit_uplift(X, t * 2, y, propensity=0.5), DataError, "0 or 1"),
        (lambda: fit_uplift(X[:60], t[:60], y[:60], propensity=0.5), DataError, "uplift needs 50"),
        (lambda: unit_scores([1.0], [2], [0.5, 0.5]), DataError, "codes from 0 to 1"),
        (lambda: unit_scores([1.0], [0], [0.5, 0.4]), UsageError, "add up to 1"),
        (lambda: unit_scores([np.nan], [0], [0.5, 0.5]), DataError, "not finite"),
        (lambda: unit_scores([1.0, 2.0], [0], [0.5, 0.5]), DataError, "2 outcomes, 1 arms"),
        (lambda: policy_value(scores, [0, 2]), UsageError, "one of the arms' codes"),
        (lambda: policy_value(scores, [[1.0, 0.5], [1, 0]]), UsageError, "add up to 1"),
        (lambda: snips([1.0], [0], [0.5, 0.5], [1]), DataError, "nobody got"),
        (lambda: compare_policies(scores, {"a": [0, 0]}, reference="b"), UsageError, "unknown reference"),
        (lambda: gain_curve([1.0], [1.0]), DataError, "2 or more"),
        (lambda: learn_rule(X.assign(x1="a"), y), UsageError, "x1 are none"),
        (lambda: learn_rule(X, y, depth=9), UsageError, "depth must be"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            bad()
