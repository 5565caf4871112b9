"""Small tables: the champion is no worse than a plain line, and nothing stays nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from cartcast.score import predict
from cartcast.train import train


def made(rows: int, strength: float, noise: float) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 3))
    y = strength * (X[:, 0] - 0.5 * X[:, 1]) + noise * rng.logistic(size=rows) > 0
    return pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=y.astype(int))


@pytest.mark.parametrize(
    ("strength", "noise", "champion"), [(0.0, 1.0, "prevalence"), (5.0, 0.0, "logistic_regression")]
)
def test_the_champion_beside_a_plain_line(
    strength: float, noise: float, champion: str, tmp_path: Path
) -> None:
    table = made(800, strength, noise)
    fit, held = table[:400], table[400:]
    run = train(
        rows=fit, target="y", models="logistic_regression", run_dir=tmp_path / "run", threads=1,
        waivers={"LK403": "a separable table is what is tested"},
    )  # fmt: skip
    assert run.champion == champion
    said = predict(held, run.dir)[0]["probability"]
    X, y = held[["a", "b", "c"]], held["y"]
    plain = LogisticRegression().fit(fit[["a", "b", "c"]], fit["y"]).predict_proba(X)[:, 1]
    assert log_loss(y, said) < log_loss(y, plain) + 0.01
