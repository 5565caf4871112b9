"""Explanation: what drives a model, why one session got its score, how one feature works.

importance(model, X, y_obs, weights, groups, *, task, max_rows, repeats, draws, level, seed)
-> table: feature, mean_drop, low, high, direction       (held-out rows; log loss or R²)
contributions(model, X, background=None, *, task, seed)
-> Contributions(values (rows, features), base, scale, method), exact sums
in_points(model, X, background) -> the same as points of probability
describe(values, contributions, units, top=5) -> table: feature, text, contribution, words
effect(model, X, feature, *, task, weights, groups) -> table: value, prediction, low, high, share
by_click(...) -> importance at each click number: click, feature, mean_drop, low, high
"""

from __future__ import annotations

from cartcast.explain.contributions import Contributions, contributions, in_points
from cartcast.explain.effects import effect, effects
from cartcast.explain.importance import by_click, importance
from cartcast.explain.phrases import describe, phrase

__all__ = [
    "Contributions",
    "by_click",
    "contributions",
    "describe",
    "effect",
    "effects",
    "importance",
    "in_points",
    "phrase",
]
