"""Intervals hold what they promise: coverage of the truth in simulated experiments.

Small here; benchmarks/experiments.py runs 2,000 experiments a metric. With 600 runs a true 95 %
has a standard error of .9 points; the limits below are 3.3 of them.
"""

from __future__ import annotations

import numpy as np
import pytest

from cartcast.experiments.difference import Difference, Estimate, compare
from cartcast.experiments.group_sequential import looks
from cartcast.experiments.metrics import Mean, Proportion, Ratio
from cartcast.experiments.moments import Moments
from cartcast.experiments.quantiles import quantile
from cartcast.experiments.sample_ratio import ALARM, sequential
from cartcast.experiments.sequence import width_factor

RUNS = 600
Arms = tuple[Moments, Moments]


def hit(estimate: Estimate | None, truth: float) -> bool:
    return estimate is not None and estimate.low <= truth <= estimate.high


def covered(made: list[tuple[Difference, float, float]]) -> tuple[float, float]:
    absolute = np.mean([hit(d.absolute, a) for d, a, _ in made])
    relative = np.mean([hit(d.relative, r) for d, _, r in made])
    return float(absolute), float(relative)


def run(metric, arms: Arms, **options) -> Difference:
    both = arms[0] + arms[1]
    return compare(*(metric.linear(m, both) for m in arms), **options)


def correlated(rng, n: int, rho: float, lift: float) -> Arms:
    """Gamma covariate with mean 4, outcome with the same law and correlation rho."""
    out = []
    for effect in (0.0, lift):
        x = rng.gamma(4.0, size=n)
        y = rho * x + np.sqrt(1 - rho**2) * rng.gamma(4.0, size=n)
        out.append(Moments.of({"y": y * (1 + effect), "x": x}))
    return out[0], out[1]


@pytest.mark.parametrize(("rho", "lift"), [(0.9, 0.5), (0.7, 0.3), (0.9, 0.0)])
def test_covariates_absolute_and_relative(rho: float, lift: float) -> None:
    rng = np.random.default_rng(1)
    mean = 4 * (rho + np.sqrt(1 - rho**2))
    metric = Mean("y", "x")
    made = [(run(metric, correlated(rng, 300, rho, lift)), mean * lift, lift) for _ in range(RUNS)]
    for share in covered(made):
        assert 0.92 <= share <= 0.98
    # The covariate must pay: its interval is narrower by the correlation.
    plain = run(Mean("y"), correlated(rng, 300, rho, lift)).absolute.error
    assert np.mean([d.absolute.error for d, *_ in made]) < plain * (
        1.15 * np.sqrt(1 - rho**2) + 0.1
    )


def test_a_relative_interval_from_uncentred_means_would_fail_here() -> None:
    # The trap that published tools fell into: the adjusted means in the plain delta formula.
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(RUNS):
        a, b = correlated(rng, 300, 0.9, 0.5)
        theta = Mean("y", "x").theta(a + b)
        u = np.array([1.0, -theta])
        (va, ma), (vb, mb) = ((u @ m.cov @ u / m.n, u @ m.mean) for m in (a, b))
        raw = a.mean_of("y")
        error = np.sqrt(vb / raw**2 + va * mb**2 / raw**4)
        hits.append(abs((mb - ma) / raw - 0.5) < 1.96 * error)
    assert np.mean(hits) < 0.9


def test_proportion_and_both_scales() -> None:
    rng = np.random.default_rng(2)
    for scale in ("linear", "log"):
        made = []
        for _ in range(RUNS):
            yes = rng.binomial(2000, [0.05, 0.06])
            arms = tuple(Moments.from_sums(2000, {"y": k}, {("y", "y"): k}) for k in yes)
            made.append((run(Proportion("y"), arms, scale=scale), 0.01, 0.2))
        for share in covered(made):
            assert 0.92 <= share <= 0.98


def visits(rng, n: int, lift: float) -> Moments:
    sessions = 1 + rng.poisson(rng.gamma(2, size=n))
    return Moments.of({"orders": rng.binomial(sessions, 0.2 * (1 + lift)), "sessions": sessions})


def test_ratio() -> None:
    rng = np.random.default_rng(3)
    metric = Ratio("orders", "sessions")
    made = [
        (run(metric, (visits(rng, 400, 0), visits(rng, 400, 0.1))), 0.02, 0.1) for _ in range(RUNS)
    ]
    for share in covered(made):
        assert 0.92 <= share <= 0.98


def households(rng, clusters: int, lift: float) -> tuple[np.ndarray, np.ndarray]:
    size = 1 + rng.poisson(2.0, size=clusters)
    of = np.repeat(np.arange(clusters), size)
    wealth = np.repeat(rng.gamma(1.0, size=clusters), size)
    return of, (1 + lift) * (wealth + rng.gamma(1.0, size=len(of)))


def by_cluster(of: np.ndarray, y: np.ndarray) -> Moments:
    return Moments.of({"y": np.bincount(of, weights=y), "units": np.bincount(of)})


def test_clusters_count_and_ignoring_them_would_not() -> None:
    rng = np.random.default_rng(4)
    metric = Mean("y")
    made, ignored = [], []
    for _ in range(RUNS):
        a, b = households(rng, 300, 0.0), households(rng, 300, 0.1)
        made.append((run(metric.clustered(), (by_cluster(*a), by_cluster(*b))), 0.2, 0.1))
        plain = run(metric, (Moments.of({"y": a[1]}), Moments.of({"y": b[1]})))
        ignored.append((plain, 0.2, 0.1))
    for share in covered(made):
        assert 0.92 <= share <= 0.98
    assert covered(ignored)[0] < 0.9


def test_cluster_errors_equal_a_slow_loop() -> None:
    # Liang-Zeger with one regressor per arm: the textbook sandwich of an intercept-only model.
    of, y = households(np.random.default_rng(5), 60, 0)
    linear = Mean("y").clustered().linear(by_cluster(of, y), by_cluster(of, y))
    residual = sum(sum(y[of == c] - y.mean()) ** 2 for c in range(60))
    slow = residual * 60 / 59 / len(y) ** 2
    assert linear.value == pytest.approx(y.mean())
    assert linear.variance / 60 == pytest.approx(slow, rel=1e-9)


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("q", [0.5, 0.9])
def test_quantiles(q: float, clustered: bool) -> None:
    rng = np.random.default_rng(6)
    whole = np.sort(households(rng, 200_000, 0)[1])
    truth = float(whole[int(q * len(whole))])
    made = []
    for _ in range(RUNS // 2):
        a, b = households(rng, 300, 0), households(rng, 300, 0.2)
        arms = [quantile(y, q, of if clustered else None) for of, y in (a, b)]
        made.append((compare(*arms), 0.2 * truth, 0.2))
    low = 0.90 if clustered else 0.75
    for share in covered(made):
        assert low <= share <= 0.985
    if not clustered:  # dependence that is not told is not covered
        assert covered(made)[0] < 0.95


def test_peeking_thirty_days() -> None:
    rng = np.random.default_rng(7)
    runs, days, daily = 1500, 30, 1000
    gaps = rng.normal(size=(runs, days)).cumsum(axis=1)  # in errors of one day's difference
    z = np.abs(gaps) / np.sqrt(np.arange(1, days + 1))
    n = np.arange(1, days + 1) * daily
    always = np.array([width_factor(int(k), tuned_for=15_000) for k in n])
    group = np.array([k.bound for k in looks(n / n[-1])])
    alarms = {
        "fixed": (z > 1.96).any(axis=1).mean(),
        "always": (z > always).any(axis=1).mean(),
        "group": (z > group).any(axis=1).mean(),
    }
    assert 0.24 < alarms["fixed"] < 0.33
    assert alarms["always"] < 0.03
    assert 0.03 < alarms["group"] < 0.07
    assert 1.4 < always[-1] / 1.96 < 1.7
    assert group[-1] / 1.96 < 1.15


def test_sample_ratio_daily_looks() -> None:
    rng = np.random.default_rng(8)
    day = 4000
    clean = [
        sequential(rng.multinomial(day, [0.5, 0.5], size=30), [0.5, 0.5])[-1] for _ in range(500)
    ]
    assert np.mean(np.array(clean) < ALARM) <= 0.004
    # A tenth of the treatment's units is lost: found within days; a twentieth within the month.
    for lost, within in ((0.1, 15), (0.05, 30)):
        share = (1 - lost) / (2 - lost)
        found = [
            sequential(rng.multinomial(day, [1 - share, share], size=within), [0.5, 0.5])[-1]
            for _ in range(50)
        ]
        assert np.mean(np.array(found) < ALARM) > 0.9
