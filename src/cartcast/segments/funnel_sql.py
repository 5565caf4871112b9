"""The SQL of funnels: which unit reached which step, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cartcast.errors import UsageError
from cartcast.events.sql import identifier

__all__ = ["STEPS", "Step", "carried", "reach_any", "reach_first", "reach_within", "steps_from"]


class Step(NamedTuple):
    """One step of a funnel: events whose `column` equals `value`."""

    column: str
    value: str

    def __str__(self) -> str:
        return self.value if self.column == "event_type" else f"{self.column}={self.value}"

    @property
    def carried(self) -> Step:
        """The step over the carried column, whose name none of the funnel's own can be."""
        return Step(carried(self.column), self.value)

    @property
    def sql(self) -> str:
        """The condition on an event; both parts are quoted."""
        name = identifier(self.column)
        return f"{name} = '" + self.value.replace("'", "''") + "'"


def carried(column: str) -> str:
    """Return the name under which a column of the log is carried beside the funnel's own."""
    return f"own {column}"


STEPS: tuple[Step, ...] = tuple(
    Step("event_type", name) for name in ("view_item", "add_to_cart", "begin_checkout", "purchase")
)
"""The usual funnel of a shop; steps that a log never has are left out."""


MOST_STEPS = 50
"""Steps of a funnel: more cannot be read, and each is a query over the one before."""


def steps_from(words: Sequence[str]) -> tuple[Step, ...]:
    """Return steps from `view_item` (an event type) or `column=value` words.

    Raises:
        UsageError: there are none, or one is empty.

    >>> steps_from(["view_item", "page=2"])
    (Step(column='event_type', value='view_item'), Step(column='page', value='2'))
    """
    if not words:
        raise UsageError("a funnel needs at least one step, such as view_item,purchase.")
    if odd := [w for w in words if not isinstance(w, str)]:
        raise UsageError(f"a step is a word such as view_item, got {odd[0]!r}.")
    if len(words) > MOST_STEPS:
        raise UsageError(f"a funnel has at most {MOST_STEPS} steps, got {len(words)}.")
    steps = []
    for word in words:
        column, equals, value = word.strip().partition("=")
        if not column or (equals and not value):
            raise UsageError(f"a step is an event type or column=value, got {word!r}.")
        steps.append(Step(column, value) if equals else Step("event_type", column))
    return tuple(steps)


def reach_first(relation: str, steps: Sequence[Step], unit: str, place: str, seconds: str) -> str:
    """SQL: `unit column, reach, at_1 .. at_n` in order, with no window.

    A unit reaches step k at its first event of step k after it reached step k - 1, which is
    the earliest possible: no other choice of events gets further.
    """
    name = unit if unit.isidentifier() else "unit"
    if not steps:
        return f"SELECT DISTINCT {unit} AS {name}, 0 AS reach FROM {relation}"
    parts = []
    for k, step in enumerate(steps, 1):
        after = f"JOIN r{k - 1} p ON p.unit = e.u WHERE e.place > p.place" if k > 1 else ""
        parts.append(
            f"r{k} AS (SELECT e.u AS unit, min(e.place) AS place, arg_min(e.s, e.place) AS at "
            f"FROM (SELECT {unit} AS u, {place} AS place, {seconds} AS s FROM {relation} "
            f"WHERE {step.sql}) e {after} GROUP BY e.u)"
        )
    return f"WITH {', '.join(parts)} {_joined(len(steps), name)}"


def reach_within(relation: str, steps: Sequence[Step], window: float) -> str:
    """SQL: `unit, reach, at_1 .. at_n` in order, first to last step within `window` seconds.

    `relation` has columns unit, place (order of the unit's events), s (seconds). Every chain
    keeps the latest moment at which it can have begun; the chain with the latest beginning is
    the one that stays in the window longest, so following it alone is exact.
    """
    parts = [f"c1 AS (SELECT unit, place, s, s AS began FROM {relation} WHERE {steps[0].sql})"]
    for k, step in enumerate(steps[1:], 2):
        parts.append(
            f"c{k} AS (SELECT e.unit, e.place, e.s, c.began "
            f"FROM (SELECT unit, place, s FROM {relation} WHERE {step.sql}) e "
            f"ASOF JOIN c{k - 1} c ON e.unit = c.unit AND e.place > c.place "
            f"WHERE e.s - c.began <= {window!r})"
        )
    parts += [
        f"r{k} AS (SELECT unit, min(place) AS place, arg_min(s, place) AS at "
        f"FROM c{k} GROUP BY unit)"
        for k in range(1, len(steps) + 1)
    ]
    return f"WITH {', '.join(parts)} {_joined(len(steps), 'unit')}"


def reach_any(relation: str, steps: Sequence[Step], window: float | None) -> str:
    """SQL: `unit, reach, at_1 .. at_n` in any order: reach k = all of the first k steps done.

    With a window they are done within that many seconds of each other: some event ends a span
    that holds the latest event of every one of the first k steps.
    """
    kinds = " ".join(f"WHEN {s.sql} THEN {k}" for k, s in enumerate(steps, 1))
    ranked = f"(SELECT unit, place, s, CASE {kinds} END AS kind FROM {relation})"
    count = range(1, len(steps) + 1)
    if window is None:
        parts = [
            f"r{k} AS (SELECT unit, CASE WHEN {_all(k)} THEN "
            f"greatest({', '.join(f'f{i}' for i in range(1, k + 1))}) END AS at "
            f"FROM firsts WHERE {_all(k)})"
            for k in count
        ]
        firsts = ", ".join(f"min(s) FILTER (kind = {k}) AS f{k}" for k in count)
        flags = ", ".join(f"bool_or(kind = {k}) AS d{k}" for k in count)
        head = f"firsts AS (SELECT unit, {firsts}, {flags} FROM {ranked} WHERE kind IS NOT NULL GROUP BY unit)"  # noqa: E501
        return f"WITH {head}, {', '.join(parts)} {_joined(len(steps), 'unit')}"
    over = "OVER (PARTITION BY unit ORDER BY s RANGE UNBOUNDED PRECEDING)"
    latest = ", ".join(f"max(s) FILTER (kind = {k}) {over} AS l{k}" for k in count)
    head = f"spans AS (SELECT unit, s, {latest} FROM {ranked} WHERE kind IS NOT NULL)"
    parts = []
    for k in count:
        within = " AND ".join(f"l{i} >= s - {window!r}" for i in range(1, k + 1))
        parts.append(f"r{k} AS (SELECT unit, min(s) AS at FROM spans WHERE {within} GROUP BY unit)")
    return f"WITH {head}, {', '.join(parts)} {_joined(len(steps), 'unit')}"


def _all(k: int) -> str:
    return " AND ".join(f"d{i}" for i in range(1, k + 1))


def _joined(count: int, name: str) -> str:
    reach = " + ".join(f"(r{k}.unit IS NOT NULL)::INT" for k in range(1, count + 1))
    moments = ", ".join(f"r{k}.at AS at_{k}" for k in range(1, count + 1))
    joins = " ".join(f"LEFT JOIN r{k} ON r{k}.unit = r1.unit" for k in range(2, count + 1))
    return f"SELECT r1.unit AS {name}, {reach} AS reach, {moments} FROM r1 {joins}"
