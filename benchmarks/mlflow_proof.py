"""Load an exported run with MLflow itself, and hold its scores against those of the run.

Not part of CI. In an environment of its own:
    python3 -m venv proof
    proof/bin/pip install -r locks/core.txt
    proof/bin/pip install mlflow-skinny
    PYTHONPATH=src proof/bin/python benchmarks/mlflow_proof.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import mlflow
import numpy as np

import cartcast
from cartcast.export import to_mlflow
from cartcast.features import Count, Last, Mean
from cartcast.train import train

FEATURES = cartcast.FeatureSet(clicks=Count(), price=Mean("price"), device=Last("device"))


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        cartcast.simulate(sessions=1500, seed=5, out=folder / "shop.parquet")
        log = cartcast.load(folder / "shop.parquet")
        run = train(
            log, target=cartcast.AddToCart(), features=FEATURES, anchors=[1, 3], threads=1,
            models=["hist_gradient_boosting"], run_dir=folder / "run", backtest=False,
        )  # fmt: skip
        table = FEATURES.replay(log, at=[1, 3]).to_pandas()[[*FEATURES]]
        made = to_mlflow(run, folder / "model")
        model = mlflow.pyfunc.load_model(str(made))
        said = model.predict(table)
        want = run.score(run.typed(table))["probability"]
        np.testing.assert_array_equal(said[run.column], want)
        assert model.metadata.get_input_schema().input_names() == [*FEATURES]
        example = mlflow.models.Model.load(str(made)).load_input_example(str(made))
        assert len(model.predict(example)) == 2
        try:
            model.predict(table.drop(columns="price"))
        except mlflow.exceptions.MlflowException as error:
            if "price" not in str(error):
                raise
        else:
            sys.exit("a table without a column was taken")
        print(
            f"MLflow {mlflow.__version__}: {len(table):,} rows, every score of {run.champion} "
            "is the run's own; a missing column is refused."
        )


if __name__ == "__main__":
    main()
