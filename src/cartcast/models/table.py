"""Estimators over tables: an encoder and a model in one, so encoding stays inside the folds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.utils.validation import has_fit_parameter

from cartcast.errors import DataError
from cartcast.models.encode import Encoder
from cartcast.models.encoding import as_frame

__all__ = ["TableClassifier", "TableRegressor", "amounts", "binary_labels", "row_weights"]

Floats = NDArray[np.float64]

THREADED_ROWS = 50_000
"""Up to this many rows histogram boosting keeps to one thread."""


def binary_labels(y: Any) -> NDArray[np.int64]:
    """Return labels as 0 and 1.

    Raises:
        DataError: labels are missing, are not 0 and 1, or are all the same.
    """
    array = np.asarray(y)
    if array.dtype == object:
        missing = sum(v is None or v != v for v in array)
        if missing:
            raise DataError(_missing(missing, len(array)))
    values = array.astype(np.float64)
    missing = int(np.isnan(values).sum())
    if missing:
        raise DataError(_missing(missing, len(values)))
    found = np.unique(values)
    if not set(found.tolist()) <= {0.0, 1.0}:
        shown = ", ".join(f"{v:g}" for v in found[:4])
        raise DataError(f"a label must be 0 or 1, got {shown}; train a regressor for amounts.")
    if len(found) < 2:
        only = "no row at all" if not len(found) else f"all {len(values)} rows have {found[0]:g}"
        raise DataError(f"the label must have both classes, got one: {only}. Take more data.")
    return values.astype(np.int64)


def amounts(y: Any) -> Floats:
    """Return amounts as floats.

    Raises:
        DataError: an amount is missing or not finite, or there are none.
    """
    values = np.asarray(y, dtype=np.float64)
    missing = int((~np.isfinite(values)).sum())
    if missing:
        raise DataError(_missing(missing, len(values)))
    if len(values) < 2:
        raise DataError(f"a regressor needs at least 2 rows, got {len(values)}.")
    return values


def _missing(missing: int, total: int) -> str:
    return (
        f"the target is missing in {missing} of {total} rows; drop these rows, or say what a "
        "missing outcome means. It is never read as 0."
    )


def row_weights(sample_weight: Any, n_rows: int) -> Floats | None:
    """Return weights with mean 1, or None.

    Mean 1 keeps penalties and least leaf sizes comparable with unweighted rows.

    Raises:
        DataError: a weight is negative or not finite, or their number differs from the rows'.
    """
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n_rows,):
        raise DataError(f"one weight per row is needed: {n_rows} rows, {weights.size} weights.")
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum():
        raise DataError("weights must be finite, not negative and not all zero.")
    return np.asarray(weights * (n_rows / weights.sum()), dtype=np.float64)


def fit_model(model: Any, Z: Floats, y: Any, weights: Floats | None) -> Any:
    """Fit a clone of `model`, with weights where it supports them."""
    fitted = clone(model)
    with few_threads(fitted, len(Z)):
        if weights is not None and has_fit_parameter(fitted, "sample_weight"):
            return fitted.fit(Z, y, sample_weight=weights)
        return fitted.fit(Z, y)


@contextlib.contextmanager
def few_threads(model: Any, rows: int) -> Iterator[None]:
    """Keep histogram boosting, which has no `n_jobs`, to one thread on small tables.

    Its OpenMP threads wait for each other by spinning, which on a busy machine costs many times
    the work itself.
    """
    if not type(model).__name__.startswith("HistGradientBoosting") or rows > THREADED_ROWS:
        yield
        return
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1, user_api="openmp"):
        yield


class TableClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A binary classifier over a table: `encoder` then `model`.

    After `fit`, `encoder_` and `model_` hold the fitted parts and `classes_` is [0, 1].
    """

    def __init__(self, encoder: Encoder, model: Any) -> None:
        self.encoder = encoder
        self.model = model

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> TableClassifier:
        """Fit on rows `X` with labels `y` (0 or 1).

        Raises:
            DataError: one class, missing labels, or no usable feature.
        """
        frame = as_frame(X)
        labels = binary_labels(y)
        weights = row_weights(sample_weight, len(labels))
        self.classes_ = np.array([0, 1])
        self.feature_names_in_ = np.asarray([str(c) for c in frame.columns], dtype=object)
        self.encoder_ = clone(self.encoder).fit(frame)
        self.model_ = fit_model(self.model, self.encoder_.transform(frame), labels, weights)
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Return probabilities, shape (rows, 2): of 0 and of 1."""
        Z = self.encoder_.transform(X)
        with few_threads(self.model_, len(Z)):
            return np.asarray(self.model_.predict_proba(Z), dtype=np.float64)

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return 1 where the probability is at least one half."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)

    @property
    def note_(self) -> str:
        """What the fitted model says about its form, or an empty text."""
        return str(getattr(self.model_, "note_", ""))


class TableRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor over a table: `encoder` then `model`."""

    def __init__(self, encoder: Encoder, model: Any) -> None:
        self.encoder = encoder
        self.model = model

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> TableRegressor:
        """Fit on rows `X` with amounts `y`.

        Raises:
            DataError: missing amounts, or no usable feature.
        """
        frame = as_frame(X)
        values = amounts(y)
        weights = row_weights(sample_weight, len(values))
        self.feature_names_in_ = np.asarray([str(c) for c in frame.columns], dtype=object)
        self.encoder_ = clone(self.encoder).fit(frame)
        self.model_ = fit_model(self.model, self.encoder_.transform(frame), values, weights)
        return self

    def predict(self, X: Any) -> Floats:
        """Return expected amounts, shape (rows,)."""
        return np.asarray(self.model_.predict(self.encoder_.transform(X)), dtype=np.float64)

    @property
    def note_(self) -> str:
        """What the fitted model says about its form, or an empty text."""
        return str(getattr(self.model_, "note_", ""))
