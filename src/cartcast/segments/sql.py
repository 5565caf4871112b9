"""Segments asked of a log: the one translation into SQL, over the session table and the events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cartcast.errors import UsageError, did_you_mean
from cartcast.events import Log
from cartcast.events.sql import identifier, read_parquet
from cartcast.segments.columns import Range, Values, as_number
from cartcast.segments.conditions import (
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
from cartcast.segments.funnel_sql import next_after, place_reached, reach_first
from cartcast.segments.segment import AT_START, SUMMED, Segment
from cartcast.segments.steps import Step, steps_from

__all__ = ["asked", "at_start"]

Asked = tuple[str, list[Any]]

_OWN = ("session_id", "visitor", "visitor_code", "steps", "moments", "start_utc")
"""Columns of the session table that are no property of a session."""


def asked(segment: Segment, columns: Sequence[str], events: Sequence[str]) -> Asked:
    """Return the SQL condition of a segment on a row of `sessions`, and its parameters.

    `columns` are those of the relation `sessions`, `events` those of the relation `events`. What is
    not known fulfils no condition but one that excludes values.

    Raises:
        UsageError: the log has no such column, or no clock that tells who was seen when.
    """
    parts, parameters = list[str](), list[Any]()
    for c in segment.where:
        sql, more = _Asked(segment, tuple(columns), tuple(events)).of(c)
        parts.append(sql)
        parameters += more
    return f"({' AND '.join(parts)})", parameters


class _Asked:
    """Asks one condition after the other of sessions, or of visitors."""

    def __init__(self, segment: Segment, columns: Sequence[str], events: Sequence[str]) -> None:
        self._segment = segment
        self._columns = [c for c in columns if c not in _OWN]
        self._events = events

    def of(self, c: Condition) -> Asked:
        match c:
            case Values(exclude=exclude):
                sql = self._values(replace(c, exclude=False))
                return (f"NOT {sql}" if exclude else sql), []
            case Range():
                return self._range(c), []
            case Did(times=times, negated=negated):
                sql = self._units(f"WHERE {self._step(c.event).sql}", "HAVING count(*) >= ?")
                return (f"NOT {sql}" if negated else sql), [times]
            case Bought(yes=yes):
                sql = "coalesce(purchases > 0, false)"
                if self._segment.of == "visitor":
                    sql = self._visitors(f"HAVING bool_or({sql})")
                return (sql if yes else f"NOT {sql}"), []
            case Scored(table=table, least=least):
                assert table is not None, "scores are made for a log before it is asked"
                sql = f"SELECT session_id FROM {read_parquet(table)} WHERE score >= ?"
                return self._sessions(sql), [least]
            case Found(table=table, name=name):
                assert table is not None, "sessions are named for a log before it is asked"
                sql = f"SELECT session_id FROM {read_parquet(table)} WHERE segment = ?"
                return self._sessions(sql), [name]
            case Walk():
                return self._walk(c)
            case Reached():
                return self._reached(c)
            case Cohort():
                return self._cohort(c)
            case Seen(seconds=seconds):
                # A visitor was there until the last event of his last session.
                last = "max(start_utc + to_microseconds((coalesce(seconds, 0) * 1e6)::BIGINT))"
                recent = f"{last} >= (SELECT {last} FROM sessions) - to_microseconds(?)"
                return self._visitors(f"HAVING coalesce({recent}, false)"), [round(seconds * 1e6)]

    def _values(self, c: Values) -> str:
        if c.column not in self._columns:
            self._of_log(c.column)
            return self._units(f"WHERE {c.sql}")
        if self._segment.of == "visitor":
            return self._visitors(f"HAVING bool_or({c.sql})")
        return f"({c.sql})"

    def _range(self, c: Range) -> str:
        if c.column not in self._columns:
            self._of_log(c.column)
            return self._units(f"WHERE {c.sql}")
        if self._segment.of == "session":
            return f"({c.sql})"
        if c.column not in SUMMED:
            raise UsageError(
                f"segment {self._segment.name!r}: {c.column} of several sessions does not add up; "
                f"of visitors there are ranges of {', '.join(SUMMED)}."
            )
        return self._visitors(f"HAVING {c.holds(f'sum({as_number(c.column)})')}")

    def _units(self, where: str, having: str = "") -> str:
        """SQL: the session, or its visitor, has such events."""
        if self._segment.of == "session":
            return (
                f"(session_id IN (SELECT session_id FROM events {where} "
                f"GROUP BY session_id {having}))"
            )
        return (
            "(visitor IN (SELECT s.visitor FROM sessions AS s JOIN "
            f"(SELECT session_id FROM events {where}) USING (session_id) "
            f"GROUP BY s.visitor {having}))"
        )

    def _sessions(self, sql: str) -> str:
        """SQL: one of these sessions, or one of its visitor's."""
        if self._segment.of == "session":
            return f"(session_id IN ({sql}))"
        return self._visitors(f"HAVING bool_or(session_id IN ({sql}))")

    def _walk(self, c: Walk) -> Asked:
        """Follow each session from its first anchor, as `insights.paths` does."""
        value = f"coalesce({self._of_log(c.column)}::VARCHAR, '(unknown)')"
        sign, order = ("<=", " DESC") if c.to else (">=", "")
        far = f"len(l) = {c.step}" if c.far is None else f"l[{c.step + 1}] = ?"
        sql = (
            "SELECT session_id FROM (SELECT session_id, list_filter(l, (x, i) -> i = 1 OR "
            f"x <> l[i - 1]) AS l FROM (SELECT session_id, list({value} ORDER BY event_order"
            f"{order}) AS l FROM events JOIN (SELECT session_id, min(event_order) AS place FROM "
            f"events WHERE {value} = ? GROUP BY session_id) USING (session_id) WHERE event_order "
            f"{sign} place GROUP BY session_id)) WHERE l[{c.step}] = ? AND {far}"
        )
        return self._sessions(sql), [c.anchor, c.near, *([c.far] if c.far is not None else [])]

    def _reached(self, c: Reached) -> Asked:
        """Follow the steps as `insights.funnel` does."""
        steps = [self._step(word) for word in c.steps]
        reach = reach_first("events", steps, "session_id", "event_order", "NULL::DOUBLE")
        if c.next is not None:
            place = place_reached(len(steps))
            lost = (
                f"SELECT session_id AS unit, reach, {place} AS place FROM ({reach}) WHERE reach = ?"
            )
            came = next_after(lost, "events", steps, "session_id", "event_order")
            sql = f"SELECT unit FROM ({came}) WHERE coalesce(next, '') = ?"
            return self._sessions(sql), [c.reached, c.next]
        sign = "=" if c.lost else ">="
        return self._sessions(f"SELECT session_id FROM ({reach}) WHERE reach {sign} ?"), [c.reached]

    def _step(self, word: str) -> Step:
        (step,) = steps_from((word,))
        for column in step.columns:
            self._of_log(column)
        return step

    def _cohort(self, c: Cohort) -> Asked:
        """Ask of a visitor's weeks, as `insights.cohorts` counts them."""
        counted = {
            None: "true",
            "returned": f"count(*) FILTER (k = $k) > {int(c.after == 0)}",
            "bought": "coalesce(sum(purchases) FILTER (k = $k), 0) > 0",
            "bought_again": "coalesce(sum(purchases) FILTER (k = $k), 0) > 0 AND "
            "sum(purchases) FILTER (k <= $k) > 1",
        }[c.did].replace("$k", str(c.after))
        sql = (
            "SELECT visitor FROM (SELECT visitor, purchases, (epoch_us(start_utc) - "
            "epoch_us(min(start_utc) OVER w)) // 604800000000 AS k, date_trunc('week', "
            "first_value(start) OVER (w ORDER BY start_utc))::DATE AS week FROM sessions "
            "WINDOW w AS (PARTITION BY visitor)) GROUP BY visitor "
            f"HAVING any_value(week) = ?::DATE AND {counted}"
        )
        return f"(visitor IN ({sql}))", [c.week]

    def _visitors(self, having: str) -> str:
        return f"(visitor IN (SELECT visitor FROM sessions GROUP BY visitor {having}))"

    def _of_log(self, column: str) -> str:
        if column not in self._events:
            known = sorted({*self._columns, *self._events})
            raise UsageError(
                f"segment {self._segment.name!r}: the log has no column {column!r}."
                f"{did_you_mean(column, known)}"
            )
        return identifier(column)


def at_start(part: Log, segment: Segment) -> set[str]:
    """Return the sessions of a part of a log that belong to a segment by their first events.

    What decides is known at every moment of the session: a value that only a later event bears does
    not count.

    Raises:
        UsageError: the segment is not known at the first event; the log lacks a column.
    """
    segment.require_at_start()
    used = {c.column for c in segment.where if isinstance(c, Values | Range)}
    timed, offset = part.clock in ("time", "day"), "0"
    if "utc_offset" in part.columns:
        offset = "coalesce(arg_min_null(utc_offset, event_order), 0)::BIGINT"
    begun = f"min(event_time) + to_minutes({offset})" if timed else "NULL::TIMESTAMP"
    own = {
        "first_event": "arg_min_null(event_type, event_order)",
        "weekday": f"isodow({begun})",
        "hour": f"hour({begun})" if part.clock == "time" else "NULL::BIGINT",
    }
    own |= {
        c: f"arg_min_null({identifier(c)}, event_order)"
        for c in AT_START
        if c not in own and c in part.columns
    }
    named = ", ".join(f"{sql} AS {identifier(c)}" for c, sql in own.items() if c in used)
    condition, parameters = asked(segment, list(own), ())
    with part.connect() as con:
        rows = con.execute(
            f"SELECT session_id FROM (SELECT session_id, {named} FROM events GROUP BY session_id) "
            f"WHERE {condition}",
            parameters,
        ).fetchall()
    return {str(r[0]) for r in rows}
