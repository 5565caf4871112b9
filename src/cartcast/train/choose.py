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
        UsageError: a name does not exist, is of the other kind, or needs an extra that is absent.

    >>> model_names(["lightgbm"], "classifier")
    ['prevalence', 'click_count', 'lightgbm']
    """
    wanted: list[str] = []
    for name in asked:
        wanted += _DEFAULTS[kind] if name == "default" else [name]
    other = "regressor" if kind == "classifier" else "classifier"
    for name in wanted:
        if name in DECLARATIONS[other] and name not in DECLARATIONS[kind]:
            holds = "two outcomes" if kind == "classifier" else "amounts"
            raise UsageError(
                f"{name!r} is a {other}, and the target holds {holds}: choose among "
                f"{', '.join(sorted(DECLARATIONS[kind]))}."
            )
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
