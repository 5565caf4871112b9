"""Whom to treat: what a finished test teaches of each unit, held against treating all or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import DataError, UsageError, did_you_mean
from cartcast.experiments.difference import Estimate
from cartcast.experiments.gain import gain_curve
from cartcast.experiments.metrics import Mean
from cartcast.experiments.plan import Plan
from cartcast.experiments.policy import Policies, compare_policies
from cartcast.experiments.rule import Rule, learn_rule
from cartcast.experiments.uplift import fit_uplift

__all__ = ["Whom", "whom"]


@dataclass(frozen=True, eq=False)
class Whom:
    """What a test says of whom to treat.

    Attributes:
        arm: the treatment.
        control: what it is held against.
        units: of both arms.
        features: what is known of a unit before the exposure.
        ranking: Qini coefficient: does the order by predicted uplift beat chance?
        policies: treating everybody, nobody, by uplift, as many at random, and by a score.
        rule: a few lines that a person can read; None without numeric features.
        uplift: unit and its predicted uplift, by models that did not see it.
    """

    arm: str
    control: str
    units: int
    features: tuple[str, ...]
    ranking: Estimate
    policies: Policies
    rule: Rule | None
    uplift: pd.DataFrame

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        told = {
            name: {
                "treated": self.policies.treated[name], "value": e.value, "low": e.low,
                "high": e.high,
            }
            for name, e in self.policies.values.items()
        }  # fmt: skip
        return {
            "arm": self.arm, "control": self.control, "units": self.units,
            "features": list(self.features),
            "ranking": {"qini": self.ranking.value, "low": self.ranking.low,
                        "high": self.ranking.high},
            "policies": told, "rule": self.rule.lines() if self.rule else [],
            "findings": [f.as_dict() for f in self.policies.findings],
        }  # fmt: skip


def whom(
    units: Any,
    plan: Plan,
    metric: str,
    *,
    arm: str | None = None,
    features: Sequence[str] = (),
    cost: float = 0.0,
    score: str | None = None,
    seed: int = 42,
) -> Whom:
    """Return whom a treatment changes, and what each way to choose is worth a unit.

    Args:
        units: a row a unit with `arm`: what `measure` made of a log, or a ready table.
        plan: the experiment.
        metric: the mean or proportion that counts.
        arm: the treatment; may be left out where there is but one.
        features: columns known before the exposure; default those that the plan measures before.
        cost: of treating one unit, on the metric's scale.
        score: column of a probability to buy: is treating the likeliest as good?
        seed: of folds and models.

    Raises:
        UsageError: an unknown metric, arm or column, or nothing is known before the exposure.
        DataError: an arm has too few units, a unit several rows, or outcomes are missing.
    """
    outcome = _outcome(plan, metric)
    treatment = _treatment(plan, arm)
    table = units.to_pandas() if hasattr(units, "to_pandas") else pd.DataFrame(units)
    named = tuple(features) or tuple(n for n, q in plan.quantities.items() if q.before is not None)
    if not named:
        raise UsageError(
            f"{plan.allocation.key}: the plan measures nothing before the exposure; add a quantity "
            "with `before: 28d`, or name columns of a ready table with --features."
        )
    for column in (*named, outcome, "arm", *([score] if score else [])):
        if column not in table:
            raise UsageError(
                f"no column {column!r}.{did_you_mean(column, map(str, table.columns))}"
            )
    table = table[table["arm"].astype(str).isin([plan.control, treatment])].reset_index(drop=True)
    # `measure` calls the unit so, whatever it is.
    unit = next((c for c in (plan.unit, "unit") if c in table), None)
    if unit is not None and table[unit].duplicated().any():
        raise DataError(f"{unit}: {int(table[unit].duplicated().sum())} units have several rows.")
    if table[outcome].isna().any():
        raise DataError(f"{outcome}: {int(table[outcome].isna().sum())} units have no value.")
    X, y = table[list(named)], table[outcome].astype(float)
    treated = (table["arm"].astype(str) == treatment).astype(int)
    shares = plan.allocation.shares()
    chance = shares[treatment] / (shares[treatment] + shares[plan.control])
    # A ranking is tested where each fold was taught by those before it alone.
    ahead = fit_uplift(X, treated, y, propensity=chance, sequential=True, seed=seed)
    qini = gain_curve(ahead.uplift, ahead.effects, folds=ahead.fold).qini
    told = fit_uplift(X, treated, y, propensity=chance, seed=seed)
    chosen = (told.uplift > cost).astype(int)
    share = float(chosen.mean())
    ways: dict[str, Any] = {
        "everybody": np.ones(len(y), int),
        "nobody": np.zeros(len(y), int),
        "by uplift": chosen,
        "as many at random": np.tile([1 - share, share], (len(y), 1)),
    }
    if score is not None:
        likeliest = table[score].rank(method="first", ascending=False) <= chosen.sum()
        ways["the likeliest to buy"] = likeliest.astype(int).to_numpy()
    policies = compare_policies(told.scores, ways, reference="everybody", cost=cost)
    numeric = X.select_dtypes("number")
    rule = learn_rule(numeric, told.effects, cost=cost, seed=seed) if len(numeric.columns) else None
    kept = pd.DataFrame({"row": table.index + 1}) if unit is None else table[[unit]]
    return Whom(treatment, plan.control, len(y), named, qini, policies, rule,
                kept.assign(uplift=told.uplift))  # fmt: skip


def _outcome(plan: Plan, metric: str) -> str:
    if metric not in plan.metrics:
        raise UsageError(f"no metric {metric!r}.{did_you_mean(metric, plan.metrics)}")
    declared = plan.metrics[metric]
    if not isinstance(declared, Mean):
        raise UsageError(f"{metric}: whom to treat is told for a mean or a proportion only.")
    return declared.value


def _treatment(plan: Plan, arm: str | None) -> str:
    others = plan.allocation.arms[1:]
    if arm is None and len(others) == 1:
        return others[0]
    if arm not in others:
        which = "name one with --arm" if arm is None else f"there is no arm {arm!r}"
        raise UsageError(f"{plan.allocation.key}: {which}: {', '.join(others)}.")
    return arm
