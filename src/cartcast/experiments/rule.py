"""A rule of few lines: whom to treat, as a shallow tree that a marketer can read and check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import UsageError
from cartcast.experiments.difference import Estimate, mean_estimate

__all__ = ["Leaf", "Rule", "learn_rule"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Leaf:
    """One line of the rule.

    Attributes:
        conditions: all of which must hold, such as `history > 120`.
        share: of the units.
        effect: mean net effect of the treatment there, on units that the tree was not grown on.
        treat: whether the rule treats them.
    """

    conditions: tuple[str, ...]
    share: float
    effect: Estimate
    treat: bool


@dataclass(frozen=True)
class Rule:
    """Whom to treat.

    Attributes:
        leaves: one line each.
        gain: net gain per unit over treating nobody, on units that the tree was not grown on.
        over_everybody: the same over treating everybody.
    """

    leaves: tuple[Leaf, ...]
    gain: Estimate
    over_everybody: Estimate

    def lines(self) -> list[str]:
        """Return the rule in words."""
        return [
            f"{'treat' if leaf.treat else 'leave'} {leaf.share:.0%} of the units: "
            f"{' and '.join(leaf.conditions) or 'all'} (effect {leaf.effect.value:+.4g}, "
            f"{leaf.effect.low:+.4g} to {leaf.effect.high:+.4g})"
            for leaf in self.leaves
        ]


def learn_rule(
    X: pd.DataFrame,
    effects: Any,
    *,
    cost: float = 0.0,
    depth: int = 2,
    seed: int = 42,
    level: float = 0.95,
) -> Rule:
    """Return a rule from numeric features, grown on half of the units and judged on the other.

    Args:
        X: numeric features known at the exposure.
        effects: doubly robust effect of each unit, shape (n,): `Uplift.effects`.
        cost: money of treating one unit.
        depth: conditions in a line at most; 1 to 3.
        seed: of the halves.
        level: confidence of the intervals.

    Raises:
        UsageError: the depth is out of range, or a feature is not numeric.
    """
    from sklearn.tree import DecisionTreeRegressor

    if depth not in (1, 2, 3):
        raise UsageError(f"depth must be 1, 2 or 3, got {depth}.")
    texts = [c for c in X.columns if not pd.api.types.is_numeric_dtype(X[c])]
    if texts:
        raise UsageError(f"a rule reads numbers; {', '.join(map(str, texts))} are none.")
    net = np.asarray(effects, dtype=np.float64) - cost
    data = X.to_numpy(dtype=np.float64)
    half = np.random.default_rng(seed).random(len(net)) < 0.5
    tree = DecisionTreeRegressor(
        max_depth=depth, min_samples_leaf=max(50, int(half.sum() * 0.05)), random_state=seed
    ).fit(data[half], net[half])
    grown, judged = tree.apply(data[half]), tree.apply(data[~half])
    paths = _paths(tree.tree_, [str(c) for c in X.columns])
    treat = {leaf: bool(net[half][grown == leaf].mean() > 0) for leaf in paths}
    leaves = tuple(
        Leaf(paths[leaf], float((judged == leaf).mean()),
             mean_estimate(net[~half][judged == leaf], level=level), treat[leaf])
        for leaf in paths
        if (judged == leaf).sum() > 1
    )  # fmt: skip
    chosen = np.array([treat[leaf] for leaf in judged], dtype=float)
    gain = mean_estimate(net[~half] * chosen, level=level)
    return Rule(leaves, gain, mean_estimate(net[~half] * (chosen - 1), level=level))


def _paths(tree: Any, names: list[str]) -> dict[int, tuple[str, ...]]:
    """Return the conditions that lead to each leaf."""
    out: dict[int, tuple[str, ...]] = {}

    def walk(node: int, conditions: tuple[str, ...]) -> None:
        if tree.children_left[node] < 0:
            out[node] = conditions
            return
        name, at = names[tree.feature[node]], f"{tree.threshold[node]:.4g}"
        walk(tree.children_left[node], (*conditions, f"{name} <= {at}"))
        walk(tree.children_right[node], (*conditions, f"{name} > {at}"))

    walk(0, ())
    return out
