"""A stack: several models blended on predictions for rows that they have not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from sklearn.base import ClassifierMixin, clone
from sklearn.utils.metaestimators import _BaseComposition

from cartcast.errors import DataError
from cartcast.models.encoding import as_frame
from cartcast.models.folds import Fold, inner_folds
from cartcast.models.platt import logit
from cartcast.models.table import binary_labels, row_weights

__all__ = ["ONE_FOLD_ROWS", "Stack", "blend_weights"]

Floats = NDArray[np.float64]

ONE_FOLD_ROWS = 50_000
"""From this many rows the weights are learnt on one held-out fold: it is large enough."""

PULL = 10.0
"""Strength, in units of the log loss of a row, by which the weights are pulled to equal ones."""


def blend_weights(
    odds: Floats, labels: Any, weights: Floats | None = None, fold: Any = None
) -> tuple[Floats, float]:
    """Return non-negative weights of log-odds that minimise the log loss, and an offset.

    Args:
        odds: log-odds of each model on rows it was not fitted on, shape (rows, models).
        labels: 0 or 1, shape (rows,).
        weights: weight of each row, mean 1.
        fold: number of the fold that each row was held out in, from 0.

    Equal weights are the prior (`PULL`), so that a few rows cannot give all to one of two models
    that hardly differ. Weights are not forced to sum to 1: each model alone may be too bold.
    Each fold has a level of its own while the weights are learnt, since a later month that buys
    more says nothing about the weights; the offset returned keeps the mean of the models.

    >>> odds = np.array([[2.0, 0.0], [-2.0, 0.0]] * 50)
    >>> shares, offset = blend_weights(odds, [1, 0] * 50)
    >>> bool(shares[0] > shares[1]), round(offset, 3)
    (True, 0.0)
    """
    y = np.asarray(labels, dtype=np.float64)
    w = np.ones(len(y)) if weights is None else weights
    of = np.zeros(len(y), dtype=np.int64) if fold is None else np.asarray(fold)
    count, levels = odds.shape[1], int(of.max()) + 1
    equal = 1.0 / count

    def loss(at: Floats) -> tuple[float, Floats]:
        score = odds @ at[:count] + at[count:][of]
        away = at[:count] - equal
        value = float(w @ (np.logaddexp(0.0, score) - y * score) + PULL / 2 * (away @ away))
        error = w * (_sigmoid(score) - y)
        slopes = odds.T @ error + PULL * away
        return value, np.concatenate([slopes, np.bincount(of, error, levels)])

    bounds = [(0.0, None)] * count + [(None, None)] * levels
    start = np.concatenate([np.full(count, equal), np.zeros(levels)])
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    shares = np.asarray(found[:count], dtype=np.float64)
    score, mean = odds @ shares, np.average(_sigmoid(odds).mean(axis=1), weights=w)
    far = float(np.abs(score).max()) + 20.0
    offset = brentq(lambda b: np.average(_sigmoid(score + b), weights=w) - mean, -far, far)
    return shares, float(offset)


def _sigmoid(score: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(score, -700, 700))), dtype=np.float64)


class Stack(ClassifierMixin, _BaseComposition):  # type: ignore[misc]
    """Blend `estimators` (pairs of name and model) by weights learnt on rows they have not seen.

    Each model predicts held-out rows; non-negative weights for the log-odds, and a level, are
    fitted to these (stacked generalisation with the constraint of Breiman 1996,
    doi:10.1007/BF00117832); then every model is fitted to all rows. Held out are later rows where
    `order` is given, whole groups where only `groups` are, else stratified folds.

    Attributes:
        models_: the fitted models, in the order of `estimators`.
        shares_: weight of each model's log-odds.
        offset_: log-odds added.
    """

    def __init__(
        self, estimators: tuple[tuple[str, Any], ...], folds: int = 5, seed: int = 42
    ) -> None:
        self.estimators = estimators
        self.folds = folds
        self.seed = seed

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; those of the models as `lightgbm__model__num_leaves`."""
        params: dict[str, Any] = self._get_params("estimators", deep=deep)
        return params

    def set_params(self, **params: Any) -> Stack:
        """Set parameters by the names of `get_params`."""
        self._set_params("estimators", **params)
        return self

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, order: Any = None
    ) -> Stack:
        """Fit the models, held out and whole, and their weights.

        Raises:
            DataError: fewer positives than folds.
        """
        frame = as_frame(X)
        labels = binary_labels(y)
        weights = row_weights(sample_weight, len(labels))
        odds, rows = [], []
        for fit, held in self._held_out(labels, groups, order):
            part = None if weights is None else weights[fit]
            fitted = [
                clone(m).fit(frame.iloc[fit], labels[fit], sample_weight=part)
                for _, m in self.estimators
            ]
            odds.append(_odds(fitted, frame.iloc[held]))
            rows.append(held)
        judged = np.concatenate(rows)
        found = blend_weights(
            np.concatenate(odds),
            labels[judged],
            None if weights is None else weights[judged],
            np.repeat(np.arange(len(rows)), [len(held) for held in rows]),
        )
        self._weighted(*found)
        self.feature_names_in_ = np.asarray([str(c) for c in frame.columns], dtype=object)
        self.models_ = [
            clone(m).fit(frame, labels, sample_weight=weights) for _, m in self.estimators
        ]
        return self

    @classmethod
    def of(cls, fitted: tuple[tuple[str, Any], ...], shares: Floats, offset: float) -> Stack:
        """Return a stack of models that are fitted, with weights that are known."""
        made = cls(tuple((name, clone(model)) for name, model in fitted))
        made.models_ = [model for _, model in fitted]
        made._weighted(shares, offset)
        first = made.models_[0]
        made.feature_names_in_ = getattr(first, "estimator_", first).feature_names_in_
        return made

    def _weighted(self, shares: Floats, offset: float) -> None:
        self.classes_ = np.array([0, 1])
        self.shares_, self.offset_ = shares, offset
        shown = zip(self.estimators, shares, strict=True)
        self.note_ = "weights of log-odds: " + ", ".join(f"{n} {s:.2f}" for (n, _), s in shown)

    def _held_out(self, labels: NDArray[np.int64], groups: Any, order: Any) -> list[Fold]:
        rarest = int(np.bincount(labels).min())
        if rarest < self.folds:
            raise DataError(
                f"{self.folds} folds need as many rows of each class, got {rarest}; "
                "take fewer folds."
            )
        order = None if order is None or len(np.unique(np.asarray(order))) < 2 else order
        found = inner_folds(labels, self.folds, groups=groups, order=order, seed=self.seed)
        return found[-1:] if len(labels) >= ONE_FOLD_ROWS else found

    def predict_proba(self, X: Any) -> Floats:
        """Return probabilities, shape (rows, 2)."""
        score = _odds(self.models_, X) @ self.shares_ + self.offset_
        p = _sigmoid(score)
        return np.column_stack([1 - p, p])

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return 1 where the probability is at least one half."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)


def _odds(models: list[Any], frame: Any) -> Floats:
    return np.column_stack([logit(m.predict_proba(frame)[:, 1]) for m in models])
