"""Drivers: which features the champion's figures hang on, measured on test rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cartcast.explain import importance
from cartcast.train.fit import Fitted
from cartcast.train.options import Options
from cartcast.train.parts import Part

__all__ = ["drivers"]


def drivers(
    champion: Fitted, test: Part, units: Mapping[str, str], options: Options
) -> list[dict[str, Any]]:
    """Return the features by permutation importance, the largest loss first.

    `mean_drop` is the rise of the log loss (for money: the loss of R²) when the
    feature is shuffled among test rows, with its interval; a baseline has none.
    """
    if champion.declaration.family == "baseline":
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
