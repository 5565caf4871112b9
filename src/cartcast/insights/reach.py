"""How far units get through steps: what funnels are counted from, whatever they ask."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

from cartcast.errors import UsageError
from cartcast.events.sql import identifier, literal
from cartcast.insights.sessions import CONTEXT, keep, make_sessions, session_facts, usual_steps
from cartcast.insights.source import Slice, Source
from cartcast.segments.conditions import DAY
from cartcast.segments.funnel_sql import (
    next_after,
    place_reached,
    reach_any,
    reach_first,
    reach_within,
)
from cartcast.segments.steps import Step, carried, steps_from

__all__ = ["Unit", "check_clock", "reach_steps", "wanted_steps"]

Unit = Literal["session", "visitor"]
_MOMENT = ("event_time", "session_id", "event_order")
"""What orders the events of a visitor."""


def reach_steps(
    source: Source, where: Slice, sessions: Path | str | None, unit: Unit, order: str,
    window: float | None, steps: Sequence[Step], by: str | None,
) -> str:  # fmt: skip
    """Make `reached`, and return the SQL of what came instead: `reach, next` of those lost.

    `reached` has a row for each unit of a slice with any of the steps: visitor, segment (its value
    of `by`), reach, and when: at_1, at_2 ... In any order nothing is told to come instead.
    """
    if by is not None:
        source.require(by)
    kinds = session_facts(sessions).get("event_types")
    simple = unit == "session" and order == "ordered" and window is None
    if simple and kinds is not None and _of_runs(steps) and (by is None or by in CONTEXT):
        columns = make_sessions(source, sessions)
        if "moments" in columns:
            return _from_runs(source, where, columns, steps, by, kinds)
    relation = keep(source, where, sessions)
    _units(source, relation, unit, steps, by)
    asked = [step.carried for step in steps]
    if order == "any":
        reach = reach_any("steps_done", asked, window)
    elif window is not None:
        reach = reach_within("steps_done", asked, window)
    else:
        reach = reach_first("steps_done", asked, "unit", "place", "s")
    valued = "SELECT NULL::VARCHAR AS unit, NULL::VARCHAR AS segment WHERE false"
    if by in CONTEXT and unit == "session":
        # A session has one value of these, wherever it stands.
        name = identifier(by)
        valued = (
            f"SELECT session_id AS unit, arg_min({name}, event_order)::VARCHAR AS segment "
            f"FROM {relation} GROUP BY session_id"
        )
    elif by is not None:
        valued = (
            f"SELECT unit, arg_min_null({identifier(carried(by))}, place)::VARCHAR AS segment "
            f"FROM steps_done WHERE {steps[0].carried.sql} GROUP BY unit"
        )
    source.connection.execute(
        "CREATE OR REPLACE TEMP TABLE reached AS SELECT unit, visitor, segment, "
        "coalesce(r.reach, 0) AS reach, r.* EXCLUDE (unit, reach) FROM "
        "(SELECT unit, any_value(visitor) AS visitor FROM steps_done GROUP BY unit) "
        f"LEFT JOIN ({reach}) r USING (unit) LEFT JOIN ({valued}) USING (unit)"
    )
    return "" if order == "any" else _came(source, relation, unit, steps)


def _of_runs(steps: Sequence[Step]) -> bool:
    """Return whether steps are of event types, each of others than the one before.

    Then the first event of a run of alike ones is the one that counts.
    """
    apart = all(not {*a.event_types} & {*b.event_types} for a, b in pairwise(steps))
    return apart and all(step.plain for step in steps)


def _from_runs(
    source: Source, where: Slice, columns: tuple[str, ...], steps: Sequence[Step],
    by: str | None, kinds: Sequence[str],
) -> str:  # fmt: skip
    """Follow the runs of event types that the session table holds; see `reach_steps`."""
    condition, parameters = where.condition(source, columns)
    codes = [[f"{kinds.index(k) + 1}::USMALLINT" for k in step.event_types] for step in steps]
    every = ", ".join(dict.fromkeys(c for own in codes for c in own))
    segment = "NULL::VARCHAR" if by is None else identifier(by)
    parts = [
        "p0 AS (SELECT visitor_code AS visitor, "
        f"{segment} AS segment, steps, moments, 0 AS p0 FROM sessions WHERE {condition} "
        f"AND list_has_any(steps, [{every}]))"
    ]
    rest = list[str]()
    for k, own in enumerate(codes, 1):
        found = [f"nullif(list_position(steps[p{k - 1} + 1:], {c}), 0)" for c in own]
        parts.append(
            f"p{k} AS (SELECT *, p{k - 1} + least({', '.join(found)}) AS p{k} FROM p{k - 1})"
        )
        others = f"list_filter(steps[p{k} + 1:], x -> x NOT IN ({', '.join(own)}))[1]"
        rest.append(f"WHEN {k} THEN {others if len(own) > 1 else f'steps[p{k} + 1]'}")
    places = range(1, len(steps) + 1)
    reach = " + ".join(f"(p{k} IS NOT NULL)::INT" for k in places)
    moments = ", ".join(f"moments[p{k}] AS at_{k}" for k in places)
    names = ", ".join(map(literal, kinds))
    source.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE reached AS WITH {', '.join(parts)} SELECT visitor, "
        f"segment, reach, {moments}, [{names}][CASE reach {' '.join(rest)} END] AS next "
        f"FROM (SELECT *, {reach} AS reach FROM p{len(steps)})",
        parameters,
    )
    return f"SELECT reach, next FROM reached WHERE reach BETWEEN 1 AND {len(steps) - 1}"


def wanted_steps(source: Source, words: Sequence[str] | None, order: str) -> tuple[Step, ...]:
    """Return the steps that are asked for, each of which the log has.

    Raises:
        UsageError: one does not exist, or the order is none.
    """
    if order not in ("ordered", "any"):
        raise UsageError(f"order must be ordered or any, got {order!r}.")
    steps = usual_steps(source) if words is None else steps_from(words)
    if order == "any" and len(set(steps)) < len(steps):
        raise UsageError("in any order the steps must differ; a repeated step needs an order.")
    for step in steps:
        for column in step.columns:
            source.require(column)
    kinds = [kind for step in steps for kind in step.event_types]
    source.require_events(kinds, " Other columns: column=value.")
    return steps


def check_clock(source: Source, unit: Unit, window: float | None) -> None:
    """Check that the log's clock can tell the order of visitors' sessions, and the window.

    Raises:
        UsageError: it cannot.
    """
    if unit not in ("session", "visitor"):
        raise UsageError(f"unit must be session or visitor, got {unit!r}.")
    if unit == "visitor" and source.clock not in ("time", "day"):
        raise UsageError(
            f"the log's clock is {source.clock!r}: the order of a visitor's sessions is unknown; "
            "count sessions."
        )
    if window is None:
        return
    if window <= 0:
        raise UsageError(f"window must be positive seconds, got {window}.")
    if source.clock == "order" or (source.clock == "day" and window < DAY):
        raise UsageError(
            f"the log's clock is {source.clock!r}, which cannot tell a window of {window:g} s; "
            "leave the window out."
        )


def _units(
    source: Source, relation: str, unit: Unit, steps: Sequence[Step], by: str | None
) -> None:
    """Make the view `steps_done`: unit, visitor, place, s and the columns of the steps."""
    own = dict.fromkeys(c for s in steps for c in s.columns)
    if by is not None:
        own[by] = None
    if unit == "visitor":
        own |= dict.fromkeys(_MOMENT)
    columns = ", ".join(f"e.{identifier(n)} AS {identifier(carried(n))}" for n in own)
    done = " OR ".join(s.sql for s in steps)
    visitor = _visitor(source)
    if unit == "session":
        source.connection.execute(
            "CREATE OR REPLACE TEMP VIEW steps_done AS SELECT session_id AS unit, "
            f"{visitor} AS visitor, event_order AS place, {source.seconds} AS s, {columns} "
            f"FROM {relation} e WHERE {done}"
        )
        return
    # Sessions of one visitor that begin at one moment are ordered by their name: any fixed
    # order is as good, and it must be one.
    source.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE steps_done AS SELECT {visitor} AS unit, unit AS visitor, "
        f"row_number() OVER (PARTITION BY {visitor} ORDER BY {', '.join(_MOMENT)}) AS place, "
        f"{source.seconds} AS s, {columns} FROM {relation} e WHERE {done}"
    )


def _came(source: Source, relation: str, unit: Unit, steps: Sequence[Step]) -> str:
    """SQL: what came instead, of the units that `reached` and `steps_done` hold."""
    lost = (
        f"SELECT unit, reach, {place_reached(len(steps))} AS place FROM reached "
        f"WHERE reach BETWEEN 1 AND {len(steps) - 1}"
    )
    if unit == "session":
        return next_after(lost, relation, steps, "session_id", "event_order")
    at = ", ".join(f"d.{identifier(carried(c))}" for c in _MOMENT)
    lost = (
        f"SELECT unit, reach, row({at}) AS place FROM ({lost}) "
        "JOIN steps_done d USING (unit, place)"
    )
    return next_after(lost, relation, steps, _visitor(source), f"row({', '.join(_MOMENT)})")


def _visitor(source: Source) -> str:
    return "coalesce(visitor_id, session_id)" if "visitor_id" in source.columns else "session_id"
