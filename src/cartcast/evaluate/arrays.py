"""The arrays that every score takes, checked once."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from cartcast.errors import DataError

__all__ = ["Array", "Codes", "Task", "Vectors", "codes_of", "summed", "vectors"]

Array: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.int64]
Task: TypeAlias = Literal["classifier", "regressor"]


class Vectors(NamedTuple):
    """Checked arrays of one length n."""

    y_obs: Array
    """Shape (n,): 0/1 for a classifier, else the observed amount."""
    y_pred: Array
    """Shape (n,): probability of 1, or the predicted amount."""
    weights: Array
    """Shape (n,): at least 0, with a positive sum."""
    groups: Codes
    """Shape (n,): 0 .. number of groups - 1; a row that has no group is a group of its own."""


def _vector(name: str, values: Any, length: int | None = None) -> Array:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be numbers: {error}.") from error
    if array.ndim != 1:
        raise DataError(f"{name} must have one dimension, got shape {array.shape}.")
    if length is not None and len(array) != length:
        raise DataError(f"{name} must have {length} values, as y_obs has, got {len(array)}.")
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        raise DataError(f"{name} must be finite, got {bad} null or infinite of {len(array)}.")
    return array


def summed(codes: Codes, values: Array, count: int = 0) -> Array:
    """Return the sum of `values` for each code 0 .. count-1 (or the highest code)."""
    return np.asarray(np.bincount(codes, weights=values, minlength=count), dtype=np.float64)


def codes_of(groups: Any, length: int) -> Codes:
    """Return 0 .. g-1 for each value of `groups`, shape (n,); nulls become groups of their own."""
    if groups is None:
        return np.arange(length, dtype=np.int64)
    import pandas as pd

    codes, uniques = pd.factorize(pd.Series(groups).to_numpy(), use_na_sentinel=True)
    if len(codes) != length:
        raise DataError(f"groups must have {length} values, as y_obs has, got {len(codes)}.")
    codes = codes.astype(np.int64)
    alone = codes < 0
    codes[alone] = len(uniques) + np.arange(int(alone.sum()))
    return codes


def vectors(
    y_obs: Any, y_pred: Any, weights: Any = None, groups: Any = None, *, task: Task | None = None
) -> Vectors:
    """Check observations, predictions, weights and groups, and return them as arrays.

    Raises:
        DataError: lengths differ, a value is null or infinite, a classifier's `y_obs` is not 0/1
            or its `y_pred` is not within 0 and 1, or no weight is positive.
    """
    observed = _vector("y_obs", y_obs)
    n = len(observed)
    predicted = _vector("y_pred", y_pred, n)
    if task == "classifier":
        odd = observed[(observed != 0.0) & (observed != 1.0)]
        if len(odd):
            raise DataError(f"y_obs of a classifier must be 0 or 1, got {odd[0]:g}.")
        wrong = predicted[(predicted < 0.0) | (predicted > 1.0)]
        if len(wrong):
            raise DataError(f"y_pred of a classifier must fulfil 0 <= p <= 1, got {wrong[0]:g}.")
    weight = np.ones(n) if weights is None else _vector("weights", weights, n)
    if n and weight.min() < 0.0:
        raise DataError(f"weights must be at least 0, got {weight.min():g}.")
    if n and weight.sum() <= 0.0:
        raise DataError("weights must have a positive sum, got 0.")
    return Vectors(observed, predicted, weight, codes_of(groups, n))
