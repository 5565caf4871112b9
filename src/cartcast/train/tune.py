"""Tuning: parameters for each model within one budget of time, on train rows only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cartcast.models.classifiers import MEMBERS
from cartcast.models.tuning import Tuning, tune
from cartcast.train.fit import DECLARATIONS, in_time
from cartcast.train.options import Options
from cartcast.train.question import Question
from cartcast.train.stages import Stages
from cartcast.train.steps import Progress

__all__ = ["params_of", "tuned"]


def tuned(
    names: Sequence[str], q: Question, options: Options, stages: Stages, progress: Progress | None
) -> Tuning:
    """Return the parameters found for each model, judged forward in time where there is a time."""
    train = q.parts["train"]
    return tune(
        _tunable(names, q.kind),
        q.kind,
        train.X,
        train.label,
        sample_weight=train.weight,
        groups=train.groups,
        order=train.table["position"] if in_time(q.split.method) else None,
        categorical=q.rows.categorical,
        budget=options.budget,
        n_jobs=options.threads,
        folder=stages.folder / "tuning",
        seed=options.seed,
        wrap=_wrap(options, q.rows.categorical),
        progress=progress,
    )


def _tunable(names: Sequence[str], kind: str) -> list[str]:
    """Return the models to search: an ensemble stands for its members."""
    wanted: list[str] = []
    for name in names:
        if DECLARATIONS[kind][name].reads == "features":
            wanted += _members(name, kind) or (name,)
    return list(dict.fromkeys(wanted))


def _members(name: str, kind: str) -> tuple[str, ...]:
    return MEMBERS.get(name, ()) if kind == "classifier" else ()


def params_of(name: str, kind: str, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the parameters of a model by path; an ensemble has those of its members.

    >>> params_of("blend", "classifier", {"lightgbm": {"model__num_leaves": 7}})
    {'lightgbm__model__num_leaves': 7}
    """
    members = _members(name, kind)
    if not members:
        return dict(found.get(name, {}))
    return {f"{m}__{path}": value for m in members for path, value in found.get(m, {}).items()}


def _wrap(options: Options, categorical: tuple[str, ...]) -> Callable[[Any], Any] | None:
    """Resampling belongs inside the folds of the search, as it does in training."""
    if options.resample is None:
        return None
    from cartcast.models.resample import resampled

    method = options.resample
    return lambda model: resampled(model, method, categorical=categorical, seed=options.seed)
