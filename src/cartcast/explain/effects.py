"""The effect of one feature: the mean prediction when every session had that value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import UsageError, did_you_mean
from cartcast.evaluate.arrays import Task, vectors
from cartcast.evaluate.intervals import DRAWS, LEVEL, bootstrap, multipliers
from cartcast.explain.predict import says

__all__ = ["effect", "effects"]

MAX_ROWS = 1_000


def effect(
    model: Any,
    X: pd.DataFrame,
    feature: str,
    *,
    task: Task = "classifier",
    weights: Any = None,
    groups: Any = None,
    points: int = 12,
    max_rows: int = MAX_ROWS,
    level: float = LEVEL,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the partial dependence of the prediction on one feature.

    Columns: value (number at the feature's quantiles, or category), prediction (mean over the
    rows), low, high (over groups of rows; not the uncertainty of the model), share (of the rows
    nearest to the value). Nulls are not shown. Read it with care for features that move together:
    it also asks about sessions that do not exist. Friedman 2001,
    https://doi.org/10.1214/aos/1013203451

    Raises:
        UsageError: no such feature, or fewer than 2 points.
    """
    if feature not in X.columns:
        raise UsageError(f"no feature {feature!r}.{did_you_mean(feature, map(str, X.columns))}")
    if points < 2:
        raise UsageError(f"points must be at least 2, got {points}.")
    v = vectors(np.zeros(len(X)), np.zeros(len(X)), weights, groups)
    grid, shares = _grid(X[feature], points)
    rng = np.random.default_rng(seed)
    keep = np.arange(len(X)) if len(X) <= max_rows else rng.choice(len(X), max_rows, replace=False)
    rows = X.iloc[keep].reset_index(drop=True)
    w, g = v.weights[keep], np.unique(v.groups[keep], return_inverse=True)[1]
    drawn = multipliers(g, DRAWS, seed)
    found = []
    for value, share in zip(grid, shares, strict=True):
        frame = rows.copy(deep=False)
        frame[feature] = pd.Series([value] * len(rows), dtype=X[feature].dtype)
        said = says(model, frame, task)
        mean = bootstrap(
            np.zeros(len(said)), said, w, g,
            task="regressor", scores=("bias",), level=level, drawn=drawn,
        )["bias"]  # fmt: skip
        found.append((value, *mean, share))
    return pd.DataFrame(found, columns=["value", "prediction", "low", "high", "share"])


def effects(
    model: Any, X: pd.DataFrame, features: Iterable[str], **options: Any
) -> list[dict[str, Any]]:
    """Return the effects of several features as plain data, as `run.json` keeps them.

    Each has `feature` and `points`, a list of value, prediction, low, high, share; a feature that
    is never known is left out. Options as for `effect`.

    Raises:
        UsageError: as `effect`.
    """
    found = []
    for name in features:
        points = effect(model, X, name, **options)
        if len(points) > 1:
            found.append({"feature": name, "points": points.to_dict("records")})
    return found


def _grid(column: pd.Series, points: int) -> tuple[list[Any], list[float]]:
    known = column.dropna()
    if not len(known):
        return [], []
    if not pd.api.types.is_numeric_dtype(column):
        counts = known.astype(str).value_counts()[:points]
        return list(counts.index), [float(n) / len(known) for n in counts]
    values = known.to_numpy(float)
    distinct = np.unique(values)
    if len(distinct) > points:
        distinct = np.unique(np.quantile(values, np.linspace(0.02, 0.98, points)))
    edges = (distinct[1:] + distinct[:-1]) / 2
    counts_at = np.bincount(np.searchsorted(edges, values), minlength=len(distinct))
    return [float(d) for d in distinct], [float(n) / len(values) for n in counts_at]
