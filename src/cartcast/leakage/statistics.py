"""Bounds instead of points: what the numbers can support, given how many rows there are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cartcast.evaluate import auc as evaluated
from cartcast.evaluate.share import effective_count, wilson

__all__ = [
    "NOTHING",
    "Bounded",
    "auc_bounds",
    "counts",
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


NOTHING = Bounded(float("nan"), float("nan"), float("nan"))
"""The bounds of a figure that is not defined."""


def z_for(tests: int, alpha: float = 0.001) -> float:
    """Return the normal quantile of a one-sided error `alpha` shared by `tests` looks.

    >>> round(z_for(1), 2), round(z_for(50), 2)
    (3.09, 4.11)
    """
    return float(stats.norm.isf(alpha / max(tests, 1)))


def auc_bounds(area: float, positives: float, negatives: float, z: float) -> Bounded:
    """Return an AUC with the values that it would not contradict at `z` standard errors.

    `positives`, `negatives`: independent ones (see `counts`).
    """
    if not np.isfinite(area):
        return NOTHING
    return Bounded(float(area), *evaluated.auc_bounds(area, positives, negatives, z))


def counts(y_obs: Floats, groups: NDArray[np.int64]) -> tuple[float, float]:
    """Return how many groups of equal weight carry the positives, and how many the negatives.

    Rows of one session share a label: the sessions that bought are the positives, however many
    rows they wrote, and their share of the rows is not that of all sessions.

    >>> counts(np.array([1.0, 1, 1, 0]), np.array([0, 0, 1, 2]))
    (1.8, 1.0)
    """
    ones = np.ones(len(y_obs))
    yes, no = (effective_count(ones[s], groups[s]) for s in (y_obs > 0, y_obs <= 0))
    return yes, no


def share(hits: float, of: float, z: float = 3.29, freedom: float = float("inf")) -> Bounded:
    """Return a share of independent observations with its interval at `z` standard errors.

    >>> [round(v, 3) for v in share(0, 100)]
    [0.0, 0.0, 0.098]
    """
    if of <= 0:
        return NOTHING
    low, high = wilson(hits / of, of, 1 - 2 * float(stats.norm.sf(z)), freedom)
    return Bounded(hits / of, float(low), float(high))


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
        return NOTHING
    r = max(float(np.corrcoef(y_obs, y_pred)[0, 1]), 0.0)
    careful = min(r * rows / (rows + 3), 1 - 1e-12)
    half = z / float(np.sqrt(max(rows - 3, 1e-9)))
    low = float(np.tanh(np.arctanh(careful) - half))
    high = float(np.tanh(np.arctanh(min(r, 1 - 1e-12)) + half))
    return Bounded(r * r, max(low, 0.0) ** 2, high**2)
