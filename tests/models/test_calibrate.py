"""Calibration against known distortions, and the prior correction against Bayes' rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import DataError, UsageError
from cartcast.models.calibrate import Calibrated, calibrate
from cartcast.models.classifiers import CLASSIFIERS
from cartcast.models.platt import platt
from cartcast.models.prior import to_prevalence
from cartcast.models.resample import METHODS, Resampled, resampled, smote


class Distorted:
    """Says p squared where p is true."""

    def predict_proba(self, X):
        p = np.asarray(X["p"]) ** 2
        return np.column_stack([1 - p, p])


def truth(rows: int, seed: int):
    rng = np.random.default_rng(seed)
    p = rng.beta(1.0, 3.0, rows)
    return pd.DataFrame({"p": p}), (rng.random(rows) < p).astype(int)


@pytest.mark.parametrize("method", ["isotonic", "sigmoid"])
def test_distortion_is_undone(method):
    X, y = truth(20_000, 0)
    model = calibrate(Distorted(), X, y, method=method)
    fresh, _ = truth(5000, 1)
    said = model.predict_proba(fresh)[:, 1]
    raw = Distorted().predict_proba(fresh)[:, 1]
    assert np.abs(said - fresh["p"]).mean() < 0.25 * np.abs(raw - fresh["p"]).mean()
    assert ((said > 0) & (said < 1)).all()


@pytest.mark.parametrize("rows", [60, 3000])
def test_an_isotonic_curve_keeps_the_order(rows):
    X, y = truth(rows, 3)
    model = calibrate(Distorted(), X, y, method="isotonic")
    raw = np.sort(np.concatenate([np.linspace(0, 1, 997), Distorted().predict_proba(X)[:, 1]]))
    raw = np.unique(raw.round(9))
    said = model.curve(raw)
    assert (np.diff(said) > 0).all()
    assert 0 < said[0] < said[-1] < 1


def test_the_rule_follows_the_rarer_class():
    X, y = truth(20_000, 0)
    assert calibrate(Distorted(), X, y).method_ == "isotonic"
    assert calibrate(Distorted(), X[:500], y[:500]).method_ == "sigmoid"
    few = np.zeros(500, dtype=int)
    few[:19] = 1
    assert calibrate(Distorted(), X[:500], few).method_ == "none"


def test_rows_of_one_visitor_are_not_news():
    X, y = truth(3000, 0)
    again, labels = pd.concat([X] * 8, ignore_index=True), np.tile(y, 8)
    visitors = np.tile(np.arange(3000), 8)
    assert calibrate(Distorted(), again, labels).method_ == "isotonic"
    assert calibrate(Distorted(), again, labels, groups=visitors).method_ == "sigmoid"
    few = (np.arange(3000) < 15) * 1
    assert calibrate(Distorted(), again, np.tile(few, 8), groups=visitors).method_ == "none"
    once = calibrate(Distorted(), X[:400], y[:400], method="sigmoid")
    more = calibrate(
        Distorted(), again[:400].iloc[np.tile(np.arange(400), 8)], np.tile(y[:400], 8),
        method="sigmoid", groups=np.tile(np.arange(400), 8),
    )  # fmt: skip
    assert more.slope_ == pytest.approx(once.slope_, rel=0.02)


@pytest.mark.parametrize("signal", [0.0, 0.1, -0.5])
def test_a_sigmoid_never_turns_the_ranking_round(signal):
    """Without signal the likeliest slope is negative in half of the samples."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        score = rng.normal(size=600)
        y = (rng.uniform(size=600) < 1 / (1 + np.exp(3 - signal * score))) * 1
        if 0 < y.sum() < 600:
            slope, _ = platt(score, y)
            assert 0.0 < slope < 2.0


def test_a_sigmoid_finds_a_clear_slope_and_the_mean():
    rng = np.random.default_rng(1)
    score, w = rng.normal(size=20_000), rng.uniform(0.5, 1.5, 20_000)
    y = (rng.uniform(size=20_000) < 1 / (1 + np.exp(1.5 - 0.6 * score))) * 1
    slope, offset = platt(score, y, w)
    assert slope == pytest.approx(0.6, abs=0.05)
    said = 1 / (1 + np.exp(-(slope * score + offset)))
    assert np.average(said, weights=w) == pytest.approx(np.average(y, weights=w), rel=1e-3)


def test_refusals():
    X, y = truth(100, 0)
    with pytest.raises(DataError, match="both classes"):
        calibrate(Distorted(), X, np.zeros(100))
    with pytest.raises(UsageError, match="got 'platt'"):
        calibrate(Distorted(), X, y, method="platt")
    with pytest.raises(DataError, match="no probabilities"):
        calibrate(object(), X, y)


def test_prior_correction_is_bayes_rule():
    # Likelihoods of one observation in each class, and posteriors under two priors.
    for bought, left in ((0.3, 0.1), (0.02, 0.5)):

        def posterior(prior, bought=bought, left=left):
            return bought * prior / (bought * prior + left * (1 - prior))

        assert to_prevalence(posterior(0.5), 0.5, 0.04) == pytest.approx(posterior(0.04))
    assert to_prevalence([0.0, 1.0], 0.5, 0.1).tolist() == [0.0, 1.0]
    with pytest.raises(UsageError, match="0 < prevalence < 1"):
        to_prevalence(0.5, 0.0, 0.1)


@pytest.mark.parametrize("method", METHODS)
def test_resampling_keeps_the_natural_prevalence(method):
    rng = np.random.default_rng(2)
    rows = 6000
    X = pd.DataFrame(
        {
            "x": rng.normal(size=rows),
            "c": rng.choice(np.array(["a", "b", None], dtype=object), rows),
        }
    )
    p = 1 / (1 + np.exp(3.0 - X["x"] - (X["c"] == "a")))
    y = (rng.random(rows) < p).astype(int)
    model = resampled(CLASSIFIERS["logistic_regression"].make(model__C=100.0), method)
    said = model.fit(X, y).predict_proba(X)[:, 1]
    # SMOTE moves points between neighbours: its model is only roughly the natural one.
    assert said.mean() == pytest.approx(y.mean(), rel=0.15)
    assert np.abs(said - p).mean() < 0.02
    if method != "none":
        assert model.trained_ == pytest.approx(0.5)


def test_resampling_stays_inside_fit():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=200)})
    y = (np.arange(200) < 20).astype(int)
    model = Resampled(CLASSIFIERS["logistic_regression"].make(), "smote").fit(X, y)
    assert model.rows_ == 360
    assert len(model.predict_proba(X)) == 200


def test_smote_makes_points_between_neighbours_and_keeps_the_rows():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=60), "c": ["u", "v"] * 30})
    X.loc[3, "x"] = np.nan
    y = (np.arange(60) < 12).astype(int)
    table, labels, weights = smote(X, y, np.linspace(0.5, 1.5, 60))
    assert len(table) == len(labels) == len(weights) == 96
    assert labels.sum() == 48
    pd.testing.assert_series_equal(table["x"][:60], X["x"], check_names=False)
    made = table["x"][60:]
    rare = X["x"][:12].fillna(X["x"].median())
    assert made.between(rare.min(), rare.max()).all()
    assert set(table["c"][60:]) <= {"u", "v"}
    with pytest.raises(DataError, match="SMOTE needs 2 rows"):
        smote(X, (np.arange(60) == 0).astype(int))


def test_unknown_resampling():
    with pytest.raises(UsageError, match="got 'adasyn'"):
        resampled(CLASSIFIERS["svm"].make(), "adasyn")


def test_clone_and_parameters():
    from sklearn.base import clone

    model = Calibrated(CLASSIFIERS["logistic_regression"].make(), "sigmoid")
    assert clone(model).get_params()["estimator__model__C"] == 0.1
