"""Sessions by inactivity, for events that come without one."""

from __future__ import annotations

import duckdb

from cartcast.events.summed import counted
from cartcast.events.zones import offset_sql
from cartcast.findings import Finding, declare, finding
from cartcast.sessions import SessionRules, visits_sql

__all__ = ["MADE_SESSIONS", "made_session_sql", "make_sessions", "sessions_finding"]

MADE_SESSIONS = "made"
"""Table of the rows (seq) that were given a session: its start (milliseconds), and a number."""

SESSIONS_MADE = declare(
    "EV109",
    "note",
    "Sessions were made by inactivity",
    "The source gives no session for these events, so a pause ends a session.",
    "Choose the pause with --session-gap; export the shop's own session ids if it has them.",
)


def make_sessions(
    con: duckdb.DuckDBPyConnection, rows: str, rules: SessionRules, zone: str | None, sequence: str
) -> int:
    """Make sessions for events that have none, in the table `made`; return how many needed one.

    The id of a session is the visitor and the start in milliseconds since 1970, so that it is the
    same whenever it is made. Two that start in the same millisecond (a campaign break) are told
    apart by number.
    """
    (needed,) = counted(con, "sessionless", f"SELECT count(*) FROM {rows} WHERE session_id IS NULL")
    if not needed:
        return 0
    visits = visits_sql(
        rules,
        f"{rows} WHERE session_id IS NULL",
        "hash(visitor_id)",
        "__seq, event_time, __place, event_order, session_seconds, __tie_0, __tie_1, __tie_2",
        f"(event_time + to_minutes({offset_sql('event_time', zone)}))",
        sequence,
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {MADE_SESSIONS} AS
        WITH numbered AS ({visits}), started AS (
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
    return finding(
        SESSIONS_MADE, f"{made:,} events had no session; made by inactivity.", count=made
    )
