"""Tuning: parameters for each model within one budget of time, on train rows only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cartcast.train.options import Options
from cartcast.train.question import Question
from cartcast.train.stages import Stages
from cartcast.train.steps import Progress

__all__ = ["tuned"]


def tuned(
    names: Sequence[str], q: Question, options: Options, stages: Stages, progress: Progress | None
) -> Mapping[str, Mapping[str, Any]]:
    """Return the parameters found for each model that has a search space."""
    from cartcast.models.tuning import tune

    train = q.parts["train"]
    return tune(
        names,
        q.kind,
        train.X,
        train.label,
        sample_weight=train.weight,
        groups=train.groups,
        order=train.table["position"],
        categorical=q.rows.categorical,
        budget=options.budget,
        folder=stages.folder / "tuning",
        seed=options.seed,
        progress=progress,
    )
