"""One way to fit: training, folds, blends and refits differ in their rows and in nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from cartcast.models.calibrate import Calibrated
from cartcast.models.fitting import Recipe
from cartcast.rows import from_table
from cartcast.score import predict
from cartcast.train import fit as fitting
from cartcast.train import train
from cartcast.train.drivers import OutOfFold, drivers
from cartcast.train.fit import Plan, fit_one, says
from cartcast.train.task import Part, part_of

SRC = Path(fitting.__file__).parents[1]


def table(rows: int = 800, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    p = 1 / (1 + np.exp(-(2 * x[:, 0] - 1)))
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "buys": (rng.random(rows) < p).astype(int)})


def part(source: pd.DataFrame, **options: Any) -> Part:
    rows = from_table(source, "buys", **options)
    return part_of(rows, pd.Series(True, index=rows.table.index))


PLAN = Plan("classifier", Recipe(resample="undersample"))


def test_folds_and_the_final_model_differ_in_rows_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fit of a run, resampled and cross-validated, goes through one function and one plan."""
    asked: list[tuple[str, Plan, frozenset[int]]] = []

    def spy(name: str, rows: Part, plan: Plan, others: Any = None) -> Any:
        asked.append((name, plan, frozenset(rows.index.tolist())))
        return fit_one(name, rows, plan, others)

    for module in ("candidates", "pipeline", "backtest"):
        monkeypatch.setattr(f"cartcast.train.{module}.fit_one", spy)
    run = train(
        rows=table(300), target="buys", models=("logistic_regression",), folds=4,
        resample="undersample", run_dir=tmp_path / "run", threads=1,
    )  # fmt: skip
    mine = [(plan, rows) for name, plan, rows in asked if name == "logistic_regression"]
    assert all(plan == mine[0][0] for plan, _ in mine)
    assert mine[0][0].recipe.resample == "undersample"
    whole, *folds = (rows for _, rows in mine)
    assert whole == frozenset(range(300))
    assert len(folds) == 4
    left_out = [whole - fold for fold in folds]
    assert frozenset().union(*left_out) == whole
    assert sum(map(len, left_out)) == 300
    # What the test figures say of a row is what the model of the folds without it says.
    judged = pd.read_parquet(run.dir / "predictions.parquet").query("part == 'test'")
    rows = part(table(300))
    for held in left_out:
        at = np.array(sorted(held))
        model = fit_one(
            "logistic_regression", rows.take(np.array(sorted(whole - held))), mine[0][0]
        )
        said = says(model.model, model.declaration, rows.take(at))
        np.testing.assert_allclose(judged["p__logistic_regression"].to_numpy()[at], said, rtol=1e-9)


def test_nothing_else_fits_an_estimator_of_a_run() -> None:
    """No file of training or tuning makes or fits a declared model but by the recipe."""
    for path in [*(SRC / "train").glob("*.py"), SRC / "models" / "judge.py"]:
        text = path.read_text(encoding="utf-8")
        made = re.findall(r"(?:declaration|DECLARATIONS\[.*\]|CLASSIFIERS\[.*\])\.make\(", text)
        assert not made, path.name


def test_held_out_predictions_never_saw_their_row() -> None:
    """Labels of noise cannot be told, though a deep tree knows every row it was fitted to."""
    rng = np.random.default_rng(1)
    noise = table().assign(buys=rng.integers(0, 2, 800))
    rows = part(noise)
    plan = replace(PLAN, recipe=Recipe(), params={"decision_tree": {
        "model__max_depth": None, "model__min_samples_leaf": 1}})  # fmt: skip
    found = fit_one("decision_tree", rows, plan)
    inside = (says(found.model.estimator, found.declaration, rows) > 0.5) == (rows.label > 0.5)
    assert inside.mean() == 1.0
    assert ((found.raw > 0.5) == (rows.label > 0.5)).mean() < 0.6
    # Calibrated on other visitors, the model admits that it knows nothing.
    assert log_loss(rows.label, found.held) == pytest.approx(np.log(2), abs=0.02)


def test_forward_folds_look_back_only() -> None:
    moments = pd.date_range("2026-01-01", periods=800, freq="h").to_series(index=range(800))
    rows = part(table().assign(when=moments), time="when")
    late = rows.rows.table.assign(known_time=moments + pd.Timedelta(days=2))
    rows = replace(rows, rows=replace(rows.rows, table=late))
    plan = replace(PLAN, ordered=True, judged=0.5)
    folds = plan.folds(rows, fitting.DECLARATIONS["classifier"]["lightgbm"])
    assert len(folds) == 3
    judged = np.concatenate([held for _, held in folds])
    assert sorted(judged) == list(range(400, 800))
    for fit, held in folds:
        assert (rows.keys["known_time"][fit].max()) <= rows.keys["session_start"][held].min()


def test_outcomes_on_one_side_of_time_only_are_judged_by_visitor() -> None:
    source = table(200).assign(when=np.arange(200.0))
    source["buys"] = (source["when"] < 40).astype(int)
    rows = part(source, time="when")
    plan = replace(PLAN, ordered=True, judged=0.5)
    folds = plan.folds(rows, fitting.DECLARATIONS["classifier"]["lightgbm"])
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(200))
    assert all(rows.label[held].any() for _, held in folds)


def test_a_blend_is_made_of_the_models_beside_it() -> None:
    """Its members are those that were fitted to the same rows, not fitted again."""
    rows = part(table())
    members = {n: fit_one(n, rows, PLAN) for n in ("lightgbm", "logistic_regression")}
    blend = fit_one("blend", rows, PLAN, members)
    alone = fit_one("blend", rows, PLAN)
    for mine, name in zip(blend.model.estimator.models_, members, strict=True):
        assert mine is members[name].model.estimator
    np.testing.assert_allclose(
        says(blend.model, blend.declaration, rows), says(alone.model, alone.declaration, rows),
        rtol=1e-9,
    )  # fmt: skip
    best = min(log_loss(rows.label, m.held) for m in members.values())
    assert log_loss(rows.label, blend.held) < best + 0.005


def test_drivers_of_a_cross_validation_are_out_of_fold() -> None:
    """A model that has learnt its rows by heart drives nothing on rows it has not seen."""
    rng = np.random.default_rng(2)
    rows = part(table(400).assign(buys=rng.integers(0, 2, 400)))
    plan = replace(PLAN, recipe=Recipe(), calibration="none", params={"decision_tree": {
        "model__max_depth": None, "model__min_samples_leaf": 5}})  # fmt: skip
    champion = fit_one("decision_tree", rows, plan)
    fold = np.arange(400) % 4
    apart = OutOfFold([fit_one("decision_tree", rows.take(fold != k), plan).model
                       for k in range(4)], fold)  # fmt: skip
    inside = drivers(champion, rows, {}, 0, None)["importance"]
    outside = drivers(champion, rows, {}, 0, apart)["importance"]
    assert min(r["low"] for r in inside) > 0.5
    assert all(abs(r["mean_drop"]) < min(i["mean_drop"] for i in inside) / 3 for r in outside)
    assert {r["feature"] for r in outside} == {"a", "b"}


def test_what_is_saved_was_fitted_to_all_rows_and_its_figures_were_not(tmp_path: Path) -> None:
    source = table(400)
    run = train(
        rows=source, target="buys", models=("logistic_regression",), run_dir=tmp_path / "run",
        threads=1,
    )  # fmt: skip
    said = run.data["refit"]
    assert (said["refitted"], said["rows"]) == (True, 400)
    assert said["judged_rows"] == run.data["split"]["parts"]["train"]["rows"] == 320
    scored, _ = predict(source, run.dir)
    # The curve is learnt from what was said of rows before they were seen: by folds of train, and
    # of test by the judged model.
    plan, rows = Plan("classifier", Recipe((), threads=1)), part(source)
    tested = pd.read_parquet(run.dir / "predictions.parquet").query("part == 'test'")["session_id"]
    test = rows.keys["session_id"].isin(tested).to_numpy()
    judge = fit_one("logistic_regression", rows.take(~test), plan)
    raw = np.empty(400)
    raw[~test] = judge.raw
    raw[test] = says(judge.model.estimator, judge.declaration, rows.take(test))
    whole = fit_one("logistic_regression", rows, plan).model.estimator.predict_proba(rows.X)[:, 1]
    curve = Calibrated(None).fit_curve(raw, rows.label)
    np.testing.assert_allclose(scored["probability"], curve.curve(whole), rtol=1e-6)
    judged = pd.read_parquet(run.dir / "predictions.parquet").query("part == 'test'")
    seen = scored["probability"].to_numpy()[part(source).label == 1]
    assert not np.isin(judged["p__logistic_regression"], seen).any()
    assert "fitted again to all 400 rows" in (run.dir / "card.md").read_text()
