"""Local contributions: how much each feature moves one session away from the average session.

Boosters tell it themselves, fast and exactly for their trees; for any other model Shapley values
are sampled against background rows. Either way the contributions of a row and the base sum to the
row's score. People are told them as points of probability.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cartcast.errors import UsageError
from cartcast.evaluate.arrays import Array, Codes, Task
from cartcast.explain.predict import log_odds, says

__all__ = ["Contributions", "contributions", "in_points"]

DRAWS = 64
"""Sampled orders of the features for each row, each used forwards and backwards."""

_STILL = 1e-9
"""A score that moves less from the average row's is at it."""


class Contributions(NamedTuple):
    """What each feature adds to each row's score.

    `values.sum(axis=1) + base` is the score of each row.
    """

    values: pd.DataFrame
    """Shape (rows, features), on `scale`."""
    base: Array
    """Shape (rows,): score of the average row."""
    scale: str
    """`log-odds`, `log-odds before calibration`, `probability` or `amount`."""
    method: str
    """`tree` (exact, from the library) or `sampled`."""


def contributions(
    model: Any,
    X: pd.DataFrame,
    background: pd.DataFrame | None = None,
    *,
    task: Task = "classifier",
    seed: int = 0,
) -> Contributions:
    """Return the contributions of every feature to every row of `X`, shape (rows, features).

    Trees of LightGBM and XGBoost: Lundberg et al. 2020, https://doi.org/10.1038/s42256-019-0138-9.
    Others need `background` rows (100 or more) to draw the average session from; Strumbelj and
    Kononenko 2014, https://doi.org/10.1007/s10115-013-0679-x

    Raises:
        UsageError: the model is not a booster and no background is given.
    """
    inner = getattr(model, "estimator", model) if hasattr(model, "curve") else model
    inner = getattr(inner, "estimator_", inner)  # resampling shifts the base only
    native = _native(inner, X)
    if native is not None:
        values, base = native
        scale = "amount" if task == "regressor" else "log-odds"
        if inner is not model:
            scale = "log-odds before calibration"
        return Contributions(values, base, scale, "tree")
    if background is None or not len(background):
        raise UsageError(
            f"{type(inner).__name__} has no contributions of its own; give background rows."
        )
    return _sampled(model, X, background, task, seed)


def in_points(model: Any, X: pd.DataFrame, background: pd.DataFrame) -> Contributions:
    """Return a classifier's contributions as points of probability, shape (rows, features).

    The score is a probability on another scale, so the contributions are drawn out by one factor
    a row: their signs and their order stay, and with the probability of the average row they sum
    to that of the row. It is read off the background rows, 100 or more.
    """
    found = contributions(model, X, background)
    p = np.asarray(says(model, X, "classifier"), float)
    moved = found.values.sum(axis=1).to_numpy()
    if found.scale == "log-odds before calibration":
        # What comes after the score never falls, so rows tell what it makes of the base.
        rows = pd.concat([background, X], ignore_index=True)
        told = contributions(model, rows)
        scores = told.values.sum(axis=1).to_numpy() + told.base
        order = np.argsort(scores, kind="stable")
        after = np.maximum.accumulate(np.asarray(says(model, rows, "classifier"), float)[order])
        usual = np.interp(found.base, scores[order], after)
    else:
        usual = 1 / (1 + np.exp(-found.base))
    still = (np.abs(moved) < _STILL) | ((p - usual) * moved <= 0)
    # The slope of the logistic curve, where there is nothing to draw out.
    factor = np.where(still, p * (1 - p), (p - usual) / np.where(still, 1.0, moved))
    return Contributions(found.values.mul(factor, axis=0), usual, "probability", found.method)


def _native(model: Any, X: pd.DataFrame) -> tuple[pd.DataFrame, Array] | None:
    encoder, inner = getattr(model, "encoder_", None), getattr(model, "model_", None)
    if encoder is None or inner is None:
        return None
    if hasattr(inner, "booster_"):
        raw = np.asarray(inner.booster_.predict(encoder.transform(X), pred_contrib=True), float)
    elif hasattr(inner, "get_booster"):
        from xgboost import DMatrix

        raw = np.asarray(
            inner.get_booster().predict(DMatrix(encoder.transform(X)), pred_contribs=True), float
        )
    else:
        return None
    values = pd.DataFrame(0.0, index=X.index, columns=[str(c) for c in X.columns])
    for k, source in enumerate(encoder.sources()):
        values[source] += raw[:, k]
    return values, raw[:, -1]


def _sampled(
    model: Any, X: pd.DataFrame, background: pd.DataFrame, task: Task, seed: int
) -> Contributions:
    rng = np.random.default_rng(seed)
    names = [str(c) for c in X.columns]
    values, base = np.zeros((len(X), len(names))), np.zeros(len(X))
    for row in range(len(X)):
        values[row], base[row] = _one(model, X.iloc[[row]], background, task, rng)
    scale = "amount" if task == "regressor" else "log-odds"
    return Contributions(pd.DataFrame(values, index=X.index, columns=names), base, scale, "sampled")


def _one(
    model: Any, row: pd.DataFrame, background: pd.DataFrame, task: Task, rng: np.random.Generator
) -> tuple[Array, float]:
    """Return the contributions of one row: walk from a background row to it, feature by feature."""
    k = row.shape[1]
    forward = np.array([rng.permutation(k) for _ in range(DRAWS)])
    orders = np.concatenate([forward, forward[:, ::-1]])
    picks = np.tile(_spread(len(background), rng), 2)
    # rank[d, f]: step at which feature f of draw d takes the value of the row.
    rank = np.argsort(orders, axis=1)
    steps = np.arange(k + 1)
    frame = {}
    for f, name in enumerate(row.columns):
        taken = (rank[:, f][:, None] < steps[None, :]).ravel()
        source = np.repeat(picks, k + 1)
        both = pd.concat([background[name], row[name]], ignore_index=True)
        frame[name] = both.array.take(np.where(taken, len(background), source))
    said = says(model, pd.DataFrame(frame), task)
    score = (said if task == "regressor" else log_odds(said)).reshape(len(orders), k + 1)
    moved = np.diff(score, axis=1)
    added = np.zeros(k)
    for d in range(len(orders)):
        added[orders[d]] += moved[d]
    return added / len(orders), float(score[:, 0].mean())


def _spread(rows: int, rng: np.random.Generator) -> Codes:
    """Return `DRAWS` background rows, none again before all were taken."""
    whole, rest = divmod(DRAWS, rows)
    again = np.tile(np.arange(rows), whole)
    return np.concatenate([again, rng.choice(rows, rest, replace=False)])
