"""Drivers: which features the champion's figures hang on, measured on test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cartcast.explain import by_click, effects, importance
from cartcast.train.fit import Fitted
from cartcast.train.options import Options
from cartcast.train.parts import Part

__all__ = ["drivers", "drivers_by_click", "effects_of"]

SHOWN = 4
"""Number of features whose effect is kept, the most important first."""
FOLLOWED = 6
"""Number of features whose importance is kept by click."""
CLICK_ROWS = 2_000
"""Test rows at each click on which it is measured."""


def drivers(
    champion: Fitted, test: Part, units: Mapping[str, str], options: Options
) -> list[dict[str, Any]]:
    """Return the features by permutation importance, the largest loss first.

    `mean_drop` is the rise of the log loss (for money: the loss of R²) when the
    feature is shuffled among test rows, with its interval; a baseline and a model that reads no
    features have none.
    """
    if champion.declaration.family == "baseline" or champion.declaration.reads != "features":
        return []
    table = importance(
        champion.model,
        test.X,
        test.label,
        test.weight,
        test.groups,
        task=champion.declaration.kind,
        seed=options.seed,
    )
    return [
        {**{str(k): v for k, v in row.items()}, "unit": units.get(str(row["feature"]), "")}
        for row in table.to_dict("records")
    ]


def drivers_by_click(
    champion: Fitted, test: Part, important: Sequence[Mapping[str, Any]], options: Options
) -> list[dict[str, Any]]:
    """Return click, feature, mean_drop, low, high of the most important features, on test rows.

    What counts after one click need not count after ten. Nothing where rows have no click.
    """
    chosen = [str(row["feature"]) for row in important if row["mean_drop"] > 0][:FOLLOWED]
    if not chosen or test.table["click"].nunique() < 2:
        return []
    table = by_click(
        champion.model,
        test.X,
        test.label,
        test.table["click"],
        test.groups,
        weights=test.weight,
        features=chosen,
        task=champion.declaration.kind,
        max_rows=CLICK_ROWS,
        draws=100,
        seed=options.seed,
    )
    kept = table[["click", "feature", "mean_drop", "low", "high"]].to_dict("records")
    return [{str(k): v for k, v in row.items()} for row in kept]


def effects_of(
    champion: Fitted, test: Part, important: Sequence[Mapping[str, Any]], options: Options
) -> list[dict[str, Any]]:
    """Return how the prediction moves with each of the most important features, on test rows."""
    chosen = [str(row["feature"]) for row in important if row["mean_drop"] > 0][:SHOWN]
    return effects(
        champion.model,
        test.X,
        chosen,
        task=champion.declaration.kind,
        weights=test.weight,
        groups=test.groups,
        seed=options.seed,
    )
