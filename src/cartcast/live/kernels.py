"""The compiled part of a prediction: features to a model's columns, and to a segment's distances.

Imported late: loading Numba takes about a second.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from cartcast.models.kernels import score_one

__all__ = ["nearest", "predict_line", "predict_trees"]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _signed_log(v: float) -> float:
    return float(np.sign(v) * np.log1p(abs(v)))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _encode(
    words: Any, real: Any, number: Any, centre: Any, spread: Any, fill: Any, marks: Any,
    scale: bool, keep: bool, category: Any, first: Any, other: Any, null: Any, nothing: Any,
    level: Any, x: Any,
) -> None:  # fmt: skip
    """Write one row's columns into `x`, as the training's encoder does.

    `words` and `real` are the same memory: features by position, texts as hashes. Category `c`
    has its level hashes in `level[first[c]:first[c + 1]]` and its columns at `number columns +
    first[c] + ...`, given by `other` and `null` (-1 for none); `nothing` is its word for null.
    """
    x[:] = 0.0
    at = 0
    for i in range(number.size):
        v = real[number[i]]
        is_null = np.isnan(v)
        if scale:
            v = (_signed_log(v) - centre[i]) / spread[i]
        x[at] = fill[i] if is_null and not keep else v
        at += 1
        if marks[i]:
            x[at] = 1.0 if is_null else 0.0
            at += 1
    for c in range(category.size):
        word = words[category[c]]
        found = other[c]
        if word == nothing[c] or (nothing[c] == 0 and np.isnan(real[category[c]])):
            found = null[c]
        else:
            for k in range(first[c], first[c + 1]):
                if level[k, 0] == word:
                    found = level[k, 1]
                    break
        if found >= 0:
            x[found] = 1.0


@njit(cache=True)  # type: ignore[untyped-decorator]
def predict_trees(
    words: Any, real: Any, number: Any, centre: Any, spread: Any, fill: Any, marks: Any,
    scale: bool, keep: bool, category: Any, first: Any, other: Any, null: Any, nothing: Any,
    level: Any, x: Any, roots: Any, feature: Any, threshold: Any, null_left: Any, left: Any,
    right: Any, value: Any, base: float,
) -> float:  # fmt: skip
    """Return the raw score of one row by trees."""
    _encode(words, real, number, centre, spread, fill, marks, scale, keep, category, first, other,
            null, nothing, level, x)  # fmt: skip
    return float(score_one(x, roots, feature, threshold, null_left, left, right, value, base))


@njit(cache=True)  # type: ignore[untyped-decorator]
def predict_line(
    words: Any, real: Any, number: Any, centre: Any, spread: Any, fill: Any, marks: Any,
    scale: bool, keep: bool, category: Any, first: Any, other: Any, null: Any, nothing: Any,
    level: Any, x: Any, weights: Any, base: float,
) -> float:  # fmt: skip
    """Return the raw score of one row by a straight line."""
    _encode(words, real, number, centre, spread, fill, marks, scale, keep, category, first, other,
            null, nothing, level, x)  # fmt: skip
    total = 0.0
    for i in range(x.size):
        total += x[i] * weights[i]
    return float(total + base)


@njit(cache=True)  # type: ignore[untyped-decorator]
def nearest(
    words: Any, real: Any, number: Any, centre: Any, spread: Any, fill: Any, weight: Any,
    category: Any, level: Any, level_weight: float, centres: Any, z: Any,
) -> int:  # fmt: skip
    """Return the segment whose centre is nearest; `spread` 0 marks a share that is not scaled."""
    at = 0
    for i in range(number.size):
        v = real[number[i]]
        if not np.isfinite(v):
            v = fill[i]
        if spread[i] > 0.0:
            v = (_signed_log(v) - centre[i]) / spread[i]
        z[at] = v * weight[i]
        at += 1
    for k in range(category.size):
        z[at] = level_weight if words[category[k]] == level[k] else 0.0
        at += 1
    best, least = 0, np.inf
    for c in range(centres.shape[0]):
        distance = 0.0
        for i in range(z.size):
            distance += centres[c, i] * centres[c, i] - 2.0 * z[i] * centres[c, i]
        if distance < least:
            best, least = c, distance
    return best
