"""The folder of a run for MLflow: its published fields, and its loader, which trusts as we do.

`benchmarks/mlflow_proof.py` loads such a folder with MLflow itself.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from cartcast import Run
from cartcast.cli import main
from cartcast.errors import DataError, NotTrustedError, UsageError
from cartcast.export import to_mlflow
from cartcast.score import predict
from cartcast.train import train


@pytest.fixture(scope="module")
def folder(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return to_mlflow(run, tmp_path_factory.mktemp("mlflow") / "model")


def loaded(folder: Path) -> Any:
    """Load as `mlflow.pyfunc.load_model` does: by the names that the file tells."""
    told = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["python_function"]
    return importlib.import_module(told["loader_module"])._load_pyfunc(str(folder / told["data"]))


def test_the_file_holds_the_published_fields(folder: Path, run: Run) -> None:
    told = yaml.safe_load((folder / "MLmodel").read_text())
    flavour = told["flavors"]["python_function"]
    assert (folder / flavour["env"]["virtualenv"]).is_file()
    inputs = json.loads(told["signature"]["inputs"])
    assert [(c["name"], c["type"]) for c in inputs] == [
        ("clicks", "double"), ("carts", "double"), ("price", "double"), ("device", "string"),
    ]  # fmt: skip
    outputs = {c["name"]: c["type"] for c in json.loads(told["signature"]["outputs"])}
    assert outputs == {
        "row": "long",
        "probability": "double",
        "reason": "string",
        "model": "string",
    }
    example = json.loads((folder / told["saved_input_example_info"]["artifact_path"]).read_text())
    assert example["columns"] == [c["name"] for c in inputs]
    assert told["metadata"]["metrics"]["roc_auc"] == run.metrics[run.champion]["roc_auc"]
    required = (folder / "requirements.txt").read_text().splitlines()
    assert f"scikit-learn=={run.data['versions']['scikit-learn']}" in required
    # Nothing to unpickle, and no row of a visitor.
    names = {p.name for p in folder.rglob("*") if p.is_file()}
    assert not [
        n for n in names if n.endswith((".pkl", ".pickle", ".joblib")) or "predictions" in n
    ]


def test_its_scores_are_those_of_the_run(folder: Path, run: Run, shop: Any) -> None:
    from .conftest import FEATURES

    table = FEATURES.replay(shop, at=[1, 3]).to_pandas()
    got = loaded(folder).predict(table[["device", "price", "clicks", "carts"]])
    want = run.score(run.typed(table))["probability"]
    assert len(got) > 900
    np.testing.assert_array_equal(got["probability"], want)
    said, _ = predict(shop, run, everything=True)
    key = ["session_id", "click"]
    both = said.merge(table.assign(p=got["probability"])[[*key, "p"]], on=key)
    assert len(both) == len(said)
    np.testing.assert_allclose(both["probability"], both["p"], rtol=1e-12)
    far = loaded(folder).predict(table.head(1).assign(price=1e9))
    assert pd.isna(far["probability"][0])
    assert far["reason"][0].startswith("price is 1e+09; the model learnt from")


def test_a_table_of_other_columns_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="no column 'clicks', which the model reads"):
        loaded(folder).predict(pd.DataFrame({"clickz": [1.0]}))


def test_a_changed_model_is_not_loaded(run: Run, tmp_path: Path) -> None:
    made = to_mlflow(run, tmp_path / "model")
    file = made / "run" / "model" / "champion.skops"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(NotTrustedError, match="SHA-256"):
        loaded(made)


def test_a_ready_table_goes_in_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {"a": rng.normal(size=200), "paid": [f"{v:,.2f} EUR" for v in 1e4 * rng.random(200)]}
    )
    y = (X["a"] + rng.normal(size=200) > 0).rename("way")
    run = train(X, y, models=["logistic_regression"], run_dir=tmp_path / "run", threads=1)
    made = to_mlflow(run, tmp_path / "model")
    got = loaded(made).predict(X)
    want, _ = predict(X, run)
    pd.testing.assert_frame_equal(got, want)
    inputs = json.loads(yaml.safe_load((made / "MLmodel").read_text())["signature"]["inputs"])
    assert [c["type"] for c in inputs] == ["double", "any"]


def test_the_verb(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def call(*words: object) -> str:
        with pytest.raises(SystemExit):
            main(["export", *map(str, words)])
        return "".join(capsys.readouterr())

    to = ("--to", "mlflow", tmp_path / "m")
    assert str(tmp_path / "m") in call(*to, "--model", run.dir)
    assert (tmp_path / "m" / "MLmodel").is_file()
    assert "exists already" in call(*to, "--model", run.dir)
    assert "takes a run (--model) and no log" in call(*to)
    assert "needs the files of a log" in call("--to", "duckdb", tmp_path / "x.duckdb")
    with pytest.raises(UsageError, match="exists already"):
        to_mlflow(run, tmp_path)
