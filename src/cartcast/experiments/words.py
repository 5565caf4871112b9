"""What an experiment says, in sentences: the same on every page, in the app and in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cartcast.experiments.decision import Decision, Since, finished
from cartcast.experiments.plan import Plan
from cartcast.experiments.results import Analysis, Comparison
from cartcast.features.words import in_words
from cartcast.numbers import day, number

__all__ = [
    "ACTIONS",
    "MONTH",
    "asked",
    "became",
    "chance",
    "guardrail",
    "holds_when",
    "of_decision",
    "of_record",
    "ratio",
    "signed",
    "span",
    "tested",
    "times",
]

_WHO = {"visitor_id": "visitors", "user_id": "users", "session_id": "sessions"}
ACTIONS: Mapping[str, str] = {
    "fix the test": "Fix the test",
    "wait": "Wait",
    "roll out": "Roll out {arm}",
    "keep the control": "Keep {control}",
}
"""What to do about an experiment, by the decision's action."""
MONTH = (
    "Money: if all units that come in a month, at the pace so far, were in this arm instead of "
    "the control. What the arm itself costs is not in it."
)
"""What the money of a decision means."""


def signed(change: float | None) -> str:
    """Return a relative change with its sign.

    >>> signed(0.052), signed(-0.11), signed(None)
    ('+5.2 %', '−11 %', '–')
    """
    if change is None:
        return "–"
    sign = "+" if change > 0 else "−" if change < 0 else ""
    return sign + number(abs(change), "share")


def chance(p: float | None) -> str:
    """Return a chance; what is all but sure is not called sure.

    >>> chance(0.987), chance(0.99999), chance(0.0)
    ('99 %', 'over 99.9 %', 'under 0.1 %')
    """
    if p is not None and not 0.001 <= p <= 0.999:
        return "over 99.9 %" if p > 0.5 else "under 0.1 %"
    return number(p, "share")


def tested(plan: Plan) -> str:
    """Return what an experiment compares, as a sentence."""
    *_, control = plan.allocation.arms[:1]
    others = " and ".join(plan.allocation.arms[1:])
    goals = [in_words(n) for n, m in plan.metrics.items() if m.margin is None]
    return f"{plan.allocation.key}: {others} against {control}, judged by {' and '.join(goals)}."


def of_decision(decision: Decision, control: str) -> str:
    """Return what to do about an experiment and why, as a sentence."""
    do = ACTIONS[decision.action].format(arm=decision.arm, control=control)
    if decision.action == "fix the test":
        return f"{do}: its data cannot be trusted."
    effect = decision.effect
    if effect is None:
        return f"{do}: {in_words(decision.metric)} has no interval yet."
    ends = (effect.value, effect.low, effect.high)
    return f"{do}: {in_words(decision.metric)} changes by {span(ends)}."


def guardrail(c: Comparison, margin: float, better: str) -> str:
    """Return what a guardrail says, as a sentence."""
    name, least = in_words(c.metric).capitalize(), number(margin, "share")
    if c.guardrail is None:
        return f"{name}: too few data to rule out a loss of {least}."
    end = c.guardrail.low if better == "higher" else c.guardrail.high
    kept = "is ruled out" if c.guardrail.excludes_null else "cannot be ruled out"
    return f"{name}: a loss of {least} {kept}; the change may be {signed(end)} at worst."


def of_record(plan: Plan, entries: Sequence[Mapping[str, Any]]) -> str:
    """Return what was decided last, and how often an experiment was looked at."""
    looks = sum(e["kind"] == "look" for e in entries)
    made = [e for e in entries if e["kind"] == "decision"]
    key = plan.allocation.key
    seen = f"{looks} look{'' if looks == 1 else 's'}"
    if not made:
        return f"{key}: {seen}, no decision recorded yet."
    last = made[-1]
    do = ACTIONS[last["action"]].format(arm=last["arm"], control=plan.control)
    return f"{key}: {do.lower()}, decided on {day(last['at'])} after {seen}."


def asked(decision: Decision, analysis: Analysis, plan: Plan) -> str:
    """Return what was tested on whom and when, and how often it was looked at."""
    units = number(sum(analysis.sample_ratio.units.values()))
    ends = [day(t.isoformat()) for t in (plan.start, plan.end) if t is not None]
    when = "" if not ends else f", from {ends[0]}" if plan.start else f", until {ends[0]}"
    when += f" to {ends[1]}" if len(ends) == 2 else ""
    return (
        f"{decision.arm} was tested against {analysis.control} on {units} "
        f"{_WHO.get(plan.unit, 'units')}{when}, judged by {in_words(decision.metric)}. "
        f"You looked {times(decision.looks)}."
    )


def times(n: int) -> str:
    """Return how often, in words.

    >>> times(1), times(9)
    ('once', '9 times')
    """
    return "once" if n == 1 else f"{n} times"


def ratio(analysis: Analysis) -> str:
    """Return that the arms hold their shares, with the units of each."""
    found = analysis.sample_ratio
    units = ", ".join(f"{arm} {number(n)}" for arm, n in found.units.items())
    p = "" if found.p_value is None else f" (p = {found.p_value:.2g})"
    return f"The data can be trusted: the arms hold the shares they were meant to: {units}{p}."


def holds_when(analysis: Analysis) -> str:
    """Return for which looks the intervals hold."""
    kind = "of the fixed test, read once, at its end"
    if analysis.look is not None:
        kind = "that hold at the planned looks"
    elif not finished(analysis):
        kind = "that hold at every look"
    return f"Intervals {kind}: {number(analysis.level, 'share')}."


def span(ends: Sequence[float] | None) -> str:
    """Return a relative effect (value, low, high) with its interval.

    >>> span((0.12, 0.05, 0.19)), span(None)
    ('+12 % (+5.0 % to +19 %)', 'no interval')
    """
    if ends is None:
        return "no interval"
    value, low, high = map(signed, ends)
    return f"{value} ({low} to {high})"


def became(entry: Mapping[str, Any], later: Since, control: str) -> str:
    """Return a decision of the record beside what the experiment says now, as sentences."""
    do = ACTIONS[entry["action"]].format(arm=entry["arm"], control=control)
    metric = in_words(entry["metric"])
    told = f"Decided on {day(entry['at'])}: {do.lower()}, {metric} {span(later.then)}."
    if later.now is None:
        return told
    kept = {True: "within what was expected", False: "outside of what was expected", None: ""}
    verdict = f", {kept[later.holds]}" if later.holds is not None else ""
    return f"{told} Now {metric} is {span(later.now)}{verdict}."
