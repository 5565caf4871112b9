"""A screen: which of many columns carry something, judged inside the training rows only.

A booster is fitted before each of several moments. Columns are ranked by the loss that its splits
take away; of a thing that several columns tell (how often, how lately, in what share) the best are
kept, for on few rows a booster gives a rare word little. Whether the kept columns are worth more
than those that one would have taken anyway is judged on rows after each moment, which the models
have not seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import DataError
from cartcast.models.classifiers import CLASSIFIERS
from cartcast.models.folds import Fold
from cartcast.models.platt import logit
from cartcast.models.selection import log_losses

__all__ = ["BEST", "JUDGES", "TOP", "Screened", "screen"]

TOP = 40
"""Columns kept for their rank alone."""
BEST = 4
"""Columns kept of each thing that must not be lost."""
JUDGES = ("logistic_regression", "lightgbm")
"""Models whose mean log-odds are judged: a set that only suits one kind of model is not kept."""

# One thread: on few rows a booster's threads wait for each other longer than they work.
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Screened:
    """What a screen kept.

    Attributes:
        names: kept columns, in the order of the table.
        gains: mean share of the booster's gain, by column.
        loss: mean log loss of later rows with the best columns.
        loss_of_base: the same with the base alone; None where there is no base.
    """

    names: tuple[str, ...]
    gains: Mapping[str, float]
    loss: float
    loss_of_base: float | None


def screen(
    X: pd.DataFrame,
    labels: Any,
    folds: Sequence[Fold],
    *,
    base: Collection[str] = (),
    tells: Mapping[str, str] | None = None,
    categorical: Collection[str] = (),
    groups: Any = None,
    seed: int = 42,
) -> Screened:
    """Return the columns worth keeping: the base, or the base and the best of the others.

    Args:
        X: rows of training, shape (rows, columns).
        labels: 0 or 1.
        folds: row numbers to fit on and to judge on, from `cartcast.models.folds`.
        base: columns that are kept whatever the screen says.
        tells: for some columns, the thing that they tell of; each such thing keeps `BEST` columns.
        categorical: columns of text.
        groups: visitor of each row: whose rows are not independent.
        seed: of the models.

    Raises:
        DataError: no fold.
    """
    if not folds:
        raise DataError("a screen needs rows after the ones that it learns from; give more data.")
    y = np.asarray(labels, dtype=np.float64)
    text = tuple(c for c in map(str, X.columns) if c in categorical)
    gains = _gains(X, y, folds, text, seed)
    others = [c for c in map(str, X.columns) if c not in base]
    kept = {*base, *_best(gains, others, tells or {})}
    names = tuple(c for c in map(str, X.columns) if c in kept)
    own = _held_out(X[list(names)], y, folds, text, seed)
    alone = tuple(c for c in map(str, X.columns) if c in base)
    if not alone or alone == names:
        return Screened(names, gains, float(own.mean()), None)
    other = _held_out(X[list(alone)], y, folds, text, seed)
    judged = np.concatenate([held for _, held in folds])
    visitor = judged if groups is None else np.asarray(groups, dtype=object)[judged]
    better = _is_better(other - own, visitor)
    return Screened(names if better else alone, gains, float(own.mean()), float(other.mean()))


def _best(gains: Mapping[str, float], names: Sequence[str], tells: Mapping[str, str]) -> list[str]:
    ranked = sorted((c for c in names if gains[c] > 0), key=lambda c: (-gains[c], c))
    kept = ranked[:TOP]
    taken = Counter(tells[c] for c in kept if c in tells)
    for column in ranked[TOP:]:
        thing = tells.get(column)
        if thing is not None and taken[thing] < BEST:
            taken[thing] += 1
            kept.append(column)
    return kept


def _is_better(away: Floats, visitor: Any) -> bool:
    """Return whether losses fell by more than one standard error over visitors."""
    sums = pd.Series(away).groupby(visitor).sum().to_numpy()
    return bool(sums.sum() > np.sqrt((sums**2).sum()))


def _gains(
    X: pd.DataFrame, y: Floats, folds: Sequence[Fold], text: tuple[str, ...], seed: int
) -> dict[str, float]:
    """Return the mean share of the gain that each column has."""
    total = dict.fromkeys(map(str, X.columns), 0.0)
    for fit, _ in folds:
        model = CLASSIFIERS["lightgbm"].make(seed, len(fit), text, 1)
        model.fit(X.iloc[fit], y[fit])
        gain = np.asarray(model.model_.booster_.feature_importance("gain"), dtype=np.float64)
        whole = float(gain.sum()) or 1.0
        for column, share in zip(model.encoder_.sources(), gain, strict=True):
            total[column] += float(share) / whole / len(folds)
    return total


def _held_out(
    X: pd.DataFrame, y: Floats, folds: Sequence[Fold], text: tuple[str, ...], seed: int
) -> Floats:
    """Return the log loss of each row that was held out, fold by fold."""
    used = tuple(c for c in text if c in X.columns)
    losses = []
    for fit, held in folds:
        odds = []
        for name in JUDGES:
            model = CLASSIFIERS[name].make(seed, len(fit), used, 1)
            model.fit(X.iloc[fit], y[fit])
            odds.append(logit(model.predict_proba(X.iloc[held])[:, 1]))
        p = 1 / (1 + np.exp(-np.mean(odds, axis=0)))
        losses.append(log_losses(y[held], p))
    return np.concatenate(losses)
