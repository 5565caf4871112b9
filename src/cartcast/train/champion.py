"""The champion: the simplest of the fitted models that is not worse than the best one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cartcast.models.selection import Chosen, choose
from cartcast.train.fit import BASELINES, Fitted, losses
from cartcast.train.options import Options
from cartcast.train.scorer import choose_by
from cartcast.train.task import Part, Task

__all__ = ["choose_champion", "surely_better"]


def choose_champion(
    models: Sequence[Fitted], task: Task, options: Options
) -> tuple[Fitted, Chosen]:
    """Return the champion and how it was chosen, over all rows that folds of every model judged.

    The simplest model whose loss is within one standard error of the best one's; see
    `cartcast.models.selection.choose`. One that cannot be read back from its file is judged, and
    not chosen. By a scorer of the user's own, where that was asked, the rule is the same.
    """
    rows = task.train
    models = [m for m in models if not m.facts.get("refused")]
    judged = np.isfinite(np.stack([m.held for m in models])).all(axis=0)
    if options.scorer is not None and options.choose_by == "scorer":
        chosen = choose_by(options.scorer, models, task, judged)
        return next(m for m in models if m.name == chosen.name), chosen
    loss = losses(task.kind)
    chosen = choose(
        {m.name: loss(rows.label[judged], m.held[judged]) for m in models},
        {m.name: m.declaration.simplicity for m in models},
        rows.weight[judged],
        rows.groups[judged],
        BASELINES[task.kind],
    )
    return next(m for m in models if m.name == chosen.name), chosen


def surely_better(tuned: Fitted, usual: Fitted, others: Mapping[str, Fitted], rows: Part) -> bool:
    """Return whether a model is better by more than one standard error for its tuned parameters.

    The lowest loss of many trials is luck in part. The folds judged here are not those of the
    search.
    """
    models = {"tuned": tuned, "usual": usual}
    models |= {n: m for n, m in others.items() if n in BASELINES[tuned.declaration.kind]}
    judged = np.isfinite(np.stack([m.held for m in models.values()])).all(axis=0)
    loss = losses(tuned.declaration.kind)
    chosen = choose(
        {n: loss(rows.label[judged], m.held[judged]) for n, m in models.items()},
        {"tuned": 3, "usual": 2} | {n: m.declaration.simplicity for n, m in others.items()},
        rows.weight[judged],
        rows.groups[judged],
        BASELINES[tuned.declaration.kind],
    )
    return chosen.name == "tuned"
