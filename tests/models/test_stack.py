"""Weights of a blend against a search over a grid, and what its members may see."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from cartcast.models.classifiers import CLASSIFIERS, MEMBERS
from cartcast.models.fitting import Recipe
from cartcast.models.selection import log_losses
from cartcast.models.sequence import SEQUENCES
from cartcast.models.stack import PULL, Stack, blend_weights
from cartcast.train.fit import Plan


def odds_and_labels(rows: int = 4000):
    rng = np.random.default_rng(0)
    true = rng.normal(-1, 1, rows)
    odds = true[:, None] + rng.normal(0, [0.3, 0.8, 3.0], (rows, 3))
    return odds, (rng.random(rows) < 1 / (1 + np.exp(-true))).astype(int)


def test_weights_are_the_best_of_a_grid():
    odds, y = odds_and_labels()
    odds = odds[:, :2]
    shares, _ = blend_weights(odds, y)
    assert shares[0] > shares[1] >= 0

    def loss(pair):
        # The level is free while the weights are learnt: the best of a fine range.
        score = odds @ pair
        levels = [
            log_losses(y, 1 / (1 + np.exp(-(score + b)))).sum() for b in np.linspace(-0.4, 0.4, 41)
        ]
        return min(levels) + PULL / 2 * ((pair - 0.5) ** 2).sum()

    found = loss(shares)
    grid = [np.array([a, b]) for a in np.linspace(0, 1.2, 13) for b in np.linspace(0, 1.2, 13)]
    assert found <= min(loss(pair) for pair in grid) + 0.05


def test_a_fold_of_another_level_does_not_move_the_weights_or_the_level():
    odds, y = odds_and_labels()
    fold = np.repeat([0, 1], len(y) // 2)
    plain, level = blend_weights(odds, y, fold=fold)
    moved = odds + np.where(fold[:, None] == 1, -2.0, 0.0)
    shares, shifted = blend_weights(moved, y, fold=fold)
    assert shares == pytest.approx(plain, abs=0.03)
    assert shifted == pytest.approx(level, abs=0.25)


class Seen:
    """Remembers the order of the rows it is fitted on and judges."""

    log: ClassVar[list[tuple[str, np.ndarray]]] = []

    def get_params(self, deep=True):
        return {}

    def set_params(self, **params):
        return self

    def fit(self, X, y, sample_weight=None):
        Seen.log.append(("fit", X["t"].to_numpy()))
        return self

    def predict_proba(self, X):
        Seen.log.append(("judge", X["t"].to_numpy()))
        p = np.full(len(X), 0.3)
        return np.column_stack([1 - p, p])


def test_members_judge_later_rows_of_other_visitors():
    Seen.log.clear()
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"t": np.arange(600.0)})
    y = rng.integers(0, 2, 600)
    visitor = np.array([f"v{i}" for i in rng.integers(0, 400, 600)])
    Stack((("seen", Seen()),)).fit(X, y, groups=visitor, order=X["t"])
    pairs = list(zip(Seen.log[:-1:2], Seen.log[1:-1:2], strict=True))
    assert len(pairs) == 5
    for (_, fit), (_, judge) in pairs:
        assert fit.max() < judge.min()
        assert not set(visitor[fit.astype(int)]) & set(visitor[judge.astype(int)])
    assert len(Seen.log[-1][1]) == 600


def test_tuned_members_make_a_tuned_ensemble():
    found = {"lightgbm": {"model__num_leaves": 7}, "logistic_regression": {"model__C": 0.5}}
    plan = Plan("classifier", Recipe(), params=found)
    for name in MEMBERS:
        model = (
            {**CLASSIFIERS, **SEQUENCES}[name].build(0, 1, None).set_params(**plan.params_of(name))
        )
        members = dict(model.estimators)
        assert members["lightgbm"].model.num_leaves == 7
        assert members["logistic_regression"].model.C == 0.5
    assert plan.params_of("lightgbm") == {"model__num_leaves": 7}
