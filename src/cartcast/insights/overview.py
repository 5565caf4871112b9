"""The dashboard's figures: sessions, visitors, conversion, revenue, and their trend."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cartcast.errors import UsageError
from cartcast.evaluate.share import Share
from cartcast.findings import Finding
from cartcast.insights.caveats import caveats
from cartcast.insights.clusters import clustered, sums, visitor_of
from cartcast.insights.sessions import make_sessions, usual_steps
from cartcast.insights.source import Slice, Source, opened

__all__ = ["Grain", "Leaving", "Overview", "TrendPoint", "overview"]

Grain = Literal["hour", "day", "week", "month"]
GRAINS: tuple[Grain, ...] = ("hour", "day", "week", "month")


class TrendPoint(NamedTuple):
    """One period of the trend; sessions belong to the period in which they began.

    Attributes:
        start: beginning of the period, by the shop's clock.
        sessions: sessions that began in it.
        visitors: their different visitors.
        conversion: share of these sessions with a purchase; None when the log has no purchases.
        revenue: money of their purchases; None when the log tells no price of any purchase.
        orders: their orders.
        average_order: revenue / orders; None without orders.
    """

    start: datetime
    sessions: int
    visitors: int
    conversion: Share | None
    revenue: float | None
    orders: int
    average_order: float | None


class Leaving(NamedTuple):
    """Sessions without a purchase, by their last event (and page, where the log has pages)."""

    event: str
    page: str | None
    sessions: int
    share: float


@dataclass(frozen=True)
class Overview:
    """The figures of a slice of the log.

    Attributes:
        sessions: how many.
        visitors: different visitors.
        events: events of these sessions.
        conversion: share of sessions with a purchase; None when the log has no purchases at all.
        revenue: money of all purchases, in `currency`; None when no price is known.
        orders: orders.
        average_order: revenue / orders; None without orders or prices.
        currency: ISO 4217 code, or None.
        start: first moment a session began, by the shop's clock; None without a calendar.
        end: last one.
        zone: the shop's; None is UTC.
        grain: period of the trend; None without a calendar.
        trend: by period; periods without a session are there, with zero sessions.
        leaving: where sessions without a purchase end, most frequent first.
        funnel: (step, sessions that reached it) of the usual funnel, in order.
        findings: those of the log that void these figures.
    """

    sessions: int
    visitors: int
    events: int
    conversion: Share | None
    revenue: float | None
    orders: int
    average_order: float | None
    currency: str | None
    start: datetime | None
    end: datetime | None
    zone: str | None
    grain: Grain | None
    trend: tuple[TrendPoint, ...]
    leaving: tuple[Leaving, ...]
    funnel: tuple[tuple[str, int], ...]
    findings: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        told = asdict(self)
        told["conversion"] = self.conversion._asdict() if self.conversion else None
        told["trend"] = [
            {**t._asdict(), "conversion": t.conversion._asdict() if t.conversion else None}
            for t in self.trend
        ]
        told["leaving"] = [x._asdict() for x in self.leaving]
        return told


def overview(
    log: Any,
    *,
    where: Slice | None = None,
    grain: Grain | None = None,
    sessions: Path | str | None = None,
    level: float = 0.95,
) -> Overview:
    """Return the dashboard's figures for `log`.

    Args:
        log: a `Log`, the path of a canonical Parquet file, or an Arrow table.
        where: only the sessions of this slice.
        grain: period of the trend; None chooses one that gives 14 to 100 points.
        sessions: session table written before (`write_sessions`); makes this fast.
        level: confidence of the intervals.

    Raises:
        UsageError: the slice or the grain does not exist.
        DataError: the log has not passed the contract.
    """
    if grain is not None and grain not in GRAINS:
        raise UsageError(f"grain must be one of {', '.join(GRAINS)}, got {grain!r}.")
    with opened(log) as source:
        columns = make_sessions(source, sessions)
        condition, parameters = (where or Slice()).condition(source, columns)
        sold, priced, steps = source.row(
            "SELECT count(*) FILTER (purchases > 0) > 0, count(revenue) > 0, max(reach) "
            "FROM sessions"
        )
        source.connection.execute(
            f"CREATE TEMP TABLE picked AS SELECT {visitor_of(columns)} AS visitor, start, events, "
            f"purchases, revenue, last_event, last_page, reach FROM sessions WHERE {condition}",
            parameters,
        )
        visitors, events, bought, revenue, orders, start, end = source.row(
            f"""SELECT count(*), coalesce(sum(events), 0)::BIGINT, {sums("bought", "n")},
                coalesce(sum(revenue), 0), coalesce(sum(orders), 0)::BIGINT, min(start), max(last)
            FROM (SELECT count(*) AS n, count(*) FILTER (purchases > 0) AS bought,
                    sum(events) AS events, sum(revenue) AS revenue, sum(purchases) AS orders,
                    min(start) AS start, max(start) AS last
                FROM picked GROUP BY visitor)"""
        )
        conversion = clustered(bought, level)
        revenue = float(revenue) if priced else None
        step = _grain(source, grain, start, end)
        return Overview(
            sessions=conversion.of,
            visitors=visitors,
            events=events,
            conversion=conversion if sold else None,
            revenue=revenue,
            orders=orders,
            average_order=revenue / orders if orders and revenue is not None else None,
            currency=source.currency,
            start=start,
            end=end,
            zone=source.zone,
            grain=step,
            trend=_trend(source, step, sold, priced, level) if step else (),
            leaving=_leaving(source),
            funnel=_funnel(source, sessions, steps or 0),
            findings=caveats(source.findings, ordered=True),
        )


def _grain(
    source: Source, grain: Grain | None, start: datetime | None, end: datetime | None
) -> Grain | None:
    if start is None or end is None:
        return None
    if grain == "hour" and source.clock != "time":
        raise UsageError(f"no trend by hour: the log's clock is {source.clock!r}.")
    if grain:
        return grain
    days = (end - start).total_seconds() / 86_400
    if days < 4 and source.clock == "time":
        return "hour"
    return "day" if days <= 100 else ("week" if days <= 700 else "month")


def _trend(
    source: Source, grain: Grain, sold: bool, priced: bool, level: float
) -> tuple[TrendPoint, ...]:
    found = source.rows(
        f"""WITH p AS (SELECT date_trunc('{grain}', start)::TIMESTAMP AS period, * FROM picked),
        bounds AS (SELECT min(period) AS a, max(period) AS b FROM p),
        every AS (SELECT unnest(generate_series(a, b, INTERVAL 1 {grain})) AS period FROM bounds),
        each AS (
            SELECT period, visitor, count(*) AS n, count(*) FILTER (purchases > 0) AS bought,
                sum(revenue) AS revenue, sum(purchases) AS orders
            FROM p GROUP BY period, visitor),
        counted AS (
            SELECT period, count(*) AS visitors, {sums("bought", "n")} AS bought,
                sum(revenue) AS revenue, sum(orders)::BIGINT AS orders
            FROM each GROUP BY period)
        SELECT period, coalesce(visitors, 0), bought, coalesce(revenue, 0), coalesce(orders, 0)
        FROM every LEFT JOIN counted USING (period) ORDER BY period"""
    )
    return tuple(
        TrendPoint(
            period,
            conversion.of,
            visitors,
            conversion if sold else None,
            float(money) if priced else None,
            orders,
            money / orders if orders and priced else None,
        )
        for period, visitors, bought, money, orders in found
        for conversion in [clustered(bought, level)]
    )


def _leaving(source: Source, largest: int = 12) -> tuple[Leaving, ...]:
    found = source.rows(
        "SELECT last_event, last_page, count(*) AS n, sum(count(*)) OVER () AS total FROM picked "
        "WHERE purchases = 0 GROUP BY 1, 2 ORDER BY n DESC, 1, 2 LIMIT ?",
        [largest],
    )
    return tuple(Leaving(event, page, n, n / int(total)) for event, page, n, total in found)


def _funnel(
    source: Source, sessions: Path | str | None, reached: int
) -> tuple[tuple[str, int], ...]:
    """Count the steps of the usual funnel from `reach`, which the session table carries."""
    steps = usual_steps(source, sessions)
    if not steps or not reached:
        return ()
    counts = source.row(
        "SELECT " + ", ".join(f"count(*) FILTER (reach >= {k})" for k in range(1, len(steps) + 1))
        + " FROM picked"
    )  # fmt: skip
    return tuple((str(s), n) for s, n in zip(steps, counts, strict=True))
