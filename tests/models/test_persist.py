"""Round trips of every model, and refusals of what was changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import NotFoundError, NotTrustedError, UsageError
from cartcast.models.calibrate import calibrate
from cartcast.models.classifiers import CLASSIFIERS
from cartcast.models.persist import load, load_all, save, save_all, verify
from cartcast.models.regressors import REGRESSORS
from cartcast.models.segments import FAMILIES, TableSegments
from cartcast.models.segments.space import Space


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    X = pd.DataFrame(
        {
            "clicks": rng.geometric(0.2, 400).astype(float),
            "price": np.where(rng.random(400) < 0.2, np.nan, rng.lognormal(3, 1, 400)),
            "country": rng.choice(np.array(["PL", "CZ", None], dtype=object), 400),
        }
    )
    y = (rng.random(400) < 0.3).astype(int)
    return X, y, y * rng.lognormal(3, 0.5, 400)


def small(declaration):
    model = declaration.make()
    if declaration.name == "stack":
        parts = ("lightgbm", "decision_tree", "logistic_regression")
        pairs = tuple((n, small(CLASSIFIERS[n])) for n in parts)
        return model.set_params(estimators=pairs, folds=2)
    shrink = {
        k: 8
        for k in model.get_params()
        if k.rpartition("__")[2] in {"n_estimators", "max_iter", "iterations"}
        and "logistic" not in k
        and declaration.family != "linear"
    }
    return model.set_params(**shrink)


@pytest.mark.parametrize("name", [d.name for d in CLASSIFIERS.values() if d.available])
def test_every_classifier_comes_back_the_same(name, data, tmp_path):
    X, y, _ = data
    model = small(CLASSIFIERS[name]).fit(X, y, sample_weight=np.ones(len(y)))
    model = calibrate(model, X, y)
    manifest = save_all({"champion": model}, tmp_path / "m")
    again = load_all(tmp_path / "m", manifest)["champion"]
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("name", REGRESSORS)
def test_every_regressor_comes_back_the_same(name, data, tmp_path):
    X, _, amount = data
    model = small(REGRESSORS[name]).fit(X, amount)
    again = load(tmp_path / "m", save(model, tmp_path / "m"))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


@pytest.mark.parametrize("name", ["kmeans", "gaussian_mixture", "dbscan"])
def test_segments_come_back_the_same(name, tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": [1.0, 50.0] * 60, "share": [0.0, 1.0] * 60})
    X["a"] += rng.random(120)
    model = TableSegments(Space(), FAMILIES[name].make(2, 1)).fit(X)
    again = load(tmp_path / "m", save(model, tmp_path / "m"))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_changes_are_refused(data, tmp_path):
    X, y, _ = data
    folder = tmp_path / "m"
    manifest = save(CLASSIFIERS["logistic_regression"].make().fit(X, y), folder)
    assert verify(folder, manifest)["models"] == ["model"]
    with pytest.raises(NotTrustedError, match="not the recorded manifest"):
        load(folder, "0" * 64)
    (folder / "extra.skops").write_bytes(b"")
    with pytest.raises(NotTrustedError, match="not recorded"):
        load(folder, manifest)
    (folder / "extra.skops").unlink()
    file = folder / "model.skops"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    with pytest.raises(NotTrustedError, match="SHA-256"):
        load(folder, manifest)
    file.unlink()
    with pytest.raises(NotTrustedError, match="missing"):
        load(folder, manifest)
    with pytest.raises(NotFoundError):
        load(tmp_path / "nowhere")


def test_foreign_types_are_neither_written_nor_read(tmp_path, monkeypatch):
    import skops.io

    class Foreign:
        pass

    with pytest.raises(UsageError, match="not a trusted type"):
        save(Foreign(), tmp_path / "m")
    assert not (tmp_path / "m").exists()
    from cartcast.models import persist

    path = tmp_path / "foreign.skops"
    skops.io.dump(Foreign(), path)
    with pytest.raises(NotTrustedError, match="not trusted"):
        persist._load(path)
