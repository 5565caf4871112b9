"""Curves of one set of predictions: reliability, ROC, precision-recall, gain and lift, profit.

Each returns a pandas table that `cartcast.charts` draws.

>>> y, p = [0, 1, 1, 0], [0.2, 0.9, 0.6, 0.4]
>>> gain(y, p, at=(0.25, 0.5, 1.0))[["contacted", "reached", "lift"]].to_numpy().tolist()
[[0.25, 0.5, 2.0], [0.5, 1.0, 2.0], [1.0, 1.0, 1.0]]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import UsageError
from cartcast.evaluate.arrays import Array, Codes, Vectors, summed, vectors
from cartcast.evaluate.intervals import LEVEL, multipliers, observations, percentiles
from cartcast.evaluate.probability import mass_bins
from cartcast.evaluate.score import ratio
from cartcast.evaluate.share import Clusters, wilson

__all__ = [
    "chance_error",
    "gain",
    "precision_recall",
    "profit",
    "reliability",
    "roc",
]

GRID = tuple(np.round(np.concatenate([np.arange(0.01, 0.1, 0.01), np.arange(0.1, 1.01, 0.05)]), 4))
"""Shares of the sessions at which gain, lift and profit are given: finer where campaigns work."""
_POINTS = 400


def reliability(
    y_obs: Any,
    y_pred: Any,
    weights: Any = None,
    groups: Any = None,
    *,
    bins: int = 10,
    level: float = LEVEL,
) -> pd.DataFrame:
    """Return predicted and observed share in bins of equal weight, with Wilson intervals.

    Columns: bin, left, right (ends of the predictions), predicted, observed, low, high, n (rows),
    size (effective number of observations; rows of one group count together), share (of weight).

    Raises:
        DataError: the arrays break their rules.
        UsageError: fewer than 2 bins.
    """
    if bins < 2:
        raise UsageError(f"bins must be at least 2, got {bins}.")
    v = vectors(y_obs, y_pred, weights, groups, task="classifier")
    if not len(v.y_obs):
        return pd.DataFrame(columns=_RELIABILITY)
    _, codes = np.unique(v.y_pred, return_inverse=True)
    mass = summed(codes, v.weights)
    which = mass_bins(mass[:, None], bins)[:, 0].astype(int)[codes]
    rows = []
    for k in np.unique(which):
        inside = which == k
        w, y, p = v.weights[inside], v.y_obs[inside], v.y_pred[inside]
        total = w.sum()
        if total <= 0.0:
            continue
        clusters = Clusters.of(y, w, v.groups[inside])
        observed, size = float(w @ y / total), clusters.size
        low, high = wilson(observed, size, level, clusters.freedom)
        share = float(total / v.weights.sum())
        rows.append(
            (int(k), p.min(), p.max(), w @ p / total, observed, low, high, len(p), size, share)
        )
    table = pd.DataFrame(rows, columns=_RELIABILITY)
    return table.astype({c: float for c in _RELIABILITY if c not in ("bin", "n")})


_RELIABILITY = [
    "bin", "left", "right", "predicted", "observed", "low", "high", "n", "size", "share",
]  # fmt: skip


def chance_error(table: pd.DataFrame) -> float | None:
    """Return the calibration error that a perfectly calibrated model would show by chance.

    Expected absolute deviation of a normal share: sqrt(2/pi) times its standard error, over the
    bins of `reliability`.
    """
    if table.empty:
        return None
    p = table["predicted"].to_numpy(float)
    error = np.sqrt(2 / np.pi) * np.sqrt(ratio(p * (1 - p), table["size"].to_numpy(float)))
    value = float(table["share"].to_numpy(float) @ error)
    return value if np.isfinite(value) else None


def _cumulated(v: Vectors) -> tuple[Array, Array, Array]:
    """Return (threshold, weight, positives) summed from the highest prediction down."""
    distinct, codes = np.unique(-v.y_pred, return_inverse=True)
    weight = np.cumsum(summed(codes, v.weights))
    positive = np.cumsum(summed(codes, v.weights * v.y_obs))
    return -distinct, weight, positive


def _thin(table: pd.DataFrame, along: str) -> pd.DataFrame:
    """Keep at most about 400 points, evenly spread along one column, the ends always."""
    if len(table) <= _POINTS:
        return table
    x = table[along].to_numpy(float)
    where = np.unique(np.searchsorted(x, np.linspace(x[0], x[-1], _POINTS)).clip(0, len(x) - 1))
    keep = np.union1d(where, [0, len(x) - 1])
    return table.iloc[keep].reset_index(drop=True)


def roc(y_obs: Any, y_pred: Any, weights: Any = None) -> pd.DataFrame:
    """Return the ROC curve: fpr, tpr, threshold, from (0, 0) to (1, 1); empty with one class."""
    v = vectors(y_obs, y_pred, weights, task="classifier")
    columns = ["fpr", "tpr", "threshold"]
    threshold, weight, positive = _cumulated(v)
    if not len(weight) or positive[-1] <= 0.0 or positive[-1] >= weight[-1]:
        return pd.DataFrame(columns=columns, dtype=float)
    negative = weight - positive
    table = pd.DataFrame(
        {
            "fpr": np.concatenate([[0.0], negative / negative[-1]]),
            "tpr": np.concatenate([[0.0], positive / positive[-1]]),
            "threshold": np.concatenate([[np.inf], threshold]),
        }
    )
    return _thin(table, "fpr")


def precision_recall(y_obs: Any, y_pred: Any, weights: Any = None) -> pd.DataFrame:
    """Return recall, precision and threshold, recall ascending; empty when nobody buys."""
    v = vectors(y_obs, y_pred, weights, task="classifier")
    columns = ["recall", "precision", "threshold"]
    threshold, weight, positive = _cumulated(v)
    if not len(weight) or positive[-1] <= 0.0:
        return pd.DataFrame(columns=columns, dtype=float)
    table = pd.DataFrame(
        {
            "recall": positive / positive[-1],
            "precision": ratio(positive, weight),
            "threshold": threshold,
        }
    )
    return _thin(table.dropna(subset=["precision"]).reset_index(drop=True), "recall")


def _reached(v: Vectors, at: Array, times: Array | None, bags: Codes | None) -> Array:
    """Return the positives within the best share `at`, and all, per weight: (len(at) + 1, draws).

    Both are drawn together: how many buyers there are is as uncertain as where they stand.
    """
    _, codes = np.unique(-v.y_pred, return_inverse=True)
    rows = int(codes.max()) + 1
    parts = (v.weights, v.weights * v.y_obs)
    if times is None or bags is None:
        weight, positive = (summed(codes, x, rows)[:, None] for x in parts)
    else:
        from scipy import sparse

        shape = (rows, len(times))
        weight, positive = (
            np.asarray(sparse.csr_array((x, (codes, bags)), shape=shape) @ times) for x in parts
        )
    out = np.full((len(at) + 1, weight.shape[1]), np.nan)
    for k in range(weight.shape[1]):
        w, y = np.cumsum(weight[:, k]), np.cumsum(positive[:, k])
        if w[-1] > 0.0:
            grid, found = np.append(0.0, w / w[-1]), np.append(0.0, y / w[-1])
            out[:, k] = np.interp(np.append(at, 1.0), grid, found)
    return out


def gain(
    y_obs: Any,
    y_pred: Any,
    weights: Any = None,
    groups: Any = None,
    *,
    at: Sequence[float] = GRID,
    draws: int = 0,
    level: float = LEVEL,
    seed: int = 0,
) -> pd.DataFrame:
    """Return what share of buyers (or of money) is reached by contacting the best share of all.

    Columns: contacted (share of weight), reached (share of the positives), lift, precision (mean of
    y_obs among the contacted); with `draws` also reached_low, reached_high, lift_low, lift_high.
    Ties are taken in part, so the order of rows does not matter.

    Raises:
        DataError: the arrays break their rules.
        UsageError: a share of `at` is not above 0 and at most 1.
    """
    v = vectors(y_obs, y_pred, weights, groups)
    shares, found, drawn = _found(v, at, draws, seed)
    reached = ratio(found[:-1], found[-1])
    table = pd.DataFrame({"contacted": shares, "reached": reached, "lift": reached / shares})
    table["precision"] = found[:-1] / shares
    if drawn is not None:
        low, high = _ends(ratio(drawn[:-1], drawn[-1]), v, level)
        for side, values in (("low", low), ("high", high)):
            table[f"reached_{side}"] = values
            table[f"lift_{side}"] = values / shares
    return table


def _found(
    v: Vectors, at: Sequence[float], draws: int, seed: int
) -> tuple[Array, Array, Array | None]:
    """Return the shares, what `_reached` finds at them, and in draws of the visitors."""
    shares = np.asarray(at, float)
    if len(shares) and not (shares.min() > 0.0 and shares.max() <= 1.0):
        raise UsageError(f"at must fulfil 0 < share <= 1, got {list(at)}.")
    if not len(v.y_obs):
        return shares, np.full(len(shares) + 1, np.nan), None
    found = _reached(v, shares, None, None)[:, 0]
    if not draws:
        return shares, found, None
    bags, times = multipliers(v.groups, draws, seed)
    return shares, found, _reached(v, shares, times, bags)


def _ends(drawn: Array, v: Vectors, level: float) -> tuple[Array, Array]:
    size = observations(v, "regressor")
    ends = np.array([percentiles(row, level, size) or (np.nan, np.nan) for row in drawn])
    low, high = ends.reshape(-1, 2).T
    return low, high


def profit(
    y_obs: Any,
    y_pred: Any,
    weights: Any = None,
    groups: Any = None,
    *,
    cost: float,
    value: float,
    at: Sequence[float] = GRID,
    draws: int = 0,
    level: float = LEVEL,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the profit, per session of the whole traffic, of contacting the best share of all.

    profit = value x (buyers reached) - cost x (contacted), in money per session. It counts the
    value of every buyer reached: use the value that the contact adds, not the whole basket.
    Columns: contacted, profit [, low, high].

    Raises:
        DataError: the arrays break their rules.
        UsageError: cost or value is negative.
    """
    if cost < 0.0 or value < 0.0:
        raise UsageError(f"cost and value must be at least 0, got {cost:g} and {value:g}.")
    v = vectors(y_obs, y_pred, weights, groups)
    shares, found, drawn = _found(v, at, draws, seed)
    out = pd.DataFrame({"contacted": shares, "profit": value * found[:-1] - cost * shares})
    if drawn is not None:
        low, high = _ends(value * drawn[:-1] - cost * shares[:, None], v, level)
        out["low"], out["high"] = low, high
    return out
