"""The sessions behind a figure, and what happened in one of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cartcast.errors import UsageError
from cartcast.events.schema import METADATA_KEY, metadata_text
from cartcast.insights.sessions import make_sessions
from cartcast.insights.source import Slice, opened

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Listing", "list_sessions", "list_visitors", "session_ids", "timeline", "visitor_events"]

_SHOWN = ("session_id", "visitor", "start", "events", "seconds", "carts", "purchases", "revenue",
          "last_event")  # fmt: skip


class Listing(NamedTuple):
    """Sessions that fulfil a question.

    Attributes:
        sessions: how many there are.
        visitors: their different visitors.
        rows: the latest of them, one row each.
    """

    sessions: int
    visitors: int
    rows: pd.DataFrame


def list_sessions(
    log: Any, where: Slice | None = None, *, most: int = 500, sessions: Path | str | None = None
) -> Listing:
    """Return the sessions of a slice, the latest first.

    Args:
        log: a `Log`, the path of a canonical Parquet file, or an Arrow table.
        where: only these; its values may be any column of the session table, its segments ask what
            was done.
        most: rows to return.
        sessions: session table written before (`write_sessions`); makes this fast.

    Raises:
        UsageError: a column or an event does not exist.
        DataError: the log has not passed the contract.
    """
    with opened(log) as source:
        columns = make_sessions(source, sessions)
        chosen, parameters = (where or Slice()).condition(source, columns)
        count, visitors = source.row(
            f"SELECT count(*), count(DISTINCT visitor) FROM sessions WHERE {chosen}", parameters
        )
        shown = [c for c in (*_SHOWN, "device", "channel", "country") if c in columns]
        rows = source.connection.execute(
            f"SELECT {', '.join(shown)} FROM sessions WHERE {chosen} "
            "ORDER BY start DESC NULLS LAST, session_id LIMIT ?",
            [*parameters, most],
        ).df()
        return Listing(count, visitors, rows.dropna(axis=1, how="all"))


def list_visitors(
    log: Any, where: Slice | None = None, *, sessions: Path | str | None = None
) -> pd.DataFrame:
    """Return the visitors of the sessions of a slice, the one seen last first.

    A row holds visitor_id (the session's where the visitor is unknown) and, of these sessions:
    their number, when the last one began, purchases and revenue.

    Raises:
        UsageError: a column does not exist.
        DataError: the log has not passed the contract.
    """
    with opened(log) as source:
        columns = make_sessions(source, sessions)
        condition, parameters = (where or Slice()).condition(source, columns)
        return source.connection.execute(
            "SELECT visitor AS visitor_id, count(*) AS sessions, max(start) AS last_start, "
            "sum(purchases)::BIGINT AS purchases, sum(revenue) AS revenue FROM sessions "
            f"WHERE {condition} GROUP BY visitor ORDER BY last_start DESC NULLS LAST, visitor",
            parameters,
        ).df()


def session_ids(
    log: Any, where: Slice | None = None, *, sessions: Path | str | None = None
) -> set[str]:
    """Return the sessions of a slice.

    Raises:
        UsageError: a column does not exist.
        DataError: the log has not passed the contract.
    """
    with opened(log) as source:
        columns = make_sessions(source, sessions)
        condition, parameters = (where or Slice()).condition(source, columns)
        found = source.rows(f"SELECT session_id FROM sessions WHERE {condition}", parameters)
        return {str(row[0]) for row in found}


def timeline(log: Any, session: str) -> pd.DataFrame:
    """Return the events of a session in order; columns that are empty there are left out.

    Raises:
        UsageError: the log has no such session.
    """
    with opened(log) as source:
        rows = source.connection.execute(
            "SELECT * EXCLUDE (session_id) FROM events WHERE session_id = ? ORDER BY event_order",
            [session],
        ).df()
    if rows.empty:
        raise UsageError(f"no session {session!r} in this log.")
    return rows.dropna(axis=1, how="all")


def visitor_events(log: Any, session: str) -> pa.Table:
    """Return all that a session's visitor did until its end, as a log of its own.

    That is what a model may know at each of the session's clicks.
    """
    with opened(log) as source:
        timed = source.clock in ("time", "day")
        known = "event_time" if timed else "NULL::TIMESTAMP"
        order = "time" if source.clock == "time" else "session"
        by = "event_time, session_id, event_order" if timed else "session_id, event_order"
        table = source.connection.execute(
            f"WITH own AS (SELECT any_value(visitor_id) AS who, max({known}) AS last FROM events "
            "WHERE session_id = $session) SELECT events.* FROM events, own WHERE "
            f"session_id = $session OR (visitor_id = who AND {known} <= last) ORDER BY {by}",
            {"session": session},
        ).to_arrow_table()
        told = {"clock": source.clock, "order": order, "currency": source.currency}
        return table.replace_schema_metadata({METADATA_KEY: metadata_text(told)})
