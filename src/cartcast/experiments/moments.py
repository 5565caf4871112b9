"""Sufficient statistics: count, means and covariances of columns over units; they add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import DataError

__all__ = ["LARGEST", "Moments"]

Floats = NDArray[np.float64]
LARGEST = 1e100
"""No value may be larger: squares of squares must be numbers."""


@dataclass(frozen=True, eq=False)
class Moments:
    """What an analysis needs to know of the units of one arm; 100 M units are a few numbers.

    Attributes:
        n: number of units.
        columns: names of the columns.
        mean: mean of each column, shape (k,).
        cov: sample covariance (divisor n - 1), shape (k, k); zeros for fewer than two units.

    >>> a = Moments.of({"y": [1.0, 2.0]}) + Moments.of({"y": [6.0]})
    >>> a.n, a.mean.tolist(), a.cov.tolist()
    (3, [3.0], [[7.0]])
    """

    n: int
    columns: tuple[str, ...]
    mean: Floats
    cov: Floats

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Moments:
        """Return the moments of columns of equal length, shape (n,) each.

        Raises:
            DataError: a value is not finite, or lengths differ.
        """
        names = tuple(values)
        rows = [np.asarray(v, dtype=np.float64) for v in values.values()]
        if len({len(r) for r in rows}) > 1:
            raise DataError(f"columns differ in length: {[len(r) for r in rows]}.")
        for name, row in zip(names, rows, strict=True):
            if bad := int((~(np.abs(row) <= LARGEST)).sum()):
                raise DataError(
                    f"{name}: {bad} of {len(row)} values are no finite numbers below {LARGEST:g}."
                )
        n = len(rows[0]) if rows else 0
        if n == 0:
            return cls(0, names, np.zeros(len(names)), np.zeros((len(names), len(names))))
        data = np.array(rows)
        mean = data.mean(axis=1)
        centred = data - mean[:, None]
        return cls(n, names, mean, centred @ centred.T / max(n - 1, 1))

    @classmethod
    def from_sums(
        cls, n: int, sums: Mapping[str, float], products: Mapping[tuple[str, str], float]
    ) -> Moments:
        """Return the moments from sums and sums of products, as other tools keep them.

        Raises:
            DataError: a variance comes out negative: the sums contradict each other.

        >>> Moments.from_sums(2, {"y": 3.0}, {("y", "y"): 5.0}).cov.tolist()
        [[0.5]]
        """
        names = tuple(sums)
        mean = np.array([sums[name] / n for name in names]) if n else np.zeros(len(names))
        cov = np.zeros((len(names), len(names)))
        for i, a in enumerate(names):
            for j, b in enumerate(names):
                total = products.get((a, b), products.get((b, a)))
                if total is None:
                    raise DataError(f"the sum of products of {a} and {b} is missing.")
                cov[i, j] = (total - n * mean[i] * mean[j]) / max(n - 1, 1)
        moments = cls(n, names, mean, cov)
        moments._check()
        return moments

    def _check(self) -> None:
        for i, name in enumerate(self.columns):
            slack = 1e-9 * max(self.mean[i] ** 2, 1e-300)
            if self.cov[i, i] < -slack:
                raise DataError(
                    f"{name}: the sum of squares is too small for the sum; variance would be "
                    f"{self.cov[i, i]:g}."
                )

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both groups of units together.

        Chan, Golub and LeVeque 1983, doi:10.1080/00031305.1983.10483115.
        """
        if self.columns != other.columns:
            raise DataError(f"columns differ: {self.columns} and {other.columns}.")
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        gap = other.mean - self.mean
        within = (self.n - 1) * self.cov + (other.n - 1) * other.cov
        between = np.outer(gap, gap) * self.n * other.n / n
        return Moments(
            n, self.columns, self.mean + gap * other.n / n, (within + between) / max(n - 1, 1)
        )

    def unit(self, name: str) -> Floats:
        """Return the unit vector of a column, shape (k,).

        Raises:
            DataError: there is no such column.
        """
        if name not in self.columns:
            raise DataError(f"no column {name!r}; there are {', '.join(self.columns)}.")
        out = np.zeros(len(self.columns))
        out[self.columns.index(name)] = 1.0
        return out

    def mean_of(self, name: str) -> float:
        """Return the mean of a column."""
        return float(self.mean @ self.unit(name))

    @classmethod
    def total(cls, parts: Sequence[Moments]) -> Moments:
        """Return the moments of several groups of units together."""
        out = parts[0]
        for part in parts[1:]:
            out += part
        return out
