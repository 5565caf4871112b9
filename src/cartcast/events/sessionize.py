"""Sessions by inactivity, for events that come without one."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb

from cartcast.errors import UsageError, did_you_mean
from cartcast.events.summed import counted
from cartcast.events.zones import offset_sql
from cartcast.findings import Finding, declare, finding

__all__ = ["BREAKS", "MADE_SESSIONS", "check_breaks", "made_session_sql", "make_sessions",
           "sessions_finding"]  # fmt: skip

MADE_SESSIONS = "made"
"""Table of the rows (seq) that were given a session: its start (milliseconds), and a number."""

BREAKS: dict[str, str] = {
    "midnight": "CAST({local} AS DATE) <> CAST(lag({local}) OVER visit AS DATE)",
    "campaign": (
        "campaign IS NOT NULL AND campaign IS DISTINCT FROM lag(campaign IGNORE NULLS) OVER visit"
    ),
}
"""Further reasons for a new session -> SQL condition; `local` is the time by the shop's clock."""

SESSIONS_MADE = declare(
    "EV109",
    "note",
    "Sessions were made by inactivity",
    "The source gives no session for these events, so a pause ends a session.",
    "Choose the pause with --session-gap; export the shop's own session ids if it has them.",
)


def check_breaks(breaks: Iterable[str]) -> tuple[str, ...]:
    """Return the breaks, once each.

    Raises:
        UsageError: one does not exist.
    """
    chosen = tuple(dict.fromkeys(breaks))
    for name in chosen:
        if name not in BREAKS:
            raise UsageError(f"unknown session break {name!r}.{did_you_mean(name, BREAKS)}")
    return chosen


def make_sessions(
    con: duckdb.DuckDBPyConnection,
    rows: str,
    session_gap: float,
    session_breaks: Iterable[str],
    zone: str | None,
    sequence: str,
) -> int:
    """Make sessions for events that have none, in the table `made`; return how many needed one.

    A session of a visitor ends after `session_gap` seconds without an event. Its id is the
    visitor and the start in milliseconds since 1970, so that it is the same whenever it is made.
    Two that start in the same millisecond (a campaign break) are told apart by number.

    Raises:
        UsageError: the gap is not positive or a break does not exist.
    """
    if not session_gap > 0:
        raise UsageError(f"session_gap must fulfil session_gap > 0 seconds, got {session_gap}.")
    breaks = check_breaks(session_breaks)
    (needed,) = counted(con, "sessionless", f"SELECT count(*) FROM {rows} WHERE session_id IS NULL")
    if not needed:
        return 0
    gap = round(session_gap * 1_000_000)
    local = f"(event_time + to_minutes({offset_sql('event_time', zone)}))"
    new = " OR ".join(
        [
            "lag(event_time) OVER visit IS NULL",
            f"epoch_us(event_time) - epoch_us(lag(event_time) OVER visit) > {gap}",
            *(BREAKS[b].format(local=local) for b in breaks),
        ]
    )
    carried = "__file, __place, event_order, session_seconds, __tie_0, __tie_1, __tie_2"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {MADE_SESSIONS} AS
        WITH marked AS (
            SELECT __seq, hash(visitor_id) AS v, event_time, {carried},
                   CASE WHEN {new} THEN 1 ELSE 0 END AS starts
            FROM {rows} WHERE session_id IS NULL
            WINDOW visit AS (PARTITION BY visitor_id ORDER BY {sequence})
        ), numbered AS (
            SELECT __seq, v, event_time, sum(starts) OVER (
                       PARTITION BY v ORDER BY {sequence} ROWS UNBOUNDED PRECEDING) AS visit
            FROM marked
        ), started AS (
            SELECT __seq, v, visit, epoch_ms(min(event_time) OVER (PARTITION BY v, visit)) AS start
            FROM numbered
        )
        SELECT __seq AS seq, start,
               dense_rank() OVER (PARTITION BY v, start ORDER BY visit) AS number
        FROM started
        """
    )
    return int(needed)


def made_session_sql() -> str:
    """Return SQL of a session's id: the row's own (`r`), else that of `make_sessions` (`m`)."""
    return (
        "coalesce(r.session_id, r.visitor_id || '-' || coalesce(m.start::VARCHAR, 'all') || "
        "CASE WHEN m.number > 1 THEN '-' || m.number ELSE '' END)"
    )


def sessions_finding(made: int) -> Finding:
    """Return what must be said of sessions that were made."""
    return finding(SESSIONS_MADE, f"{made} events had no session; made by inactivity.", count=made)
