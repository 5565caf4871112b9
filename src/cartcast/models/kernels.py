"""The compiled walk through trees; imported late, since Numba takes about a second to load."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["score_many", "score_one"]


@njit(cache=True)  # type: ignore[untyped-decorator]
def score_one(
    x: Any, roots: Any, feature: Any, threshold: Any, null_left: Any, left: Any, right: Any,
    value: Any, base: float,
) -> float:  # fmt: skip
    """Return base + the sum of one leaf per tree for one encoded row; NaN goes `null_left`."""
    total = base
    for t in range(roots.shape[0]):
        node = roots[t]
        while feature[node] >= 0:
            v = x[feature[node]]
            if np.isnan(v):
                go_left = null_left[node] == 1 or (null_left[node] == 2 and threshold[node] >= 0.0)
            else:
                go_left = v <= threshold[node]
            node = left[node] if go_left else right[node]
        total += value[node]
    return total


@njit(cache=True)  # type: ignore[untyped-decorator]
def score_many(
    Z: Any, roots: Any, feature: Any, threshold: Any, null_left: Any, left: Any, right: Any,
    value: Any, base: float,
) -> Any:  # fmt: skip
    """Return the score of each row of an encoded matrix."""
    out = np.empty(Z.shape[0])
    for i in range(Z.shape[0]):
        out[i] = score_one(Z[i], roots, feature, threshold, null_left, left, right, value, base)
    return out
