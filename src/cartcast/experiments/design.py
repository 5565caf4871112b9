"""Design: whether a test is worth running, for how long, and what it will be able to see.

The figures come from the shop's own past: units that came in a period of the same length, what
they did then and before. Power is told by formula, and by drawing arms at random from that past
many times, with and without the effect that matters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import DataError, UsageError
from cartcast.experiments import codes
from cartcast.experiments.difference import compare
from cartcast.experiments.group_sequential import looks
from cartcast.experiments.metrics import Mean, Quantile, Ratio
from cartcast.experiments.moments import Moments
from cartcast.experiments.plan import Plan
from cartcast.experiments.power import detectable, needed, power, sequential_cost
from cartcast.experiments.sequence import LEAST
from cartcast.experiments.soundness import LEAST_UNITS
from cartcast.findings import Finding, finding

__all__ = ["Design", "design"]

Floats = NDArray[np.float64]
DRAWS = 400
_MONTH = 30 / 7  # weeks
MOST_WEEKS = 8
"""Weeks beyond which a test is called not worth it: seasons, cookies and patience run out."""


@dataclass(frozen=True)
class Design:
    """What a test of one metric would cost and see.

    Attributes:
        metric: name of the metric.
        baseline: its value in the past.
        effect: absolute effect that matters.
        relative: the same over the baseline.
        units_a_week: new units that come in a week, in all arms.
        needed: units of control and the smallest other arm, for the fixed test.
        weeks: whole weeks until all arms together have them.
        power: by formula, after those weeks.
        detectable: least absolute effect found with 80 % after those weeks.
        explained: share of the variance that the covariate takes away in the past.
        drawn: how many times arms were drawn from the past, 0 when there were too few units.
        false_alarms: share of the draws without effect in which the test found one.
        drawn_power: share of the draws with the effect in which it was found, at the past's size.
        formula_power: what the formula says at that size.
        always_valid_weeks: whole weeks that the confidence sequence needs.
        looks_weeks: whole weeks that the planned looks need at most.
        worth: money that the effect is worth in a month, where the metric is money; else None.
        findings: whether it is worth running.
    """

    metric: str
    baseline: float
    effect: float
    relative: float
    units_a_week: float
    needed: int
    weeks: int
    power: float
    detectable: float
    explained: float
    drawn: int
    false_alarms: float | None
    drawn_power: float | None
    formula_power: float
    always_valid_weeks: int
    looks_weeks: int
    worth: float | None
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**asdict(self), "findings": [f.as_dict() for f in self.findings]}


def design(
    past: Any,
    plan: Plan,
    metric: str,
    *,
    weeks: float,
    relative: float | None = None,
    worth: float | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Design:
    """Return the design of a test, from units of the past.

    Args:
        past: Arrow table or data frame with the metric's columns, one row a unit, such as
            `measure` makes of a period before the test with the plan's windows.
        plan: the experiment; its arms' shares, coverage, layer and holdout count.
        metric: the metric that decides.
        weeks: length of the period that the units came in.
        relative: least relative effect that matters, such as 0.02.
        worth: least effect that matters in money a month, in place of `relative`; the metric is
            then money per unit.
        draws: how many times arms are drawn from the past.
        seed: of the draws.

    Raises:
        UsageError: not exactly one of `relative` and `worth`, or the metric is a quantile.
        DataError: fewer than 60 units, no such column, or a baseline that is not positive.
    """
    declared = plan.metrics.get(metric)
    if declared is None or isinstance(declared, Quantile):
        raise UsageError(f"design needs a mean, proportion or ratio of the plan, got {metric!r}.")
    if (relative is None) == (worth is None):
        raise UsageError(
            "the smallest effect that matters is given as one of relative=0.02 (a share) and "
            "worth=5000 (money a month)."
        )
    if not weeks > 0:
        raise UsageError(f"weeks must be positive, got {weeks}.")
    rows = {c: np.asarray(past[c], dtype=np.float64) for c in declared.needs}
    n = len(next(iter(rows.values())))
    if n < 2 * LEAST_UNITS:
        raise DataError(f"the past has {n} units; {2 * LEAST_UNITS} are needed to plan from.")
    moments = Moments.of(rows)
    arm = declared.linear(moments, moments)
    if not arm.raw > 0 or not arm.variance > 0:
        raise DataError(f"{metric}: its past value is {arm.raw:.4g} with no room to differ.")
    # The test has the units that take part; the money is that of all, once it is rolled out.
    everybody = n / weeks
    effect = (relative or 0.0) * arm.raw if worth is None else worth / (everybody * _MONTH)
    if not effect > 0:
        raise UsageError("the effect that matters must be positive.")
    return _designed(plan, metric, moments, rows, effect, everybody, worth is not None, draws, seed)


def _designed(
    plan: Plan,
    name: str,
    past: Moments,
    rows: Mapping[str, Floats],
    effect: float,
    everybody: float,
    money: bool,
    draws: int,
    seed: int,
) -> Design:
    metric = plan.metrics[name]
    assert not isinstance(metric, Quantile)
    arm = metric.linear(past, past)
    shares = list(plan.allocation.shares().values())
    first, least = shares[0], min(shares[1:])
    alpha, v = 1 - plan.level, arm.variance
    a_week = everybody * plan.allocation.reach

    def chance(units: float) -> float:
        return power(effect, v, v, units * first, units * least, alpha=alpha)

    both = needed(effect, v, v, share=least / (first + least), alpha=alpha)

    def weeks(times: float = 1.0) -> int:
        return max(1, math.ceil(both * times / (first + least) / a_week))

    later = looks(plan.looks or (0.5, 1.0), alpha)[-1].bound
    price = detectable(1, 1, 1, 1, alpha=alpha, bound=later) / detectable(1, 1, 1, 1, alpha=alpha)
    alarms, found = _draw(metric, rows, effect / arm.raw, first, least, alpha, draws, seed)
    units = weeks() * a_week
    long = weeks() > MOST_WEEKS
    text = (
        f"{name}: an effect of {effect / arm.raw:.2%} needs {weeks()} weeks; in {MOST_WEEKS} it is "
        f"found in {chance(MOST_WEEKS * a_week):.0%} of the cases."
    )
    return Design(
        metric=name,
        baseline=arm.raw,
        effect=effect,
        relative=effect / arm.raw,
        units_a_week=a_week,
        needed=both,
        weeks=weeks(),
        power=chance(units),
        detectable=detectable(v, v, units * first, units * least, alpha=alpha),
        explained=1 - v / arm.raw_variance,
        drawn=draws,
        false_alarms=alarms,
        drawn_power=found,
        formula_power=chance(past.n),
        always_valid_weeks=weeks(sequential_cost(max(both, LEAST), alpha=alpha)),
        looks_weeks=weeks(price**2),
        worth=effect * everybody * _MONTH if money else None,
        findings=(finding(codes.NOT_WORTH_IT, text, weeks=weeks()),) if long else (),
    )


def _draw(
    metric: Mean | Ratio,
    rows: Mapping[str, Floats],
    lift: float,
    first: float,
    least: float,
    alpha: float,
    draws: int,
    seed: int,
) -> tuple[float | None, float | None]:
    """Return how often a test of arms drawn at random finds something, without and with a lift."""
    if draws < 1:
        return None, None
    rng = np.random.default_rng(seed)
    data = np.array(list(rows.values()))
    n = data.shape[1]
    names = tuple(rows)
    scale = np.where(np.array(names) == metric.columns[0], 1 + lift, 1.0)
    alarms = found = 0
    for _ in range(draws):
        place = rng.random(n)
        a, b = (_moments(names, data[:, pick]) for pick in
                (place < first, (place >= first) & (place < first + least)))  # fmt: skip
        lifted = Moments(b.n, names, b.mean * scale, b.cov * np.outer(scale, scale))
        alarms += _significant(metric, a, b, alpha)
        found += _significant(metric, a, lifted, alpha)
    return alarms / draws, found / draws


def _moments(names: tuple[str, ...], data: Floats) -> Moments:
    return Moments(data.shape[1], names, data.mean(axis=1), np.cov(data).reshape(len(names), -1))


def _significant(metric: Mean | Ratio, a: Moments, b: Moments, alpha: float) -> bool:
    both = a + b
    test = compare(metric.linear(a, both), metric.linear(b, both), level=1 - alpha).absolute
    return test is not None and test.p_value < alpha
