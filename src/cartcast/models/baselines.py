"""What a model must beat: the prevalence, the number of clicks, the mean amount."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.linear_model import LogisticRegression

from cartcast.errors import DataError
from cartcast.models.encoding import as_frame
from cartcast.models.table import amounts, binary_labels, row_weights

__all__ = ["CLICK_COLUMNS", "ClickCount", "MeanAmount", "Prevalence"]

Floats = NDArray[np.float64]

CLICK_COLUMNS = ("click", "clicks", "session_length", "event_order")
"""Names under which a table may carry the number of clicks, in order of preference."""


class Prevalence(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The same probability for every row: the (weighted) share of positives in training."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Prevalence:
        """Measure the prevalence."""
        labels = binary_labels(y)
        self.classes_ = np.array([0, 1])
        self.prevalence_ = float(
            np.average(labels, weights=row_weights(sample_weight, len(labels)))
        )
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Return probabilities, shape (rows, 2)."""
        return np.tile([1.0 - self.prevalence_, self.prevalence_], (len(X), 1))

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return 1 everywhere when the prevalence is at least one half, else 0."""
        return np.full(len(X), int(self.prevalence_ >= 0.5), dtype=np.int64)


class ClickCount(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A logistic curve of the number of clicks and nothing else.

    `column` names the number of clicks; None takes the first of `CLICK_COLUMNS` in the table.
    Where the table has none, it falls back to the prevalence and says so in `note_`.
    """

    def __init__(self, column: str | None = None) -> None:
        self.column = column

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ClickCount:
        """Fit the curve.

        Raises:
            DataError: `column` was given and is not in the table.
        """
        frame = as_frame(X)
        labels = binary_labels(y)
        weights = row_weights(sample_weight, len(labels))
        self.classes_ = np.array([0, 1])
        self.prevalence_ = float(np.average(labels, weights=weights))
        if self.column is not None and self.column not in frame.columns:
            raise DataError(f"click column {self.column!r} is not in the table.")
        names = [self.column] if self.column else [c for c in CLICK_COLUMNS if c in frame.columns]
        self.column_ = names[0] if names else None
        self.note_ = "" if names else "no click number in this table: equals the prevalence"
        if self.column_ is not None:
            terms = self._terms(frame)
            self.curve_ = LogisticRegression(C=1e3, max_iter=500)
            self.curve_.fit(terms, labels, sample_weight=weights)
        return self

    def _terms(self, frame: Any) -> Floats:
        clicks = frame[self.column_].to_numpy(dtype=np.float64, na_value=np.nan)
        log = np.log1p(np.maximum(np.nan_to_num(clicks, nan=0.0), 0.0))
        return np.column_stack([log, log**2])

    def predict_proba(self, X: Any) -> Floats:
        """Return probabilities, shape (rows, 2)."""
        if self.column_ is None:
            return np.tile([1.0 - self.prevalence_, self.prevalence_], (len(X), 1))
        return np.asarray(self.curve_.predict_proba(self._terms(as_frame(X))), dtype=np.float64)

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return 1 where the probability is at least one half."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)


class MeanAmount(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """The same amount for every row: the (weighted) mean in training."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MeanAmount:
        """Measure the mean."""
        values = amounts(y)
        self.mean_ = float(np.average(values, weights=row_weights(sample_weight, len(values))))
        return self

    def predict(self, X: Any) -> Floats:
        """Return the mean, shape (rows,)."""
        return np.full(len(X), self.mean_)
