"""Uplift: how much a treatment changes the outcome of each unit, learnt from a randomised test.

Three learners over Cartcast's own models, cross-fitted by visitor, so that no unit is predicted by
a model that saw it: T (one model an arm), X (Kuenzel et al. 2019, doi:10.1073/pnas.1804597116) and
doubly robust (Kennedy 2023, doi:10.1214/23-EJS2157).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import DataError, UsageError, did_you_mean
from cartcast.experiments.policy import unit_scores
from cartcast.models.classifiers import CLASSIFIERS
from cartcast.models.regressors import REGRESSORS

__all__ = ["LEARNERS", "Uplift", "fit_uplift"]

Floats = NDArray[np.float64]
Learner = Literal["t", "x", "dr"]
LEARNERS: tuple[Learner, ...] = ("t", "x", "dr")
LEAST = 50
"""Units of an arm below which nothing is learnt."""


@dataclass(frozen=True, eq=False)
class Uplift:
    """Predictions for the units of the test, each by models that did not see it.

    Attributes:
        learner: how it was learnt.
        uplift: predicted effect, shape (n,).
        predicted: predicted outcome under control and treatment, shape (n, 2).
        scores: estimated outcome under each arm, shape (n, 2), doubly robust; see `unit_scores`.
        fold: fold of each unit, shape (n,); -1 for units that only taught: theirs are NaN.
    """

    learner: Learner
    uplift: Floats
    predicted: Floats
    scores: Floats
    fold: NDArray[np.int64]

    @property
    def effects(self) -> Floats:
        """Return each unit's unbiased, noisy effect, shape (n,)."""
        return np.asarray(self.scores[:, 1] - self.scores[:, 0])


def fit_uplift(
    X: pd.DataFrame,
    treated: Any,
    y: Any,
    *,
    propensity: float,
    learner: Learner = "dr",
    outcome_model: str | None = None,
    effect_model: str = "ridge",
    groups: Any = None,
    folds: int = 5,
    sequential: bool = False,
    seed: int = 42,
) -> Uplift:
    """Return the uplift of every unit of a randomised test of two arms.

    Args:
        X: features known at the exposure, a row a unit.
        treated: 1 for the treatment, 0 for the control, shape (n,).
        y: outcome, shape (n,); 0 and 1, or an amount.
        propensity: chance of the treatment, known from the allocation.
        learner: `t`, `x` or `dr`.
        outcome_model: name of a classifier (for 0 and 1) or regressor; default the logistic
            regression or ridge, which small effects suit better than trees.
        effect_model: name of the regressor of the effect, for `x` and `dr`.
        groups: visitor of each unit, where one has several: kept on one side of each fold.
        folds: number of folds.
        sequential: predict each fold from the folds before it alone. The first only teaches, but a
            test of the ranking is then valid: with folds that teach each other, a ranking that
            knows nothing is called good or bad too often.
        seed: of the folds and models.

    Raises:
        UsageError: an unknown learner or model, or a propensity outside 0 and 1.
        DataError: lengths differ, values are missing, or an arm has fewer than 50 units.
    """
    t, outcome = np.asarray(treated).astype(np.int64), np.asarray(y, dtype=np.float64)
    _check(X, t, outcome, propensity, learner)
    binary = bool(np.isin(outcome, (0.0, 1.0)).all())
    name = outcome_model or ("logistic_regression" if binary else "ridge")
    _known(name, binary)
    _known(effect_model, False)
    n = len(t)
    uplift, predicted = np.full(n, np.nan), np.full((n, 2), np.nan)
    fold = np.full(n, -1)
    for k, (train, test) in enumerate(_folds(t, groups, n, folds, seed, sequential)):
        fold[test] = k
        on = [train[t[train] == a] for a in (0, 1)]
        mu = [_outcome(name, binary, X.iloc[rows], outcome[rows], seed) for rows in on]
        predicted[test] = np.column_stack([m(X.iloc[test]) for m in mu])
        if learner == "t":
            uplift[test] = predicted[test, 1] - predicted[test, 0]
            continue
        inner = np.column_stack([m(X.iloc[train]) for m in mu])
        stage = _x_stage if learner == "x" else _dr_stage
        uplift[test] = stage(
            X.iloc[train], t[train], outcome[train], inner, propensity, effect_model, seed
        )(X.iloc[test])
    scores = unit_scores(outcome, t, [1 - propensity, propensity], predicted)
    return Uplift(learner, uplift, predicted, scores, fold)


def _check(X: pd.DataFrame, t: Any, y: Floats, propensity: float, learner: str) -> None:
    if learner not in LEARNERS:
        raise UsageError(f"unknown learner {learner!r}.{did_you_mean(learner, LEARNERS)}")
    if not 0 < propensity < 1:
        raise UsageError(f"propensity must fulfil 0 < propensity < 1, got {propensity}.")
    if len(X) != len(t) or len(X) != len(y):
        raise DataError(f"{len(X)} rows, {len(t)} treatments and {len(y)} outcomes.")
    if not np.isin(t, (0, 1)).all():
        raise DataError("treated must be 0 or 1; compare each further arm with the control.")
    if not np.isfinite(y).all():
        raise DataError(f"{int((~np.isfinite(y)).sum())} outcomes are not finite numbers.")
    least = min(int(t.sum()), int(len(t) - t.sum()))
    if least < LEAST:
        raise DataError(f"an arm has {least} units; uplift needs {LEAST}.")


def _known(name: str, binary: bool) -> None:
    catalogue = CLASSIFIERS if binary else REGRESSORS
    if name not in catalogue:
        kind = "classifier" if binary else "regressor"
        raise UsageError(f"unknown {kind} {name!r}.{did_you_mean(name, catalogue)}")


def _folds(
    t: Any, groups: Any, n: int, folds: int, seed: int, sequential: bool
) -> Iterator[tuple[Any, Any]]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if groups is None:
        split = StratifiedKFold(folds, shuffle=True, random_state=seed).split(np.zeros(n), t)
    else:
        grouped = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        split = grouped.split(np.zeros(n), t, np.asarray(groups))
    if not sequential:
        yield from split
        return
    parts = [test for _, test in split]
    for k in range(1, len(parts)):
        yield np.concatenate(parts[:k]), parts[k]


def _outcome(name: str, binary: bool, X: pd.DataFrame, y: Floats, seed: int) -> Any:
    """Return a function from rows to predicted outcomes; a constant outcome needs no model."""
    if np.ptp(y) == 0:
        constant = float(y[0])
        return lambda rows: np.full(len(rows), constant)
    if not binary:
        return _regressor(name, X, y, seed)
    model = CLASSIFIERS[name].make(seed=seed, n_rows=len(X)).fit(X, y.astype(np.int64))
    return lambda rows: np.asarray(model.predict_proba(rows)[:, 1], dtype=np.float64)


def _regressor(name: str, X: pd.DataFrame, y: Floats, seed: int) -> Any:
    model = REGRESSORS[name].make(seed=seed, n_rows=len(X)).fit(X, y)
    return lambda rows: np.asarray(model.predict(rows), dtype=np.float64)


def _x_stage(X: pd.DataFrame, t: Any, y: Floats, mu: Floats, e: float, name: str, seed: int) -> Any:
    on, off = t == 1, t == 0
    gained = _regressor(name, X[on], y[on] - mu[on, 0], seed)
    missed = _regressor(name, X[off], mu[off, 1] - y[off], seed)
    return lambda rows: e * missed(rows) + (1 - e) * gained(rows)


def _dr_stage(
    X: pd.DataFrame, t: Any, y: Floats, mu: Floats, e: float, name: str, seed: int
) -> Any:
    scores = unit_scores(y, t, [1 - e, e], mu)
    return _regressor(name, X, scores[:, 1] - scores[:, 0], seed)
