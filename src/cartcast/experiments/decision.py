"""Decision: what to do about an experiment, why, and what would change that.

Guardrails come before goals, and an unsound test decides nothing. The record is kept, so that it
can be compared with what happened afterwards.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from cartcast.atomic import write_text
from cartcast.config import STATE_FOLDER
from cartcast.errors import DataError, UsageError
from cartcast.experiments.difference import Estimate
from cartcast.experiments.plan import Plan
from cartcast.experiments.results import Analysis, Comparison
from cartcast.plaindata import plain

__all__ = [
    "Action",
    "Decision",
    "Journal",
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


def _proven(analysis: Analysis, c: Comparison, used: Estimate) -> bool:
    if analysis.look is not None or not finished(analysis):
        return used.excludes_null
    return c.adjusted is not None and c.adjusted < 1 - analysis.level


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
    proven = _proven(analysis, c, used)
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
    return (
        "keep the control",
        f"No difference was found: {span}.",
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


class Journal:
    """The looks at an experiment and its decisions, one JSON line each, oldest first.

    Args:
        path: the file.
        who: who adds to it.
        version: of the plan; looks at another version were looks at other data.
    """

    def __init__(self, path: Path, who: str | None = None, version: int = 0) -> None:
        self.path = path
        self.who = who
        self.version = version

    @classmethod
    def of(cls, project: Path, plan: Plan, who: str | None = None) -> Journal:
        """Return the journal that a project keeps of an experiment; `who` adds to it."""
        # The key is anybody's word: as a file name it must lead nowhere else.
        name = quote(plan.allocation.key, safe=" ")
        return cls(
            project / STATE_FOLDER / "experiments" / f"{name}.jsonl", who, plan.allocation.version
        )

    @property
    def looked(self) -> int:
        """How many times this version of the experiment was looked at."""
        return len(self._looks())

    def looked_below(self, units: int) -> int:
        """Return at how many counts of units below `units` it was looked at."""
        seen = {sum(e.get("units", {}).values()) for e in self._looks()}
        return sum(n < units for n in seen)

    def _looks(self) -> list[dict[str, Any]]:
        same = (e for e in self.entries() if e.get("version", 0) == self.version)
        return [e for e in same if e["kind"] == "look"]

    def decisions(self) -> list[dict[str, Any]]:
        """Return the decisions of all versions."""
        return [e for e in self.entries() if e["kind"] == "decision"]

    def entries(self) -> list[dict[str, Any]]:
        """Return all entries.

        Raises:
            DataError: a line is not JSON.
        """
        if not self.path.is_file():
            return []
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
            return [json.loads(line) for line in lines if line.strip()]
        except ValueError as error:
            raise DataError(f"{self.path}: a line of the journal is not JSON: {error}.") from error

    def add(self, kind: Literal["look", "decision"], entry: Mapping[str, Any]) -> None:
        """Append an entry with the present time."""
        stamp = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        by = {"who": self.who} if self.who else {}
        told = {"kind": kind, "at": stamp, "version": self.version, **by, **plain(entry)}
        kept = [*self.entries(), told]
        write_text(self.path, "".join(json.dumps(e, allow_nan=False) + "\n" for e in kept))

    def looks(self) -> tuple[float, ...]:
        """Return the progress at each look, increasing; looks at the same count are one."""
        out: list[float] = []
        for e in self._looks():
            progress = e.get("progress")
            if progress and (not out or progress > out[-1]):
                out.append(float(progress))
        return tuple(out)
