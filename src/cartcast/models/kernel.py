"""Support vector machines: the exact kernel on small data, a Nystroem map and a line beyond."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, SVR, LinearSVC

from cartcast.models.platt import platt

__all__ = ["KERNEL_ROWS", "KernelClassifier", "KernelRegressor"]

Floats = NDArray[np.float64]

KERNEL_ROWS = 20_000
"""Beyond this many rows the exact kernel, whose time grows with their square, is given up."""


def _note(exact: bool, rows: int, limit: int, components: int) -> str:
    if exact:
        return f"exact RBF kernel on {rows:,} rows"
    return (
        f"{rows:,} rows are more than {limit:,}: a Nystroem map of {components} components "
        "and a linear machine instead of the exact kernel"
    )


class KernelClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An RBF support vector machine whose scores become probabilities by Platt's sigmoid.

    The sigmoid is fitted on a quarter of the rows that a first machine has not seen; the final
    machine then uses all rows. `note_` says which form was taken.
    """

    def __init__(
        self,
        C: float = 1.0,
        gamma: float | str = "scale",
        kernel_rows: int = KERNEL_ROWS,
        components: int = 300,
        seed: int = 42,
    ) -> None:
        self.C = C
        self.gamma = gamma
        self.kernel_rows = kernel_rows
        self.components = components
        self.seed = seed

    def fit(self, X: Floats, y: Any, sample_weight: Any = None) -> KernelClassifier:
        """Fit on an encoded, scaled matrix."""
        labels = np.asarray(y)
        weights = np.ones(len(labels)) if sample_weight is None else np.asarray(sample_weight)
        exact = len(labels) <= self.kernel_rows
        self.note_ = _note(exact, len(labels), self.kernel_rows, self.components)
        self.classes_ = np.array([0, 1])
        rows = np.arange(len(labels))
        if np.bincount(labels).min() >= 4:
            fit, held = train_test_split(
                rows, test_size=0.25, stratify=labels, random_state=self.seed
            )
        else:
            fit = held = rows
        first = self._machine(exact, len(fit), X)
        self._fit(first, X[fit], labels[fit], weights[fit])
        scores = np.asarray(first.decision_function(X[held]), dtype=np.float64)
        self.slope_, self.offset_ = platt(scores, labels[held], weights[held])
        self.machine_ = self._machine(exact, len(labels), X)
        self._fit(self.machine_, X, labels, weights)
        return self

    def _machine(self, exact: bool, rows: int, X: Floats) -> Any:
        if exact:
            return SVC(C=self.C, gamma=self.gamma, cache_size=500)
        gamma = 1.0 / (X.shape[1] * max(X.var(), 1e-12)) if self.gamma == "scale" else self.gamma
        n = min(self.components, rows)
        return make_pipeline(
            Nystroem(gamma=gamma, n_components=n, random_state=self.seed),
            LinearSVC(C=self.C, dual=False, random_state=self.seed, max_iter=5000),
        )

    @staticmethod
    def _fit(machine: Any, X: Floats, y: Any, weights: Floats) -> None:
        if isinstance(machine, SVC):
            machine.fit(X, y, sample_weight=weights)
        else:
            machine.fit(X, y, linearsvc__sample_weight=weights)

    def predict_proba(self, X: Floats) -> Floats:
        """Return probabilities, shape (rows, 2)."""
        odds = self.slope_ * np.asarray(self.machine_.decision_function(X)) + self.offset_
        p = 1 / (1 + np.exp(-odds))
        return np.column_stack([1 - p, p])

    def predict(self, X: Floats) -> NDArray[np.int64]:
        """Return 1 where the probability is at least one half."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)


class KernelRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """RBF support vector regression on a standardised target; same rule beyond `kernel_rows`."""

    def __init__(
        self,
        C: float = 1.0,
        epsilon: float = 0.1,
        gamma: float | str = "scale",
        kernel_rows: int = KERNEL_ROWS,
        components: int = 300,
        seed: int = 42,
    ) -> None:
        self.C = C
        self.epsilon = epsilon
        self.gamma = gamma
        self.kernel_rows = kernel_rows
        self.components = components
        self.seed = seed

    def fit(self, X: Floats, y: Any, sample_weight: Any = None) -> KernelRegressor:
        """Fit on an encoded, scaled matrix."""
        target = np.asarray(y, dtype=np.float64)
        exact = len(target) <= self.kernel_rows
        self.note_ = _note(exact, len(target), self.kernel_rows, self.components)
        self.centre_, self.spread_ = float(target.mean()), float(target.std()) or 1.0
        scaled = (target - self.centre_) / self.spread_
        if exact:
            self.machine_ = SVR(C=self.C, epsilon=self.epsilon, gamma=self.gamma, cache_size=500)
            self.machine_.fit(X, scaled, sample_weight=sample_weight)
            return self
        gamma = 1.0 / (X.shape[1] * max(X.var(), 1e-12)) if self.gamma == "scale" else self.gamma
        n = min(self.components, len(target))
        self.machine_ = make_pipeline(
            Nystroem(gamma=gamma, n_components=n, random_state=self.seed), Ridge(1.0 / self.C)
        )
        self.machine_.fit(X, scaled, ridge__sample_weight=sample_weight)
        return self

    def predict(self, X: Floats) -> Floats:
        """Return amounts, shape (rows,)."""
        return np.asarray(self.machine_.predict(X) * self.spread_ + self.centre_, dtype=np.float64)
