"""The SQL of funnels: which unit reached which step, and when."""

from __future__ import annotations

from collections.abc import Sequence

from cartcast.events.sql import identifier
from cartcast.segments.steps import Step, carried

__all__ = ["next_after", "place_reached", "reach_any", "reach_first", "reach_within"]


def reach_first(relation: str, steps: Sequence[Step], unit: str, place: str, seconds: str) -> str:
    """SQL: `unit column, reach, at_1 .. at_n, place_1 .. place_n` in order, with no window.

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
    return f"WITH {', '.join(parts)} {_joined(len(steps), name, 'at', 'place')}"


def place_reached(count: int) -> str:
    """SQL: the place of the last step that a unit of `reach_first` reached; null where it did all.

    `count` is the number of steps.
    """
    whens = " ".join(f"WHEN {k} THEN place_{k}" for k in range(1, count))
    return f"CASE reach {whens} END" if whens else "NULL"


def next_after(lost: str, relation: str, steps: Sequence[Step], unit: str, place: str) -> str:
    """SQL: `unit, reach, next` of the units of `lost`: those that did not reach the last step.

    `lost` selects `unit, reach, place`: the place of the step that was reached last. `next` is the
    first event after it that is not of that step again; null is the end.
    """
    own = dict.fromkeys(c for step in steps for c in step.columns)
    names = "".join(f", {identifier(c)} AS {identifier(carried(c))}" for c in own)
    again = " ".join(f"WHEN {k} THEN {s.carried.sql}" for k, s in enumerate(steps, 1))
    return (
        f"WITH lost AS MATERIALIZED ({lost}), came AS (SELECT e.unit, "
        f"arg_min(e.kind, e.place) AS next FROM (SELECT {unit} AS unit, {place} AS place, "
        f"event_type AS kind{names} FROM {relation}) e JOIN lost USING (unit) WHERE e.place > "
        f"lost.place AND NOT coalesce(CASE lost.reach {again} END, false) GROUP BY e.unit) "
        "SELECT unit, reach, next FROM lost LEFT JOIN came USING (unit)"
    )


def reach_within(relation: str, steps: Sequence[Step], window: float) -> str:
    """SQL: as `reach_first`, first to last step within `window` seconds.

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
    return f"WITH {', '.join(parts)} {_joined(len(steps), 'unit', 'at', 'place')}"


def reach_any(relation: str, steps: Sequence[Step], window: float | None) -> str:
    """SQL: `unit, reach, at_1 .. at_n` in any order: reach k = all of the first k steps done.

    With a window they are done within that many seconds of each other: some event ends a span
    that holds the latest event of every one of the first k steps. One event may be several steps.
    """
    count = range(1, len(steps) + 1)
    if window is None:
        parts = [
            f"r{k} AS (SELECT unit, CASE WHEN {_all(k)} THEN "
            f"greatest({', '.join(f'f{i}' for i in range(1, k + 1))}) END AS at "
            f"FROM firsts WHERE {_all(k)})"
            for k in count
        ]
        firsts = ", ".join(f"min(s) FILTER ({x.sql}) AS f{k}" for k, x in enumerate(steps, 1))
        flags = ", ".join(f"count(*) FILTER ({x.sql}) > 0 AS d{k}" for k, x in enumerate(steps, 1))
        head = f"firsts AS (SELECT unit, {firsts}, {flags} FROM {relation} GROUP BY unit)"
        return f"WITH {head}, {', '.join(parts)} {_joined(len(steps), 'unit', 'at')}"
    over = "OVER (PARTITION BY unit ORDER BY s RANGE UNBOUNDED PRECEDING)"
    latest = ", ".join(f"max(s) FILTER ({x.sql}) {over} AS l{k}" for k, x in enumerate(steps, 1))
    head = f"spans AS (SELECT unit, s, {latest} FROM {relation})"
    parts = []
    for k in count:
        within = " AND ".join(f"l{i} >= s - {window!r}" for i in range(1, k + 1))
        parts.append(f"r{k} AS (SELECT unit, min(s) AS at FROM spans WHERE {within} GROUP BY unit)")
    return f"WITH {head}, {', '.join(parts)} {_joined(len(steps), 'unit', 'at')}"


def _all(k: int) -> str:
    return " AND ".join(f"d{i}" for i in range(1, k + 1))


def _joined(count: int, name: str, *parts: str) -> str:
    reach = " + ".join(f"(r{k}.unit IS NOT NULL)::INT" for k in range(1, count + 1))
    moments = ", ".join(f"r{k}.{p} AS {p}_{k}" for p in parts for k in range(1, count + 1))
    joins = " ".join(f"LEFT JOIN r{k} ON r{k}.unit = r1.unit" for k in range(2, count + 1))
    return f"SELECT r1.unit AS {name}, {reach} AS reach, {moments} FROM r1 {joins}"
