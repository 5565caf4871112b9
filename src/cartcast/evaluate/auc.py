"""How sure a ROC AUC is, with few buyers too, and with rows of one visitor that stand together.

>>> y, p = np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8])
>>> auc(y, p)
0.875
"""

from __future__ import annotations

import numpy as np

from cartcast.evaluate.arrays import Array, Vectors, summed
from cartcast.evaluate.ranking import roc_auc
from cartcast.evaluate.share import effective_count

__all__ = [
    "FEWEST",
    "auc",
    "auc_bounds",
    "auc_difference",
    "auc_error",
    "auc_interval",
    "auc_seen_error",
    "carriers",
]

FEWEST = 8
"""Fewer buyers (or non-buyers) than this, in visitors of equal weight, leave an AUC unsaid."""

_PRIOR = 8.0
"""Observations that the variance by the model counts for beside the one seen: with ten buyers the
variance seen is a guess, and 0 where they are all on top."""


def auc(y_obs: Array, y_pred: Array) -> float:
    """Return the ROC AUC of any scores, shapes (n,), ties counting half; nan with one class."""
    rows = len(y_obs)
    value = roc_auc.of(Vectors(y_obs, y_pred, np.ones(rows), np.arange(rows)))
    return float("nan") if value is None else value


def auc_error(area: float, positives: float, negatives: float) -> float:
    """Return the standard error of an AUC by model.

    Hanley and McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747, their two terms
    averaged (Newcombe 2006, https://doi.org/10.1002/sim.2324, method 5): which class spreads more
    is not known.

    >>> round(auc_error(0.8, 100, 100), 4)
    0.0314
    """
    both = (area / (2 - area) + 2 * area**2 / (1 + area)) / 2 - area**2
    spread = area * (1 - area) + (positives + negatives - 2) * both
    return float(np.sqrt(max(spread, 0.0) / (positives * negatives)))


def auc_bounds(area: float, positives: float, negatives: float, z: float) -> tuple[float, float]:
    """Return the least and the greatest AUC that `area` does not contradict at `z` errors.

    The error is taken at the bound, not at the estimate, so that a perfect separation of a few
    rows is not called certain; nan where the AUC is not defined.

    >>> round(auc_bounds(1.0, 20, 20, 3.09)[0], 2), round(auc_bounds(1.0, 500, 500, 3.09)[0], 2)
    (0.77, 0.99)
    """
    from scipy.optimize import brentq

    if not np.isfinite(area) or positives < 1 or negatives < 1:
        return float("nan"), float("nan")

    def low(a: float) -> float:
        return area - a - z * auc_error(a, positives, negatives)

    def high(a: float) -> float:
        return a - area - z * auc_error(a, positives, negatives)

    tiny = 1e-9
    top, bottom = min(area, 1 - tiny), max(area, tiny)
    lower = brentq(low, tiny, top) if low(tiny) > 0 > low(top) else 0.0
    upper = brentq(high, bottom, 1 - tiny) if high(bottom) < 0 < high(1 - tiny) else 1.0
    return float(lower), float(upper)


def carriers(v: Vectors) -> tuple[float, float]:
    """Return how many visitors of equal weight carry the 1s, and how many the 0s."""
    yes = v.y_obs > 0
    return tuple(effective_count(v.weights[side], v.groups[side]) for side in (yes, ~yes))  # type: ignore[return-value]


def auc_interval(v: Vectors, level: float) -> tuple[float, float] | None:
    """Return the ends of an AUC's interval; None with fewer than `FEWEST` of either class.

    The variance over visitors (Obuchowski 1997, https://doi.org/10.2307/2533958) is weighed with
    that of `auc_error` for as many visitors, and the interval is the set of areas that the one
    seen does not contradict, the error being taken at each of them.
    """
    from scipy.stats import t

    positives, negatives = carriers(v)
    least = min(positives, negatives)
    if least < FEWEST:
        return None
    area, parts = _influence(v)
    if not parts.any():
        return area, area
    model = auc_error(area, positives, negatives)
    seen = _variance(parts, v, positives, negatives)
    times = (seen / model**2 * (least - 1) + _PRIOR) / (least - 1 + _PRIOR) if model > 0 else 1.0
    z = float(t.ppf((1 + level) / 2, least - 1 + _PRIOR)) * float(np.sqrt(times))
    return auc_bounds(area, positives, negatives, z)


def auc_difference(v: Vectors, base: Vectors, level: float) -> tuple[float, float] | None:
    """Return the ends of the interval of AUC(v) - AUC(base) on the same rows; None as above."""
    from scipy.stats import t

    positives, negatives = carriers(v)
    least = min(positives, negatives)
    if least < FEWEST:
        return None
    (area, parts), (other, others) = _influence(v), _influence(base)
    error = np.sqrt(_variance(parts - others, v, positives, negatives))
    half = float(t.ppf((1 + level) / 2, least - 1)) * float(error)
    return area - other - half, area - other + half


def auc_seen_error(v: Vectors) -> float:
    """Return the standard error of an AUC by the variance over visitors; `carriers` above 1."""
    _, parts = _influence(v)
    return float(np.sqrt(_variance(parts, v, *carriers(v))))


def _influence(v: Vectors) -> tuple[float, Array]:
    """Return the AUC and what each row adds to its error (DeLong et al. 1988)."""
    yes = v.y_obs > 0
    distinct, codes = np.unique(v.y_pred, return_inverse=True)
    hits, others = (summed(codes[s], v.weights[s], len(distinct)) for s in (yes, ~yes))
    below = (np.cumsum(others) - others / 2) / others.sum()
    above = 1 - (np.cumsum(hits) - hits / 2) / hits.sum()
    area = float(hits @ below / hits.sum())
    part = np.where(yes, (below[codes] - area) / hits.sum(), (above[codes] - area) / others.sum())
    return area, np.asarray(v.weights * part)


def _variance(parts: Array, v: Vectors, positives: float, negatives: float) -> float:
    yes, size = v.y_obs > 0, int(v.groups.max()) + 1
    a, b = (summed(v.groups[side], parts[side], size) for side in (yes, ~yes))
    value = a @ a * positives / (positives - 1) + b @ b * negatives / (negatives - 1) + 2 * (a @ b)
    return max(float(value), 0.0)
