"""The screen keeps what was planted, and the base alone where nothing was."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import DataError
from cartcast.models.folds import forward_folds
from cartcast.models.screen import screen


def table(rows: int = 3000, noise: int = 60, seed: int = 3) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    X = pd.DataFrame(draw.normal(size=(rows, noise)), columns=[f"noise_{k}" for k in range(noise)])
    X["planted"] = draw.normal(size=rows)
    X["rare"] = (draw.random(rows) < 0.02).astype(float)
    X["usual"] = draw.normal(size=rows)
    X["colour"] = draw.choice(["red", "blue", None], rows)
    return X


def labels(score: np.ndarray, seed: int = 4) -> np.ndarray:
    p = 1 / (1 + np.exp(-score))
    return (np.random.default_rng(seed).random(len(score)) < p).astype(float)


def test_what_was_planted_is_kept():
    X = table()
    y = labels(-1.5 + X["usual"] + 1.2 * X["planted"] + 3 * X["rare"])
    found = screen(X, y, forward_folds(np.arange(len(X))), base=["usual"], categorical=["colour"],
                   tells={"rare": "a rare word"})  # fmt: skip
    assert {"usual", "planted", "rare"} <= set(found.names)
    assert found.gains["planted"] > max(v for n, v in found.gains.items() if n[:5] == "noise")
    assert found.loss < found.loss_of_base


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not(seed):
    X = table(seed=10 + seed)
    y = labels(-1.5 + X["usual"].to_numpy(), seed=20 + seed)
    found = screen(X, y, forward_folds(np.arange(len(X))), base=["usual"], categorical=["colour"])
    assert found.names == ("usual",)
    assert found.loss > found.loss_of_base


def test_the_same_rows_give_the_same_screen():
    X = table(800, 10)
    y = labels(-1 + X["planted"].to_numpy())
    one, two = (screen(X, y, forward_folds(np.arange(len(X))), seed=5) for _ in range(2))
    assert one == two


def test_no_later_rows_no_screen():
    with pytest.raises(DataError, match="rows after"):
        screen(table(50, 2), np.zeros(50), [])
