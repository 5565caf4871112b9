"""Decision: what to do about an experiment, why, and what would change that.

Guardrails come before goals, and an unsound test decides nothing. Later looks are put beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from cartcast.errors import DataError, UsageError
from cartcast.experiments.corrections import adjust_within
from cartcast.experiments.difference import Estimate
from cartcast.experiments.plan import Plan
from cartcast.experiments.results import Analysis, Comparison

__all__ = [
    "Action",
    "Decision",
    "Since",
    "decide",
    "finished",
    "relative_of",
    "since",
]

Action = Literal["fix the test", "wait", "roll out", "keep the control"]


@dataclass(frozen=True)
class Decision:
    """What to do.

    Attributes:
        experiment: its key.
        metric: the metric that decides.
        arm: the arm in question.
        action: what to do.
        reason: why, in a sentence.
        effect: relative effect with the interval that was used, or None.
        money: effect in money a month with its interval, where the metric is money; else None.
        would_change: what would change the decision.
        looks: how many times the experiment was looked at, this one included.
    """

    experiment: str
    metric: str
    arm: str
    action: Action
    reason: str
    effect: Estimate | None
    money: tuple[float, float, float] | None
    would_change: str
    looks: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def decide(
    analysis: Analysis,
    plan: Plan,
    metric: str,
    arm: str | None = None,
    *,
    units_a_month: float | None = None,
    looks: int = 1,
) -> Decision:
    """Return what to do about one arm.

    Args:
        analysis: of the experiment.
        plan: its plan.
        metric: the goal that decides.
        arm: the arm; default the one of two, or the best of several.
        units_a_month: for a metric of money per unit, units that will come in a month.
        looks: how many times it was looked at, this one included.

    Raises:
        UsageError: the metric is a guardrail, or not of the plan.
    """
    declared = plan.metrics.get(metric)
    if declared is None or declared.margin is not None:
        raise UsageError(f"{metric!r} is no goal of {analysis.experiment}: name one that decides.")
    sign = 1 if declared.better == "higher" else -1
    chosen = [c for c in analysis.comparisons if c.metric == metric and c.segment is None]
    if arm is not None:
        chosen = [c for c in chosen if c.arm == arm]
    if not chosen:
        why = next(
            (f" ({f.message.rstrip('.')})" for f in analysis.findings if f.severity == "block"), ""
        )
        raise DataError(f"{analysis.experiment}: no comparison of {metric!r} to decide by{why}.")

    def gain(c: Comparison) -> float:
        test = c.difference.absolute
        return float("-inf") if test is None else sign * test.value

    c = max(chosen, key=gain)
    action, reason, change = _judge(analysis, plan, c, sign)
    used = _used(analysis, c)
    money = None
    if units_a_month is not None and used is not None:
        money = (used.value * units_a_month, used.low * units_a_month, used.high * units_a_month)
    return Decision(
        analysis.experiment, metric, c.arm, action, reason, relative_of(analysis, c), money, change,
        looks,
    )  # fmt: skip


def finished(analysis: Analysis) -> bool:
    """Whether it reached its planned end and was not looked at before."""
    return not any(f.code in ("XP108", "XP109") for f in analysis.findings)


def relative_of(analysis: Analysis, c: Comparison) -> Estimate | None:
    """Return the relative effect with the interval that holds for how the test was looked at."""
    return _holding(analysis, c, c.difference.relative, c.always_valid_relative)


def _used(analysis: Analysis, c: Comparison) -> Estimate | None:
    return _holding(analysis, c, c.difference.absolute, c.always_valid)


def _holding(
    analysis: Analysis, c: Comparison, fixed: Estimate | None, always: Estimate | None
) -> Estimate | None:
    if c.exact and analysis.look is not None:
        return always
    if fixed is not None and analysis.look is not None:
        half = analysis.look.bound * fixed.error
        return replace(fixed, low=fixed.value - half, high=fixed.value + half)
    return fixed if finished(analysis) else always


def _proven(analysis: Analysis, plan: Plan, c: Comparison, used: Estimate) -> bool:
    """Whether an effect holds for how often one looked and for how much one compared."""
    if analysis.look is None and finished(analysis):
        return c.adjusted is not None and c.adjusted < 1 - analysis.level
    goals = {
        (g.metric, g.arm): _p_value(analysis, g)
        for g in analysis.comparisons
        if g.segment is None and plan.metrics[g.metric].margin is None
    }

    def scope(goal: tuple[str, str]) -> tuple[str, ...]:
        named = dict(zip(("metric", "arm"), goal, strict=True))
        return tuple(named[name] for name in plan.scope if name in named)

    p = adjust_within(goals, scope, plan.correction)[c.metric, c.arm]
    return used.excludes_null and p is not None and p < 1 - analysis.level


def _p_value(analysis: Analysis, c: Comparison) -> float | None:
    """Return the p-value that is corrected; at a planned look the bound is passed besides."""
    planned = analysis.look is not None and not c.exact
    test = c.difference.absolute if planned else c.always_valid
    return None if test is None else test.p_value


def _judge(analysis: Analysis, plan: Plan, c: Comparison, sign: int) -> tuple[Action, str, str]:
    blocking = [f for f in analysis.findings if f.severity == "block" and not f.waived]
    if blocking:
        return (
            "fix the test",
            f"The data cannot be trusted: {blocking[0].message}",
            ("a new run after the cause is found."),
        )
    used = _used(analysis, c)
    if used is None:
        return "wait", "There are too few data for an interval.", "more units."
    harmed = [
        g.metric
        for g in analysis.comparisons
        if g.arm == c.arm and g.segment is None and plan.metrics[g.metric].margin is not None
        and (g.guardrail is None or not g.guardrail.excludes_null)
    ]  # fmt: skip
    span = f"{c.metric} {used.value:+.4g} ({used.low:+.4g} to {used.high:+.4g})"
    proven = _proven(analysis, plan, c, used)
    if proven and sign * used.value < 0:
        return "keep the control", f"The arm is worse: {span}.", "a different arm."
    if proven and harmed:
        return (
            "wait",
            f"The goal gains {span}, but {', '.join(harmed)} may be harmed.",
            ("more units that rule the harm out, or a change that spares it."),
        )
    if proven:
        return (
            "roll out",
            f"The arm is better: {span}.",
            (
                f"an effect at the lower end, {used.low:+.4g}, if that is not worth its cost; "
                "measure the roll-out with a holdout."
            ),
        )
    if any(f.code == "XP108" for f in analysis.findings):
        return "wait", f"Nothing is proven yet: {span}.", "the planned end, or a stronger effect."
    found = "Nothing holds for all comparisons at once" if used.excludes_null else (
        "No difference was found")  # fmt: skip
    return (
        "keep the control",
        f"{found}: {span}.",
        ("a longer test, if effects inside this interval would matter."),
    )


@dataclass(frozen=True)
class Since:
    """A decision beside what the experiment says later.

    Attributes:
        then: relative effect by which it was decided: value, low, high; None where it had none.
        now: the same by the later analysis.
        holds: whether the later value lies within the interval of then; None where one is missing.
    """

    then: tuple[float, float, float] | None
    now: tuple[float, float, float] | None
    holds: bool | None


def since(entry: Mapping[str, Any], analysis: Analysis) -> Since:
    """Return what became of a decision of the journal by a later look at the same experiment."""
    effect = entry.get("effect") or {}
    then = _span(effect.get("value"), effect.get("low"), effect.get("high"))
    found = [
        c for c in analysis.comparisons
        if (c.metric, c.arm, c.segment) == (entry.get("metric"), entry.get("arm"), None)
    ]  # fmt: skip
    r = relative_of(analysis, found[0]) if found else None
    now = None if r is None else _span(r.value, r.low, r.high)
    return Since(then, now, then[1] <= now[0] <= then[2] if then and now else None)


def _span(*ends: float | None) -> tuple[float, float, float] | None:
    value, low, high = ends
    return None if value is None or low is None or high is None else (value, low, high)
