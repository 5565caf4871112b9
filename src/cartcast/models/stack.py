"""A stack: several models blended on predictions for rows that they have not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from cartcast.errors import DataError
from cartcast.models.encode import as_frame
from cartcast.models.table import binary_labels, row_weights

__all__ = ["Stack", "logit"]

Floats = NDArray[np.float64]


def logit(p: Floats) -> Floats:
    """Return log(p / (1 - p)) with p kept within 1e-6 of 0 and 1.

    >>> float(logit(np.array([0.5]))[0])
    0.0
    """
    q = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(q / (1 - q)), dtype=np.float64)


class Stack(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Blend `estimators` (pairs of name and model) by weights learnt out of fold.

    Each model predicts rows that it was not fitted on (`folds` stratified folds, whole groups
    when `groups` are given). Non-negative weights for the log-odds are fitted to these
    predictions (Breiman 1996, doi:10.1007/BF00117832), and a sigmoid sets the level.
    """

    def __init__(
        self, estimators: tuple[tuple[str, Any], ...], folds: int = 5, seed: int = 42
    ) -> None:
        self.estimators = estimators
        self.folds = folds
        self.seed = seed

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Stack:
        """Fit the models, out of fold and whole, and their weights.

        Raises:
            DataError: fewer positives than folds.
        """
        frame = as_frame(X)
        labels = binary_labels(y)
        weights = row_weights(sample_weight, len(labels))
        rarest = int(np.bincount(labels).min())
        if rarest < self.folds:
            raise DataError(
                f"{self.folds} folds need as many rows of each class, got {rarest}; "
                "take fewer folds."
            )
        held = np.zeros((len(labels), len(self.estimators)))
        splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(
            self.folds, shuffle=True, random_state=self.seed
        )
        for fit, test in splitter.split(frame, labels, groups):
            part = None if weights is None else weights[fit]
            for j, (_, model) in enumerate(self.estimators):
                fitted = clone(model).fit(frame.iloc[fit], labels[fit], sample_weight=part)
                held[test, j] = logit(fitted.predict_proba(frame.iloc[test])[:, 1])
        self._blend(held, labels, weights)
        self.classes_ = np.array([0, 1])
        self.models_ = [
            clone(m).fit(frame, labels, sample_weight=weights) for _, m in self.estimators
        ]
        return self

    def _blend(self, held: Floats, labels: NDArray[np.int64], weights: Floats | None) -> None:
        root = np.ones(len(labels)) if weights is None else np.sqrt(weights)
        # Least squares of the label on probabilities is a proper score (Brier), and convex.
        p = 1 / (1 + np.exp(-held))
        shares, _ = nnls(p * root[:, None], labels * root)
        total = shares.sum()
        self.shares_ = shares / total if total > 0 else np.full(len(shares), 1 / len(shares))
        self.level_ = LogisticRegression(C=1e6, max_iter=1000)
        self.level_.fit((held @ self.shares_).reshape(-1, 1), labels, sample_weight=weights)
        names = [name for name, _ in self.estimators]
        shown = ", ".join(f"{n} {s:.2f}" for n, s in zip(names, self.shares_, strict=True))
        self.note_ = f"shares: {shown}"

    def predict_proba(self, X: Any) -> Floats:
        """Return probabilities, shape (rows, 2)."""
        frame = as_frame(X)
        odds = np.column_stack([logit(m.predict_proba(frame)[:, 1]) for m in self.models_])
        return np.asarray(self.level_.predict_proba((odds @ self.shares_).reshape(-1, 1)))

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return 1 where the probability is at least one half."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)
