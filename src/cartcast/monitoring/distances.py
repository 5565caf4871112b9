"""Distances between two samples, as sizes of a shift; none of them is a test.

Counts are of the same bins or categories in both samples; numbers are two samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.spatial import distance

from cartcast.errors import UsageError

__all__ = ["Psi", "hellinger", "jensen_shannon", "l_infinity", "psi", "quantile_edges",
           "total_variation", "wasserstein"]  # fmt: skip

Floats = NDArray[np.float64]


class Psi(NamedTuple):
    """A population stability index.

    Attributes:
        value: sum of (q - p) log(q / p) over the bins.
        bias: what it is on average where nothing has changed: (B - 1) (1/n + 1/m).
        size: value less bias; negative ones mean no more than 0.
    """

    value: float
    bias: float

    @property
    def size(self) -> float:
        """The index freed of its sampling bias."""
        return self.value - self.bias


def _shares(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    p, q = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if p.shape != q.shape or p.ndim != 1:
        raise UsageError(f"both counts must be of the same bins, got {p.shape} and {q.shape}.")
    if not (p.sum() > 0 and q.sum() > 0) or (p < 0).any() or (q < 0).any():
        raise UsageError("counts must not be negative, and each sample must hold something.")
    return p / p.sum(), q / q.sum()


def psi(a: ArrayLike, b: ArrayLike, effective: tuple[float, float] | None = None) -> Psi:
    """Return the population stability index of two counts, with its bias under no change.

    Half a row is added to each bin, so that an empty one has a finite value.

    Args:
        a: rows by bin.
        b: the same of the other sample.
        effective: independent units (visitors) of each, when rows are not independent.

    >>> psi([100, 100], [100, 100]).value, psi([100, 100], [100, 100]).bias
    (0.0, 0.01)
    """
    counts = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    p, q = _shares(counts[0] + 0.5, counts[1] + 0.5)
    n, m = effective or (float(counts[0].sum()), float(counts[1].sum()))
    value = float(((q - p) * np.log(q / p)).sum())
    return Psi(value, (len(p) - 1) * (1 / n + 1 / m))


def jensen_shannon(a: ArrayLike, b: ArrayLike) -> float:
    """Return the Jensen-Shannon distance of two counts, in bits: 0 to 1.

    >>> jensen_shannon([1, 0], [0, 1])
    1.0
    """
    return float(distance.jensenshannon(*_shares(a, b), base=2))


def hellinger(a: ArrayLike, b: ArrayLike) -> float:
    """Return the Hellinger distance of two counts: 0 to 1.

    >>> hellinger([1, 0], [0, 1])
    1.0
    """
    p, q = _shares(a, b)
    return float(np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum() / 2))


def l_infinity(a: ArrayLike, b: ArrayLike) -> float:
    """Return the largest difference of a share between two counts.

    >>> l_infinity([1, 1], [3, 1])
    0.25
    """
    p, q = _shares(a, b)
    return float(np.abs(p - q).max())


def total_variation(a: ArrayLike, b: ArrayLike) -> float:
    """Return half the sum of the differences of shares: 0 to 1.

    >>> total_variation([1, 1], [3, 1])
    0.25
    """
    p, q = _shares(a, b)
    return float(np.abs(p - q).sum() / 2)


def wasserstein(a: ArrayLike, b: ArrayLike) -> float:
    """Return how far the one sample must be moved to become the other, in its own unit.

    >>> wasserstein([0, 1], [5, 6])
    5.0
    """
    return float(stats.wasserstein_distance(np.asarray(a), np.asarray(b)))


def quantile_edges(values: Floats, bins: int = 10) -> Floats:
    """Return the inner edges of bins that hold equal shares of `values`; ties give fewer bins.

    >>> quantile_edges(np.arange(100.0), bins=4).tolist()
    [24.75, 49.5, 74.25]
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return np.empty(0)
    inner: Sequence[float] = [k / bins for k in range(1, bins)]
    return np.unique(np.quantile(known, inner))
