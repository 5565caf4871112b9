"""Drift: silent where nothing moved, the moved feature named, ranked by what it means."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import UsageError
from cartcast.monitoring.distances import psi
from cartcast.monitoring.drift import bins_of, count_days, drifted


def shop(seed: int, weeks: int = 10, shift: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Forty visitors a day with five moments each that are alike; the last week may be shifted."""
    rng = np.random.default_rng(seed)
    n = weeks * 7 * 40
    visitor = np.repeat(np.arange(n), 5)
    day = np.repeat(np.arange(n) // 40, 5)
    own = np.repeat(rng.normal(size=(n, 6)), 5, axis=0) * 0.7 + rng.normal(size=(5 * n, 6)) * 0.7
    features = pd.DataFrame(own, columns=[f"x{k}" for k in range(6)])
    last = day >= 7 * (weeks - 1)
    features["x1"] += shift * last
    features["x2"] += shift * last
    words = np.array(["a", "b", "c", "d"], dtype=object)[np.repeat(rng.integers(0, 4, n), 5)]
    features["word"] = np.where(rng.random(5 * n) < 0.1, None, words)
    moments = pd.DataFrame({
        "visitor_id": visitor.astype(str),
        "time": pd.Timestamp("2026-03-02") + pd.to_timedelta(day, "D") + pd.Timedelta(hours=9),
    })  # fmt: skip
    return features, moments


def run(seed: int, **how: float):
    features, moments = shop(seed, **how)
    days = count_days(features, moments, bins_of(features))
    return drifted(days, {"x1": 0.01, "x2": 0.03, "x0": -0.5})


def test_nothing_moved_nothing_named() -> None:
    assert sum(any(d.named for d in run(seed)[0]) for seed in range(15)) <= 1


def test_what_moved_is_named_in_one_finding_in_order_of_weight() -> None:
    found, findings = run(1, shift=0.8)
    assert [d.feature for d in found if d.named] == ["x2", "x1"]
    assert [f.code for f in findings] == ["MO121"]
    assert found[0].weight == pytest.approx(0.75)
    assert found[0].size > 0.2 > abs(found[0].usual)
    assert "x2" in findings[0].message
    assert "weight 75%" in findings[0].message


def test_a_feature_that_always_moves_is_not_news() -> None:
    features, moments = shop(2)
    week = ((moments["time"] - moments["time"].min()).dt.days // 7).to_numpy()
    features["x1"] += np.where(week % 2 == 0, 1.5, -1.5)
    found, _ = drifted(count_days(features, moments, bins_of(features)), {})
    assert "x1" not in [d.feature for d in found if d.named]


def test_counts_keep_nulls_and_new_words_apart() -> None:
    features = pd.DataFrame({"x": [1.0, 2.0, np.nan], "w": ["a", None, "new"]})
    moments = pd.DataFrame(
        {"visitor_id": ["1", "1", "2"], "time": pd.to_datetime(["2026-03-02"] * 3)}
    )
    day = count_days(features, moments, {"x": [1.5], "w": ["a"]})[pd.Timestamp("2026-03-02")]
    assert day["counts"] == {"x": [1, 1, 1], "w": [1, 1, 1]}
    assert day["visitors"] == 2


def test_too_few_weeks_say_nothing() -> None:
    assert run(1, weeks=5) == ([], ())
    assert drifted({}, {}) == ([], ())


def test_counts_must_match() -> None:
    with pytest.raises(UsageError, match="same bins"):
        psi([1, 2], [1, 2, 3])
    with pytest.raises(UsageError, match="hold something"):
        psi([0.0, -1.0], [1, 2])
