"""Scores of predicted amounts of money.

>>> mae([0, 10], [1, 7]), rmse([0, 10], [0, 10]), bias([0, 10], [1, 7])
(2.0, 0.0, -1.0)
>>> r2([5, 5], [4, 6]) is None  # nothing varies: undefined
True
"""

from __future__ import annotations

import numpy as np

from cartcast.evaluate.arrays import Array
from cartcast.evaluate.score import Score, ratio

__all__ = ["bias", "mae", "r2", "rmse"]


def _absolute(y: Array, p: Array) -> Array:
    return np.asarray(np.abs(p - y))


def _signed(y: Array, p: Array) -> Array:
    return np.asarray(p - y)


def _mae_pieces(y: Array, p: Array, w: Array, threshold: float) -> list[Array]:
    return [w, w * _absolute(y, p)]


def _bias_pieces(y: Array, p: Array, w: Array, threshold: float) -> list[Array]:
    return [w, w * _signed(y, p)]


def _square_pieces(y: Array, p: Array, w: Array, threshold: float) -> list[Array]:
    # Centred first: the difference of two large sums would lose the digits that matter.
    centred = y - np.average(y, weights=w)
    return [w, w * (p - y) ** 2, w * centred, w * centred**2]


def _mean(sums: list[Array]) -> Array:
    return ratio(sums[1], sums[0])


def _rmse(sums: list[Array]) -> Array:
    return np.asarray(np.sqrt(ratio(sums[1], sums[0])))


def _r2(sums: list[Array]) -> Array:
    w, error, first, second = sums
    spread = second - ratio(first**2, w)
    spread = np.where(spread > 1e-12 * np.abs(second) + 1e-300, spread, 0.0)
    return np.asarray(1.0 - ratio(error, spread))


mae = Score(
    name="mae",
    title="Mean absolute error",
    better="lower",
    functional="median",
    tasks=("regressor",),
    unit="money",
    about="Mean distance from the amount. It is least for the median, which is 0 where most do "
    "not buy: never choose a revenue model by it alone.",
    pieces=_mae_pieces,
    formula=_mean,
    loss=_absolute,
)
rmse = Score(
    name="rmse",
    title="Root mean squared error",
    better="lower",
    functional="mean",
    tasks=("regressor",),
    unit="money",
    about="Root of the mean squared distance from the amount.",
    pieces=_square_pieces,
    formula=_rmse,
)
r2 = Score(
    name="r2",
    title="R²",
    better="higher",
    functional="mean",
    tasks=("regressor",),
    unit="points",
    about="Share of the variance explained, against the mean of the same rows; below 0 is worse "
    "than that mean.",
    pieces=_square_pieces,
    formula=_r2,
)
bias = Score(
    name="bias",
    title="Bias",
    better="zero",
    functional="mean",
    tasks=("regressor",),
    unit="money",
    about="Mean of predicted minus observed; above 0 promises too much.",
    pieces=_bias_pieces,
    formula=_mean,
    loss=_signed,
)
