"""Published values of other tools, and the measured traps that this monitor avoids.

Each case names the file that states it. `nannyml_synthetic.csv` holds counts of the synthetic
binary set in NannyML's wheel (Apache-2.0, nannyml/datasets/data/synthetic_sample_*.csv): its
probabilities have two decimals, so counts by probability are all that its estimates read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from cartcast.monitoring import distances as d
from cartcast.monitoring.detector import detect
from cartcast.monitoring.estimate import expected_quality

# NannyML tests/performance_estimation/CBPE/test_cbpe_metrics.py, chunks [0:19999], [20000:49999].
CBPE = {
    "first": (0.9711057564966745, 0.9479079222515973, 0.9436121782324026, 0.9522429574319092,
              0.9478536003143163, 9488.96406430504),
    "second": (0.9636286015592977, 0.9278089207836576, 0.9197836255005452, 0.9359754933378336,
               0.9245926106862006, 14537.180201036117),
}  # fmt: skip


@pytest.mark.parametrize("chunk", CBPE)
def test_nannyml_cbpe(chunk: str) -> None:
    t = pd.read_csv(Path(__file__).with_name("nannyml_synthetic.csv"))
    said = t["probability"].to_numpy()
    # NannyML calibrates on its reference first; with counts as weights, isotonic is the same.
    rows, yes = t["reference_rows"], t["reference_positives"]
    iso = IsotonicRegression(out_of_bounds="clip").fit(said, yes / rows, sample_weight=rows)
    n, n_yes = t[f"{chunk}_rows"].to_numpy(float), t[f"{chunk}_said_yes"].to_numpy(float)
    p, score = np.tile(iso.predict(said), 2), np.tile(said, 2)
    decided = np.repeat([True, False], len(said))
    e = expected_quality(p, decided, np.r_[n_yes, n - n_yes], score)
    auc, f1, precision, recall, accuracy, tp = CBPE[chunk]
    assert e.true_positives == pytest.approx(tp, abs=1e-6)
    assert (e.f1, e.precision, e.recall, e.accuracy) == pytest.approx(
        (f1, precision, recall, accuracy), abs=1e-12
    )
    # NannyML takes tied scores in the order of a sort that is not stable; here a tie is a half.
    assert e.roc_auc == pytest.approx(auc, abs=5e-6)


def counts(reference: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """NannyML's bins: Doane's on the reference, and one more for what lies outside."""
    edges = np.histogram_bin_edges(reference, bins="doane")
    a, b = np.histogram(reference, edges)[0], np.histogram(now, edges)[0]
    return np.r_[a, 0], np.r_[b, len(now) - b.sum()]


def test_nannyml_distances() -> None:
    # tests/drift/test_univariate_drift_methods.py
    np.random.seed(1)  # noqa: NPY002 the published cases are of this stream
    reference, now = np.random.normal(0, 1, 10_000), np.random.normal(0, 1, 1_000)  # noqa: NPY002
    assert round(d.jensen_shannon(*counts(reference, now)), 2) == 0.05
    assert round(d.l_infinity([2, 2, 2, 0], [2, 2, 2, 1]), 2) == 0.14  # aabbcc v aabbccd
    assert round(d.l_infinity([2, 2, 2], [0, 5, 0]), 2) == 0.67  # aabbcc v bbbbb


@pytest.mark.parametrize(
    ("mean", "wasserstein", "hellinger"), [(1, 1.01, None), (-2, None, 0.63), (7, None, 1.0)]
)
def test_nannyml_shifts(mean: float, wasserstein: float | None, hellinger: float | None) -> None:
    # tests/drift/test_univariate_drift_methods.py; N(0,1) v N(mean,1).
    np.random.seed(1)  # noqa: NPY002
    reference, now = np.random.normal(0, 1, 10_000), np.random.normal(mean, 1, 1_000)  # noqa: NPY002
    if wasserstein is not None:
        assert d.wasserstein(reference, now) == pytest.approx(wasserstein, abs=0.05)
    else:
        assert d.hellinger(*counts(reference, now)) == pytest.approx(hellinger, abs=0.02)


def test_evidently_hellinger() -> None:
    # tests/stattests/test_stattests.py, counts of six categories.
    assert d.hellinger([16, 18, 16, 14, 12, 12], [16, 16, 16, 16, 16, 8]) == pytest.approx(
        0.06812, abs=1e-5
    )


# From here on: shared measurements of what goes wrong where nothing has changed.


@pytest.mark.parametrize(("n", "beyond"), [(50, 0.88), (100, 0.445), (200, 0.037), (500, 0.0)])
def test_psi_alarms_on_nothing_and_its_bias_says_why(n: int, beyond: float) -> None:
    rng = np.random.default_rng(1)
    m = 2_000
    a, b = rng.multinomial(m, np.full(10, 0.1), 4000), rng.multinomial(n, np.full(10, 0.1), 4000)
    # As usually computed: an empty bin is put at .0001.
    p, q = a / m, np.maximum(b / n, 1e-4)
    plain = ((q - p) * np.log(q / p)).sum(axis=1)
    assert (plain >= 0.1).mean() == pytest.approx(beyond, abs=0.03)
    made = [d.psi(x, y) for x, y in zip(a, b, strict=True)]
    assert made[0].bias == pytest.approx(9 * (1 / n + 1 / m))
    # Freed of its bias, the index is about 0 on average.
    assert abs(np.mean([x.size for x in made])) < 0.1 * made[0].bias
    assert np.mean(plain) > 0.9 * made[0].bias


def test_looking_daily_at_a_fixed_test_and_at_the_detector() -> None:
    rng = np.random.default_rng(2)
    rate, n, years = 0.05, 200, 600
    sums = rng.binomial(n, rate, (365, years))
    total = np.cumsum(sums, axis=0)
    seen = n * np.arange(1, 366)[:, None]
    z = (total / seen - rate) / np.sqrt(rate * (1 - rate) / seen)
    # 37.8 % of years for a cumulative test at 5 % looked at daily.
    assert (z > stats.norm.isf(0.05)).any(axis=0).mean() == pytest.approx(0.378, abs=0.06)
    x = (sums / n - rate) / np.sqrt(rate * (1 - rate) / n)
    # A threshold of 20 years of days: an alarm in at most 5 % of years, though looked at daily.
    assert detect(x, 20 * 365).alarm.any(axis=0).mean() <= 0.05


@pytest.mark.parametrize(("factor", "median", "late"), [(1.2, 17, 43), (1.4, 5, 11)])
def test_the_detector_is_as_quick_as_the_measured_process(
    factor: float, median: int, late: int
) -> None:
    rng = np.random.default_rng(3)
    rate, n = 0.05, 200
    x = (rng.binomial(n, rate * factor, (120, 800)) / n - rate) / np.sqrt(rate * (1 - rate) / n)
    # Its threshold of 20 was for one year begun with the change; so is this budget, of 5 % a year.
    first = detect(x, 20.0).alarm.argmax(axis=0) + 1
    assert np.median(first) <= median
    assert np.percentile(first, 90) <= late


def test_sessions_of_one_visitor_are_not_independent() -> None:
    rng = np.random.default_rng(4)

    def sessions() -> np.ndarray:
        own = rng.normal(size=400)
        return (np.repeat(own, 5) + rng.normal(size=2000)) / 2**0.5

    fired = [stats.ks_2samp(sessions(), sessions()).pvalue < 0.05 for _ in range(300)]
    # 22.7 % at nominal 5 %: why every square here is summed over visitors.
    assert np.mean(fired) == pytest.approx(0.227, abs=0.08)


def test_thresholds_of_ten_chunks() -> None:
    rng = np.random.default_rng(5)
    chunks = rng.normal(size=(40_000, 11))
    mean, std = chunks[:, :10].mean(axis=1), chunks[:, :10].std(axis=1)
    outside = np.abs(chunks[:, 10] - mean) > 3 * std
    # 2.4 % instead of .27 %; exact by t(9).
    exact = 2 * stats.t.sf(3 / (1.1 * 10 / 9) ** 0.5, 9)
    assert exact == pytest.approx(0.024, abs=0.001)
    assert outside.mean() == pytest.approx(exact, abs=0.003)
