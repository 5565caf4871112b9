"""How sure a calibration error is, when even a perfect model shows one by chance.

>>> rng = np.random.default_rng(0)
>>> p = rng.uniform(size=2000); y = (rng.uniform(size=2000) < p) * 1.0
>>> found = ece_interval(vectors(y, p), 0.9)
>>> found is not None and found[0] == 0.0  # a perfect model's error may be 0
True
"""

from __future__ import annotations

import numpy as np

from cartcast.evaluate.arrays import Array, Codes, Vectors, summed, vectors
from cartcast.evaluate.auc import FEWEST, carriers
from cartcast.evaluate.probability import ECE_BINS, mass_bins

__all__ = ["ece_interval", "vectors"]

_DRAWS = 300
_CHANCE = 4000
"""Draws of chance alone: with 300 the error told as 5 % would be 3 to 8, and always the same."""
_SURE = 1.5
"""Standard errors from which on a gap counts; smaller ones are left to chance."""


def ece_interval(v: Vectors, level: float) -> tuple[float, float] | None:
    """Return the calibration errors that the one seen does not contradict, or None.

    The sum of absolute gaps is compared with what it would be, by chance and by the gaps, for
    true errors of each size. The lower end puts the true error into the bins with a sure gap and
    leaves the others to chance, which adds most; the upper end spreads it over all bins, where
    chance adds least. So the lower end is 0 whenever a perfect model shows as much in one case of
    20 (at level 0.9): chance is then that of the predicted shares, not of those seen, which lie
    low where a gap is by chance. None with fewer than `FEWEST` buyers (see `auc.carriers`).
    """
    from scipy.stats import norm, t

    least = min(carriers(v))
    if least < FEWEST:
        return None
    gap, error, noise, null = _gaps(v)
    noise *= float(t.ppf((1 + level) / 2, least - 1) / norm.ppf((1 + level) / 2))
    size = np.abs(gap) / error
    sure = (size > _SURE) | (size == size.max())
    sign = np.where(gap < 0, -1.0, 1.0)
    low, _ = _invert(gap, noise, np.where(sure, gap, 0.0), level)
    if np.abs(gap).sum() <= np.quantile(np.abs(null).sum(axis=1), (1 + level) / 2):
        low = 0.0
    _, high = _invert(gap, noise, sign * np.maximum(np.abs(gap), error), level)
    return low, max(high, float(np.abs(gap).sum()))


def _gaps(v: Vectors) -> tuple[Array, Array, Array, Array]:
    """Return each bin's gap (times its share) and its standard error, and draws (draws, bins).

    The draws are those of this error, and those of a model whose every bin is right.
    """
    _, codes = np.unique(v.y_pred, return_inverse=True)
    mass = summed(codes, v.weights)
    which = mass_bins(mass[:, None], ECE_BINS)[:, 0].astype(np.int64)[codes]
    total, bags = v.weights.sum(), int(v.groups.max()) + 1
    rows = summed(v.groups * ECE_BINS + which, v.weights * (v.y_obs - v.y_pred), bags * ECE_BINS)
    by_visitor = rows.reshape(bags, ECE_BINS)
    gap = by_visitor.sum(axis=0) / total
    residual = by_visitor / total - np.outer(summed(v.groups, v.weights, bags) / total, gap)
    values, turned = np.linalg.eigh(residual.T @ residual)
    root = turned * np.sqrt(np.maximum(values, 0.0))
    seen = (root**2).sum(axis=1)
    error, right = (np.sqrt(each) for each in _expected(v, which, float(seen.sum())))
    draws = np.random.default_rng(0).normal(size=(_CHANCE, ECE_BINS)) @ root.T
    draws /= np.sqrt(np.where(seen > 0.0, seen, 1.0))
    return gap, error, draws[:_DRAWS] * error, draws * right


def _expected(v: Vectors, which: Codes, seen: float) -> tuple[Array, Array]:
    """Return the variance of each bin's gap by its own share of buyers, and by the predicted one.

    A bin without a buyer has no variance to be seen; two rows as predicted are added to each, and
    one design effect (the variance seen over that of single rows) serves all bins.
    """
    weight = v.weights / v.weights.mean()
    n, hits, said, squares = (
        summed(which, part, ECE_BINS)
        for part in (weight, weight * v.y_obs, weight * v.y_pred, weight**2)
    )
    filled = np.where(n > 0, n, 1.0)
    rate = hits / filled
    single = squares * rate * (1 - rate) / n.sum() ** 2
    effect = max(seen / float(single.sum()), 1.0) if single.sum() > 0 else 1.0
    told = said / filled
    rates = (hits / effect + 2 * told) / (n / effect + 2), told
    spread = [effect * squares * rate * (1 - rate) / n.sum() ** 2 for rate in rates]
    return spread[0] + 1e-18, spread[1] + 1e-18


def _invert(gap: Array, noise: Array, shape: Array, level: float) -> tuple[float, float]:
    """Return the least and greatest error of this shape that `gap` does not contradict."""
    seen, size = np.abs(gap).sum(), np.abs(shape).sum()
    if size <= 0.0:
        return 0.0, 0.0
    reach = seen + 4 * np.sqrt((noise**2).mean(axis=0).sum())
    sizes = np.linspace(0.0, reach, 101)
    drawn = np.stack([np.abs(s / size * shape + noise).sum(axis=1) for s in sizes])
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=1)
    may = np.flatnonzero((low <= seen) & (seen <= high))
    if not len(may):
        return (float(sizes[np.argmax(high >= seen)]), float(seen))
    # Between two sizes of the grid the end is the one that does not exclude.
    return float(sizes[max(may[0] - 1, 0)]), float(sizes[min(may[-1] + 1, len(sizes) - 1)])
