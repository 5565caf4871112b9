"""Tuning: parameters for each model within one budget of time, on train rows only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cartcast.models.tuning import Tuning, tune
from cartcast.train.fit import DECLARATIONS
from cartcast.train.options import Options
from cartcast.train.question import Question
from cartcast.train.stages import Stages
from cartcast.train.steps import Progress

__all__ = ["tuned"]


def tuned(
    names: Sequence[str], q: Question, options: Options, stages: Stages, progress: Progress | None
) -> Tuning:
    """Return the parameters found for each model, judged forward in time where there is a time."""
    train = q.parts["train"]
    in_time = q.split.method in ("time+visitor", "order+visitor")
    return tune(
        [name for name in names if DECLARATIONS[q.kind][name].reads == "features"],
        q.kind,
        train.X,
        train.label,
        sample_weight=train.weight,
        groups=train.groups,
        order=train.table["position"] if in_time else None,
        categorical=q.rows.categorical,
        budget=options.budget,
        n_jobs=options.threads,
        folder=stages.folder / "tuning",
        seed=options.seed,
        wrap=_wrap(options, q.rows.categorical),
        progress=progress,
    )


def _wrap(options: Options, categorical: tuple[str, ...]) -> Callable[[Any], Any] | None:
    """Resampling belongs inside the folds of the search, as it does in training."""
    if options.resample is None:
        return None
    from cartcast.models.resample import resampled

    method = options.resample
    return lambda model: resampled(model, method, categorical=categorical, seed=options.seed)
