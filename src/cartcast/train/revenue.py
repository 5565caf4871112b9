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
from cartcast.train.fit import Fitted, Plan
from cartcast.train.task import Part

__all__ = ["Revenue", "fit_revenue"]

Floats = NDArray[np.float64]
LEAST_BUYERS = 20
NOMINAL = 0.9
HURDLE = REGRESSORS["hurdle"]

FEW_BUYERS = declare(
    "MD110",
    "note",
    "Too few buyers for a model of revenue",
    "An amount learned from a handful of purchases is an anecdote.",
    "Give a longer log.",
)


@dataclass(frozen=True)
class Revenue:
    """What is known of revenue: facts, models, predictions for held-out rows.

    Attributes:
        facts: for `run.json`.
        models: what is saved: `amount` given purchase (beside a classifier), and its `interval`.
        given: amount given purchase for each row, by models that had not seen it; NaN elsewhere.
        findings: what to know.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    models: dict[str, Any] = field(default_factory=dict)
    given: Floats = field(default_factory=lambda: np.zeros(0))
    findings: tuple[Finding, ...] = ()

    def says(self, champion: Fitted, rows: Part, said: Floats, given: Any = None) -> dict[str, Any]:
        """Return the columns of predictions for `rows`, of which the champion said `said`."""
        if "interval" not in self.models:
            return {}
        X = rows.X
        if given is None and "amount" in self.models:
            given = self.models["amount"].predict_given_purchase(X)
        low, high = self.models["interval"].predict(X)
        expected = {} if "amount" not in self.models else {"r__hurdle": said * given}
        return {**expected, "r_low": low, "r_high": high}

    def figures(self, test: Part, columns: dict[str, Any]) -> pd.DataFrame:
        """Return the figures of expected revenue on test rows."""
        if "r__hurdle" not in columns:
            return pd.DataFrame()
        task: Any = "regressor"
        return slices.measure(
            test.amount, {"hurdle": columns["r__hurdle"]}, test.weight, test.groups, task=task,
            scores=scores.REGRESSOR_SCORES,
        )  # fmt: skip


def fit_revenue(rows: Part, champion: Fitted, plan: Plan, unseen: Floats | None = None) -> Revenue:
    """Fit the amount given purchase to the buyers among `rows`, and its interval.

    `champion` was fitted to the same rows. The interval is calibrated on what models of the other
    rows said, in the folds of the champion; `unseen` is that, where it is known already. Nothing
    is fitted where there is no money.
    """
    classify = plan.kind == "classifier"
    if not classify and champion.name != "hurdle":
        return Revenue({"model": champion.name})
    money = bool(np.isfinite(rows.amount).all() and (rows.amount > 0).any())
    if classify and not money:
        return Revenue()
    folds = plan.folds(rows, champion.declaration) if unseen is None else []
    judged = np.isfinite(champion.held) & (rows.amount > 0)
    judged &= unseen is None or np.isfinite(unseen)
    parts = [judged, *(fit for fit, _ in folds[:1])]
    buyers = min(_buyers(rows.take(part)) for part in parts)
    if buyers < LEAST_BUYERS:
        text = f"{buyers} independent buyers in a part, {LEAST_BUYERS} are needed."
        few = (finding(FEW_BUYERS, text, count=buyers),) if classify else ()
        return Revenue({} if classify else {"model": champion.name}, findings=few)
    given = np.full(len(rows), np.nan) if unseen is None else unseen
    for fit, held in folds:
        given[held] = _amounts(rows.take(fit), plan).predict_given_purchase(rows.take(held).X)
    amount = _amounts(rows, plan).with_classifier(champion.model) if classify else champion.model
    # The interval needs P(buy) of single rows of features, which a model of events cannot say.
    alone = champion.declaration.reads == "events"
    expected = given if alone else champion.held * given if classify else champion.held
    interval = AmountInterval(amount.with_classifier(None) if alone else amount, level=NOMINAL)
    interval.fit_said(
        given[judged], expected[judged], rows.amount[judged], rows.weight[judged],
        rows.groups[judged],
    )  # fmt: skip
    facts = {"model": "hurdle", "nominal": NOMINAL, "given": "purchase"}
    if not classify:
        return Revenue(facts, {"interval": interval}, given)
    models = {"amount": amount.with_classifier(None), "interval": interval}
    return Revenue({**facts, "buyers": buyers}, models, given)


def _amounts(rows: Part, plan: Plan) -> Any:
    bought = rows.take(rows.amount > 0)
    recipe = plan.recipe
    model = HURDLE.make(recipe.seed, len(bought), recipe.categorical, recipe.threads)
    model.set_params(classifier=None)
    return model.fit(bought.X, bought.amount, sample_weight=bought.weight, groups=bought.groups)


def _buyers(rows: Part) -> int:
    """Return how many visitors of equal weight the rows with a purchase are worth."""
    bought = rows.take(rows.amount > 0)
    if not len(bought):
        return 0
    return int(effective_count(bought.weight, codes_of(bought.groups, len(bought))))
