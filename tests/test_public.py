"""The public names are pinned, typed and forgiving, and take each other's objects."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cartcast
from cartcast.datasets import simulate
from cartcast.errors import CartcastError, DefinitionError
from cartcast.features import Count, Mean, Sum, default, load_set, usual
from cartcast.models.encode import Encoder
from cartcast.train import Options, train

NAMES = [
    "AddToCart",
    "Checkout",
    "FeatureSet",
    "Finding",
    "Log",
    "Proxy",
    "Purchase",
    "Revenue",
    "Run",
    "__version__",
    "audit",
    "cohorts",
    "funnel",
    "load",
    "moments",
    "open_log",
    "paths",
    "predict",
    "simulate",
]
FEATURES = cartcast.FeatureSet(clicks=Count(), price=Mean("price"))


def test_public_names_are_pinned() -> None:
    assert sorted(cartcast.__all__) == NAMES


def test_every_name_resolves() -> None:
    for name in NAMES:
        found = getattr(cartcast, name)
        known = inspect.isclass(found) or inspect.isfunction(found) or inspect.ismodule(found)
        assert name == "__version__" or known, name


def test_typos_are_answered() -> None:
    for place, name, near in (
        (cartcast, "Purchas", "Purchase"),
        (cartcast, "laod", "load"),
        (cartcast, "moment", "moments"),
        (cartcast.features, "Cuont", "Count"),
    ):
        with pytest.raises(AttributeError, match=f"Did you mean '{near}'"):
            getattr(place, name)


def test_every_option_of_train_is_a_named_parameter_with_a_word_on_it() -> None:
    named = inspect.signature(train).parameters
    text = inspect.getdoc(train) or ""
    for field in dataclasses.fields(Options):
        assert named[field.name].kind is inspect.Parameter.KEYWORD_ONLY
        assert f"{field.name}: " in text, field.name


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> cartcast.Log:
    shop = tmp_path_factory.mktemp("shop") / "shop.parquet"
    simulate(sessions=1500, seed=5, out=shop)
    return cartcast.load(shop)


def test_one_log_goes_into_everything(log: cartcast.Log, tmp_path: Path) -> None:
    assert cartcast.load(log) is log
    run = train(
        log, target=cartcast.Purchase(), features=FEATURES, models="logistic_regression",
        anchors=[1, 3], run_dir=tmp_path / "run", threads=1,
    )  # fmt: skip
    assert run.data["features"]["names"] == ["clicks", "price"]
    assert run.data["source"]["files"] == [str(log.path)]
    said, _ = cartcast.predict(log, run.dir, everything=True)
    assert said["session_id"].nunique() == log.summary.sessions
    found = cartcast.audit(log, features=FEATURES, clicks=[1, 3])
    assert {f.severity for f in found} <= {"warn", "note"}
    assert cartcast.funnel(log).steps
    assert cartcast.cohorts(log) is not None
    assert cartcast.paths(log) is not None


def test_the_moments_of_a_log_serve_any_model(log: cartcast.Log) -> None:
    rows = cartcast.moments.table(log, cartcast.Purchase(), FEATURES, [1, 3])
    again = cartcast.moments.table(
        log.path, "purchase", {"clicks": Count(), "price": Mean("price")}, (3, 1)
    )
    pd.testing.assert_frame_equal(rows.table, again.table)
    pd.testing.assert_frame_equal(rows.X, again.X)
    assert list(rows.X) == ["clicks", "price"]
    assert set(rows.y) == {0.0, 1.0}
    assert (rows.X["clicks"] == rows.table["click"]).all()
    model = make_pipeline(Encoder(scale=True, keep_nulls=False), LogisticRegression())
    figures = cross_val_score(model, rows.X, rows.y, groups=rows.groups, cv=GroupKFold(3))
    assert (figures > 0.8).all()
    assert "LK507" in {
        f.code
        for f in cartcast.audit(
            dataclasses.replace(rows, values=rows.X.assign(who=rows.table["visitor_id"]))
        )
    }
    assert repr(rows).startswith(f"Rows({len(rows):,} rows, 2 features")


def test_x_and_y_are_a_ready_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({3: rng.normal(size=240), "b": rng.normal(size=240)}, index=[7] * 240)
    y = pd.Series(np.where(X[3] + rng.normal(size=240) > 0, "Up", "Down"), name="way")
    figures = []
    for name, given in {
        "xy": (X, y),
        "np": (X.to_numpy(), y.to_numpy()),
        "list": (X, list(y)),
    }.items():
        run = train(*given, models=["logistic_regression"], run_dir=tmp_path / name, threads=1)
        figures.append(run.metrics["logistic_regression"]["roc_auc"])
        assert run.data["target"]["positive"] == "Up"
    assert figures[0] == figures[1] == figures[2]
    assert figures[0] > 0.6
    # The run is a scikit-learn pipeline, of which a clone learns and is calibrated anew.
    opened = cartcast.Run.open(tmp_path / "xy")
    fitted = opened.pipeline
    said, _ = cartcast.predict(X, opened)
    np.testing.assert_allclose(fitted.predict_proba(X)[:, 1], said["probability"], rtol=1e-12)
    labels = (y == "Up").astype(int)
    folds = list(StratifiedKFold(4, shuffle=True, random_state=0).split(X, labels))
    scores = cross_val_score(clone(fitted), X, labels, cv=folds, scoring="roc_auc")
    expected = cross_val_score(
        make_pipeline(StandardScaler(), LogisticRegression()), X.set_axis(["a", "b"], axis=1),
        labels, cv=folds, scoring="roc_auc",
    )  # fmt: skip
    np.testing.assert_allclose(scores, expected, atol=0.03)
    again = clone(fitted).fit(X, labels).predict_proba(X)[:, 1]
    assert abs(again.mean() - labels.mean()) < 0.01
    np.testing.assert_allclose(fitted.predict_proba(X)[:, 1], said["probability"], rtol=1e-12)
    read = fitted[:1].set_output(transform="pandas").transform(X)
    assert list(read) == ["3", "b"]
    shown = opened._repr_html_()
    assert f"<td>{figures[0]:.4g} (" in shown
    assert opened.findings[0].code in shown
    assert repr(opened) == "<Run xy: way (observed), logistic_regression>"


def test_the_events_of_a_log_are_read_by_any_library(log: cartcast.Log) -> None:
    want = log.table()
    arrow = pa.table(log)
    assert arrow.equals(want)
    assert pl.DataFrame(log).to_arrow().cast(want.schema).equals(want)
    assert pd.DataFrame.from_arrow(log).equals(want.to_pandas())


def test_what_an_option_holds_reaches_training_as_it_is() -> None:
    """A false flag that became the word False would count as true."""
    from cartcast.train.arguments import changes_of
    from cartcast.train.options import Options

    usual = Options()
    for field in dataclasses.fields(Options):
        value = getattr(usual, field.name)
        for given in (value, not value) if isinstance(value, bool) else (value,):
            if given is not None:
                got = changes_of({field.name: given}, {})[field.name]
                assert got == given or field.name == "features"
                assert isinstance(got, type(given)) or field.name == "features"


X = pd.DataFrame({"a": range(40), "b": [0, 1] * 20})
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "option": (lambda: train(rows=X, target="b", modles=1), "Did you mean 'models'"),  # type: ignore[arg-type]
    "model": (lambda: train(rows=X, target="b", models="lightgmb"), "Did you mean 'lightgbm'"),
    "column": (lambda: train(rows=X, target="c"), "no column 'c'"),
    "folds": (lambda: train(rows=X, target="b", folds="5"), "folds must be a whole number"),  # type: ignore[arg-type]
    "drop": (lambda: train(rows=X, target="b", drop=7), "drop must be a list"),  # type: ignore[arg-type]
    "costs": (lambda: train(rows=X, target="b", costs=3), "costs must hold"),  # type: ignore[arg-type]
    "split": (lambda: train(rows=X, target="b", split=(1, 2)), "three positive shares"),
    "anchors": (lambda: train(rows=X, target="b", anchors="x"), "whole numbers from 1"),  # type: ignore[arg-type]
    "generator": (lambda: train(rows=(i for i in "ab"), target="b"), "got generator"),
    "number": (lambda: train(3), "got int"),
    "features": (lambda: train("x.csv", features=3), "FeatureSet"),  # type: ignore[arg-type]
    "target": (lambda: train("x.csv", target=3.5), "target must be a word"),
    "unlike": (lambda: train(X, [1, 2]), "X has 40 rows and y 2"),
    "twice": (lambda: train(X, X["b"]), "X holds the target 'b' too"),
    "alone": (lambda: train("x.csv", target=X["b"]), "needs the features too"),
    "set": (lambda: default["click"], "Did you mean 'clicks'"),
    "union": (lambda: default | {"clicks": Count()}, "in one set and"),
    "no set": (lambda: cartcast.FeatureSet(3), "needs features by name"),  # type: ignore[arg-type]
    "argument": (lambda: Count(wher=1), "Did you mean 'where'"),  # type: ignore[call-arg]
    "lacking": (lambda: Mean(), "missing a required argument: 'column'"),  # type: ignore[call-arg]
    "constant": (lambda: Count() / 3, "needs features such as Count"),  # type: ignore[operator]
    "constant first": (lambda: 3 / Count(), "needs features such as Count"),
    "text": (lambda: Count() * load_set("default")["device"], "is text"),
    "clicks": (lambda: cartcast.moments.table("x", clicks=0), "no such file"),
    "role": (lambda: cartcast.audit(X, "b", grup="a"), "Did you mean 'group'"),
    "family": (lambda: cartcast.audit(X, "b", families=["times"]), "Did you mean 'time'"),  # type: ignore[list-item]
    "load": (lambda: cartcast.load("x", session_gap="30m"), "session_gap must be a number"),  # type: ignore[arg-type]
    "open": (lambda: cartcast.open_log(None), "path must be a path or a word"),  # type: ignore[arg-type]
    "funnel": (lambda: cartcast.funnel(X), "a log must be a Log"),
    "steps": (lambda: cartcast.funnel("x", "view_item"), "steps must be a list"),
    "cohorts": (lambda: cartcast.cohorts("x", perods=3), "Did you mean 'periods'"),  # type: ignore[call-arg]
    "predict": (lambda: cartcast.predict(X, None), "must be a path"),  # type: ignore[arg-type]
    "proxy": (lambda: cartcast.Proxy("x", at_lest=3), "Did you mean 'at_least'"),  # type: ignore[call-arg]
    "horizon": (lambda: cartcast.Purchase(horizn="7d"), "Did you mean 'horizon'"),  # type: ignore[call-arg]
    "simulate": (lambda: cartcast.simulate(sessions="a"), "sessions must be a whole number"),  # type: ignore[arg-type]
    "no target": (lambda: cartcast.audit(X), "which column is the target"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_is_answered_in_words(name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises(CartcastError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_features_are_computed_with() -> None:
    made = cartcast.FeatureSet(mean=Sum("price") / Count(), net=Sum("price") - Mean("price"))
    assert list(made) == ["mean", "net"]
    assert list(made | {"n": Count()}) == ["mean", "net", "n"]
    assert list({"n": Count()} | made) == ["n", "mean", "net"]
    assert made | made == made
    assert dict(made.items())["mean"] == Sum("price") / Count()
    assert "mean" in made
    assert "x" not in made
    with pytest.raises(DefinitionError):
        cartcast.FeatureSet({3: Count()})  # type: ignore[dict-item]


def test_objects_are_shown_shortly(log: cartcast.Log) -> None:
    shown: list[Any] = [log, usual, default, FEATURES, *log.findings]
    for one in shown:
        assert len(repr(one)) < 400, repr(one)
        assert one._repr_html_().startswith("<")
    assert repr(log).startswith(f"<Log events.parquet: events {log.summary.events:,}, ")
    evil = cartcast.Finding("XX1", "note", "<script>alert(1)</script>")
    assert "<script>" not in evil._repr_html_()
    assert (
        repr(FEATURES)
        == "FeatureSet(clicks=Count(), price=Ratio(Sum('price'), Count(column='price')))"
    )
