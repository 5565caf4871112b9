"""Revenue: how right the amounts are, for all sessions, for buyers and for the top decile.

A plain interval on data that are mostly zeros covers the zeros and misses the buyers; so coverage
is always told for each part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import DataError
from cartcast.evaluate.arrays import Array, Vectors, summed, vectors
from cartcast.evaluate.intervals import DRAWS, LEVEL, bootstrap, multipliers, percentiles
from cartcast.evaluate.probability import mass_bins
from cartcast.evaluate.score import ratio
from cartcast.evaluate.share import Clusters, effective_count, wilson

__all__ = ["PARTS", "coverage", "deciles", "scores_by_part"]

PARTS = ("all", "buyers", "top decile", "buyers in the top decile")
"""Parts of the sessions: the top decile is by predicted revenue."""


def _parts(v: Vectors) -> dict[str, Any]:
    """Return a mask for each part."""
    best = np.zeros(len(v.y_obs), bool)
    if len(v.y_obs):
        order = np.argsort(-v.y_pred, kind="stable")
        before = np.cumsum(v.weights[order]) - v.weights[order]
        edge = v.y_pred[order][before < 0.1 * v.weights.sum() * (1 - 1e-12)].min()
        best = v.y_pred >= edge
    bought = v.y_obs > 0
    return dict(zip(PARTS, (np.ones(len(v.y_obs), bool), bought, best, bought & best), strict=True))


def scores_by_part(
    y_obs: Any,
    y_pred: Any,
    weights: Any = None,
    groups: Any = None,
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> pd.DataFrame:
    """Return MAE, RMSE, R2, Spearman, Gini, lift and bias of amounts, with intervals, per part.

    Arrays (n,), money. Columns: part, metric, value, low, high, n. Null where undefined.

    Raises:
        DataError: the arrays break their rules.
    """
    v = vectors(y_obs, y_pred, weights, groups, task="regressor")
    rows: list[tuple[Any, ...]] = []
    for part, inside in _parts(v).items():
        n = int(inside.sum())
        if not n or v.weights[inside].sum() <= 0:
            continue
        found = bootstrap(
            v.y_obs[inside], v.y_pred[inside], v.weights[inside], v.groups[inside],
            task="regressor", draws=draws, level=level, seed=seed,
        )  # fmt: skip
        rows += [(part, name, *interval, n) for name, interval in found.items()]
    table = pd.DataFrame(rows, columns=["part", "metric", "value", "low", "high", "n"])
    return table.astype(dict.fromkeys(("value", "low", "high"), float))


def coverage(
    y_obs: Any,
    low: Any,
    high: Any,
    y_pred: Any,
    weights: Any = None,
    groups: Any = None,
    *,
    nominal: float = LEVEL,
    level: float = LEVEL,
) -> pd.DataFrame:
    """Return the share of amounts within [low, high], per part, with a Wilson interval.

    `low`, `high`: shape (n,), money, ends of an interval stated to hold `nominal`; `y_pred` ranks
    the top decile. Rows whose interval is null are left out and counted in `missing`.
    Columns: part, nominal, coverage, low, high, width (mean, money), n, missing.

    Raises:
        DataError: the arrays break their rules, or a low end is above its high end.
    """
    v = vectors(y_obs, y_pred, weights, groups, task="regressor")
    left, right = np.asarray(low, float), np.asarray(high, float)
    if left.shape != v.y_obs.shape or right.shape != v.y_obs.shape:
        raise DataError(f"low and high must have {len(v.y_obs)} values, as y_obs has.")
    known = np.isfinite(left) & np.isfinite(right)
    if bool((left[known] > right[known]).any()):
        raise DataError("low must not be above high; the ends of an interval are swapped.")
    within = ((v.y_obs >= left) & (v.y_obs <= right)).astype(float)
    rows: list[tuple[Any, ...]] = []
    for part, inside in _parts(v).items():
        use = inside & known
        n, missing = int(use.sum()), int((inside & ~known).sum())
        if not n or v.weights[use].sum() <= 0:
            rows.append((part, nominal, None, None, None, None, n, missing))
            continue
        share = float(np.average(within[use], weights=v.weights[use]))
        clusters = Clusters.of(within[use], v.weights[use], v.groups[use])
        ends = wilson(share, clusters.size, level, clusters.freedom)
        width = float(np.average((right - left)[use], weights=v.weights[use]))
        rows.append((part, nominal, share, float(ends[0]), float(ends[1]), width, n, missing))
    names = ["part", "nominal", "coverage", "low", "high", "width", "n", "missing"]
    table = pd.DataFrame(rows, columns=names)
    return table.astype(dict.fromkeys(("coverage", "low", "high", "width"), float))


def deciles(
    y_obs: Any,
    y_pred: Any,
    weights: Any = None,
    groups: Any = None,
    *,
    bins: int = 10,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> pd.DataFrame:
    """Return mean predicted and observed money per session by decile of the prediction.

    Columns: decile (1 = lowest), predicted, observed, low, high (of the observed), share (of all
    observed money), n.

    Raises:
        DataError: the arrays break their rules.
    """
    v = vectors(y_obs, y_pred, weights, groups, task="regressor")
    columns = ["decile", "predicted", "observed", "low", "high", "share", "n"]
    if not len(v.y_obs):
        return pd.DataFrame(columns=columns)
    _, codes = np.unique(v.y_pred, return_inverse=True)
    mass = summed(codes, v.weights)
    which = mass_bins(mass[:, None], bins)[:, 0].astype(int)[codes]
    bags, times = multipliers(v.groups, draws, seed)
    total = float(v.weights @ v.y_obs)
    rows: list[tuple[Any, ...]] = []
    for k in np.unique(which):
        inside = which == k
        w, y = v.weights[inside], v.y_obs[inside]
        if w.sum() <= 0:
            continue
        size = effective_count(w * np.abs(y), v.groups[inside])
        low, high = _mean_ends(y, w, bags[inside], times, level, size)
        share = float(w @ y) / total if total else np.nan
        predicted = float(np.average(v.y_pred[inside], weights=w))
        observed = float(np.average(y, weights=w))
        rows.append((int(k) + 1, predicted, observed, low, high, share, int(inside.sum())))
    return pd.DataFrame(rows, columns=columns)


def _mean_ends(
    y: Array, w: Array, bags: Any, times: Array, level: float, size: float
) -> tuple[float, float]:
    top = summed(bags, w * y, len(times)) @ times
    drawn = ratio(top, summed(bags, w, len(times)) @ times)
    return percentiles(drawn, level, size) or (np.nan, np.nan)
