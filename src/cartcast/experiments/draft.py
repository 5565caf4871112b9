"""Draft: the plan of an experiment from a few answers, over the events of the shop's own log."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from cartcast.errors import DefinitionError
from cartcast.events import Log

__all__ = ["OUTCOMES", "draft", "outcomes"]

OUTCOMES: Mapping[str, str] = {
    "revenue": "purchase",
    "conversion": "purchase",
    "carts": "add_to_cart",
    "checkouts": "begin_checkout",
}
"""What a drafted experiment can be judged by, and the event that it counts."""
_BEFORE = "28d"


def outcomes(log: Log) -> tuple[str, ...]:
    """Return the outcomes that a log can tell: those whose events it records."""
    known = log.summary.event_types
    return tuple(
        name
        for name, event in OUTCOMES.items()
        if event in known and (name != "revenue" or log.summary.revenue is not None)
    )


def draft(
    key: str,
    arms: Mapping[str, float],
    outcome: str,
    *,
    unit: str = "visitor_id",
    days: int = 7,
    start: dt.date | None = None,
    weeks: int | None = None,
    units: int | None = None,
    margin: float | None = None,
) -> dict[str, Any]:
    """Return a plan as plain data, as `plan_from` and YAML take it.

    Args:
        key: name of the experiment; it is hashed, so two experiments need two names.
        arms: arm to its share; the first is the control.
        outcome: a name of `OUTCOMES`.
        unit: column of the log whose ids are hashed.
        days: how long an outcome counts after the exposure.
        start: first day.
        weeks: whole weeks in which units come.
        units: units expected in all arms.
        margin: relative loss of visits that is tolerated; None for no guardrail.

    Raises:
        DefinitionError: the key is empty, or there is no such outcome.

    >>> draft("k", {"a": 0.5, "b": 0.5}, "conversion")["metrics"]
    {'conversion': {'proportion': 'conversion_after', 'covariate': 'conversion_before'}}
    """
    if not key.strip():
        raise DefinitionError("an experiment needs a name.")
    if outcome not in OUTCOMES:
        raise DefinitionError(f"{key}: unknown outcome {outcome!r}; known: {', '.join(OUTCOMES)}.")
    counted: dict[str, Any] = {"kind": "any", "event": OUTCOMES[outcome]}
    if outcome == "revenue":
        counted |= {"kind": "sum", "column": "revenue"}
    after, before = f"{outcome}_after", f"{outcome}_before"
    kind = "mean" if outcome == "revenue" else "proportion"
    made: dict[str, Any] = {
        "key": key.strip(),
        "unit": unit,
        "arms": dict(arms),
        "quantities": {
            after: {**counted, "within": f"{days}d"},
            before: {**counted, "before": _BEFORE},
        },
        "metrics": {outcome: {kind: after, "covariate": before}},
    }
    if margin is not None:
        visits = {"kind": "distinct", "column": "session_id", "within": f"{days}d"}
        made["quantities"]["visits_after"] = visits
        made["metrics"]["visits"] = {"mean": "visits_after", "margin": margin}
    if start is not None:
        made["start"] = start.isoformat()
        if weeks is not None:
            made["end"] = (start + dt.timedelta(weeks=weeks)).isoformat()
    if units is not None:
        made["expected_units"] = units
    return made
