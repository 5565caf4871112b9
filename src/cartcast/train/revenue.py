"""Expected revenue beside a probability: P(buy) of the champion times the amount given purchase."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.evaluate import scores, slices
from cartcast.evaluate.arrays import codes_of
from cartcast.evaluate.share import effective_count
from cartcast.findings import Finding, declare, finding
from cartcast.models.intervals import AmountInterval
from cartcast.models.regressors import REGRESSORS
from cartcast.train.fit import Fitted
from cartcast.train.options import Options
from cartcast.train.parts import Part
from cartcast.train.question import Question

__all__ = ["RevenuePart", "fit_revenue"]

Floats = NDArray[np.float64]
LEAST_BUYERS = 20
NOMINAL = 0.9

FEW_BUYERS = declare(
    "MD110",
    "note",
    "Too few buyers for a model of revenue",
    "An amount learned from a handful of purchases is an anecdote.",
    "Give a longer log.",
)


@dataclass(frozen=True)
class RevenuePart:
    """What a run keeps of revenue: facts, models, columns of predictions by part, figures."""

    facts: dict[str, Any] = field(default_factory=dict)
    models: dict[str, Any] = field(default_factory=dict)
    predictions: dict[str, dict[str, Floats]] = field(default_factory=dict)
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    findings: tuple[Finding, ...] = ()


def fit_revenue(q: Question, champion: Fitted, options: Options) -> RevenuePart:
    """Fit the amount given purchase on train, its interval on validation, and measure on test.

    Nothing is fitted where the label has no money behind it.
    """
    if q.kind == "regressor":
        return _interval_only(q, champion)
    if not _has_money(q):
        return RevenuePart()
    train, validation = q.parts["train"], q.parts["validation"]
    buyers = min(_buyers(p) for p in (train, validation))
    if buyers < LEAST_BUYERS:
        text = f"{buyers} independent buyers in a part, {LEAST_BUYERS} are needed."
        return RevenuePart(findings=(finding(FEW_BUYERS, text, count=buyers),))
    bought = train.label > 0
    model = REGRESSORS["hurdle"].make(options.seed, len(train), q.rows.categorical, options.threads)
    model.set_params(classifier=None)
    model.fit(
        train.X[bought],
        train.amount[bought],
        sample_weight=train.weight[bought],
        groups=train.groups[bought],
    )
    model = model.with_classifier(champion.model)
    said = {
        name: champion.predictions[name] * model.predict_given_purchase(q.parts[name].X)
        for name in ("validation", "test")
    }
    # The interval needs P(buy) of single rows of features, which a model of events cannot say.
    alone = champion.declaration.reads == "events"
    interval = _interval(model.with_classifier(None) if alone else model, validation)
    table = _figures("hurdle", said["test"], q.parts["test"])
    return RevenuePart(
        facts={"model": "hurdle", "nominal": NOMINAL, "given": "purchase", "buyers": buyers},
        models={"amount": model.with_classifier(None), "interval": interval},
        predictions={
            name: {"r__hurdle": said[name], **_ends(interval, q.parts[name])} for name in said
        },
        table=table,
    )


def _interval_only(q: Question, champion: Fitted) -> RevenuePart:
    """Interval given purchase for a run whose champion already says the money."""
    validation, test = q.parts["validation"], q.parts["test"]
    buyers = _buyers(validation)
    if champion.name != "hurdle" or buyers < LEAST_BUYERS:
        return RevenuePart(facts={"model": champion.name})
    interval = _interval(champion.model, validation)
    return RevenuePart(
        facts={"model": champion.name, "nominal": NOMINAL, "given": "purchase"},
        models={"interval": interval},
        predictions={
            "validation": _ends(interval, validation),
            "test": _ends(interval, test),
        },
    )


def _buyers(part: Part) -> int:
    """Return how many visitors of equal weight the rows with a purchase are worth."""
    bought = part.label > 0
    groups = part.groups[bought]
    return int(effective_count(part.weight[bought], codes_of(groups, len(groups))))


def _interval(model: Any, validation: Part) -> AmountInterval:
    bought = validation.amount > 0
    return AmountInterval(model, level=NOMINAL).fit(
        validation.X[bought],
        validation.amount[bought],
        validation.weight[bought],
        validation.groups[bought],
    )


def _ends(interval: AmountInterval, part: Part) -> dict[str, Floats]:
    low, high = interval.predict(part.X)
    return {"r_low": low, "r_high": high}


def _has_money(q: Question) -> bool:
    amount = q.parts["train"].amount
    return bool(np.isfinite(amount).all() and (amount > 0).any())


def _figures(name: str, said: Floats, test: Part) -> pd.DataFrame:
    task: Any = "regressor"
    return slices.measure(
        test.amount, {name: said}, test.weight, test.groups, task=task,
        scores=scores.REGRESSOR_SCORES,
    )  # fmt: skip
