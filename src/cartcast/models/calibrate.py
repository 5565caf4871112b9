"""Calibration on validation rows, and the way back to the natural prevalence after resampling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.isotonic import isotonic_regression
from sklearn.model_selection import cross_val_predict
from sklearn.utils.validation import check_is_fitted

from cartcast.errors import DataError, UsageError
from cartcast.evaluate.arrays import codes_of
from cartcast.evaluate.share import effective_count
from cartcast.models.folds import inner_folds
from cartcast.models.platt import logit, platt
from cartcast.models.prior import to_prevalence
from cartcast.models.table import binary_labels, row_weights

__all__ = ["ISOTONIC_POSITIVES", "SIGMOID_POSITIVES", "Calibrated", "calibrate", "to_prevalence"]

Floats = NDArray[np.float64]

ISOTONIC_POSITIVES = 1000
"""At least this many visitors of the rarer class: isotonic; the free shape overfits with fewer."""

SIGMOID_POSITIVES = 20
"""Fewer than this many visitors of the rarer class: no calibration; a sigmoid would be a guess."""


TAIL = 0.01
"""Beyond the outermost points the curve moves by this share of what is left to 0 and 1."""


class Calibrated(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose probabilities pass through a monotone curve.

    Made by `calibrate` of a fitted one: `fit` learns the curve only and leaves `estimator` as it is
    (prefit). A clone, whose estimator is not fitted, learns the curve from five folds and then fits
    the estimator to all rows, as `estimator_`.
    `method` is `auto`, `isotonic`, `sigmoid` or `none`; `method_` the one taken.
    """

    def __init__(self, estimator: Any, method: str = "auto") -> None:
        self.estimator = estimator
        self.method = method

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Calibrated:
        """Learn the curve on validation rows, which the estimator must not have seen.

        `groups`: the visitor of each row, since rows of one visitor are not news.
        """
        labels = binary_labels(y)
        if _is_fitted(self.estimator):
            if hasattr(self, "estimator_"):
                del self.estimator_
            p = np.asarray(self.estimator.predict_proba(X)[:, 1], dtype=np.float64)
            return self.fit_curve(p, labels, sample_weight, groups)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        said = cross_val_predict(
            self.estimator, X, labels, method="predict_proba", params=weights,
            cv=inner_folds(labels, 5, groups=groups),
        )  # fmt: skip
        self.estimator_: Any = clone(self.estimator).fit(X, labels, **weights)
        return self.fit_curve(said[:, 1], labels, sample_weight, groups)

    def fit_curve(
        self, p: Floats, labels: Any, sample_weight: Any = None, groups: Any = None
    ) -> Calibrated:
        """Learn the curve from probabilities and labels that are at hand."""
        labels = binary_labels(labels)
        weights = row_weights(sample_weight, len(labels))
        independent, news = _independent(labels, weights, groups)
        self.classes_ = np.array([0, 1])
        self.method_ = self._rule(independent)
        if self.method_ == "isotonic":
            self.x_, self.y_ = _centred(p, labels, weights)
        elif self.method_ == "sigmoid":
            self.slope_, self.offset_ = platt(logit(p), labels, weights, news)
        return self

    def _rule(self, rarest: float) -> str:
        known = ("auto", "isotonic", "sigmoid", "none")
        if self.method not in known:
            raise UsageError(f"calibration must be one of {', '.join(known)}, got {self.method!r}.")
        if self.method != "auto":
            return self.method
        if rarest >= ISOTONIC_POSITIVES:
            return "isotonic"
        return "sigmoid" if rarest >= SIGMOID_POSITIVES else "none"

    def curve(self, p: Any) -> Floats:
        """Return calibrated probabilities for probabilities of the estimator."""
        q = np.asarray(p, dtype=np.float64)
        if self.method_ == "isotonic":
            return np.asarray(np.interp(q, self.x_, self.y_), dtype=np.float64)
        if self.method_ == "sigmoid":
            return np.asarray(1 / (1 + np.exp(-(self.slope_ * logit(q) + self.offset_))))
        return q

    def predict_proba(self, X: Any) -> Floats:
        """Return probabilities, shape (rows, 2)."""
        estimator = getattr(self, "estimator_", self.estimator)
        p = self.curve(estimator.predict_proba(X)[:, 1])
        return np.column_stack([1 - p, p])

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return 1 where the probability is at least one half."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)


def _is_fitted(estimator: Any) -> bool:
    """Return whether an estimator has learnt something, or has nothing to learn."""
    if not hasattr(estimator, "fit"):
        return True
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


def _independent(
    labels: NDArray[np.int64], weights: Floats | None, groups: Any
) -> tuple[float, float]:
    """Return how many visitors of equal weight carry the rarer class, and visitors per row."""
    w = np.ones(len(labels)) if weights is None else weights
    codes = codes_of(groups, len(labels))
    found = []
    for side in (labels == 1, labels == 0):
        count = effective_count(w[side], codes[side])
        found.append((count, count / int(side.sum())))
    return min(found)


def _centred(p: Floats, labels: NDArray[np.int64], weights: Floats | None) -> tuple[Floats, Floats]:
    """Return the points of a strictly increasing isotonic curve.

    Isotonic regression is flat over blocks, and so ties rows that the model could tell apart.
    Centred isotonic regression (Oron & Flournoy 2017, doi:10.1080/19466315.2017.1286256) puts one
    point at the weighted middle of each block and draws lines between them. Beyond the first and
    last middle the curve continues by `TAIL` of what is left to 0 and 1.
    """
    w = np.ones(len(labels)) if weights is None else weights
    # Pseudo-rows keep the ends off 0 and 1, where one surprise costs infinite log loss.
    x = np.concatenate([p, [p.min(), p.min(), p.max(), p.max()]])
    y = np.concatenate([labels, [0.0, 1.0, 0.0, 1.0]])
    w = np.concatenate([w, [0.5] * 4])
    # Rows of one probability are one point; the regression then knows no ties in x.
    at, tied = np.unique(x, return_inverse=True)
    mass = np.bincount(tied, weights=w)
    level = isotonic_regression(np.bincount(tied, weights=w * y) / mass, sample_weight=mass)
    values, block = np.unique(level, return_inverse=True)
    middle = np.bincount(block, weights=mass * at) / np.bincount(block, weights=mass)
    low, high = values[0] * (1 - TAIL), values[-1] + TAIL * (1 - values[-1])
    points = np.concatenate([[min(0.0, middle[0] - 1e-9)], middle, [max(1.0, middle[-1] + 1e-9)]])
    return points, np.concatenate([[low], values, [high]])


def calibrate(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    method: str = "auto",
    groups: Any = None,
) -> Calibrated:
    """Return the fitted `estimator` with its probabilities calibrated on validation rows.

    `auto` takes isotonic from `ISOTONIC_POSITIVES` visitors (`groups`; rows without) of the rarer
    class, a sigmoid of the log-odds (`platt`) from `SIGMOID_POSITIVES`, and leaves the
    probabilities alone below.

    Raises:
        DataError: validation has one class only.
        UsageError: unknown method.
    """
    if not hasattr(estimator, "predict_proba"):
        raise DataError(f"{type(estimator).__name__} gives no probabilities to calibrate.")
    return Calibrated(estimator, method).fit(X, y, sample_weight, groups)
