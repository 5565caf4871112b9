"""Rows at times: the visitors whom a list due at that time would hold, and what came after it.

A visitor's row at a time is that of the last event until then. Lists are due at equal distances,
counted back from the end of the log. Purchases count for a visitor whether or not they come in the
session of that event; what is known of the visitor (`SO_FAR`) is counted up to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import duckdb
import numpy as np
import pandas as pd

from cartcast.errors import DataError
from cartcast.events import Log
from cartcast.events.sql import read_parquet
from cartcast.moments.anchors import Anchors, outcomes_of
from cartcast.moments.moment import Moment, span
from cartcast.targets import Proxy, Target

__all__ = ["Due", "count_dated", "counting", "dated", "end_of", "settled_dates"]


@dataclass(frozen=True)
class Due:
    """When lists are due, and whom they hold.

    Attributes:
        moment: of the run.
        end: of the log; the last list is due then.
        gap: seconds without an event after which a session is over.
        first: the first list wanted, counted back from the last, which is 0.
        last: the last list wanted, so counted: the oldest; None takes all.
    """

    moment: Moment
    end: datetime
    gap: float
    first: int = 0
    last: int | None = None

    @property
    def now(self) -> Due:
        """The last list alone: whom somebody can act on at the end of the log."""
        return replace(self, first=0, last=0)

    def checkable(self, since: datetime, horizon: float) -> Due | None:
        """Return the lists due at or after `since` of which the log shows all that came after.

        `horizon` is in seconds. None: there is no such list.
        """
        every = _micros(self.moment.every)
        first = max(1, -(-_micros(horizon) // every))
        last = (_micros(self.end) - _micros(since)) // every
        return replace(self, first=first, last=last) if last >= first else None


def end_of(log: Log) -> datetime:
    """Return the end of a log, when the last list is due.

    Raises:
        DataError: the log's clock cannot tell what is over and what is not.
    """
    if log.clock not in ("time", "day") or log.summary.end is None:
        raise DataError(
            "the log has no times, so nobody can tell who was there last and "
            "which session is over; lists and moments by the day need times."
        )
    return datetime.fromisoformat(log.summary.end).replace(tzinfo=None)


def dated(part: Log, target: Target | Proxy, due: Due, draw: str | None = None) -> pd.DataFrame:
    """Return the rows of a part of a log: those whom its lists hold, with what came after.

    Columns: session_id, visitor_id, event_order, event_time (of the last event), anchor_time (when
    the list is due), events (of the session until then), outcome, amount, and those of `SO_FAR`.
    `outcome` is what the log shows; the end of the log may hide more. `draw` is a condition on
    `visitor`.
    """
    with part.connect() as con:
        _make_due(con, part, target, due, draw)
        con.execute(f"CREATE TEMP TABLE anchor AS {_ANCHORS}")
        return outcomes_of(con, part, target).df()


def count_dated(
    part: Log, target: Target | Proxy, due: Due, sessions: Iterable[str] | None = None
) -> int:
    """Return how many rows `dated` would give, of these sessions or of all."""
    with part.connect() as con:
        _make_due(con, part, target, due, None)
        row = con.execute(*counting("due", sessions)).fetchone()
    return int(row[0]) if row else 0


def counting(what: str, sessions: Iterable[str] | None) -> tuple[str, list[object]]:
    """Return SQL that counts the rows of `what`, of these sessions or of all, and its values."""
    if sessions is None:
        return f"SELECT count(*) FROM {what}", []
    return f"SELECT count(*) FROM {what} WHERE session_id IN (SELECT unnest(?))", [[*sessions]]


def _make_due(
    con: duckdb.DuckDBPyConnection, part: Log, target: Target | Proxy, due: Due, draw: str | None
) -> None:
    """Make the table `due`: whom each list holds, by their last event until then."""
    moment, sql = due.moment, _rows(due)
    values = {
        "end": _micros(due.end), "every": _micros(moment.every), "gap": _micros(due.gap),
        "fades": _micros(moment.seen if moment.kind == "day" else due.gap),
    }  # fmt: skip
    kind = target.event_type if isinstance(target, Target) else ""
    con.execute(f"CREATE TEMP TABLE step AS {_steps(part, draw)}", {"kind": kind})
    used = {name: value for name, value in values.items() if f"${name}" in sql}
    con.execute(f"CREATE TEMP TABLE due AS {sql}", used)


def _micros(value: float | datetime) -> int:
    if isinstance(value, datetime):
        return (value - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    return round(value * 1e6)


_VISITOR = "PARTITION BY visitor ORDER BY t, event_order, session_id"


def _steps(part: Log, draw: str | None) -> str:
    """Every event with the time of the next one, and what is known of the visitor by then."""
    return f"""
        SELECT *, lead(t) OVER ({_VISITOR}) AS next,
          count(*) OVER (PARTITION BY session_id) AS events,
          sum(begins) OVER so_far AS sessions_so_far,
          sum(orders) OVER so_far AS orders_so_far,
          sum(money) OVER so_far AS money_so_far,
          min(t) OVER so_far AS first_t,
          max(CASE WHEN orders > 0 THEN t END) OVER so_far AS order_t,
          bool_or(is_outcome) OVER (PARTITION BY session_id ORDER BY event_order) AS had
        FROM (
          SELECT session_id, visitor_id, coalesce(visitor_id, session_id) AS visitor, event_order,
            event_time, epoch_us(event_time) AS t, event_type = $kind AS is_outcome,
            (row_number() OVER (PARTITION BY session_id ORDER BY event_order) = 1)::INT AS begins,
            (event_type = 'purchase' AND NOT repeat_purchase AND row_number() OVER (
              PARTITION BY session_id, event_type, repeat_purchase,
                coalesce(order_id, event_order::VARCHAR) ORDER BY event_order) = 1)::INT AS orders,
            CASE WHEN event_type = 'purchase' AND NOT repeat_purchase THEN revenue END AS money
          FROM {read_parquet(part.path)})
        WHERE {draw or "true"}
        WINDOW so_far AS ({_VISITOR} ROWS UNBOUNDED PRECEDING)
    """


def _rows(due: Due) -> str:
    """A row for each list that would hold the visitor, by the visitor's last event until then.

    List k is due at `end - k * every`. It sees an event as the last one if k lies in
    `[lowest, highest]`: not before the event, and after the next one's list.
    """
    begins = "t + $gap" if due.moment.kind == "after" else "t"
    fades = "t + $gap + $every" if due.moment.kind == "after" else "t + $fades"
    # A list due exactly when somebody fades does not hold them; one due at an event does.
    lowest = f"greatest({_lists_after('next')}, {_lists_after(fades)}, {due.first})"
    highest = f"CASE WHEN $end >= {begins} THEN ($end - ({begins})) // $every ELSE -1 END"
    if due.last is not None:
        highest = f"least({due.last}, {highest})"
    known = "visitor_id IS NOT NULL" if due.moment.dated else "true"
    free = "true" if due.moment.kind == "day" else "NOT had"
    return f"""
        SELECT * EXCLUDE (k), $end - k * $every AS due FROM (
          SELECT *, unnest(range({lowest}, {highest} + 1)) AS k FROM step
          WHERE {known} AND {free})
    """


def _lists_after(time: str) -> str:
    """The first list, counted from the end, that is due before a time; 0 where there is no time."""
    return (
        f"CASE WHEN {time} IS NULL OR {time} > $end THEN 0 ELSE ($end - ({time})) // $every + 1 END"
    )


_ANCHORS = """
    SELECT session_id, visitor_id, event_order, event_time, events,
      make_timestamp(due) AS anchor_time,
      (due - t) / 86400e6 AS days_since_last_event, (due - first_t) / 86400e6 AS days_known,
      sessions_so_far::DOUBLE AS sessions_so_far, orders_so_far::DOUBLE AS orders_so_far,
      money_so_far, (due - order_t) / 86400e6 AS days_since_last_order
    FROM due
"""


def settled_dates(
    tables: Sequence[pd.DataFrame], log: Log, target: Target | Proxy, due: Due
) -> Anchors:
    """Return the rows of a log from those of its parts, without those whose label is not known yet.

    Raises:
        DataError: no row is left.
    """
    filled = [t for t in tables if len(t)] or list(tables[:1])
    table = pd.concat(filled, ignore_index=True)
    horizon = pd.Timedelta(seconds=target.seconds if target.seconds is not None else due.gap)
    table["known_time"] = table["anchor_time"] + horizon
    censored = table["known_time"] > pd.Timestamp(due.end)
    gone = int(censored.sum())
    rows = table[~censored].sort_values(["anchor_time", "session_id"], ignore_index=True)
    if rows.empty:
        raise DataError(_none_left(log, target, due, gone))
    outcome = rows["outcome"].astype("float64")
    amount = rows["amount"].astype("float64").fillna(0.0).where(outcome > 0, 0.0)
    rows = rows.assign(
        amount=amount,
        label=amount if target.money else outcome,
        weight=1.0,
        click=np.nan,
        # A row is one of its list's, not of when its session began: lists are what is split.
        session_start=rows["anchor_time"],
        position=np.arange(1, len(rows) + 1),
    )
    return Anchors(rows, {"censored": gone})


def _none_left(log: Log, target: Target | Proxy, due: Due, censored: int) -> str:
    horizon = target.horizon
    if censored:
        begin = pd.Timestamp(str(log.summary.start)).tz_localize(None)
        days = (pd.Timestamp(due.end) - begin) / pd.Timedelta(days=1)
        return (
            f"the log is {days:.1f} days long, and what {target.name} asks is known {horizon} "
            f"after a row only, so all {censored:,} rows are too young; give a longer log, a "
            f"shorter horizon, or lists more often than every {span(due.moment.every)}."
        )
    return (
        f"no list would have held anybody ({due.moment.describe()}); visitors need a "
        "visitor_id to be found again."
    )
