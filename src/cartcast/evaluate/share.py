"""The interval of a share, however often one visitor is in it: the only one of Cartcast.

Sessions of one visitor are not independent: a share over sessions is a ratio of sums over
visitors, and its variance is that of the visitors' sums (Cochran 1977, Sampling Techniques,
section 6.3). The interval is Wilson's for the number of independent observations that have this
variance, with Student's quantile for the visitors that it rests on (Franco et al. 2019,
https://doi.org/10.1093/jssam/smy019).

>>> [round(v, 4) for v in share(2, 10)[2:]]
[0.2, 0.0567, 0.5098]
>>> eight = Clusters.of(np.repeat([0.0, 1.0], 40), np.ones(80), np.arange(80) // 8)
>>> alone, together = share(40, 80), share(40, 80, clusters=eight)
>>> alone.high - alone.low < (together.high - together.low) / 2
True
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cartcast.errors import UsageError
from cartcast.evaluate.arrays import Array, Codes, summed
from cartcast.evaluate.score import ratio

__all__ = ["Clusters", "Share", "effective_count", "share", "wilson"]


class Share(NamedTuple):
    """`did` of `of` units, as a share with its interval; all null when `of` is 0.

    Attributes:
        did: units that did it.
        of: units that could have done it.
        value: did / of, from 0 to 1.
        low: lower end of the interval.
        high: upper end of the interval.
    """

    did: int
    of: int
    value: float | None
    low: float | None
    high: float | None


class Clusters(NamedTuple):
    """Sums over clusters (visitors) of `n` (units) and `x` (units that did it), or of weights.

    Attributes:
        clusters: how many have a unit.
        n: units.
        x: units that did it.
        nn: sum of n squared.
        xx: sum of x squared.
        nx: sum of n times x.
        most: independent observations if units of one cluster are independent; 0 means `n`.
    """

    clusters: float
    n: float
    x: float
    nn: float
    xx: float
    nx: float
    most: float = 0.0

    @classmethod
    def of(cls, y_obs: Array, weights: Array, groups: Codes) -> Clusters:
        """Return the sums of rows, shapes (n,); `y_obs` is 0/1."""
        seen = np.bincount(groups) > 0
        n, x = summed(groups, weights)[seen], summed(groups, weights * y_obs)[seen]
        total = float(n.sum())
        rows = float(ratio(total**2, float(weights @ weights)))
        return cls(len(n), total, float(x.sum()), float(n @ n), float(x @ x), float(n @ x), rows)

    @property
    def size(self) -> float:
        """How many independent observations the share is worth.

        Not more than its units; with nothing to see a variance in (no unit did it, or all did),
        as many as there are clusters of equal weight (Kish 1965, Survey Sampling, section 8.2).
        """
        if self.n <= 0:
            return 0.0
        p, most = self.x / self.n, self.most or self.n
        residual = self.xx - 2 * p * self.nx + p * p * self.nn
        if self.clusters < 2 or residual <= 1e-12 * self.nn:
            return min(self.n**2 / self.nn, most)
        variance = residual / self.n**2 * self.clusters / (self.clusters - 1)
        return min(p * (1 - p) / variance, most)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the variance: the clusters of equal weight that did it, less one.

        The rarer side counts, for it carries the variance. Infinite where every cluster is one
        unit (the variance is known then), or one side is empty.
        """
        other, others = self.n - self.x, self.nn - 2 * self.nx + self.xx
        if self.clusters >= (self.most or self.n) * (1 - 1e-9) or min(self.x, other) <= 0:
            return float("inf")
        sides = (self.x**2 / self.xx, other**2 / others, self.clusters)
        return max(min(sides) - 1, 1.0)


def effective_count(weights: Array, groups: Codes) -> float:
    """Return how many groups of equal weight the rows are worth: (sum W)^2 / sum W^2.

    >>> effective_count(np.ones(6), np.array([0, 0, 0, 1, 1, 1]))
    2.0
    """
    mass = summed(groups, weights)
    return float(mass.sum() ** 2 / (mass @ mass)) if mass.sum() > 0 else 0.0


def wilson(
    share: Any, size: Any, level: float = 0.9, freedom: float = float("inf")
) -> tuple[Array, Array]:
    """Return the ends of the Wilson interval of a share seen in `size` independent observations.

    `freedom`: degrees of freedom of the variance that `size` was estimated from.
    Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953

    >>> low, high = wilson(0.0, 100, level=0.95)
    >>> round(float(low), 3), round(float(high), 3)
    (0.0, 0.037)
    """
    from scipy.stats import norm, t

    side = (1 + level) / 2
    z2 = float(norm.ppf(side)) ** 2
    p, n = np.asarray(share, float), np.asarray(size, float)
    if np.isfinite(freedom):
        n = n * z2 / float(t.ppf(side, freedom)) ** 2
    middle = ratio(p * n + z2 / 2, n + z2)
    half = ratio(np.sqrt(z2) * np.sqrt(n * p * (1 - p) + z2 / 4), n + z2)
    # At 0 and 1 the interval ends exactly there; rounding would leave 1e-18 over.
    low = np.where(p <= 0.0, 0.0, np.maximum(middle - half, 0.0))
    high = np.where(p >= 1.0, 1.0, np.minimum(middle + half, 1.0))
    return low, high


def share(did: int, of: int, level: float = 0.95, clusters: Clusters | None = None) -> Share:
    """Return `did / of` with its interval; `clusters` None means that units are independent.

    Raises:
        UsageError: the counts or the level are impossible.

    >>> share(0, 0).value is None
    True
    """
    if not 0 < level < 1:
        raise UsageError(f"level must fulfil 0 < level < 1, got {level}.")
    if not 0 <= did <= of:
        raise UsageError(f"a share needs 0 <= did <= of, got {did} of {of}.")
    if of == 0:
        return Share(0, 0, None, None, None)
    size, freedom = (of, float("inf")) if clusters is None else (clusters.size, clusters.freedom)
    low, high = wilson(did / of, size, level, freedom)
    return Share(did, of, did / of, float(low), float(high))
