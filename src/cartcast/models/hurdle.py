"""The hurdle model of revenue: the probability of a purchase times the amount given one."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.model_selection import GroupKFold

from cartcast.errors import DataError
from cartcast.evaluate.arrays import codes_of
from cartcast.evaluate.share import effective_count
from cartcast.models.encoding import as_frame
from cartcast.models.table import amounts, row_weights

__all__ = ["MIN_BUYERS", "Hurdle"]

Floats = NDArray[np.float64]

MIN_BUYERS = 50
"""With fewer buying visitors than this in training, the amount given purchase is their mean."""


class Hurdle(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Expected revenue = P(buy) x E(amount | buy).

    `classifier` learns whether the amount is positive; `amount` learns the logarithm of positive
    amounts. The way back from the logarithm uses a smearing factor, the ratio of the mean amount
    to the mean exponential of out-of-fold predictions (whole visitors are held out, for a model
    knows again whom it has seen), so that the mean over buyers is right
    (after Duan 1983, doi:10.1080/01621459.1983.10478017, as a ratio, which a heavy tail moves
    less). `classifier=None` means every row has an amount.

    Attributes:
        classifier_: fitted classifier, or None when every training amount is positive.
        amount_: fitted model of the log amount, or None with fewer than `MIN_BUYERS` buyers.
        smearing_: factor that `exp(log prediction)` is multiplied by.
        buyers_: visitors of equal weight with a positive amount in training.
        mean_amount_: their (weighted) mean amount.
    """

    def __init__(self, classifier: Any, amount: Any, folds: int = 5, seed: int = 42) -> None:
        self.classifier = classifier
        self.amount = amount
        self.folds = folds
        self.seed = seed

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Hurdle:
        """Fit on rows `X` with amounts `y` (0 = no purchase); `groups` is the visitor of a row.

        Raises:
            DataError: an amount is negative or missing, or no row has a positive one.
        """
        frame = as_frame(X)
        values = amounts(y)
        weights = row_weights(sample_weight, len(values))
        if (values < 0).any():
            raise DataError(
                f"revenue must not be negative, {int((values < 0).sum())} rows are; "
                "net refunds out of the purchase, or predict another amount."
            )
        bought = values > 0
        if not bought.any():
            raise DataError("no row has a positive amount; there is no revenue to learn from.")
        self.feature_names_in_ = np.asarray([str(c) for c in frame.columns], dtype=object)
        self.classifier_ = None
        if self.classifier is not None and not bought.all():
            self.classifier_ = clone(self.classifier)
            self.classifier_.fit(frame, bought.astype(int), sample_weight=weights)
        part = None if weights is None else weights[bought]
        self._fit_amount(frame[bought], values[bought], part, codes_of(groups, len(values))[bought])
        return self

    def _fit_amount(
        self, frame: Any, values: Floats, weights: Floats | None, groups: NDArray[np.int64]
    ) -> None:
        w = np.ones(len(values)) if weights is None else weights
        self.buyers_ = round(effective_count(w, groups))
        self.mean_amount_ = float(np.average(values, weights=weights))
        self.amount_ = None
        self.smearing_ = 1.0
        self.note_ = ""
        if self.buyers_ < MIN_BUYERS:
            self.note_ = f"only {self.buyers_} buyers: the amount given purchase is their mean"
            return
        logs = np.log(values)
        held = np.empty(len(values))
        splitter = GroupKFold(self.folds, shuffle=True, random_state=self.seed)
        for fit, test in splitter.split(logs, groups=groups):
            inner = None if weights is None else weights[fit]
            model = clone(self.amount).fit(frame.iloc[fit], logs[fit], sample_weight=inner)
            held[test] = model.predict(frame.iloc[test])
        self.smearing_ = self.mean_amount_ / float(np.average(np.exp(held), weights=weights))
        self.log_residuals_ = logs - held
        self.amount_ = clone(self.amount).fit(frame, logs, sample_weight=weights)

    def with_classifier(self, classifier: Any) -> Hurdle:
        """Return a copy that takes P(buy) from another fitted (calibrated) classifier."""
        other = copy.copy(self)
        other.classifier_ = classifier
        return other

    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of no purchase and of a purchase, shape (rows, 2)."""
        if self.classifier_ is None:
            return np.tile([0.0, 1.0], (len(X), 1))
        return np.asarray(self.classifier_.predict_proba(X), dtype=np.float64)

    def predict_given_purchase(self, X: Any) -> Floats:
        """Return the expected amount if there is a purchase, shape (rows,)."""
        if self.amount_ is None:
            return np.full(len(X), self.mean_amount_)
        return np.asarray(np.exp(self.amount_.predict(X)) * self.smearing_, dtype=np.float64)

    def predict(self, X: Any) -> Floats:
        """Return the expected revenue, shape (rows,)."""
        proba: Floats = self.predict_proba(X)[:, 1]
        return np.asarray(proba * self.predict_given_purchase(X), dtype=np.float64)
