"""Funnels: how many sessions or visitors reach each step, and how long they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cartcast.arguments import answered
from cartcast.errors import UsageError
from cartcast.evaluate.share import Share
from cartcast.events.sql import identifier
from cartcast.findings import Finding
from cartcast.insights.caveats import caveats
from cartcast.insights.clusters import clustered, sums
from cartcast.insights.sessions import keep, usual_steps
from cartcast.insights.source import Slice, Source, opened
from cartcast.segments.funnel_sql import (
    next_after,
    place_reached,
    reach_any,
    reach_first,
    reach_within,
)
from cartcast.segments.steps import Step, carried, steps_from

__all__ = [
    "Funnel",
    "FunnelStep",
    "Instead",
    "Unit",
    "check_clock",
    "funnel",
    "reach_steps",
    "wanted_steps",
]

Unit = Literal["session", "visitor"]
DAY = 86_400.0
_MOMENT = ("event_time", "session_id", "event_order")
"""What orders the events of a visitor."""


class FunnelStep(NamedTuple):
    """One step of a funnel, in one segment.

    Attributes:
        segment: value of the column `by`; None when unknown, or when there is no `by`.
        step: the step, as asked for.
        reached: units that reached it.
        of_first: share of the units of the first step, with interval.
        of_previous: share of the units of the step before, with interval.
        lost: units lost since the step before; 0 at the first.
        seconds_median: from reaching the step before to reaching this one; None without a clock.
        seconds_low: lower quartile of the same.
        seconds_high: upper quartile of the same.
    """

    segment: str | None
    step: str
    reached: int
    of_first: Share
    of_previous: Share
    lost: int
    seconds_median: float | None
    seconds_low: float | None
    seconds_high: float | None


class Instead(NamedTuple):
    """Where units go that reached a step, but not the next one.

    Attributes:
        reached: steps that they reached.
        step: the last of these.
        event: the first event after it that is not of that step again; None where there is none:
            the session ends, or the visitor is not seen again.
        units: how many.
        share: of the units lost there, from 0 to 1.
    """

    reached: int
    step: str
    event: str | None
    units: int
    share: float


@dataclass(frozen=True)
class Funnel:
    """A funnel: what was asked, the units in all, and the steps (by segment, then in order).

    `instead` says where they go that are lost, by step, most first; of a funnel in any order it
    is empty. `findings` are those of the log that void its rates, or the order of its steps.
    """

    unit: Unit
    order: Literal["ordered", "any"]
    window: float | None
    by: str | None
    units: int
    steps: tuple[FunnelStep, ...]
    findings: tuple[Finding, ...] = ()
    instead: tuple[Instead, ...] = ()

    @property
    def segments(self) -> tuple[str | None, ...]:
        """The segments, largest first."""
        return tuple(dict.fromkeys(s.segment for s in self.steps))

    @property
    def conversion(self) -> Share | None:
        """Share of the first step's units that reached the last; None when split by a column."""
        return self.steps[-1].of_first if self.by is None and self.steps else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        told = asdict(self)
        told["steps"] = [
            {
                **s._asdict(),
                "of_first": s.of_first._asdict(),
                "of_previous": s.of_previous._asdict(),
            }
            for s in self.steps
        ]
        told["instead"] = [i._asdict() for i in self.instead]
        return told


@answered
def funnel(
    log: Any,
    steps: Sequence[str] | None = None,
    *,
    unit: Unit = "session",
    order: Literal["ordered", "any"] = "ordered",
    window: float | None = None,
    by: str | None = None,
    segments: int = 8,
    where: Slice | None = None,
    sessions: Path | str | None = None,
    level: float = 0.95,
) -> Funnel:
    """Return the funnel of `log` through `steps`.

    Args:
        log: a `Log`, the path of a canonical Parquet file, or an Arrow table.
        steps: event types, or `column=value`; several with `|` between them, and conditions on the
            same event in brackets: `view_item[category=shoes,boots; price>=50]|search`
            (`cartcast.segments.steps`). None means those of the usual funnel that occur.
        unit: what is counted; a visitor's sessions are joined in time.
        order: `ordered`: each step after the one before; `any`: all of them, in any order.
        window: seconds from the first to the last step; None means no limit.
        by: a column; a unit belongs to its value at the unit's first event of the first step.
        segments: how many values of `by` are kept apart; the others become "other".
        where: only the sessions of this slice.
        sessions: session table written before (`write_sessions`); spares work with `where`.
        level: confidence of the intervals.

    Raises:
        UsageError: a step or column does not exist, or the clock cannot tell the window.
        DataError: the log has not passed the contract.
    """
    with opened(log) as source:
        wanted = wanted_steps(source, steps, order)
        check_clock(source, unit, window)
        reach_steps(source, where or Slice(), sessions, unit, order, window, wanted, by)
        units = source.row("SELECT count(DISTINCT unit) FROM steps_done")[0]
        counted = _count(source, wanted, by, segments, level)
        told = caveats(source.findings, ordered=order == "ordered" or window is not None)
        went = () if order == "any" else _instead(source, wanted, unit)
        return Funnel(unit, order, window, by, units, tuple(counted), told, went)


def _instead(source: Source, steps: Sequence[Step], unit: Unit) -> tuple[Instead, ...]:
    """Follow the units that were lost; `reached` and `steps_done` are there."""
    relation = "funnel_events"
    if unit == "session":
        lost = f"SELECT unit, reach, {place_reached(len(steps))} AS place FROM reached"
        came = next_after(f"{lost} WHERE reach < {len(steps)}", relation, steps, "session_id", "event_order")
    else:
        at = ", ".join(f"d.{identifier(carried(c))}" for c in _MOMENT)
        lost = (
            f"SELECT r.unit, r.reach, row({at}) AS place FROM (SELECT unit, reach, "
            f"{place_reached(len(steps))} AS place FROM reached WHERE reach < {len(steps)}) r "
            "JOIN steps_done d USING (unit, place)"
        )
        came = next_after(
            lost, relation, steps, _visitor(source), f"row({', '.join(_MOMENT)})"
        )
    rows = source.rows(
        "SELECT reach, next, count(*) AS n, n / sum(n) OVER (PARTITION BY reach) "
        f"FROM ({came}) GROUP BY reach, next ORDER BY reach, n DESC, next NULLS FIRST"
    )
    return tuple(Instead(k, str(steps[k - 1]), *row) for k, *row in rows)


def reach_steps(
    source: Source, where: Slice, sessions: Path | str | None, unit: Unit, order: str,
    window: float | None, steps: Sequence[Step], by: str | None,
) -> None:  # fmt: skip
    """Make `reached`: each unit of a slice, its visitor, the steps it reached and when."""
    _units(source, keep(source, where, sessions), unit, steps, by)
    asked = [step.carried for step in steps]
    if order == "any":
        reach = reach_any("steps_done", asked, window)
    elif window is not None:
        reach = reach_within("steps_done", asked, window)
    else:
        reach = reach_first("steps_done", asked, "unit", "place", "s")
    source.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE reached AS SELECT * FROM ({reach}) JOIN (SELECT unit, "
        "any_value(visitor) AS visitor FROM steps_done GROUP BY unit) USING (unit)"
    )


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
        source.require(by)
        own[by] = None
    if unit == "visitor":
        own |= dict.fromkeys(_MOMENT)
    source.connection.execute(f"CREATE OR REPLACE TEMP VIEW funnel_events AS FROM {relation}")
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
        f"row_number() OVER (PARTITION BY {visitor} "
        f"ORDER BY event_time, session_id, event_order) AS place, "
        f"{source.seconds} AS s, {columns} FROM {relation} e WHERE {done}"
    )


def _visitor(source: Source) -> str:
    return "coalesce(visitor_id, session_id)" if "visitor_id" in source.columns else "session_id"


def _count(
    source: Source, steps: Sequence[Step], by: str | None, segments: int, level: float
) -> list[FunnelStep]:
    grouping = "NULL::VARCHAR"
    joined = "reached"
    if by is not None:
        if segments < 1:
            raise UsageError(f"segments must be at least 1, got {segments}.")
        source.connection.execute(
            f"CREATE TEMP TABLE valued AS SELECT unit, "
            f"arg_min_null({identifier(carried(by))}, place)::VARCHAR AS segment "
            f"FROM steps_done WHERE {steps[0].carried.sql} GROUP BY unit"
        )
        source.connection.execute(
            "CREATE TEMP TABLE big AS SELECT segment FROM valued WHERE segment IS NOT NULL "
            "GROUP BY segment ORDER BY count(*) DESC, segment LIMIT ?",
            [segments],
        )
        joined = "reached JOIN valued USING (unit) LEFT JOIN big b ON b.segment = valued.segment"
        grouping = (
            "CASE WHEN valued.segment IS NULL THEN NULL ELSE coalesce(b.segment, 'other') END"
        )
    places = range(1, len(steps) + 1)
    each = ", ".join(f"count(*) FILTER (reach >= {k}) AS c{k}" for k in places)
    took = ", ".join(
        f"quantile_cont(at_{k} - at_{k - 1}, [0.25, 0.5, 0.75]) FILTER (reach >= {k}) AS t{k}"
        for k in places[1:]
    )
    shares = ", ".join(
        f"{sums(f'c{k}', 'c1')}, {sums(f'c{k}', f'c{max(k - 1, 1)}')}" for k in places
    )
    source.connection.execute(
        f"CREATE TEMP VIEW placed AS SELECT {grouping} AS segment, reached.* FROM {joined}"
    )
    times = "" if len(steps) == 1 else ", " + ", ".join(f"any_value(t{k})" for k in places[1:])
    found = source.rows(
        f"WITH each AS (SELECT segment, visitor, {each} FROM placed GROUP BY ALL), "
        f"took AS (SELECT segment{', ' if took else ''}{took} FROM placed GROUP BY segment) "
        f"SELECT each.segment, {shares}{times} FROM each "
        "JOIN took ON each.segment IS NOT DISTINCT FROM took.segment "
        "GROUP BY 1 ORDER BY sum(c1) DESC, 1"
    )
    if not found:
        found = [(None, *([None] * (3 * len(steps) - 1)))]
    return [s for row in found for s in _steps(row, steps, level)]


def _steps(row: tuple[Any, ...], steps: Sequence[Step], level: float) -> list[FunnelStep]:
    size = 2 * len(steps)
    shares, times = [clustered(c, level) for c in row[1 : size + 1]], (None, *row[size + 1 :])
    made = []
    for k, step in enumerate(steps):
        of_first, of_previous = shares[2 * k : 2 * k + 2]
        low, middle, high = times[k] or (None, None, None)
        lost = of_previous.of - of_previous.did
        made.append(
            FunnelStep(
                row[0], str(step), of_first.did, of_first, of_previous, lost, middle, low, high
            )
        )
    return made
