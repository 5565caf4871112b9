"""Bounds instead of points: what the numbers can support, given how many rows there are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

__all__ = [
    "Bounded",
    "auc",
    "auc_bounds",
    "auc_error",
    "difference",
    "r2_bounds",
    "share",
    "z_for",
]

Floats = NDArray[np.float64]


class Bounded(NamedTuple):
    """A figure with its interval.

    Attributes:
        value: the figure, nan when it is not defined.
        low: lower bound.
        high: upper bound.
    """

    value: float
    low: float
    high: float


def z_for(tests: int, alpha: float = 0.001) -> float:
    """Return the normal quantile of a one-sided error `alpha` shared by `tests` looks.

    >>> round(z_for(1), 2), round(z_for(50), 2)
    (3.09, 4.11)
    """
    return float(stats.norm.isf(alpha / max(tests, 1)))


def auc(y_obs: Floats, y_pred: Floats) -> float:
    """Return the ROC AUC by ranks (ties count half), nan when a class is missing.

    >>> auc(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    positives = float(y_obs.sum())
    negatives = float(len(y_obs) - positives)
    if not positives or not negatives:
        return float("nan")
    ranks = stats.rankdata(y_pred)
    above = float(ranks[y_obs > 0].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def auc_error(area: float, positives: float, negatives: float) -> float:
    """Return the standard error of an AUC.

    Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747.

    >>> round(auc_error(0.8, 100, 100), 4)
    0.0314
    """
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    return float(np.sqrt(max(spread, 0.0) / (positives * negatives)))


def auc_bounds(area: float, positives: float, negatives: float, z: float) -> Bounded:
    """Return the AUC with the values that it would not contradict at `z` standard errors.

    The standard error is taken at the bound, not at the estimate, so that a perfect separation of
    a few rows is not called certain.

    >>> round(auc_bounds(1.0, 20, 20, 3.09).low, 2), round(auc_bounds(1.0, 500, 500, 3.09).low, 2)
    (0.77, 0.99)
    """
    if not np.isfinite(area) or positives < 1 or negatives < 1:
        return Bounded(float("nan"), float("nan"), float("nan"))

    def low(a: float) -> float:
        return area - a - z * auc_error(a, positives, negatives)

    def high(a: float) -> float:
        return a - area - z * auc_error(a, positives, negatives)

    tiny = 1e-9
    top, bottom = min(area, 1 - tiny), max(area, tiny)
    lower = brentq(low, tiny, top) if low(tiny) > 0 > low(top) else 0.0
    upper = brentq(high, bottom, 1 - tiny) if high(bottom) < 0 < high(1 - tiny) else 1.0
    return Bounded(float(area), float(lower), float(upper))


def share(hits: float, of: float, z: float = 3.29) -> Bounded:
    """Return a share with its Wilson interval, doi:10.1080/01621459.1927.10502953.

    >>> [round(v, 3) for v in share(0, 100)]
    [0.0, 0.0, 0.098]
    """
    if of <= 0:
        return Bounded(float("nan"), float("nan"), float("nan"))
    p, z2 = hits / of, z * z
    middle = (p + z2 / (2 * of)) / (1 + z2 / of)
    half = z / (1 + z2 / of) * float(np.sqrt(p * (1 - p) / of + z2 / (4 * of * of)))
    return Bounded(p, max(middle - half, 0.0), min(middle + half, 1.0))


def difference(a: Bounded, b: Bounded) -> Bounded:
    """Return `a - b` of two independent shares, by Newcombe's hybrid of their Wilson intervals.

    Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I.

    >>> difference(share(50, 100), share(48, 100)).low < 0
    True
    """
    gap = a.value - b.value
    below = float(np.hypot(a.value - a.low, b.high - b.value))
    above = float(np.hypot(a.high - a.value, b.value - b.low))
    return Bounded(gap, gap - below, gap + above)


def r2_bounds(y_obs: Floats, y_pred: Floats, rows: float, z: float) -> Bounded:
    """Return the squared correlation of prediction and label, by Fisher's transformation.

    The correlation is shrunk as if three more rows had gone wrong, so that few rows prove little;
    nan when either is constant.

    >>> y = np.array([0.0, 1] * 50)
    >>> 0.8 < r2_bounds(y, y, 100, 3.0).low < 1, r2_bounds(y[:6], y[:6], 6, 3.0).low
    (True, 0.0)
    """
    if rows <= 3 or np.ptp(y_obs) == 0 or np.ptp(y_pred) == 0:
        return Bounded(float("nan"), float("nan"), float("nan"))
    r = max(float(np.corrcoef(y_obs, y_pred)[0, 1]), 0.0)
    careful = min(r * rows / (rows + 3), 1 - 1e-12)
    half = z / float(np.sqrt(max(rows - 3, 1e-9)))
    low = float(np.tanh(np.arctanh(careful) - half))
    high = float(np.tanh(np.arctanh(min(r, 1 - 1e-12)) + half))
    return Bounded(r * r, max(low, 0.0) ** 2, high**2)
