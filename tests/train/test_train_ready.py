"""Training from a ready table: the public shoppers data, folds, and tables that must be refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cartcast.errors import DataError, UsageError
from cartcast.rows import read_table
from cartcast.score import predict
from cartcast.train import train


def table(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    p = 1 / (1 + np.exp(-(x[:, 0] - 0.5 * x[:, 1] - 1)))
    return pd.DataFrame(
        {
            "a": x[:, 0],
            "b": x[:, 1],
            "kind": rng.choice(["x", "y", None], rows),
            "buys": (rng.random(rows) < p).astype(int),
        }
    )


def quick(source: object, folder: Path, **options: object) -> object:
    return train(
        rows=source, target="buys", models=("logistic_regression",), run_dir=folder / "run",
        threads=1, **options,
    )  # fmt: skip


def test_shoppers(shoppers_file: Path, tmp_path: Path) -> None:
    run = train(
        rows=shoppers_file, target="Revenue", models=("lightgbm",), run_dir=tmp_path / "run",
        threads=1,
    )  # fmt: skip
    assert run.data["data"] == {"rows": 12330, "features": 17, "positives": 1908}
    assert run.metrics["lightgbm"]["roc_auc"] > 0.91
    said, _ = predict(shoppers_file, run.dir)
    assert len(said) == 12330
    assert said["probability"].between(0, 1).all()


def test_folds_judge_every_row_by_a_model_that_never_saw_it(tmp_path: Path) -> None:
    source = table()
    run = quick(source, tmp_path, folds=5)
    judged = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    judged = judged[judged["part"] == "test"]
    assert len(judged) == len(source)
    auc = roc_auc_score(judged["label"], judged["p__logistic_regression"])
    assert run.metrics["logistic_regression"]["roc_auc"] == pytest.approx(auc, abs=1e-9)  # type: ignore[attr-defined]


def test_a_table_in_memory_and_in_a_file_give_the_same(tmp_path: Path) -> None:
    source = table()
    source.to_csv(tmp_path / "t.csv", index=False, sep=";")
    figures = []
    for name, given in (("m", source), ("f", tmp_path / "t.csv")):
        (tmp_path / name).mkdir()
        figures.append(quick(given, tmp_path / name).metrics)  # type: ignore[attr-defined]
    # Sums of products depend on where in memory a table lies, in their last digit.
    for name, found in figures[0].items():
        assert found == pytest.approx(figures[1][name], rel=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t.assign(buys=1), DataError, "label"),
        (lambda t: t.assign(buys=t["buys"].astype("float").where(t.index > 3)), DataError,
         "missing in 4 of 600"),
        (lambda t: t.assign(buys="maybe"), DataError, "must be 0/1"),
        (lambda t: t.assign(a=np.inf), DataError, "'a': must be a finite number"),
        (lambda t: t.head(2), DataError, "."),
        (lambda t: t.head(0), DataError, "no rows"),
        (lambda t: t[["buys"]], DataError, "no feature column"),
        (lambda t: t.rename(columns={"buys": "bys"}), UsageError, "Did you mean 'bys'"),
    ],
)  # fmt: skip
def test_bad_tables_are_refused_in_one_line(
    change: object, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message) as caught:
        quick(change(table()), tmp_path)  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "2 <= folds"),
        ({"budget": 1.0}, "at least 5 seconds"),
        ({"capacity": 0}, "capacity must be at least 1"),
        ({"drop": ("zz",)}, "no column 'zz'"),
        ({"resample": "smoote"}, "resample must be"),
        ({"models": ("lightgmb",)}, "Did you mean 'lightgbm'"),
        ({"nonsense": 1}, "no such option"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str, tmp_path: Path) -> None:
    given = {"models": ("logistic_regression",), **options}
    with pytest.raises(UsageError, match=message):
        train(rows=table(), target="buys", run_dir=tmp_path / "run", **given)


def test_text_columns_of_numbers_become_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,d\n1,x,TRUE,\n2.5,y,false,7\n,z,,8\n")
    read = read_table(path)
    assert read["a"].tolist()[:2] == [1.0, 2.5]
    assert np.isnan(read["a"].iloc[2])
    assert read["c"].tolist()[:2] == [1.0, 0.0]
    assert not pd.api.types.is_numeric_dtype(read["b"])


@pytest.mark.parametrize("method", ["smote", "class_weight", "undersample"])
def test_resampling_keeps_the_natural_prevalence(method: str, tmp_path: Path) -> None:
    source = table(rows=1500, seed=4)
    run = quick(source, tmp_path, resample=method, calibration="none")
    judged = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    judged = judged[judged["part"] == "test"]
    said, seen = judged["p__logistic_regression"].mean(), judged["label"].mean()
    assert said == pytest.approx(seen, abs=0.06)
    assert run.metrics["logistic_regression"]["roc_auc"] > 0.6  # type: ignore[attr-defined]
