"""Columns as numbers, and what one column or a small tree can tell about a label out of fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.evaluate.auc import auc
from cartcast.evaluate.share import effective_count
from cartcast.leakage.prepared import Floats, Ints
from cartcast.leakage.statistics import NOTHING, Bounded, auc_bounds, counts, r2_bounds

__all__ = ["Coded", "Power", "as_numbers", "code", "folds", "out_of_fold", "power", "stack"]

_FOLDS = 3


@dataclass(frozen=True, eq=False)
class Coded:
    """A column as floats: numbers as they are, words as codes (nan where null).

    Attributes:
        name: name of the column.
        values: one float per row.
        words: the words behind the codes, empty for numbers.
    """

    name: str
    values: Floats
    words: tuple[str, ...] = ()


class Power(NamedTuple):
    """What out-of-fold predictions know about the label.

    Attributes:
        auc: ROC AUC with its bounds; nan for a numeric label.
        r2: share of the label's variance that is explained, with its bounds.
        y_pred: the out-of-fold predictions, one per row.
    """

    auc: Bounded
    r2: Bounded
    y_pred: Floats


def as_numbers(column: pd.Series) -> Floats | None:
    """Return the column as floats (times as seconds, null as nan), or None when it holds words."""
    if pd.api.types.is_bool_dtype(column):
        return np.asarray(column.astype("Float64").to_numpy(dtype=float, na_value=np.nan))
    if pd.api.types.is_datetime64_any_dtype(column):
        naive = column.dt.tz_localize(None) if column.dt.tz is not None else column
        seconds = (naive - pd.Timestamp(0)).dt.total_seconds()
        return np.asarray(seconds, dtype=np.float64)
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(dtype=float, na_value=np.nan)
        return np.asarray(np.where(np.isinf(values), np.nan, values), dtype=np.float64)
    return None


def code(name: str, column: pd.Series) -> Coded:
    """Return a column as floats."""
    values = as_numbers(column)
    if values is not None:
        return Coded(name, values)
    codes, words = pd.factorize(column.astype("object"), sort=False)
    floats = np.where(codes < 0, np.nan, codes).astype(float)
    return Coded(name, floats, tuple(str(w) for w in words))


def folds(groups: Ints, seed: int) -> Ints:
    """Return a fold number per row; rows of one group share it."""
    numbers, at = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(numbers))
    return (order[at] % _FOLDS).astype(np.int64)


def _ordered(column: Coded, y: Floats, fit: NDArray[np.bool_]) -> Floats:
    """Replace the codes of words by the mean label of the fitted rows, shrunk to the prior."""
    if not column.words:
        return column.values
    known = fit & ~np.isnan(column.values)
    at = column.values[known].astype(np.int64)
    size = len(column.words)
    prior = float(y[fit].mean())
    means = (np.bincount(at, y[known], size) + 5 * prior) / (np.bincount(at, minlength=size) + 5)
    out = np.full(len(y), np.nan)
    there = ~np.isnan(column.values)
    out[there] = means[column.values[there].astype(np.int64)]
    return out


def stack(columns: list[Coded], y: Floats, fit: NDArray[np.bool_]) -> Floats:
    """Return a matrix (rows, columns) with words encoded from the fitted rows only."""
    return np.column_stack([_ordered(c, y, fit) for c in columns])


def out_of_fold(
    columns: list[Coded],
    y: Floats,
    fold: Ints,
    *,
    classes: bool,
    depth: int | None,
    leaves: int | None,
) -> Floats:
    """Return a small tree's predictions for rows it was not fitted on; nan where impossible."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    out = np.full(len(y), np.nan)
    least = max(3, len(y) // 2000)
    for k in range(_FOLDS):
        fit = fold != k
        if not fit.any() or fit.all() or (classes and len(np.unique(y[fit])) < 2):
            continue
        X = stack(columns, y, fit)
        maker = DecisionTreeClassifier if classes else DecisionTreeRegressor
        tree = maker(max_depth=depth, max_leaf_nodes=leaves, min_samples_leaf=least, random_state=0)
        tree.fit(X[fit], y[fit])
        out[~fit] = tree.predict_proba(X[~fit])[:, 1] if classes else tree.predict(X[~fit])
    return out


def power(y: Floats, y_pred: Floats, *, classes: bool, groups: Ints, z: float) -> Power:
    """Return what predictions know about the label, with bounds for rows that stand in groups."""
    ok = ~np.isnan(y_pred)
    y, known, groups = y[ok], y_pred[ok], groups[ok]
    if len(y) < 2:
        return Power(NOTHING, NOTHING, y_pred)
    area = auc_bounds(auc(y, known), *counts(y, groups), z) if classes else NOTHING
    return Power(area, r2_bounds(y, known, effective_count(np.ones(len(y)), groups), z), y_pred)
