"""What a model says of rows, whatever kind of model it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from cartcast.errors import UsageError
from cartcast.evaluate.arrays import Array, Task

__all__ = ["log_odds", "says"]

_EDGE = 1e-9


def says(model: Any, X: Any, task: Task) -> Array:
    """Return the probability of 1, or the amount, of each row, shape (n,).

    Raises:
        UsageError: the model gives no probabilities.
    """
    if task == "regressor":
        return np.asarray(model.predict(X), dtype=np.float64)
    if not hasattr(model, "predict_proba"):
        raise UsageError(f"{type(model).__name__} gives no probabilities to explain.")
    return np.asarray(model.predict_proba(X), dtype=np.float64)[:, 1]


def log_odds(p: Array) -> Array:
    """Return ln(p / (1 - p)); a probability counts as at least 1e-9 away from 0 and 1."""
    q = np.clip(p, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(q / (1 - q)))
