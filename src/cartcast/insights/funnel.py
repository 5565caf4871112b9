"""Funnels: how many sessions or visitors reach each step, and how long they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cartcast.arguments import answered
from cartcast.errors import UsageError
from cartcast.evaluate.share import Share
from cartcast.findings import Finding
from cartcast.insights.caveats import caveats
from cartcast.insights.clusters import clustered, sums
from cartcast.insights.reach import Unit, check_clock, reach_steps, wanted_steps
from cartcast.insights.source import Slice, Source, opened
from cartcast.segments.steps import Step

__all__ = ["Funnel", "FunnelStep", "Instead", "funnel"]


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
        by: a column; a session has one country, device, channel and campaign, and otherwise a unit
            belongs to the value at its first event of the first step.
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
        came = reach_steps(source, where or Slice(), sessions, unit, order, window, wanted, by)
        units = source.row("SELECT count(*) FROM reached")[0]
        counted = _count(source, wanted, by, segments, level)
        told = caveats(source.findings, ordered=order == "ordered" or window is not None)
        went = _instead(source, wanted, came) if came else ()
        return Funnel(unit, order, window, by, units, tuple(counted), told, went)


def _instead(source: Source, steps: Sequence[Step], came: str) -> tuple[Instead, ...]:
    rows = source.rows(
        "SELECT reach, next, count(*) AS n, n / sum(n) OVER (PARTITION BY reach) "
        f"FROM ({came}) GROUP BY reach, next ORDER BY reach, n DESC, next NULLS FIRST"
    )
    return tuple(Instead(k, str(steps[k - 1]), *row) for k, *row in rows)


def _count(
    source: Source, steps: Sequence[Step], by: str | None, segments: int, level: float
) -> list[FunnelStep]:
    grouping, joined = "NULL::VARCHAR", "reached"
    if by is not None:
        if segments < 1:
            raise UsageError(f"segments must be at least 1, got {segments}.")
        source.connection.execute(
            "CREATE TEMP TABLE big AS SELECT segment AS value FROM reached "
            "WHERE segment IS NOT NULL AND reach > 0 "
            "GROUP BY segment ORDER BY count(*) DESC, segment LIMIT ?",
            [segments],
        )
        joined = "reached LEFT JOIN big ON value = reached.segment"
        grouping = "CASE WHEN reached.segment IS NOT NULL THEN coalesce(value, 'other') END"
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
        f"CREATE TEMP VIEW placed AS SELECT {grouping} AS segment, reached.* EXCLUDE (segment) "
        f"FROM {joined} WHERE reach > 0"
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
