"""Laws that run over every declared classifier and regressor."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from cartcast.errors import DataError, UsageError
from cartcast.models.baselines import ClickCount
from cartcast.models.classifiers import CLASSIFIERS, DEFAULT_CLASSIFIERS
from cartcast.models.declaration import Declaration, pick
from cartcast.models.regressors import DEFAULT_REGRESSORS, REGRESSORS
from cartcast.models.stack import Stack

INSTALLED = [d.name for d in CLASSIFIERS.values() if d.available]


def small(declaration):
    model = declaration.make(seed=3)
    if declaration.name == "stack":
        parts = ("lightgbm", "decision_tree", "logistic_regression")
        pairs = tuple((n, small(CLASSIFIERS[n])) for n in parts)
        return model.set_params(estimators=pairs, folds=2)
    trees = {"n_estimators", "iterations"} | ({"max_iter"} if "hist" in declaration.name else set())
    return model.set_params(**{k: 15 for k in model.get_params() if k.rpartition("__")[2] in trees})


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    rows = 600
    X = pd.DataFrame(
        {
            "clicks": rng.geometric(0.15, rows).astype(float),
            "price": np.where(rng.random(rows) < 0.2, np.nan, rng.lognormal(3, 1, rows)),
            "country": rng.choice(np.array(["PL", "CZ", "DE", None], dtype=object), rows),
            "empty": np.nan,
        }
    )
    odds = -2 + 0.25 * X["clicks"] + (X["country"] == "PL")
    y = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(int)
    return X, y, y * rng.lognormal(3, 0.4, rows)


@pytest.mark.parametrize("name", INSTALLED)
def test_classifier_laws(name, data):
    X, y, _ = data
    weights = np.where(np.arange(len(y)) < 300, 0.5, 1.5)
    fits = [clone(small(CLASSIFIERS[name])).fit(X, y, sample_weight=weights) for _ in range(2)]
    p = fits[0].predict_proba(X)
    assert p.shape == (len(y), 2)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert ((p >= 0) & (p <= 1)).all()
    np.testing.assert_array_equal(p, fits[1].predict_proba(X))
    assert set(np.unique(fits[0].predict(X))) <= {0, 1}
    fresh = X.head(3).assign(country=["never seen", None, "PL"])
    assert np.isfinite(fits[0].predict_proba(fresh)).all()
    for broken, message in (
        (np.ones(len(y)), "both classes"),
        (np.where(np.arange(len(y)) == 3, np.nan, y), "missing in 1 of 600"),
        (y + 1, "must be 0 or 1"),
    ):
        with pytest.raises(DataError, match=message):
            small(CLASSIFIERS[name]).fit(X, broken)


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressor_laws(name, data):
    X, _, amount = data
    weights = np.ones(len(amount))
    fits = [clone(small(REGRESSORS[name])).fit(X, amount, sample_weight=weights) for _ in range(2)]
    said = fits[0].predict(X)
    assert said.shape == amount.shape
    assert np.isfinite(said).all()
    np.testing.assert_array_equal(said, fits[1].predict(X))
    with pytest.raises(DataError, match="missing in 1 of 600"):
        small(REGRESSORS[name]).fit(X, np.where(np.arange(600) == 3, np.nan, amount))


@pytest.mark.parametrize("declaration", [*CLASSIFIERS.values(), *REGRESSORS.values()])
def test_search_space_fits_the_estimator(declaration: Declaration):
    if not declaration.available:
        pytest.skip(f"needs the extra {declaration.extra}")
    names = declaration.make().get_params()
    assert set(declaration.search_space) <= set(names)
    for dimension in declaration.search_space.values():
        assert len(dimension.grid(3)) >= 2


def test_weights_count_like_repeated_rows(data):
    X, y, _ = data
    twice = np.arange(len(y)) % 3 == 0
    make = CLASSIFIERS["logistic_regression"].make
    weighted = make().fit(X, y, sample_weight=np.where(twice, 2.0, 1.0))
    rows = np.concatenate([np.arange(len(y)), np.flatnonzero(twice)])
    # Scaling differs between the two tables, so a weak penalty must make them agree.
    loose = {"model__C": 1e4}
    weighted = make(**loose).fit(X, y, sample_weight=np.where(twice, 2.0, 1.0))
    repeated = make(**loose).fit(X.iloc[rows], y[rows])
    a, b = weighted.predict_proba(X)[:, 1], repeated.predict_proba(X)[:, 1]
    np.testing.assert_allclose(a, b, atol=2e-3)


def test_names_are_checked(monkeypatch):
    assert pick(CLASSIFIERS, ["lightgbm", "lightgbm"]) == ["lightgbm"]
    assert set(DEFAULT_CLASSIFIERS) <= set(pick(CLASSIFIERS, ["all"]))
    assert set(DEFAULT_REGRESSORS) <= set(pick(REGRESSORS, ["all"]))
    with pytest.raises(UsageError, match="Did you mean 'lightgbm'"):
        pick(CLASSIFIERS, ["lightgbn"])
    with pytest.raises(UsageError, match="no parameter 'model__leaves'"):
        CLASSIFIERS["lightgbm"].make(model__leaves=3)
    missing = Declaration("x", "X", "classifier", "boosting", lambda s, n, c: None,
                          extra="catboost", requires="no_such_module_here")  # fmt: skip
    with pytest.raises(UsageError, match=r"needs the extra 'catboost'.*pip install"):
        missing.make()


def test_click_count_uses_clicks_only(data):
    X, y, _ = data
    model = ClickCount().fit(X, y)
    shuffled = X.assign(price=1.0, country="CZ")
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(shuffled))
    order = np.argsort(X["clicks"].to_numpy())
    assert (np.diff(model.predict_proba(X)[order, 1]) >= -1e-12).all()
    assert "prevalence" in ClickCount().fit(X[["price"]], y).note_


def test_kernel_gives_up_its_exact_form_on_many_rows(data):
    X, y, amount = data
    exact = CLASSIFIERS["svm"].make().fit(X, y)
    assert "exact RBF kernel" in exact.note_
    large = CLASSIFIERS["svm"].make(model__kernel_rows=100).fit(X, y)
    assert "Nystroem" in large.note_
    assert np.corrcoef(exact.predict_proba(X)[:, 1], large.predict_proba(X)[:, 1])[0, 1] > 0.8
    assert "Nystroem" in REGRESSORS["svr"].make(model__kernel_rows=100).fit(X, amount).note_


def test_stack_refuses_fewer_positives_than_folds(data):
    X, _, _ = data
    y = np.zeros(len(X), dtype=int)
    y[:3] = 1
    parts = (("logistic_regression", CLASSIFIERS["logistic_regression"].make()),)
    with pytest.raises(DataError, match="5 folds need as many rows of each class, got 3"):
        Stack(parts).fit(X, y)
