"""Resampling inside training only: SMOTE, undersampling, class weights, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from cartcast.errors import DataError, UsageError
from cartcast.models.encoding import as_frame, is_number, levels_of
from cartcast.models.prior import to_prevalence
from cartcast.models.table import binary_labels, row_weights

__all__ = ["METHODS", "Resampled", "resampled", "smote"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

METHODS = ("none", "class_weight", "undersample", "smote")
"""Ways to balance classes; all are undone in the probabilities."""


class Resampled(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fit `estimator` to balanced classes and give probabilities at the natural prevalence.

    Resampling happens in `fit`, hence inside each training fold; `predict_proba` never resamples.

    Attributes:
        natural_: (weighted) prevalence of the training rows.
        trained_: prevalence that the estimator saw.
        rows_: rows that the estimator saw, synthetic ones included.
    """

    def __init__(
        self,
        estimator: Any,
        method: str = "smote",
        categorical: tuple[str, ...] | None = None,
        seed: int = 42,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.categorical = categorical
        self.seed = seed

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Resampled:
        """Balance the classes, then fit.

        Raises:
            UsageError: unknown method.
            DataError: too few rows of the rarer class.
        """
        if self.method not in METHODS:
            known = ", ".join(METHODS)
            raise UsageError(f"resampling must be one of {known}, got {self.method!r}.")
        frame, labels = as_frame(X), binary_labels(y)
        weights = row_weights(sample_weight, len(labels))
        self.classes_ = np.array([0, 1])
        self.natural_ = float(np.average(labels, weights=weights))
        frame, labels, weights = self._balance(frame, labels, weights)
        self.trained_ = float(np.average(labels, weights=weights))
        self.rows_ = len(labels)
        self.estimator_ = clone(self.estimator).fit(frame, labels, sample_weight=weights)
        return self

    def _balance(
        self, frame: pd.DataFrame, labels: Labels, weights: Floats | None
    ) -> tuple[pd.DataFrame, Labels, Floats | None]:
        if self.method == "class_weight":
            base = np.ones(len(labels)) if weights is None else weights
            share = np.where(labels == 1, self.natural_, 1 - self.natural_)
            return frame, labels, base * 0.5 / share
        if self.method == "undersample":
            rows = self._fewer(labels)
            return frame.iloc[rows], labels[rows], None if weights is None else weights[rows]
        if self.method == "smote":
            return smote(frame, labels, weights, self.categorical, self.seed)
        return frame, labels, weights

    def _fewer(self, labels: Labels) -> NDArray[np.intp]:
        counts = np.bincount(labels, minlength=2)
        rare = int(counts.argmin())
        rng = np.random.default_rng(self.seed)
        often = np.flatnonzero(labels != rare)
        kept = rng.choice(often, int(counts[rare]), replace=False)
        return np.sort(np.concatenate([np.flatnonzero(labels == rare), kept]))

    def predict_proba(self, X: Any) -> Floats:
        """Return probabilities at the natural prevalence, shape (rows, 2)."""
        p = self.estimator_.predict_proba(X)[:, 1]
        p = to_prevalence(p, self.trained_, self.natural_)
        return np.column_stack([1 - p, p])

    def predict(self, X: Any) -> Labels:
        """Return 1 where the probability is at least one half."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)


def smote(
    frame: pd.DataFrame,
    labels: Labels,
    weights: Floats | None = None,
    categorical: tuple[str, ...] | None = None,
    seed: int = 42,
) -> tuple[pd.DataFrame, Labels, Floats | None]:
    """Return the rows with synthetic ones of the rarer class behind them.

    Numbers are interpolated between neighbours (null counts as the median there), categories
    take the neighbours' most frequent value (SMOTE-NC; Chawla et al. 2002, doi:10.1613/jair.953).
    Synthetic rows get the mean weight of their class.

    Raises:
        DataError: fewer than two rows of the rarer class.
    """
    from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC

    counts = np.bincount(labels, minlength=2)
    if counts.min() < 2:
        raise DataError(f"SMOTE needs 2 rows of the rarer class, got {counts.min()}; use none.")
    forced = set(categorical or ())
    names = [str(c) for c in frame.columns]
    usable = [n for n in names if not pd.api.types.is_datetime64_any_dtype(frame[n])]
    words = [n for n in usable if n in forced or not is_number(frame[n])]
    table = pd.DataFrame(index=range(len(frame)))
    for name in usable:
        if name in words:
            table[name] = pd.Series([v or "" for v in levels_of(frame[name])], dtype=object)
        else:
            values = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
            middle = float(np.nanmedian(values)) if np.isfinite(values).any() else 0.0
            table[name] = np.where(np.isnan(values), middle, values)
    near = int(min(5, counts.min() - 1))
    settings = {"k_neighbors": near, "random_state": seed}
    if not words:
        sampler = SMOTE(**settings)
    elif len(words) == len(usable):
        sampler = SMOTEN(**settings)
    else:
        sampler = SMOTENC(categorical_features=words, **settings)
    grown, grown_labels = sampler.fit_resample(table, labels)
    made = pd.DataFrame(grown).iloc[len(frame) :].copy()
    for name in words:
        made[name] = made[name].astype(object).where(made[name] != "", None)
    whole = pd.concat([_plain(frame, words), made[usable]], ignore_index=True)
    new = np.asarray(grown_labels, dtype=np.int64)
    if weights is None:
        return whole, new, None
    extra = np.full(len(made), weights[labels == int(counts.argmin())].mean())
    return whole, new, np.concatenate([weights, extra])


def _plain(frame: pd.DataFrame, words: list[str]) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name in frame.columns:
        if name in words:
            columns[name] = levels_of(frame[name])
        elif is_number(frame[name]):
            columns[name] = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.DataFrame(columns)


def resampled(
    estimator: Any,
    method: str | None,
    *,
    categorical: tuple[str, ...] | None = None,
    seed: int = 42,
) -> Any:
    """Return `estimator` wrapped so that `fit` balances the classes; `none` leaves it as it is.

    Raises:
        UsageError: unknown method.
    """
    if method not in (None, *METHODS):
        raise UsageError(f"resampling must be one of {', '.join(METHODS)}, got {method!r}.")
    if method in (None, "none"):
        return estimator
    return Resampled(estimator, str(method), categorical, seed)
