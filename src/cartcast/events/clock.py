"""The clock of a log: mixed zones, dates without a time, and hours that exist twice or never."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import duckdb

from cartcast.events.order import Direction
from cartcast.events.read import Source
from cartcast.events.staged import TYPED
from cartcast.events.summed import counted, grouped
from cartcast.findings import Finding, declare, finding

__all__ = ["ClockFacts", "read_clock", "resolve_doubled"]

MIXED_ZONES = declare(
    "EV104",
    "warn",
    "Times with and without a time zone are mixed",
    "A time without an offset beside times with one may be local or UTC.",
    "State `zone:` in the layout, or export all times with an offset.",
)
DATE_ONLY = declare(
    "EV105",
    "note",
    "The clock tells days only",
    "No time of day: seconds, hours and gaps between clicks are null, and time splits are by day.",
    "Export the time of each event if it is known.",
)
DOUBLED = declare(
    "EV128",
    "warn",
    "Times in an hour that the clock had twice",
    "When summer time ends, a local time such as 02:30 happens twice, and the order of the rows "
    "does not tell which is meant: it is read as the first.",
    "Export times in UTC or with their offset.",
)
SKIPPED = declare(
    "EV129",
    "warn",
    "Times in an hour that the clock skipped",
    "When summer time begins, a local time such as 02:30 does not exist; it is read as if the "
    "clock had not been changed yet.",
    "Check `zone:` of the layout: perhaps the times are in UTC.",
)

_SUDDEN = 15 * 60
"""Seconds by which times of a file in time order must fall back to show the second hour."""


class ClockFacts(NamedTuple):
    """What the times of all sources say.

    Attributes:
        clock: what the clock can tell.
        ambiguous: files in which times without an offset are rejects.
        doubled: number of times in an hour that exists twice.
        findings: what must be said.
    """

    clock: str
    ambiguous: tuple[int, ...]
    doubled: int
    findings: list[Finding]


def read_clock(
    con: duckdb.DuckDBPyConnection, sources: Sequence[Source], clock: str, first: int = 0
) -> ClockFacts:
    """Decide what only the whole column can tell: mixed zones, and whether the clock is a date.

    `first` is the number of the first source.
    """
    found: list[Finding] = []
    ambiguous: list[int] = []
    rows = grouped(
        con,
        "zones",
        f"SELECT __file, count(*) FILTER (__zone = 0), count(*) FILTER (__zone = 1), "
        f"count(*) FILTER (__zone = 2), count(*) FILTER (NOT coalesce(__date_only, false)), "
        f"count(*) FILTER (__clock = 1), count(*) FILTER (__clock = 2) "
        f"FROM {TYPED} WHERE __rule IS NULL AND event_time IS NOT NULL GROUP BY 1 ORDER BY 1",
    )
    for file, naive, utc, offset, *_ in rows:
        if not naive or not (utc or offset):
            continue
        name = sources[file - first].short
        if offset:
            ambiguous.append(file)
            message = (
                f"{name}: {naive} times have no offset while {offset + utc} have one: rejected."
            )
        else:
            message = f"{name}: {naive} times have no zone while {utc} say UTC: read as UTC."
        found.append(
            finding(MIXED_ZONES, message, count=naive, without=naive, with_zone=utc + offset)
        )
    if clock == "time" and rows and not any(r[4] for r in rows):
        clock = "day"
    if clock == "day":
        found.append(finding(DATE_ONLY, "The source gives a date but no time of day."))
    skipped = sum(r[6] for r in rows) if clock == "time" else 0
    if skipped:
        found.append(
            finding(
                SKIPPED, f"{skipped} times lie in an hour that the clock skipped.", count=skipped
            )
        )
    doubled = sum(r[5] for r in rows) if clock == "time" else 0
    return ClockFacts(clock, tuple(ambiguous), doubled, found)


def resolve_doubled(
    con: duckdb.DuckDBPyConnection, good: str, directions: Sequence[Direction]
) -> list[Finding]:
    """Keep in the table `second_hour` the rows that lie in the second of two equal hours.

    In a file in time order the times fall back once, where the second hour begins; in any other
    file the rows of one visitor may show it.
    """
    ordered = ", ".join(str(n) for n in _in_order(con, good, directions)) or "-1"
    newest = ", ".join(str(d.file) for d in directions if d.newest_first) or "-1"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE second_hour AS
        WITH doubled AS (
            SELECT __seq AS seq, event_time AS t, date_trunc('day', event_time) AS day,
                   CASE WHEN __file IN ({ordered}) THEN 'file' || __file
                        ELSE __file || '/' || coalesce(visitor_id, user_id, session_id) END AS who,
                   CASE WHEN __file IN ({ordered}) THEN {_SUDDEN} ELSE 0 END AS least,
                   CASE WHEN __file IN ({newest}) THEN -__at ELSE __at END AS place
            FROM {TYPED} WHERE {good} AND __clock = 1
        ), falls AS (
            SELECT *, epoch(lag(t) OVER (PARTITION BY who, day ORDER BY place)) - epoch(t) > least
                   AS falls
            FROM doubled
        )
        SELECT seq, sum(coalesce(falls, false)::INT) OVER (
                   PARTITION BY who, day ORDER BY place ROWS UNBOUNDED PRECEDING) > 0 AS second,
               bool_or(coalesce(falls, false)) OVER (PARTITION BY who, day) AS told
        FROM falls
        """
    )
    (unknown,) = counted(con, "doubled", "SELECT count(*) FROM second_hour WHERE NOT told")
    con.execute("DELETE FROM second_hour WHERE NOT second")
    if not unknown:
        return []
    return [
        finding(
            DOUBLED,
            f"{unknown} times lie in an hour that the clock had twice; read as the first.",
            count=unknown,
        )
    ]


def _in_order(
    con: duckdb.DuckDBPyConnection, good: str, directions: Sequence[Direction]
) -> list[int]:
    """Return the files whose times fall nowhere but in hours that the clock had twice."""
    falls = dict(
        con.execute(
            f"""
            SELECT file, count(*) FILTER (t < p) FROM (
                SELECT __file AS file, event_time AS t,
                       lag(event_time) OVER (PARTITION BY __file ORDER BY __at) AS p
                FROM {TYPED} WHERE {good} AND __clock = 1) GROUP BY 1
            """
        ).fetchall()
    )
    return [d.file for d in directions if d.in_order or d.falls == falls.get(d.file, 0)]
