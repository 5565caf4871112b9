"""Drivers: which features the champion's figures hang on, measured on test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from cartcast.explain import by_click, effects, importance
from cartcast.train.fit import Fitted
from cartcast.train.task import Part

__all__ = ["DRIVERS", "OutOfFold", "drivers"]

SHOWN = 4
"""Number of features whose effect is kept, the most important first."""
FOLLOWED = 6
"""Number of features whose importance is kept by click."""
CLICK_ROWS = 2_000
"""Test rows at each click on which it is measured."""
DRIVERS = ("importance", "importance_by_click", "effects")
"""What is kept of the drivers, by the names in `run.json`."""
FOLD = "__fold"
"""Column that tells an `OutOfFold` which of its models has not seen a row."""


class OutOfFold(BaseEstimator):  # type: ignore[misc]
    """The models of a cross-validation as one, that asks for each row the one without it."""

    def __init__(self, models: Sequence[Any], fold: NDArray[np.int64]) -> None:
        self.models = models
        self.fold = fold

    def with_fold(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with the column that `predict` and `predict_proba` need."""
        return X.assign(**{FOLD: self.fold})

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Return probabilities, shape (rows, 2)."""
        return self._asked(X, "predict_proba", (len(X), 2))

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Return amounts, shape (rows,)."""
        return self._asked(X, "predict", (len(X),))

    def _asked(self, X: pd.DataFrame, how: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        out = np.empty(shape)
        fold = X[FOLD].to_numpy()
        for k, model in enumerate(self.models):
            if (mine := fold == k).any():
                out[mine] = getattr(model, how)(X[mine].drop(columns=FOLD))
        return out


def drivers(
    champion: Fitted, test: Part, units: Mapping[str, str], seed: int, apart: OutOfFold | None
) -> dict[str, list[dict[str, Any]]]:
    """Return `importance`, `importance_by_click` and `effects` of the champion on test rows.

    Importance is by permutation, the largest loss first: `mean_drop` is the rise of the log loss
    (for money: the loss of R²) when a feature is shuffled, with its interval. What counts after
    one click need not count after ten: the most important ones are followed by click. A baseline
    and a model that reads no features have none. `apart` are the models of a cross-validation,
    whose test rows the champion itself has seen.
    """
    if champion.declaration.family == "baseline" or champion.declaration.reads != "features":
        return {name: [] for name in DRIVERS}
    model, X, task = champion.model, test.X, champion.declaration.kind
    names = [str(c) for c in X.columns]
    if apart is not None:
        model, X = apart, apart.with_fold(X)
    table = importance(
        model, X, test.label, test.weight, test.groups, task=task, features=names, seed=seed
    )
    ranked = [{**row, "unit": units.get(str(row["feature"]), "")} for row in _plain(table)]
    weighty = [str(row["feature"]) for row in ranked if row["mean_drop"] > 0]
    followed: list[dict[str, Any]] = []
    if weighty and test.keys["click"].nunique() > 1:
        at_click = by_click(
            model, X, test.label, test.keys["click"], test.groups, weights=test.weight,
            features=weighty[:FOLLOWED], task=task, max_rows=CLICK_ROWS, draws=100, seed=seed,
        )  # fmt: skip
        followed = _plain(at_click[["click", "feature", "mean_drop", "low", "high"]])
    shown = effects(
        model, X, weighty[:SHOWN], task=task, weights=test.weight, groups=test.groups, seed=seed
    )
    return dict(zip(DRIVERS, (ranked, followed, shown), strict=True))


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
