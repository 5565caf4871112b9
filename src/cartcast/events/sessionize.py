"""Sessions and the order of events in them, in SQL over the contract's work table."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb

from cartcast.errors import UsageError, did_you_mean
from cartcast.events.contract import STAGE

__all__ = [
    "BREAKS",
    "CLEAN",
    "check_breaks",
    "drop_seen_events",
    "in_time_order",
    "number_events",
    "sessionize",
]

CLEAN = "clean"
"""View of the events: those rows of the stage that have no reason, in sessions."""

BREAKS: dict[str, str] = {
    "midnight": "CAST(event_time AS DATE) <> CAST(lag(event_time) OVER visit AS DATE)",
    "campaign": (
        "campaign IS NOT NULL AND campaign IS DISTINCT FROM lag(campaign IGNORE NULLS) OVER visit"
    ),
}
"""Further reasons for a new session -> SQL condition."""


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


def drop_seen_events(con: duckdb.DuckDBPyConnection) -> int:
    """Drop events whose own id came before (an event sent twice); return how many."""
    row = con.execute(
        f"""
        DELETE FROM {STAGE} WHERE __reason IS NULL AND event_id IS NOT NULL AND __seq IN (
            SELECT __seq FROM (
                SELECT __seq, row_number() OVER (PARTITION BY event_id, __seq & 1023
                                                 ORDER BY __seq) AS place
                FROM {STAGE} WHERE __reason IS NULL AND event_id IS NOT NULL)
            WHERE place > 1)
        """
    ).fetchone()
    return int(row[0]) if row else 0


def sessionize(
    con: duckdb.DuckDBPyConnection, session_gap: float, session_breaks: Iterable[str] = ()
) -> int:
    """Give a session to every event that has none; return how many events needed one.

    A session of a visitor ends after `session_gap` seconds without an event. Its id is the
    visitor and the start in milliseconds since 1970, so that it is the same whenever it is made.

    Raises:
        UsageError: the gap is not positive or a break does not exist.
    """
    if not session_gap > 0:
        raise UsageError(f"session_gap must fulfil session_gap > 0 seconds, got {session_gap}.")
    breaks = check_breaks(session_breaks)
    row = con.execute(
        f"SELECT count(*) FROM {STAGE} WHERE session_id IS NULL AND __reason IS NULL"
    ).fetchone()
    needed = int(row[0]) if row else 0
    if not needed:
        return 0
    gap = round(session_gap * 1_000_000)
    new = " OR ".join(
        [
            "lag(event_time) OVER visit IS NULL",
            f"epoch_us(event_time) - epoch_us(lag(event_time) OVER visit) > {gap}",
            *(BREAKS[b] for b in breaks),
        ]
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE made AS
        WITH marked AS (
            SELECT __seq, visitor_id, event_time,
                   CASE WHEN {new} THEN 1 ELSE 0 END AS starts
            FROM {STAGE} WHERE session_id IS NULL AND __reason IS NULL
            WINDOW visit AS (PARTITION BY visitor_id ORDER BY event_time, __seq)
        ), numbered AS (
            SELECT __seq, visitor_id, event_time,
                   sum(starts) OVER (PARTITION BY visitor_id ORDER BY event_time, __seq
                                     ROWS UNBOUNDED PRECEDING) AS visit
            FROM marked
        ), started AS (
            SELECT __seq, visitor_id, visit,
                   min(event_time) OVER (PARTITION BY visitor_id, visit) AS start
            FROM numbered
        )
        SELECT __seq, visitor_id || '-' || coalesce(epoch_ms(start)::VARCHAR, 'all')
               AS session_id, visitor_id, visit, start
        FROM started
        """
    )
    # Two visits that start in the same millisecond (a campaign break) are told apart by number.
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE twice AS
        SELECT session_id, visit, row_number() OVER (PARTITION BY session_id ORDER BY visit) AS n
        FROM (SELECT DISTINCT session_id, visit FROM made
              WHERE session_id IN (SELECT session_id FROM made GROUP BY session_id
                                   HAVING count(DISTINCT visit) > 1))
        """
    )
    con.execute(
        """
        UPDATE made SET session_id = made.session_id || '-' || twice.n FROM twice
        WHERE twice.session_id = made.session_id AND twice.visit = made.visit AND twice.n > 1
        """
    )
    con.execute(
        f"UPDATE {STAGE} SET session_id = made.session_id FROM made "
        f"WHERE made.__seq = {STAGE}.__seq"
    )
    con.execute("DROP TABLE made; DROP TABLE twice")
    return needed


def number_events(con: duckdb.DuckDBPyConnection, clock: str) -> bool:
    """Make the view of clean events, numbered 1, 2, ... in each session.

    The source's own order is used when it is unique in every session; otherwise time and then the
    order of the rows. Returns whether the source's order was used.
    """
    row = con.execute(
        f"SELECT count(event_order) = count(*) AND count(*) > 0 FROM {STAGE} WHERE __reason IS NULL"
    ).fetchone()
    own = bool(row and row[0])
    if own:
        row = con.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM {STAGE} WHERE __reason IS NULL "
            "GROUP BY session_id, event_order HAVING count(*) > 1)"
        ).fetchone()
        own = bool(row and row[0] == 0)
    first = {"session": "session_seconds, "}.get(clock, "" if clock == "order" else "event_time, ")
    # With a full clock time comes first and the source's order breaks ties.
    order = (
        f"{first}event_order, __seq"
        if own and clock == "time"
        else "event_order, __seq"
        if own
        else f"{first}__seq"
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE numbered AS SELECT __seq AS seq, "
        f"row_number() OVER (PARTITION BY session_id ORDER BY {order}) AS place "
        f"FROM {STAGE} WHERE __reason IS NULL"
    )
    con.execute(
        f"UPDATE {STAGE} SET event_order = place FROM numbered WHERE seq = __seq "
        "AND __reason IS NULL"
    )
    con.execute("DROP TABLE numbered")
    con.execute(f"CREATE OR REPLACE VIEW {CLEAN} AS SELECT * FROM {STAGE} WHERE __reason IS NULL")
    return own


def in_time_order(con: duckdb.DuckDBPyConnection) -> bool:
    """Return whether the rows lie in the order of their times already, so that none need moving."""
    row = con.execute(
        f"SELECT count(*) FROM (SELECT event_time < lag(event_time) OVER () OR "
        f"(event_time = lag(event_time) OVER () AND __seq < lag(__seq) OVER ()) AS back "
        f"FROM {CLEAN}) WHERE back"
    ).fetchone()
    return bool(row and row[0] == 0)
