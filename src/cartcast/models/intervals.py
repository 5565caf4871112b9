"""Intervals of the amount given purchase, and what a plain interval over all rows would hide."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from cartcast.errors import DataError, UsageError
from cartcast.models.table import row_weights

__all__ = ["AmountInterval"]

Floats = NDArray[np.float64]


class AmountInterval(BaseEstimator):  # type: ignore[misc]
    """Interval of the amount of a session that buys, by split conformal on the log scale.

    `model` is a fitted `Hurdle`; `fit` takes validation buyers, which it must not have seen. The
    interval is `exp(log m(x) + q)` with the lower and upper (1 - level) / 2 quantiles q of the log
    residuals, each at the rank that keeps coverage for finite samples: at least `level` of later
    buyers lie inside when they come from the same shop (Vovk et al. 2005,
    doi:10.1007/b106715; Lei et al. 2018, doi:10.1080/01621459.2017.1307116).
    """

    def __init__(self, model: Any, level: float = 0.9) -> None:
        self.model = model
        self.level = level

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> AmountInterval:
        """Learn the quantiles from buyers `X` with amounts `y` (> 0).

        Raises:
            UsageError: the level is not within 0 and 1.
            DataError: an amount is not positive, or there are too few buyers for the level.
        """
        if not 0 < self.level < 1:
            raise UsageError(f"level must fulfil 0 < level < 1, got {self.level}.")
        amounts = np.asarray(y, dtype=np.float64)
        if not (amounts > 0).all():
            raise DataError("an interval given purchase needs positive amounts only.")
        tail = (1 - self.level) / 2
        if len(amounts) < 1 / tail - 1:
            raise DataError(
                f"a {self.level:.0%} interval needs at least {int(np.ceil(1 / tail - 1))} buyers, "
                f"got {len(amounts)}."
            )
        residuals = np.log(amounts) - np.log(self.model.predict_given_purchase(X))
        weights = row_weights(sample_weight, len(amounts))
        self.low_ = -_upper(-residuals, weights, 1 - tail)
        self.high_ = _upper(residuals, weights, 1 - tail)
        return self

    def predict(self, X: Any) -> tuple[Floats, Floats]:
        """Return the lower and upper ends, shapes (rows,), in money."""
        centre = self.model.predict_given_purchase(X)
        return centre * np.exp(self.low_), centre * np.exp(self.high_)


def _upper(values: Floats, weights: Floats | None, share: float) -> float:
    """Weighted quantile at `share` with one more point of mean weight at infinity."""
    order = np.argsort(values)
    w = np.ones(len(values)) if weights is None else weights
    place = int(np.searchsorted(np.cumsum(w[order]), share * (w.sum() + w.mean()), side="left"))
    return float(values[order][min(place, len(values) - 1)])
