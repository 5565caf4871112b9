"""Exported arrays against the Python pipeline, for each exportable model, at 1e-9."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import NotTrustedError, UsageError
from cartcast.features.kernels.words import NOTHING, hash_text
from cartcast.live.arrays import bind
from cartcast.live.fold import Row
from cartcast.models import scoring
from cartcast.models.arrays import arrays_from
from cartcast.models.calibrate import calibrate
from cartcast.models.classifiers import CLASSIFIERS
from cartcast.models.export import can_export, export
from cartcast.models.resample import Resampled


def table(rows: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "clicks": rng.geometric(0.2, rows).astype(float),
            "price": np.where(rng.random(rows) < 0.2, np.nan, rng.lognormal(3, 1, rows)),
            "balance": rng.normal(0, 100, rows),
            "country": rng.choice(np.array(["PL", "CZ", "DE", None], dtype=object), rows),
            "page": rng.choice([1.0, 2.0, 3.5], rows),
            "rare": [f"v{i}" for i in rng.integers(0, 300, rows)],
            "empty": np.full(rows, np.nan),
        }
    )
    odds = -1 + 0.2 * X.clicks + (X.country == "PL") - 0.01 * X.balance - X.price.isna()
    return X, (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(int)


@pytest.mark.parametrize("name", ["lightgbm", "hist_gradient_boosting", "logistic_regression"])
@pytest.mark.parametrize("method", ["none", "undersample", "smote"])
def test_equal_to_the_pipeline(name, method, tmp_path):
    X, y = table(900)
    held, held_y = table(600, 1)
    fresh, _ = table(150, 2)
    fresh.loc[:20, "clicks"] = np.nan  # Nulls where training had none.
    fresh.loc[5:25, "country"] = "never seen"
    model = CLASSIFIERS[name].make(categorical=("country", "page", "rare"))
    if "n_estimators" in model.model.get_params():
        model.set_params(model__n_estimators=40)
    model = Resampled(model, method, ("country", "page", "rare")).fit(X, y)
    for steps in ("none", "sigmoid", "isotonic"):
        whole = calibrate(model, held, held_y, method=steps)
        expected = whole.predict_proba(fresh)[:, 1]
        said = scores(export(whole, tmp_path / steps), fresh)
        np.testing.assert_allclose(said, expected, rtol=0, atol=1e-9)
        np.testing.assert_allclose(of_table(tmp_path / steps, fresh), expected, 0, 1e-12)


@pytest.mark.parametrize("method", ["none", "undersample"])
def test_a_blend_is_equal_to_the_pipeline(method, tmp_path):
    X, y = table(900)
    X, held = X.drop(columns="page"), table(600, 1)
    fresh = table(150, 2)[0].drop(columns="page")
    fresh.loc[:20, "clicks"] = np.nan
    fresh.loc[5:25, "country"] = "never seen"
    blend = CLASSIFIERS["blend"].make(
        categorical=("country", "rare"), lightgbm__model__n_estimators=40
    )
    parts = [(n, Resampled(m, method, ("country", "rare"))) for n, m in blend.estimators]
    blend.set_params(estimators=parts).fit(X, y)
    assert min(blend.shares_) > 0
    for steps in ("none", "sigmoid", "isotonic"):
        whole = calibrate(blend, *held, method=steps)
        folder = export(whole, tmp_path / steps)
        expected = whole.predict_proba(fresh)[:, 1]
        np.testing.assert_allclose(scores(folder, fresh), expected, rtol=0, atol=1e-9)
        np.testing.assert_allclose(of_table(folder, fresh), expected, rtol=0, atol=1e-12)
        assert bound(folder, fresh).trees == 40


def stored(folder):
    names = ("arrays.json", "arrays.npz")
    return arrays_from({n: (folder / n).read_bytes() for n in names}, "", str(folder))


def texts(X):
    return [X[n].dtype.kind != "f" for n in X.columns]


def of_table(folder, X):
    """Return what the exported form says of a whole table, in chunks of which one is smaller."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "CHUNK", 64)
        return scoring.Classifier(*stored(folder)).predict_proba(X)[:, 1]


def bound(folder, X):
    return bind(*stored(folder), list(X.columns), texts(X))


def scores(folder, X):
    """Return what the live service says of each row of a table."""
    model, names, text = bound(folder, X), list(X.columns), texts(X)
    return [model.probability(live_row(row, names, text)) for row in X.to_dict("records")]


def live_row(row, names, text):
    words = np.empty(len(names), np.int64)
    for k, name in enumerate(names):
        value = row[name]
        if text[k]:
            words[k] = NOTHING if value is None or value != value else hash_text(value)
        else:
            words[k] = np.float64(value).view(np.int64)
    return Row(words, np.arange(len(names)))


def test_what_cannot_be_exported(tmp_path):
    X, y = table(300)
    forest = CLASSIFIERS["decision_tree"].make().fit(X, y)
    assert not can_export(forest)
    with pytest.raises(UsageError, match="DecisionTreeClassifier cannot be exported"):
        export(forest, tmp_path / "a")


def test_damage_is_refused(tmp_path):
    X, y = table(300)
    model = CLASSIFIERS["logistic_regression"].make().fit(X, y)
    folder = export(model, tmp_path / "a")
    meta = json.loads((folder / "arrays.json").read_text())
    (folder / "arrays.json").write_text(json.dumps({**meta, "schema": 99}))
    with pytest.raises(NotTrustedError, match="schema 99"):
        stored(folder)
    odd = {**meta, "keep_nulls": True, "columns": [*meta["columns"][:-1], "another"]}
    with pytest.raises(NotTrustedError, match="other columns"):
        scoring.Classifier(odd, stored(export(model, tmp_path / "b"))[1])
    (folder / "arrays.npz").write_bytes(b"not a zip")
    with pytest.raises(NotTrustedError, match="damaged"):
        stored(folder)
