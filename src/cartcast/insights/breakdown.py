"""Conversion by the values of a column, with counts and intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cartcast.errors import UsageError, did_you_mean
from cartcast.evaluate.share import Share
from cartcast.events.sql import identifier
from cartcast.findings import Finding
from cartcast.insights.caveats import caveats
from cartcast.insights.clusters import clustered, sums
from cartcast.insights.sessions import (
    CONTEXT,
    MEASURES,
    keep,
    make_sessions,
    pick_sessions,
    sold_lines,
)
from cartcast.insights.source import Slice, Source, opened

__all__ = ["CALENDAR", "Breakdown", "BreakdownRow", "breakdown", "pick"]

CALENDAR: tuple[str, ...] = ("hour", "weekday", "month")
"""Columns made from the moment a session began, by the shop's clock (Monday is 1)."""

_RESERVED = (*CONTEXT, *CALENDAR, *MEASURES, "first_event", "last_event", "last_page")


class BreakdownRow(NamedTuple):
    """The sessions of one value, or of one range of values.

    Attributes:
        value: the value as text; None when unknown.
        low: lower end of a range of numbers; None for words.
        high: upper end of it, included.
        sessions: sessions with it.
        conversion: share with a purchase; None when the log has no purchases.
        revenue: the value's own money: of sessions, that of their purchases; of items and brands,
            that of what was sold with this value. Rows add up to the whole revenue. None
            when no price is known.
        basket: money of all purchases of these sessions, whatever they bought.
        revenue_per_session: basket / sessions.
    """

    value: str | None
    low: float | None
    high: float | None
    sessions: int
    conversion: Share | None
    revenue: float | None
    basket: float | None
    revenue_per_session: float | None


@dataclass(frozen=True)
class Breakdown:
    """Conversion by `column`; `counted` says how a session gets its value.

    `session`: one value per session; `any`: a session counts at every value that one of its
    events has, so the rows add up to more than all sessions. `findings`
    are those of the log that void its rates.
    """

    column: str
    counted: Literal["session", "any"]
    values: int
    sessions: int
    rows: tuple[BreakdownRow, ...]
    findings: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        told = asdict(self)
        told["rows"] = [
            {**r._asdict(), "conversion": r.conversion._asdict() if r.conversion else None}
            for r in self.rows
        ]
        return told


def breakdown(
    log: Any,
    column: str,
    *,
    where: Slice | None = None,
    largest: int = 15,
    bins: int = 8,
    sessions: Path | str | None = None,
    level: float = 0.95,
) -> Breakdown:
    """Return conversion by `column`: one of the session table, of the calendar, or of the log.

    Words keep their `largest` values, the others become "other"; numbers with more than
    `largest` values are cut into `bins` ranges with about equally many sessions.

    Raises:
        UsageError: there is no such column, or it needs a clock that the log has not.
        DataError: the log has not passed the contract.
    """
    if largest < 1 or bins < 2:
        raise UsageError(f"needs largest >= 1 and bins >= 2, got {largest} and {bins}.")
    with opened(log) as source:
        counted = pick(source, column, where or Slice(), sessions, make_sessions(source, sessions))
        values, numbers = source.row(
            "SELECT count(*), bool_and(TRY_CAST(value AS DOUBLE) IS NOT NULL) "
            "FROM (SELECT DISTINCT value FROM pairs WHERE value IS NOT NULL)"
        )
        if numbers and values > largest and column not in CALENDAR:
            grouped, order = _ranges(source, bins), "low NULLS LAST"
        elif numbers and values <= max(largest, 24):
            grouped, order = _PLAIN, "value::DOUBLE NULLS LAST"
        elif values <= largest:
            grouped, order = _PLAIN, "n DESC, value NULLS LAST"
        else:
            grouped, order = _words(source, largest), "value = 'other', n DESC, value NULLS LAST"
        rows = _rows(source, grouped, order, level)
        total = source.row("SELECT count(*) FROM picked")[0]
        return Breakdown(column, counted, values, total, rows, caveats(source.findings))


def pick(
    source: Source, column: str, where: Slice, sessions: Path | str | None, columns: tuple[str, ...]
) -> Literal["session", "any"]:
    """Make `picked`, the sessions of a slice, and `pairs` of it."""
    fixed = ("start", "purchases", "revenue")
    more = column in columns and column not in ("session_id", "visitor", *fixed)
    pick_sessions(source, where, columns, *fixed, *([column] if more else []))
    return _pair(source, column, where, sessions)


def _pair(
    source: Source, column: str, where: Slice, sessions: Path | str | None
) -> Literal["session", "any"]:
    """Make `pairs`, the values of sessions, and say how they were given.

    `own` is the money of the value itself, `revenue` that of the session; where `counted` is
    false, a session has something sold without a value, beside others that have one.
    """
    if column in _RESERVED:
        if column in CALENDAR and (
            source.clock not in ("time", "day") or (column == "hour" and source.clock != "time")
        ):
            raise UsageError(f"no {column} here: the log's clock is {source.clock!r}.")
        value = "month(start)" if column == "month" else identifier(column)
        # The moment of a weekday or hour is a number; NULL stays NULL.
        source.connection.execute(
            "CREATE OR REPLACE TEMP TABLE pairs AS SELECT code, visitor, "
            f"{value}::VARCHAR AS value, purchases > 0 AS bought, revenue, revenue AS own, "
            "true AS counted FROM picked"
        )
        return "session"
    if column not in source.columns:
        known = (*_RESERVED, *source.columns)
        raise UsageError(f"no column {column!r}.{did_you_mean(column, known)}")
    relation = keep(source, where, None) if where and sessions is None else "events"
    name = identifier(column)
    source.connection.execute(
        "CREATE OR REPLACE TEMP TABLE sold AS SELECT session_id, value, sum(amount) AS own "
        f"FROM ({sold_lines(source, column)}) GROUP BY session_id, value"
    )
    source.connection.execute(
        "CREATE OR REPLACE TEMP TABLE pairs AS SELECT code, visitor, value, purchases > 0 AS "
        "bought, revenue, own, true AS counted FROM (SELECT DISTINCT session_id, "
        f"{name}::VARCHAR AS value FROM {relation} WHERE {name} IS NOT NULL) "
        "JOIN picked USING (session_id) LEFT JOIN sold USING (session_id, value)"
    )
    # A session with a known value does not count as unknown because of events without one.
    source.connection.execute(
        "INSERT INTO pairs SELECT * FROM (SELECT code, visitor, NULL, purchases > 0, revenue, own, "
        "code NOT IN (SELECT code FROM pairs) AS counted FROM picked LEFT JOIN "
        "(SELECT session_id, own FROM sold WHERE value IS NULL) USING (session_id)) "
        "WHERE counted OR own IS NOT NULL"
    )
    return "any"


_PLAIN = (
    "SELECT value, NULL::DOUBLE AS low, NULL::DOUBLE AS high, code, visitor, bought, revenue, own, "
    "counted FROM pairs"
)


def _words(source: Source, largest: int) -> str:
    source.connection.execute(
        "CREATE TEMP TABLE big AS SELECT value FROM pairs WHERE value IS NOT NULL GROUP BY value "
        "ORDER BY count(*) DESC, value LIMIT ?",
        [largest],
    )
    return (
        "SELECT CASE WHEN value IS NULL THEN NULL WHEN value IN (SELECT value FROM big) "
        "THEN value ELSE 'other' END AS value, NULL::DOUBLE AS low, NULL::DOUBLE AS high, "
        "code, visitor, bought, revenue, own, counted FROM pairs"
    )


def _ranges(source: Source, bins: int) -> str:
    """Cut numbers at their quantiles; equal values never fall into two ranges."""
    points = [k / bins for k in range(1, bins)]
    cuts = source.row(f"SELECT quantile_disc(value::DOUBLE, {points}) FROM pairs")[0]
    edges = sorted(set(cuts))
    which = " + ".join(f"(x > {e!r})::INT" for e in edges)
    return (
        f"SELECT CASE WHEN x IS NOT NULL THEN ({which})::VARCHAR END AS value, "
        "min(x) OVER (PARTITION BY CASE WHEN x IS NOT NULL THEN "
        f"({which}) END) AS low, max(x) OVER (PARTITION BY CASE WHEN x IS NOT NULL THEN ({which}) "
        "END) AS high, code, visitor, bought, revenue, own, counted "
        "FROM (SELECT value::DOUBLE AS x, * FROM pairs)"
    )


def _rows(source: Source, grouped: str, order: str, level: float) -> tuple[BreakdownRow, ...]:
    sold, priced = source.row(
        "SELECT count(*) FILTER (purchases > 0) > 0, count(revenue) > 0 FROM sessions"
    )
    each = grouped
    if grouped is not _PLAIN:
        # A session counts once at a value that holds several.
        each = (
            "SELECT value, min(low) AS low, max(high) AS high, visitor, any_value(bought) AS "
            "bought, any_value(revenue) AS revenue, sum(own) AS own, bool_or(counted) AS counted "
            f"FROM ({grouped}) GROUP BY value, visitor, code"
        )
    found = source.rows(
        # A visitor counts once, with the number of sessions.
        f"SELECT value, low, high, sum(n) AS n, {sums('bought', 'n')}, sum(own), sum(revenue) FROM "
        "(SELECT value, low, high, count(*) FILTER (counted) AS n, "
        "count(*) FILTER (counted AND bought) AS bought, sum(own) AS own, "
        "sum(revenue) FILTER (counted) AS revenue "
        f"FROM ({each}) GROUP BY value, low, high, visitor) GROUP BY value, low, high "
        f"ORDER BY {order}"
    )
    made = []
    for value, low, high, _, bought, own, revenue in found:
        money, basket = (float(m or 0.0) if priced else None for m in (own, revenue))
        conversion = clustered(bought, level)
        name = value if low is None else _range(low, high)
        made.append(
            BreakdownRow(
                name,
                low,
                high,
                conversion.of,
                conversion if sold else None,
                money,
                basket,
                basket / conversion.of if basket is not None and conversion.of else None,
            )
        )
    return tuple(made)


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
