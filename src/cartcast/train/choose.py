"""Choosing: which models are trained, and which one is the champion."""

from __future__ import annotations

from collections.abc import Sequence

from cartcast.errors import UsageError
from cartcast.models.classifiers import DEFAULT_CLASSIFIERS
from cartcast.models.declaration import pick
from cartcast.models.regressors import DEFAULT_REGRESSORS
from cartcast.models.selection import Chosen, choose, log_losses, squared_errors
from cartcast.train.fit import BASELINES, DECLARATIONS, Fitted
from cartcast.train.parts import Part

__all__ = ["DECLARATIONS", "choose_champion", "model_names"]

_DEFAULTS = {"classifier": DEFAULT_CLASSIFIERS, "regressor": DEFAULT_REGRESSORS}


def model_names(asked: Sequence[str], kind: str) -> list[str]:
    """Return the models to train; the baselines always come first.

    Raises:
        UsageError: a name does not exist or needs an extra that is not installed.

    >>> model_names(["lightgbm"], "classifier")
    ['prevalence', 'click_count', 'lightgbm']
    """
    wanted: list[str] = []
    for name in asked:
        wanted += _DEFAULTS[kind] if name == "default" else [name]
    chosen = pick(DECLARATIONS[kind], wanted)
    if not chosen:
        raise UsageError("no model to train; name one with --models.")
    return list(dict.fromkeys([*BASELINES[kind], *chosen]))


def choose_champion(models: Sequence[Fitted], validation: Part, kind: str) -> tuple[Fitted, Chosen]:
    """Return the champion and how it was chosen, on validation rows.

    The simplest model whose loss is within one standard error of the best one's; see
    `cartcast.models.selection.choose`.
    """
    loss = log_losses if kind == "classifier" else squared_errors
    chosen = choose(
        {m.name: loss(validation.label, m.predictions["validation"]) for m in models},
        {m.name: m.declaration.simplicity for m in models},
        validation.weight,
        validation.groups,
    )
    return next(m for m in models if m.name == chosen.name), chosen
