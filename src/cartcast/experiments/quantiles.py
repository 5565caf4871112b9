"""A quantile of one arm with its variance, by inverting the interval of the share below it.

Woodruff 1952, doi:10.1080/01621459.1952.10483443. Where units come in clusters, the share's
variance is that of a ratio over clusters, so dependence within a cluster is counted (Deng et al.
2018, doi:10.1145/3219819.3219919).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import ndtri

from cartcast.errors import DataError
from cartcast.experiments.difference import Linear

__all__ = ["LEAST_BEYOND", "from_bounds", "quantile"]

_Z = float(ndtri(0.975))
LEAST_BEYOND = 5
"""Units that must lie beyond the quantile on each side, below which it has no interval."""


def from_bounds(n: int, value: float, low: float, high: float) -> Linear:
    """Return the arm from a quantile and the quantiles at the ends of its share's 95 % interval.

    So other tools keep quantiles: `low` and `high` are order statistics, n the units behind them.
    """
    return Linear.plain(n, value, (n - 1) * ((high - low) / (2 * _Z)) ** 2)


def quantile(values: Any, q: float, clusters: Any = None) -> Linear | None:
    """Return the quantile of `values`, shape (n,); None where too few units lie beyond it.

    NaN values are units without one and left out; `clusters` are codes of the same shape.

    Raises:
        DataError: values and clusters differ in length.

    >>> q = quantile(np.arange(1000.0), 0.5)
    >>> q.value, round((q.variance / q.n) ** 0.5, 1)  # closed form: 1000 sqrt(1/4 / 1000) = 15.8
    (500.0, 15.8)
    """
    y = np.asarray(values, dtype=np.float64)
    groups = None if clusters is None else np.asarray(clusters)
    if groups is not None and len(groups) != len(y):
        raise DataError(f"{len(y)} values, but {len(groups)} clusters.")
    known = ~np.isnan(y)
    y, groups = y[known], None if groups is None else groups[known]
    n = len(y)
    if n * min(q, 1 - q) < LEAST_BEYOND:
        return None
    ordered = np.sort(y)
    value = float(ordered[min(int(n * q), n - 1)])
    if groups is None:
        independent, error = n, math.sqrt(q * (1 - q) / n)
    else:
        independent, error = _clustered_error(y <= value, groups)
    if independent < 2:
        return None
    low = ordered[max(math.ceil(n * (q - _Z * error)) - 1, 0)]
    high = ordered[min(math.ceil(n * (q + _Z * error)), n - 1)]
    return from_bounds(independent, value, float(low), float(high))


def _clustered_error(below: Any, groups: Any) -> tuple[int, float]:
    """Return the number of clusters, and the standard error of the share below."""
    _, codes = np.unique(groups, return_inverse=True)
    sizes = np.bincount(codes).astype(float)
    residual = np.bincount(codes, weights=below.astype(float)) - sizes * below.mean()
    count = len(sizes)
    if count < 2:
        return count, math.nan
    return count, math.sqrt(float(residual @ residual) * count / (count - 1)) / float(sizes.sum())
