"""What a log holds, in numbers: counts, range, money, and what was lost at its edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import duckdb

from cartcast.events.gaps import bin_counts, find_gaps
from cartcast.events.sql import literal
from cartcast.events.summed import counted, decided, distinct, grouped
from cartcast.sessions import SessionRules

__all__ = ["HEAVY", "Summary", "summarize"]

_FIGURES = (
    "events", "visitors", "users", "items", "countries", "categories", "purchases",
    "price_not_positive", "start", "end",
)  # fmt: skip

HEAVY = 500
"""Events in a session above which it is not a person's."""


@dataclass(frozen=True)
class Summary:
    """The figures of one log.

    Attributes:
        events: clean rows.
        rejects: rejected rows.
        reject_reasons: reason code -> rows.
        sessions: distinct sessions.
        visitors: distinct visitors; None when the source has no visitor.
        users: distinct logins; None when the source has none.
        items: distinct items.
        countries: distinct countries.
        categories: distinct categories.
        event_types: event type -> events.
        purchases: purchase events, as they came.
        purchase_sessions: sessions with a purchase.
        orders: distinct orders (a real order id of one visitor); None when there is no id.
        revenue: money of all orders, each once, less refunds; None when no money is known.
        refunds: the part of it that is refunds, at most 0; None without any.
        revenue_as_sent: money of purchases as they came, repeats and all.
        order_totals: totals of the orders that state one beside lines with money.
        order_lines: what the lines of these orders sum to.
        repeated_purchases: purchase rows that repeat an order that was delivered before.
        price_not_positive: events whose price is 0.
        swallowed_lines: lines lost in a cell whose quote does not close; rejected, not counted.
        duplicate_rows: rows that repeat another row in every column, and are kept.
        duplicate_events: rows dropped because their event id had come before.
        repeated_rows: rows dropped because they lie in two files, or a file was delivered twice.
        shared_sessions: session ids used by more than one visitor.
        start: first event time, ISO 8601 UTC.
        end: last event time.
        clock: what the clock can tell.
        currency: of all prices.
        gaps: holes in the feed: start, end, events, expected.
        censored_share: share of sessions still open when the log ends; None without a clock.
        cut_at_start_share: share of sessions that may have begun before the log.
        heavy_sessions: sessions with more than 500 events.
        longest_session: most events in one session.
        unmatched_orders: rows of the orders table that met no session.
    """

    events: int
    rejects: int
    sessions: int
    visitors: int | None
    items: int
    countries: int
    purchases: int
    purchase_sessions: int
    revenue: float | None
    refunds: float | None = None
    revenue_as_sent: float | None = None
    order_totals: float | None = None
    order_lines: float | None = None
    repeated_purchases: int = 0
    users: int | None = None
    orders: int | None = None
    categories: int = 0
    event_types: Mapping[str, int] = field(default_factory=dict)
    reject_reasons: Mapping[str, int] = field(default_factory=dict)
    price_not_positive: int = 0
    swallowed_lines: int = 0
    duplicate_rows: int = 0
    duplicate_events: int = 0
    repeated_rows: int = 0
    shared_sessions: int = 0
    start: str | None = None
    end: str | None = None
    clock: str = "time"
    currency: str | None = None
    gaps: tuple[Mapping[str, Any], ...] = ()
    censored_share: float | None = None
    cut_at_start_share: float | None = None
    heavy_sessions: int = 0
    longest_session: int = 0
    unmatched_orders: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        found = asdict(self)
        found["gaps"] = [dict(g) for g in self.gaps]
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Summary:
        """Read back what `as_dict` wrote; names of later versions are left out."""
        known = {f.name for f in fields(cls)}
        values = {k: v for k, v in data.items() if k in known}
        values["gaps"] = tuple(values.get("gaps", ()))
        return cls(**values)


def summarize(
    con: duckdb.DuckDBPyConnection, rows: str, clock: str, rules: SessionRules
) -> dict[str, Any]:
    """Return the figures that come from the clean rows alone, but for money."""
    row = counted(
        con,
        "figures",
        f"""
        SELECT count(*), count(DISTINCT visitor_id), count(DISTINCT user_id),
               count(DISTINCT item_id), count(DISTINCT country), count(DISTINCT category),
               count(*) FILTER (event_type = 'purchase'), count(*) FILTER (price <= 0),
               strftime(min(event_time), '%Y-%m-%dT%H:%M:%S.%fZ'),
               strftime(max(event_time), '%Y-%m-%dT%H:%M:%S.%fZ')
        FROM {rows}
        """,
        most=[9],
    )
    found: dict[str, Any] = dict(zip(_FIGURES, row, strict=True))
    # A visitor's rows lie in one part of a log; these may lie in many.
    found |= {
        _FIGURES[i]: n
        for i, n in enumerate(
            distinct(con, rows, ("user_id", "item_id", "country", "category")).values(), start=2
        )
    }
    found["event_types"] = dict(
        grouped(
            con,
            "event types",
            f"SELECT event_type, count(*) FROM {rows} GROUP BY 1 ORDER BY 2 DESC, 1",
            most_first=True,
        )
    )
    found.update(_sessions(con, rows, clock, rules))
    found["gaps"] = _gaps(con, rows, clock)
    for name in ("visitors", "users"):
        found[name] = found[name] or None
    for name in ("start", "end"):
        found[name] = found[name] and found[name].replace(".000000Z", "Z")
    found["clock"] = clock
    return found


def _gaps(con: duckdb.DuckDBPyConnection, rows: str, clock: str) -> tuple[dict[str, Any], ...]:
    if clock not in ("time", "day"):
        return ()
    return tuple(
        {
            "start": _iso(gap.start),
            "end": _iso(gap.end),
            "events": gap.events,
            "expected": gap.expected,
        }
        for gap in find_gaps(*bin_counts(con, rows, clock))
    )


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _sessions(
    con: duckdb.DuckDBPyConnection, rows: str, clock: str, rules: SessionRules
) -> dict[str, Any]:
    gap = rules.microseconds
    first, last, _ = counted(
        con,
        "span",
        f"SELECT epoch_us(min(event_time)), epoch_us(max(event_time)), count(*) FROM {rows}",
        least=[0],
        most=[1],
    )
    first, last = decided("span", (first, last))
    row = counted(
        con,
        "sessions",
        f"""
        WITH sessions AS (
            SELECT count(*) AS events, epoch_us(min(event_time)) AS first,
                   epoch_us(max(event_time)) AS last, bool_or(event_type = 'purchase') AS buys,
                   count(visitor_id) > 0 AND min(hash(visitor_id)) <> max(hash(visitor_id))
                   AND count(visitor_id) = count(*) AS shared
            FROM {rows} GROUP BY hash(session_id))
        SELECT count(*), count(*) FILTER (buys), count(*) FILTER (shared), max(events),
               count(*) FILTER (events > {HEAVY}),
               count(*) FILTER (last > {literal(last)} - {gap}),
               count(*) FILTER (first < {literal(first)} + {gap}), count(first)
        FROM sessions
        """,
        most=[3],
    )
    timed = clock == "time" and row[7] > 0
    return {
        "sessions": row[0],
        "purchase_sessions": row[1],
        "shared_sessions": row[2],
        "longest_session": row[3] or 0,
        "heavy_sessions": row[4],
        "censored_share": row[5] / row[7] if timed else None,
        "cut_at_start_share": row[6] / row[7] if timed else None,
    }
