"""Estimates without outcomes: fractional counts against all outcomes, intervals that cover."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import UsageError
from cartcast.monitoring.calibration import calibrated
from cartcast.monitoring.estimate import BLIND, estimate_loss, expected_quality
from cartcast.monitoring.simulate import simulate_years


def test_counts_and_losses_are_means_over_all_outcomes() -> None:
    p = np.array([0.9, 0.2, 0.6, 0.2, 0.05])
    yes = np.array([True, False, True, False, False])
    mean = dict.fromkeys(("tp", "fp", "log_loss", "brier"), 0.0)
    for outcome in product([0, 1], repeat=5):
        y = np.array(outcome)
        chance = np.prod(np.where(y == 1, p, 1 - p))
        mean["tp"] += chance * (y[yes] == 1).sum()
        mean["fp"] += chance * (y[yes] == 0).sum()
        mean["log_loss"] += chance * -np.mean(np.log(np.where(y == 1, p, 1 - p)))
        mean["brier"] += chance * np.mean((y - p) ** 2)
    e = expected_quality(p, yes)
    assert (e.true_positives, e.false_positives) == pytest.approx((mean["tp"], mean["fp"]))
    assert (e.log_loss, e.brier) == pytest.approx((mean["log_loss"], mean["brier"]))


def test_the_expected_auc_is_that_of_pairs() -> None:
    rng = np.random.default_rng(1)
    p = rng.choice([0.1, 0.3, 0.3001, 0.8], 60)
    score = np.round(p, 1)
    won = total = 0.0
    for a in range(60):
        for b in range(60):
            if a != b:
                chance = p[a] * (1 - p[b])
                total += chance
                won += chance * ((score[a] > score[b]) + 0.5 * (score[a] == score[b]))
    same = (p * (1 - p)).sum()
    got = expected_quality(p, p > 0.5, score=score).roc_auc
    assert got == pytest.approx((won + same / 2) / (total + same))


def test_weights_are_repetitions() -> None:
    p, w = np.array([0.1, 0.7]), np.array([3.0, 2.0])
    many = np.repeat(p, w.astype(int))
    assert expected_quality(p, p > 0.5, w) == pytest.approx(expected_quality(many, many > 0.5))


def test_undefined_is_none() -> None:
    e = expected_quality(np.array([0.0, 0.0]), np.array([False, False]))
    assert (e.precision, e.recall, e.f1, e.roc_auc) == (None, None, None, None)
    with pytest.raises(UsageError, match="there must be one"):
        expected_quality(np.array([]), np.array([], dtype=bool))


def weeks(fault: str | None = None):
    made = simulate_years(60, seed=5, only="none", fault=fault, planted=100)
    for s in range(60):
        for week in (8, 16, 24, 32, 40, 48):
            past = {k: v[: 7 * week, s] for k, v in made.table.items()}
            now = {k: v[7 * week : 7 * week + 7, s] for k, v in made.table.items()}
            yield estimate_loss(past, now), now["log_loss"].sum() / now["moments"].sum()


def test_the_interval_covers_in_stable_weeks() -> None:
    held = [e.low <= real <= e.high for e, real in weeks()]
    assert np.mean(held) == pytest.approx(0.90, abs=0.03)


def test_what_it_cannot_see_is_said() -> None:
    # Conversion x 0.8 leaves the probabilities as they are: the estimate does not move.
    estimates = [e for e, _ in weeks("conversion")]
    assert {e.label for e in estimates} == {BLIND}
    assert "cannot see" in BLIND
    held = [e.low <= real <= e.high for e, real in weeks("stale")]
    assert np.mean(held) < 0.85


def test_nothing_known_is_no_estimate() -> None:
    made = simulate_years(1, seed=1, days=14, planted=3)
    day = {k: v[:, 0] for k, v in made.table.items()}
    none = {k: v[:0] for k, v in day.items()}
    assert estimate_loss(none, day) is None
    assert estimate_loss(day, none) is None


def moments(off: float) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 12_000
    click = rng.integers(1, 4, n)
    p = rng.uniform(0.02, 0.2, n)
    y = rng.random(n) < np.where(click == 3, p * off, p)
    return pd.DataFrame({"visitor_id": np.arange(n).astype(str), "time": pd.Timestamp("2026-03-02"),
                         "probability": p, "label": y.astype(float), "click": click})  # fmt: skip


def test_calibration_names_the_click_that_is_off() -> None:
    good = calibrated(moments(1.0))
    assert good.findings == ()
    assert good.table["ratio"].between(good.table["low"], good.table["high"]).all()
    bad = calibrated(moments(0.5))
    assert [f.code for f in bad.findings] == ["MO106"]
    assert "click 3" in bad.findings[0].message
    assert "click 1" not in bad.findings[0].message


def test_small_parts_have_no_interval() -> None:
    table = calibrated(moments(1.0).head(60)).table
    assert table["low"].isna().all()
    assert table["ratio"].notna().any()
