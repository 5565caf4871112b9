"""Estimators of one's own go through the one door: what plain scikit-learn does with them holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from cartcast.errors import UsageError
from cartcast.features import load_set
from cartcast.live.slow import SlowModel
from cartcast.models.fitting import Recipe
from cartcast.models.own import own_model
from cartcast.models.persist import load, refusal, save
from cartcast.models.resample import Resampled
from cartcast.rows import from_table
from cartcast.score import predict
from cartcast.train import Options, Run, checkpoint, train
from cartcast.train.checkpoint import Checkpoint
from cartcast.train.fit import Plan, fit_one
from cartcast.train.task import Part, part_of


def table(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    kind = rng.choice(["x", "y", "z"], rows)
    p = 1 / (1 + np.exp(-(2 * x[:, 0] - x[:, 1] + 2 * (kind == "x") - 1)))
    buys = (rng.random(rows) < p).astype(int)
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "kind": kind, "buys": buys})


def part(source: pd.DataFrame, target: str = "buys") -> Part:
    rows = from_table(source, target)
    return part_of(rows, pd.Series(True, index=rows.table.index))


def columns() -> Pipeline:
    made = ColumnTransformer(
        [("words", OneHotEncoder(handle_unknown="ignore"), ["kind"])], remainder=StandardScaler()
    )
    return make_pipeline(made, LogisticRegression())


class Mute:
    def __getstate__(self) -> None:
        raise NotImplementedError


class Stubborn(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of somebody's own: no weights, and as it pleases."""

    def __init__(self, fails: str = "", shape: int = 2) -> None:
        self.fails = fails
        self.shape = shape

    def fit(self, X: Any, y: Any) -> Stubborn:
        if self.fails:
            raise RuntimeError(f"{self.fails}\nand a second line")
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: Any) -> Any:
        return np.full((len(X), self.shape), 1 / self.shape)


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(n_estimators=8, random_state=3),
        HistGradientBoostingClassifier(max_iter=5),
        CalibratedClassifierCV(GaussianNB(), cv=2),
        columns(),
    ],
    ids=lambda e: type(e).__name__,
)
def test_held_out_predictions_are_those_of_plain_scikit_learn(estimator: Any) -> None:
    source = table(200)
    if not isinstance(estimator, Pipeline):
        source = source.drop(columns="kind")
    own = own_model(("mine", estimator))
    rows, plan = part(source), Plan("classifier", Recipe(), blocks=2, own={"mine": own})
    fitted = fit_one("mine", rows, plan)
    folds = plan.folds(rows, own)
    X, y = source.drop(columns="buys"), source["buys"]
    plain = cross_val_predict(estimator, X, y, cv=folds, method="predict_proba")[:, 1]
    np.testing.assert_allclose(fitted.raw, plain, atol=1e-12)
    whole = estimator.fit(X, y).predict_proba(X)[:, 1]
    np.testing.assert_allclose(
        fitted.model.estimator.predict_proba(rows.X)[:, 1], whole, atol=1e-12
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    models = [
        ("lines", columns()),
        RandomForestClassifier(n_estimators=8, min_samples_leaf=5),
        ("mine", make_pipeline(FunctionTransformer(lambda X: X[["a"]]), LogisticRegression())),
    ]
    return train(
        rows=table(600), target="buys", models=models, threads=1,
        run_dir=tmp_path_factory.mktemp("own") / "run",
    )  # fmt: skip


def test_a_run_of_own_models_is_read_back_and_asked(run: Run) -> None:
    again = Run.open(run.dir)
    assert set(again.metrics) > {"lines", "RandomForestClassifier", "mine"}
    assert again.champion == "lines"
    said, _ = predict(table(50, seed=2), again.dir)
    given = table(50, seed=2).drop(columns="buys")
    np.testing.assert_allclose(said["probability"], again.pipeline.predict_proba(given)[:, 1])
    assert again.metrics["lines"]["roc_auc"] > again.metrics["click_count"]["roc_auc"]
    assert "RandomForestClassifier(" in (run.dir / "card.md").read_text()


def test_what_holds_code_is_judged_and_never_chosen(run: Run) -> None:
    codes = {f.evidence["model"]: f for f in run.findings if f.code in ("MD136", "MD137")}
    assert codes["mine"].code == "MD137"
    assert "lambda" in codes["mine"].message
    assert {codes["lines"].code, codes["RandomForestClassifier"].code} == {"MD136"}
    assert run.metrics["mine"]["log_loss"] is not None
    assert "mine" not in {c["name"] for c in run.data["choice"]["candidates"]}


def test_the_seed_of_the_run_is_that_of_a_model_without_one() -> None:
    rows = part(table().drop(columns="kind"))
    forest = RandomForestClassifier(n_estimators=5)
    plan = Plan("classifier", Recipe(seed=7), own={"mine": own_model(("mine", forest))})
    one, two = (fit_one("mine", rows, plan).raw for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert forest.random_state is None
    assert not hasattr(forest, "estimators_")


def test_weights_reach_a_fit_that_takes_them_and_others_say_so() -> None:
    rows = part(table().drop(columns="kind"))
    uneven = np.where(rows.X["a"] > 0, 1.5, 0.5)
    rows = replace(rows, weight=uneven * len(uneven) / uneven.sum())
    own = {
        "line": own_model(("line", make_pipeline(StandardScaler(), LogisticRegression()))),
        "none": own_model(("none", Stubborn())),
    }
    plan = Plan("classifier", Recipe(), own=own)
    made = fit_one("line", rows, plan).model.estimator
    plain = make_pipeline(StandardScaler(), LogisticRegression())
    plain.fit(rows.X, rows.label, logisticregression__sample_weight=rows.weight)
    np.testing.assert_allclose(made.predict_proba(rows.X), plain.predict_proba(rows.X), rtol=1e-9)
    assert "no weights" in fit_one("none", rows, plan).facts["notes"]


def test_amounts_take_a_regressor(tmp_path: Path) -> None:
    source = table(300).assign(spent=lambda t: np.exp(t["a"])).drop(columns=["kind", "buys"])
    own = own_model(Ridge())
    rows = part(source, "spent")
    plan = Plan("regressor", Recipe(), own={"Ridge": own})
    X, y = source.drop(columns="spent"), source["spent"]
    plain = cross_val_predict(Ridge(), X, y, cv=plan.folds(rows, own))
    np.testing.assert_allclose(fit_one("Ridge", rows, plan).raw, plain, atol=1e-12)
    with pytest.raises(UsageError, match="'DecisionTreeClassifier' is a classifier, and the targ"):
        train(rows=source, target="spent", models=DecisionTreeClassifier(), run_dir=tmp_path / "r")


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (RandomForestClassifier, "is a class; give an estimator made of it: RandomForestClassif"),
        ([LinearSVC()], "no probabilities .no predict_proba.; wrap it in .* CalibratedClassifierCV"),
        ([("lightgbm", GaussianNB())], "'lightgbm' is the name of a model that is here already"),
        ([GaussianNB(), GaussianNB()], "two models are called 'GaussianNB'"),
        ([("a/b", GaussianNB())], "must begin with a letter"),
        ([DecisionTreeRegressor()], "is a regressor, and the target holds two outcomes"),
        ([("tree", 3)], "model 'tree' .int. is no scikit-learn estimator"),
        ([StandardScaler()], "predicts nothing"),
        ([3.5], "got float in it"),
        (["lightgmb", GaussianNB()], "Did you mean 'lightgbm'"),
        ([Stubborn(fails="no luck")], "'Stubborn' .Stubborn. failed in fit: RuntimeError: no luck"),
        ([Stubborn(shape=3)], "predict_proba must return finite numbers of shape"),
        ([("w", make_pipeline(LogisticRegression()))], "It was given words too .kind."),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_in_one_line(models: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        train(rows=table(120), target="buys", models=models, run_dir=tmp_path / "run", threads=1)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_keeps_what_can_be_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "WORTH_KEEPING", 0.0)
    rows = part(table().drop(columns="kind"))
    own = {"tree": own_model(("tree", DecisionTreeClassifier())), "s": own_model(("s", Stubborn()))}
    plan = Plan("classifier", Recipe(), own=own)
    made = {n: Checkpoint(tmp_path / "r", "key", own).model(n, lambda n=n: fit_one(n, rows, plan))
            for n in own}  # type: ignore[misc]  # fmt: skip
    kept = Checkpoint(tmp_path / "r", "key", own).model("tree", lambda: pytest.fail("fitted again"))
    assert kept.declaration is own["tree"]
    np.testing.assert_array_equal(kept.raw, made["tree"].raw)
    assert not (Checkpoint(tmp_path / "r", "key", own).folder / "model-s").exists()


def test_another_estimator_is_another_training() -> None:
    def key(model: Any) -> str:
        return Options(models=(own_model(("m", model)),)).fingerprint()

    assert key(Ridge(alpha=2.0)) == key(Ridge(alpha=2.0))
    assert len({key(Ridge(alpha=2.0)), key(Ridge(alpha=3.0)), key(LinearRegression())}) == 3


def test_files_of_usual_parts_are_read_back_and_odd_ones_refused(tmp_path: Path) -> None:
    X, y = table().drop(columns="buys"), table()["buys"]
    good = CalibratedClassifierCV(columns(), cv=2).fit(X, y)
    save(good, tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict_proba(X), good.predict_proba(X))
    assert refusal(good) == ""
    assert "Stubborn" in refusal(Stubborn().fit(X, y))
    neighbours = KNeighborsClassifier().fit(X[["a", "b"]], y)
    assert "not trusted" in refusal(neighbours)
    by_category = HistGradientBoostingClassifier(max_iter=2, categorical_features=[0])
    codes = np.column_stack([y, X["a"]])
    assert "not trusted" in refusal(by_category.fit(codes, y))
    assert refusal(GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=2).fit(X[["a", "b"]], y)) == ""
    assert "cannot be written (NotImplementedError" in refusal(Mute())


def test_a_null_word_is_one_level_however_it_is_written() -> None:
    source = table(200).assign(kind=lambda t: t["kind"].where(t["kind"] != "z"))
    rows = part(source)
    made = fit_one("l", rows, Plan("classifier", Recipe(), own={"l": own_model(("l", columns()))}))
    forms = [
        rows.X.assign(kind=rows.X["kind"].astype(object).where(rows.X["kind"].notna(), null))
        for null in (None, np.nan)
    ]
    one, two = (made.model.predict_proba(X) for X in forms)
    np.testing.assert_array_equal(one, two)
    plain = columns().fit(forms[1], source["buys"]).predict_proba(forms[1])
    np.testing.assert_allclose(made.model.estimator.predict_proba(forms[0]), plain, atol=1e-12)


def test_live_scores_take_no_words_that_a_model_encodes_itself() -> None:
    rows = part(table())
    own = {"lines": own_model(("lines", columns())), "nb": own_model(("nb", GaussianNB()))}
    plan = Plan("classifier", Recipe(), own=own)
    features = load_set("usual")
    with pytest.raises(UsageError, match="'lines' prepares words itself .*`cartcast predict`"):
        SlowModel(fit_one("lines", rows, plan).model, features)
    encoded = SlowModel(fit_one("nb", rows, plan).model, features)
    assert set(encoded._levels.values()) == {"x", "y", "z"}
    resampled = Resampled(own["nb"].build(1, 1, None), "class_weight").fit(rows.X, rows.label)
    assert set(SlowModel(resampled, features)._levels.values()) == {"x", "y", "z"}
