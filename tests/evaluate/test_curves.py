"""Curves, thresholds, slices and revenue against plain loops, closed forms and known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from cartcast.errors import DataError, UsageError
from cartcast.evaluate import curves, revenue, slices, thresholds
from cartcast.evaluate.scores import f1, lift_top_decile, roc_auc


def sample(seed=0, n=3000, ties=False):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 6, n)
    y = (rng.uniform(size=n) < p) * 1.0
    return y, np.round(p, 1) if ties else p, rng.integers(0, n // 2, n)


def test_reliability_of_true_probabilities_holds_the_diagonal():
    held = bins = 0
    for seed in range(12):
        y, p, g = sample(seed)
        table = curves.reliability(y, p, None, g)
        held += int(
            ((table["low"] <= table["predicted"]) & (table["predicted"] <= table["high"])).sum()
        )
        bins += len(table)
        assert table["n"].sum() == 3000
        assert table["share"].sum() == pytest.approx(1.0)
    assert 0.82 <= held / bins <= 0.97


def test_the_chance_error_is_what_true_probabilities_show():
    from cartcast.evaluate.scores import ece

    shown, expected = [], []
    for seed in range(15):
        y, p, _ = sample(seed)
        shown.append(ece(y, p))
        expected.append(curves.chance_error(curves.reliability(y, p)))
    assert np.mean(shown) == pytest.approx(np.mean(expected), rel=0.15)


@pytest.mark.parametrize("ties", [False, True])
def test_the_area_below_the_roc_curve_is_the_score(ties):
    y, p, _ = sample(ties=ties)
    table = curves.roc(y, p)
    area = np.trapezoid(table["tpr"], table["fpr"])
    assert area == pytest.approx(roc_auc(y, p), abs=2e-3 if not ties else 1e-12)
    assert len(table) <= 402


def test_precision_recall_is_that_of_scikit_learn():
    y, p, _ = sample(n=200)
    table = curves.precision_recall(y, p)
    precision, recall, _ = metrics.precision_recall_curve(y, p)
    peer = {(round(a, 9), round(b, 9)) for a, b in zip(recall, precision, strict=True)}
    ours = {
        (round(a, 9), round(b, 9)) for a, b in zip(table["recall"], table["precision"], strict=True)
    }
    assert ours - {max(ours)} <= peer


def test_one_class_gives_an_empty_curve():
    assert curves.roc([0, 0], [0.1, 0.2]).empty
    assert curves.precision_recall([0, 0], [0.1, 0.2]).empty
    assert curves.gain([0, 0], [0.1, 0.2])["reached"].isna().all()
    assert curves.reliability([], []).empty


@pytest.mark.parametrize("ties", [False, True])
def test_gain_agrees_with_the_lift_score_and_with_sorting(ties):
    y, p, _ = sample(ties=ties)
    table = curves.gain(y, p).set_index("contacted")
    assert table.loc[0.1, "lift"] == pytest.approx(lift_top_decile(y, p), rel=1e-9)
    assert table.loc[1.0, "reached"] == pytest.approx(1.0)
    if not ties:
        best = np.argsort(-p)[:900]
        assert table.loc[0.3, "reached"] == pytest.approx(y[best].sum() / y.sum())
        assert table.loc[0.3, "precision"] == pytest.approx(y[best].mean())


def test_gain_intervals_hold_the_value():
    y, p, g = sample()
    table = curves.gain(y, p, None, g, draws=60)
    inside = (table["reached_low"] <= table["reached"]) & (
        table["reached"] <= table["reached_high"]
    )
    assert inside.mean() > 0.9


def test_profit_is_counted_by_hand():
    y, p, _ = sample()
    table = curves.profit(y, p, cost=1.0, value=10.0, at=(0.2, 1.0)).set_index("contacted")
    best = np.argsort(-p)[:600]
    assert table.loc[0.2, "profit"] == pytest.approx((10 * y[best].sum() - 600) / 3000)
    assert table.loc[1.0, "profit"] == pytest.approx(10 * y.mean() - 1)


def test_the_f1_threshold_is_the_best_of_all():
    y, p, _ = sample(n=300)
    found = thresholds.best_f1(y, p)
    assert found.value == pytest.approx(max(f1(y, p, threshold=t) or 0 for t in np.unique(p)))
    assert f1(y, p, threshold=found.threshold) == pytest.approx(found.value)


def test_capacity_never_contacts_more():
    y, p, _ = sample(ties=True)
    found = thresholds.capacity(y, p, count=500)
    assert (p >= found.threshold).sum() <= 500
    none = thresholds.capacity(y, np.full(3000, 0.3), count=10)
    assert none.contacted == 0.0
    assert none.threshold > 1
    assert none.precision is None


def test_the_profit_threshold_follows_from_true_probabilities():
    y, p, _ = sample(n=60_000)
    found = thresholds.best_profit(y, p, cost=1.0, value=4.0)
    assert found.threshold == pytest.approx(0.25, abs=0.05)
    nobody = thresholds.best_profit(y, p, cost=100.0, value=1.0)
    assert (nobody.contacted, nobody.value) == (0.0, 0.0)


def test_thresholds_refuse_what_cannot_be():
    with pytest.raises(DataError, match="at least one buyer"):
        thresholds.best_f1([0, 0], [0.1, 0.2])
    with pytest.raises(DataError, match="at least one row"):
        thresholds.best_profit([], [], cost=1, value=2)
    with pytest.raises(UsageError, match="exactly one"):
        thresholds.capacity([0, 1], [0.1, 0.2])
    with pytest.raises(UsageError, match="0 < share <= 1"):
        thresholds.capacity([0, 1], [0.1, 0.2], share=2)
    with pytest.raises(UsageError, match="at least 0"):
        curves.profit([0, 1], [0.1, 0.2], cost=-1, value=1)
    with pytest.raises(UsageError, match="0 < share <= 1"):
        curves.gain([0, 1], [0.1, 0.2], at=(0.0,))


def test_by_click_scores_each_click_alone():
    y, p, g = sample()
    click = np.arange(3000) % 3 + 1
    table = slices.by_click(y, {"a": p}, click, None, g, draws=20, scores=("roc_auc",))
    assert tuple(table.columns) == slices.COLUMNS
    row = table[(table["click"] == 2) & (table["metric"] == "roc_auc")].iloc[0]
    assert row["value"] == pytest.approx(roc_auc(y[click == 2], p[click == 2]))
    assert row["n"] == 1000
    assert slices.by_click(y, {"a": p}, click, minimum=5000).empty


def test_slices_keep_the_frequent_and_pool_the_rest():
    y, p, g = sample()
    country = pd.Series(["PL"] * 2000 + ["DE"] * 700 + ["FR"] * 60 + ["IT"] * 60 + [None] * 180)
    table = slices.by_slice(y, {"a": p}, country, None, g, name="country", draws=20)
    counts = table[table["metric"] == "roc_auc"].set_index("slice")["n"].to_dict()
    assert counts == {"PL": 2000, "DE": 700, "unknown": 180, "other": 120}
    with pytest.raises(UsageError, match="top must be at least 1"):
        slices.by_slice(y, {"a": p}, country, name="country", top=0)


def money(n=6000, seed=0):
    rng = np.random.default_rng(seed)
    q = rng.beta(1, 9, n)
    bought = rng.uniform(size=n) < q
    amount = np.where(bought, rng.lognormal(3, 0.5, n), 0.0)
    return amount, q * np.exp(3 + 0.125), np.arange(n) // 2


def test_coverage_tells_buyers_from_all():
    y, p, g = money()
    low, high = np.exp(3 - 1.645 * 0.5), np.exp(3 + 1.645 * 0.5)
    table = revenue.coverage(y, np.full(6000, low), np.full(6000, high), p, None, g)
    by = table.set_index("part")
    assert by.loc["buyers", "coverage"] == pytest.approx(0.9, abs=0.03)
    assert by.loc["all", "coverage"] < 0.2
    zero = revenue.coverage(y, np.zeros(6000), np.zeros(6000), p).set_index("part")
    assert zero.loc["all", "coverage"] == pytest.approx((y == 0).mean())
    assert zero.loc["buyers", "coverage"] == 0.0


def test_coverage_leaves_out_and_counts_what_has_no_interval():
    table = revenue.coverage([0.0, 5.0], [np.nan, 1.0], [np.nan, 9.0], [1.0, 2.0])
    assert table.loc[0, "missing"] == 1
    with pytest.raises(DataError, match="low must not be above high"):
        revenue.coverage([1.0], [2.0], [1.0], [1.0])


def test_deciles_sum_to_all_money():
    y, p, g = money()
    table = revenue.deciles(y, p, None, g, draws=60)
    assert list(table["decile"]) == list(range(1, 11))
    assert table["share"].sum() == pytest.approx(1.0)
    assert (table["observed"] * table["n"]).sum() == pytest.approx(y.sum())
    assert table["predicted"].is_monotonic_increasing
    assert table["predicted"].between(table["low"], table["high"]).sum() >= 6


def test_scores_by_part_are_those_of_the_part():
    y, p, g = money()
    table = revenue.scores_by_part(y, p, None, g, draws=20)
    mae = table[(table["part"] == "buyers") & (table["metric"] == "mae")]["value"].iloc[0]
    assert mae == pytest.approx(np.abs(y - p)[y > 0].mean())
    assert set(table["part"]) == set(revenue.PARTS)
    assert set(revenue.scores_by_part([0.0, 0.0], [1.0, 2.0])["part"]) == {"all", "top decile"}


def test_the_interval_of_a_profit_knows_that_buyers_vary():
    """How many buy is as uncertain as where they stand in the ranking."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(120):
        p = rng.beta(1, 20, 600)
        y = (rng.uniform(size=600) < p) * 1.0
        found = curves.profit(y, p, cost=1, value=20, at=(1.0,), draws=150).iloc[0]
        held += found["low"] <= 20 / 21 - 1 <= found["high"]
    assert 0.82 <= held / 120 <= 0.97
