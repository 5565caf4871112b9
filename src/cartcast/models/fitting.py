"""The one place where an estimator is made, balanced, and fitted to rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sklearn.utils.validation import has_fit_parameter

from cartcast.models.declaration import Declaration
from cartcast.models.resample import resampled

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """How every estimator of a run is made and fitted.

    Attributes:
        categorical: columns treated as categories; None means by type.
        resample: `smote`, `class_weight`, `undersample` or None; undone in the probabilities.
        seed: seed of everything random.
        threads: threads of an estimator.
    """

    categorical: tuple[str, ...] | None = None
    resample: str | None = None
    seed: int = 42
    threads: int = 1

    def make(self, declaration: Declaration, rows: int, params: Mapping[str, Any]) -> Any:
        """Return a new, unfitted estimator for a table of that number of rows."""
        model = declaration.make(self.seed, rows, self.categorical, self.threads, **params)
        if declaration.kind == "regressor" or declaration.family in ("baseline", "ensemble"):
            return model
        return resampled(model, self.resample, categorical=self.categorical, seed=self.seed)

    def fit(
        self,
        declaration: Declaration,
        X: Any,
        y: Any,
        *,
        params: Mapping[str, Any] | None = None,
        sample_weight: Any = None,
        groups: Any = None,
        order: Any = None,
        amount: Any = None,
    ) -> Any:
        """Return a fitted estimator.

        `groups` (visitors) and `order` (in time) go to a model that holds rows out by itself;
        `amount` (money after the moment) to one that learns it, too.
        """
        model = self.make(declaration, len(X), params or {})
        told = {"groups": groups, "order": order, "amount": amount}
        known = {n: v for n, v in told.items() if v is not None and has_fit_parameter(model, n)}
        return model.fit(X, y, sample_weight=sample_weight, **known)
