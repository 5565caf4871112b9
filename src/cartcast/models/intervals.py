"""Intervals of the amount given a purchase, and the measure of what a plain interval hides.

A conformal interval over all sessions may reach 90 % by covering every session that does not buy
and few that do. Here the interval is for the amount *if* there is a purchase, calibrated on buyers
only; beside it stands P(buy). `evaluate.revenue.coverage` counts both kinds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from cartcast.errors import DataError, UsageError
from cartcast.evaluate.arrays import codes_of
from cartcast.evaluate.share import effective_count
from cartcast.models.encoding import as_frame
from cartcast.models.scoring import Ends
from cartcast.models.table import amounts, row_weights

__all__ = ["AmountInterval", "PlainInterval", "conformal_quantile"]

Floats = NDArray[np.float64]


def conformal_quantile(
    scores: Any, level: float, sample_weight: Any = None, groups: Any = None
) -> float:
    """Return the value that a new score stays below with probability `level`.

    The `ceil((n + 1) level)`-th smallest of n scores (Vovk et al. 2005; Lei et al. 2018,
    doi:10.1080/01621459.2017.1307116); infinite when n is too small for the level. With weights
    the new row counts with the mean weight; with `groups` (visitors) it comes with a new visitor,
    who counts with the mean weight of a visitor (Dunn, Wasserman and Ramdas 2023,
    doi:10.1080/01621459.2022.2060112).

    Raises:
        UsageError: `level` is not within 0 and 1.

    >>> conformal_quantile(range(1, 100), 0.9)
    90.0
    """
    if not 0 < level < 1:
        raise UsageError(f"level must fulfil 0 < level < 1, got {level}.")
    values = np.asarray(scores, dtype=np.float64)
    weights = row_weights(sample_weight, len(values))
    w = np.ones(len(values)) if weights is None else weights
    order = np.argsort(values, kind="stable")
    rows_each = len(values) / effective_count(w, codes_of(groups, len(values)))
    # Without groups the new row is one row; weights alone leave it one row, too.
    new = rows_each if groups is not None else 1.0
    passed = np.cumsum(w[order]) / (w.sum() + new)
    # The small slack undoes rounding in the sum: 90 of 100 must count as 0.9.
    reached = np.flatnonzero(passed >= level - 1e-12)
    return float(values[order[reached[0]]]) if len(reached) else float("inf")


class AmountInterval(BaseEstimator):  # type: ignore[misc]
    """Split-conformal interval of the amount given a purchase, on a logarithmic scale.

    `amount` is a fitted `Hurdle` (`predict_given_purchase`, `predict`). `fit` takes validation
    rows of buyers, which the model has not seen. Each end is calibrated on its own share of
    (1 - level) / 2, and apart for low and high expected revenue (up to `bins` groups with at least
    `bin_buyers` buying visitors each), so that the interval holds in each of them, the tenth with
    the highest expected revenue too: with ten groups its coverage is its own. With fewer buyers
    the groups are wider, and inside one of them coverage differs; `groups_` says how many there
    are.

    Attributes:
        edges_: inner edges of the bins of expected revenue.
        groups_: number of bins.
        low_, high_: log distance below and above the prediction, by bin.
        buyers_: buying visitors of equal weight used.
    """

    def __init__(
        self, amount: Any, level: float = 0.9, bins: int = 10, bin_buyers: int = 40
    ) -> None:
        self.amount = amount
        self.level = level
        self.bins = bins
        self.bin_buyers = bin_buyers

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> AmountInterval:
        """Calibrate on rows `X` of buyers with amounts `y`; `groups` is the visitor of a row.

        Raises:
            DataError: an amount is not positive, or there are too few buyers for the level.
            UsageError: the level is not within 0 and 1.
        """
        return self.fit_said(self._said(X), self._expected(X), y, sample_weight, groups)

    def fit_said(
        self, said: Any, expected: Any, y: Any, sample_weight: Any = None, groups: Any = None
    ) -> AmountInterval:
        """Calibrate on what models that had not seen a row said: amount given purchase, revenue.

        Raises:
            DataError, UsageError: as `fit`.
        """
        if not 0 < self.level < 1:
            raise UsageError(f"level must fulfil 0 < level < 1, got {self.level}.")
        values = amounts(y)
        if (values <= 0).any():
            raise DataError("the interval given a purchase is calibrated on buyers only.")
        weights = row_weights(sample_weight, len(values))
        w = np.ones(len(values)) if weights is None else weights
        tail = (1 - self.level) / 2
        needed = int(np.ceil(round(1 / tail, 9))) - 1
        codes = codes_of(groups, len(values))
        independent = effective_count(w, codes)
        if independent < needed:
            raise DataError(
                f"an interval of level {self.level:g} needs {needed} buyers to calibrate on, "
                f"got {independent:.0f}; take a lower level or more data."
            )
        gap = np.log(values) - np.log(np.asarray(said, dtype=np.float64))
        self.buyers_ = round(independent)
        parts = max(1, min(self.bins, int(independent) // max(self.bin_buyers, needed)))
        self.groups_ = parts
        expected = np.asarray(expected, dtype=np.float64)
        self.edges_ = np.quantile(expected, np.arange(1, parts) / parts)
        bins = np.searchsorted(self.edges_, expected)
        whole = self._ends(gap, w, codes, tail)
        ends = [
            self._ends(gap[inside], w[inside], codes[inside], tail)
            if effective_count(w[inside], codes[inside]) >= needed
            else whole
            for inside in (bins == b for b in range(parts))
        ]
        self.low_ = np.asarray([low for low, _ in ends])
        self.high_ = np.asarray([high for _, high in ends])
        return self

    @staticmethod
    def _ends(gap: Floats, w: Floats, codes: NDArray[np.int64], tail: float) -> tuple[float, float]:
        low = conformal_quantile(-gap, 1 - tail, w, codes)
        high = conformal_quantile(gap, 1 - tail, w, codes)
        widest = float(np.abs(gap).max())
        return min(low, widest), min(high, widest)

    def _said(self, X: Any) -> Floats:
        return np.asarray(self.amount.predict_given_purchase(as_frame(X)), dtype=np.float64)

    def _expected(self, X: Any) -> Floats:
        return np.asarray(self.amount.predict(as_frame(X)), dtype=np.float64)

    def predict(self, X: Any) -> tuple[Floats, Floats]:
        """Return the low and high end of the amount given a purchase, each of shape (rows,)."""
        ends = Ends(self.edges_, self.low_, self.high_)
        return ends.around(self._said(X), self._expected(X))


class PlainInterval(BaseEstimator):  # type: ignore[misc]
    """The usual conformal interval of revenue over all sessions; for comparison, not for use.

    Expected revenue plus or minus one conformal quantile of the absolute error, cut at 0. It
    reaches its level by the sessions that do not buy.
    """

    def __init__(self, model: Any, level: float = 0.9) -> None:
        self.model = model
        self.level = level

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> PlainInterval:
        """Calibrate on all validation rows."""
        gap = np.abs(amounts(y) - np.asarray(self.model.predict(X), dtype=np.float64))
        self.reach_ = conformal_quantile(gap, self.level, sample_weight)
        return self

    def predict(self, X: Any) -> tuple[Floats, Floats]:
        """Return the low and high end of the revenue, each of shape (rows,)."""
        said = np.asarray(self.model.predict(X), dtype=np.float64)
        return np.maximum(said - self.reach_, 0.0), said + self.reach_
