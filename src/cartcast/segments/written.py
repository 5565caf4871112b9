"""Conditions of a segment as people write them, checked word by word."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from cartcast.config import parse_duration
from cartcast.errors import DefinitionError, UsageError, did_you_mean
from cartcast.segments.columns import Range, Values
from cartcast.segments.conditions import (
    COHORT,
    Bought,
    Cohort,
    Condition,
    Did,
    Found,
    Reached,
    Scored,
    Seen,
    Walk,
)
from cartcast.segments.steps import steps_from

__all__ = ["condition_from"]

_MOST_VALUES = 1000
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")

_KEYS = {
    "column": ("column", "in", "not_in", "from", "to"),
    "did": ("did", "times"),
    "did_not": ("did_not", "times"),
    "bought": ("bought",),
    "score_from": ("score_from", "run"),
    "found": ("found", "run"),
    "path_from": ("path_from", "step", "near", "far", "by"),
    "path_to": ("path_to", "step", "near", "far", "by"),
    "funnel": ("funnel", "reached", "lost", "next"),
    "cohort": ("cohort", "cohort_did", "after"),
    "seen": ("seen",),
}


def condition_from(data: Any, where: str) -> Condition:
    """Return the condition of plain data; `where` names its place in messages.

    Raises:
        DefinitionError: a key does not exist or a value breaks its rule.

    >>> condition_from({"column": "device", "in": ["mobile"]}, "here")
    Values(column='device', values=('mobile',), exclude=False)
    >>> condition_from({"seen": "30d"}, "here").seconds
    2592000.0
    """
    if not isinstance(data, Mapping):
        raise DefinitionError(f"{where}: a condition holds `name: value` lines, got {data!r:.80}.")
    kind = next((k for k in _KEYS if k in data), None)
    if kind is None:
        word = str(next(iter(data), ""))
        raise DefinitionError(
            f"{where}: a condition is one of {', '.join(_KEYS)}.{did_you_mean(word, _KEYS)}"
        )
    for key in data:
        if key not in _KEYS[kind]:
            hint = did_you_mean(str(key), _KEYS[kind])
            raise DefinitionError(f"{where}: {kind!r} takes no {str(key)!r}.{hint}")
    match kind:
        case "column":
            return _of_column(data, where)
        case "did" | "did_not":
            times = _whole(data.get("times", 1), "times", 1, where)
            event = _word(data[kind], kind, where)
            (step,) = _steps([event], kind, where)
            return Did(step, times, kind == "did_not")
        case "bought":
            if not isinstance(data["bought"], bool):
                raise DefinitionError(f"{where}: bought is true or false, got {data['bought']!r}.")
            return Bought(data["bought"])
        case "score_from":
            run = _run(data, where)
            return Scored(run, _number(data["score_from"], "score_from", where))
        case "found":
            run = _run(data, where)
            return Found(run, _word(data["found"], "found", where))
        case "path_from" | "path_to":
            return _path(data, kind, where)
        case "funnel":
            return _reached(data, where)
        case "cohort":
            return _cohort(data, where)
    try:
        return Seen(float(parse_duration(_word(data["seen"], "seen", where))))
    except UsageError as error:
        raise DefinitionError(f"{where}: seen: {error}") from error


def _of_column(data: Mapping[str, Any], where: str) -> Values | Range:
    column = _word(data["column"], "column", where)
    kinds = [k for k in ("in", "not_in") if k in data]
    ends = {k: _number(data[k], k, where) for k in ("from", "to") if k in data}
    if len(kinds) + bool(ends) != 1:
        raise DefinitionError(f"{where}: column {column!r} needs in, or not_in, or from and to.")
    if ends:
        least, most = ends.get("from"), ends.get("to")
        if least is not None and most is not None and least > most:
            raise DefinitionError(f"{where}: {column}: from {least:g} lies above to {most:g}.")
        return Range(column, least, most)
    given = data[kinds[0]]
    values = list(given) if isinstance(given, list | tuple) else [given]
    if not values or len(values) > _MOST_VALUES or any(isinstance(v, dict | list) for v in values):
        raise DefinitionError(f"{where}: {column}: give 1 to {_MOST_VALUES} values.")
    return Values(column, tuple(None if v is None else _text(v) for v in values), "not_in" in data)


def _run(data: Mapping[str, Any], where: str) -> str:
    """Return the id or alias of a run; no path, since an address of the app may hold a segment."""
    run = _word(data.get("run", "champion"), "run", where)
    if not _RUN.fullmatch(run):
        raise DefinitionError(f"{where}: run is the id or alias of one, got {run!r:.80}.")
    return run


def _path(data: Mapping[str, Any], kind: str, where: str) -> Walk:
    step, anchor = _whole(data.get("step", 1), "step", 1, where), _value(data[kind], kind, where)
    near = anchor if step == 1 else _value(data.get("near"), "near", where)
    far = None if data.get("far") is None else _value(data["far"], "far", where)
    by = _word(data.get("by", "event_type"), "by", where)
    return Walk(anchor, step, near, far, kind == "path_to", by)


def _reached(data: Mapping[str, Any], where: str) -> Reached:
    given = data["funnel"] if isinstance(data["funnel"], list | tuple) else [data["funnel"]]
    steps, lost = _steps(given, "funnel", where), data.get("lost", False)
    if not isinstance(lost, bool):
        raise DefinitionError(f"{where}: lost is true or false, got {lost!r}.")
    reached = _whole(data.get("reached", len(steps)), "reached", 1, where)
    if reached > len(steps):
        raise DefinitionError(f"{where}: reached is at most the {len(steps)} steps, got {reached}.")
    next_ = data.get("next")
    if next_ is not None and (not lost or reached == len(steps) or not isinstance(next_, str)):
        raise DefinitionError(
            f"{where}: next is the event that came in place of a step that was lost, got {next_!r}."
        )
    return Reached(steps, reached, lost, next_)


def _steps(given: Sequence[str], key: str, where: str) -> tuple[str, ...]:
    """Return steps in the one way of writing them."""
    try:
        return tuple(map(str, steps_from(given)))
    except UsageError as error:
        raise DefinitionError(f"{where}: {key}: {error}") from error


def _cohort(data: Mapping[str, Any], where: str) -> Cohort:
    try:
        week = date.fromisoformat(str(data["cohort"]))
    except ValueError as error:
        raise DefinitionError(f"{where}: cohort must be a day, got {data['cohort']!r}.") from error
    did = data.get("cohort_did")
    if did is not None and did not in COHORT:
        hint = did_you_mean(str(did), COHORT)
        raise DefinitionError(f"{where}: cohort_did is one of {', '.join(COHORT)}.{hint}")
    monday = (week - timedelta(days=week.weekday())).isoformat()
    return Cohort(monday, _whole(data.get("after", 0), "after", 0, where), did)


def _whole(value: object, key: str, least: int, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 10_000:
        raise DefinitionError(f"{where}: {key} must be a whole number >= {least}, got {value!r}.")
    return value


def _text(value: object) -> str:
    # YAML takes NO for a truth value, and 7 for a number.
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _word(value: object, key: str, where: str) -> str:
    return _value(value, key, where).strip()


def _value(value: object, key: str, where: str) -> str:
    """Return a value of the log, whose spaces may count."""
    if not isinstance(value, str) or not value.strip():
        raise DefinitionError(f"{where}: {key} must be a word, got {value!r:.80}.")
    return value


def _number(value: object, key: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DefinitionError(f"{where}: {key} must be a number, got {value!r:.80}.")
    return float(value)
