"""Ways through a search space: a grid, or a tree-structured Parzen estimator (Optuna)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cartcast.models.declaration import Choice, Declaration, Integer, Real
from cartcast.models.trials import Trial

__all__ = ["SEARCHES", "search"]

STARTUP = 6
"""Random trials of each model before the search learns from earlier ones."""

SEARCHES = ("optuna", "grid")
"""Names of the ways."""


def search(
    declaration: Declaration, method: str, points: int, seed: int
) -> Callable[[Sequence[Trial]], dict[str, Any] | None]:
    """Return a function from the trials so far to the next parameters, or None at the end."""
    space = declaration.search_space

    def one_only(past: Sequence[Trial]) -> dict[str, Any] | None:
        return None if past else {}

    if not space:
        return one_only
    if method == "grid":
        grid = _grid(declaration, points, seed)
        return lambda past: grid[len(past)] if len(past) < len(grid) else None
    return lambda past: _suggest(declaration, past, seed)


def _grid(declaration: Declaration, points: int, seed: int) -> list[dict[str, Any]]:
    """Return the default, then the grid in a seeded order, so that a cut-off grid is a sample."""
    space = declaration.search_space
    rows = [
        dict(zip(space, values, strict=True))
        for values in itertools.product(*(d.grid(points) for d in space.values()))
    ]
    shuffled = np.random.default_rng(seed).permutation(len(rows))
    return [{}, *(rows[i] for i in shuffled)]


def _suggest(declaration: Declaration, past: Sequence[Trial], seed: int) -> dict[str, Any]:
    """Return the next parameters of a tree-structured Parzen estimator; first the default.

    The study is rebuilt from the trials and the sampler seeded by their number, so that the
    suggestion is the same whether or not the search was interrupted (doi:10.1145/3292500.3330701).
    """
    if not past:
        return {}
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    dists = {name: _distribution(d) for name, d in declaration.search_space.items()}
    sampler = optuna.samplers.TPESampler(seed=seed + 7919 * len(past), n_startup_trials=STARTUP)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    for t in past:
        if not t.params:
            continue
        study.add_trial(
            optuna.trial.create_trial(value=t.loss, params=t.params, distributions=dists)
        )
    params: dict[str, Any] = study.ask(dists).params
    return params


def _distribution(dimension: Choice | Real | Integer) -> Any:
    import optuna.distributions as od

    if isinstance(dimension, Choice):
        return od.CategoricalDistribution(dimension.values)
    kind = od.IntDistribution if isinstance(dimension, Integer) else od.FloatDistribution
    return kind(dimension.low, dimension.high, log=dimension.log)
