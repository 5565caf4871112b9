"""Cohorts: do visitors return, and buy again, in the weeks after their first visit?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from cartcast.arguments import answered
from cartcast.errors import DataError, UsageError
from cartcast.evaluate.share import Share, share
from cartcast.findings import Finding
from cartcast.insights.caveats import caveats
from cartcast.insights.sessions import make_sessions
from cartcast.insights.source import Slice, Source, opened

__all__ = ["Cohort", "CohortWeek", "Cohorts", "cohorts"]


class Cohort(NamedTuple):
    """The visitors whose first visit fell into one calendar week.

    All cohorts are followed equally long, `Cohorts.within` weeks from each visitor's first visit;
    a visitor whose weeks are not over counts in `visitors` only.

    Attributes:
        week: Monday of the week.
        visitors: how many.
        returned: of those followed, visitors with a second session in time.
        bought: of those followed, visitors with an order in time.
        bought_again: of these buyers, those with a second order in time.
    """

    week: date
    visitors: int
    returned: Share
    bought: Share
    bought_again: Share


class CohortWeek(NamedTuple):
    """What a cohort did in the k-th period of seven days after each visitor's first visit.

    Attributes:
        week: Monday of the cohort's week.
        k: 0 is the seven days from the first visit on.
        returned: visitors with a session then (in week 0: a second session); None where the
            log ends before the period is over for all of the cohort.
        bought: visitors with an order then; None likewise.
        bought_again: visitors with their second or a later order then; None likewise.
    """

    week: date
    k: int
    returned: Share | None
    bought: Share | None
    bought_again: Share | None


@dataclass(frozen=True)
class Cohorts:
    """Return and repeat purchase by week of first visit; `weeks` follow the periods.

    `returned` and `bought_again` are those of all cohorts together, within `within` weeks;
    `findings` those of the log that void its rates.
    """

    visitors: int
    within: int
    returned: Share
    bought_again: Share
    cohorts: tuple[Cohort, ...]
    weeks: tuple[CohortWeek, ...]
    findings: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""

        def plain(row: Any) -> dict[str, Any]:
            return {k: v._asdict() if isinstance(v, Share) else v for k, v in row._asdict().items()}

        told = asdict(self)
        told["returned"], told["bought_again"] = (
            self.returned._asdict(),
            self.bought_again._asdict(),
        )
        told["cohorts"] = [plain(c) for c in self.cohorts]
        told["weeks"] = [plain(w) for w in self.weeks]
        return told


@answered
def cohorts(
    log: Any,
    *,
    periods: int = 8,
    within: int | None = None,
    where: Slice | None = None,
    sessions: Path | str | None = None,
    level: float = 0.95,
) -> Cohorts:
    """Return the cohorts of `log` by week of the first visit, Monday to Sunday by the shop's clock.

    Args:
        log: a `Log`, the path of a canonical Parquet file, or an Arrow table.
        periods: seven-day periods to follow, at least 1.
        within: weeks from the first visit in which a return counts, for all cohorts alike; None
            takes as many, up to `periods`, as half of the visitors have behind them.
        where: only the sessions of this slice; a first visit is then the first one in it.
        sessions: session table written before (`write_sessions`).
        level: confidence of the intervals.

    Raises:
        UsageError: the number of periods, or of weeks, is not positive.
        DataError: the log has no visitor ids, or no calendar.
    """
    if periods < 1 or (within is not None and within < 1):
        shown = periods if periods < 1 else within
        raise UsageError(f"periods and within must be at least 1, got {shown}.")
    with opened(log) as source:
        if source.clock not in ("time", "day"):
            raise DataError(f"cohorts need dates; this log's clock is {source.clock!r}.")
        columns = make_sessions(source, sessions)
        if source.row("SELECT count(*) FROM sessions WHERE visitor <> session_id")[0] == 0:
            raise DataError(
                "cohorts need visitor_id, which this log lacks: nobody can be seen to return."
            )
        condition, parameters = (where or Slice()).condition(source, columns)
        _follow(source, condition, parameters)
        end, last = source.row("SELECT max(start_utc), max(start) FROM sessions")
        within = within or _followed(source, end, periods)
        totals = _totals(source, end, within, level)
        weeks = _weeks(source, totals, periods, last.date(), level)
        everyone = sum(c.visitors for c in totals)
        returned, again = (
            share(sum(s.did for s in found), sum(s.of for s in found), level)
            for found in ([c.returned for c in totals], [c.bought_again for c in totals])
        )
        told = caveats(source.findings)
        return Cohorts(everyone, within, returned, again, totals, weeks, told)


def _follow(source: Source, condition: str, parameters: list[Any]) -> None:
    """Make `visits` (a row per session, with the visitor's first) and numbered orders."""
    source.connection.execute(
        f"""CREATE TEMP TABLE visits AS
        WITH s AS (SELECT visitor, start, start_utc, purchases FROM sessions WHERE {condition}),
        f AS (SELECT visitor, min(start_utc) AS first, arg_min(start, start_utc) AS day FROM s
              GROUP BY visitor)
        SELECT s.visitor, date_trunc('week', day)::DATE AS week, first, start_utc AS start,
            purchases, (epoch_us(start_utc) - epoch_us(first)) // 604800000000 AS k
        FROM s JOIN f USING (visitor)""",
        parameters,
    )


def _followed(source: Source, end: datetime, periods: int) -> int:
    """Return how many whole weeks half of the visitors have behind them: 1 to `periods`."""
    weeks = source.row(
        "SELECT quantile_disc((epoch_us(?::TIMESTAMP) - epoch_us(first)) // 604800000000, 0.5) "
        "FROM (SELECT any_value(first) AS first FROM visits GROUP BY visitor)",
        [end],
    )[0]
    return max(1, min(periods, int(weeks or 0)))


def _totals(source: Source, end: datetime, within: int, level: float) -> tuple[Cohort, ...]:
    found = source.rows(
        """SELECT week, count(*), count(*) FILTER (followed),
            count(*) FILTER (followed AND sessions > 1), count(*) FILTER (followed AND orders > 0),
            count(*) FILTER (followed AND orders > 1)
        FROM (SELECT week, visitor, any_value(first) + to_days(7 * $within) <= $end AS followed,
                count(*) FILTER (k < $within) AS sessions,
                sum(purchases) FILTER (k < $within) AS orders
              FROM visits GROUP BY week, visitor) GROUP BY week ORDER BY week""",
        {"within": within, "end": end},
    )
    return tuple(
        Cohort(week, n, share(back, of, level), share(buy, of, level), share(again, buy, level))
        for week, n, of, back, buy, again in found
    )


def _weeks(
    source: Source, totals: tuple[Cohort, ...], periods: int, end: date, level: float
) -> tuple[CohortWeek, ...]:
    """Count each period; `orders_before` makes an order a repeat wherever its first one was."""
    found = {
        (week, k): counts
        for week, k, *counts in source.rows(
            """WITH buys AS (
                SELECT week, visitor, k, start, purchases, coalesce(sum(purchases) OVER (
                    PARTITION BY visitor ORDER BY start
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS orders_before
                FROM visits WHERE purchases > 0
            ), went AS (
                SELECT week, k, count(*) FILTER (k > 0 OR n > 1) AS back
                FROM (SELECT week, k, visitor, count(*) AS n FROM visits GROUP BY ALL)
                GROUP BY week, k
            ), paid AS (
                SELECT week, k, count(DISTINCT visitor) AS buy,
                    count(DISTINCT visitor) FILTER (orders_before + purchases > 1) AS again
                FROM buys GROUP BY week, k
            )
            SELECT week, k, back, coalesce(buy, 0), coalesce(again, 0)
            FROM went LEFT JOIN paid USING (week, k)"""
        )
    }
    rows = []
    for cohort in totals:
        for k in range(periods):
            over = cohort.week + timedelta(days=7 + 7 * (k + 1)) <= end + timedelta(days=1)
            n = cohort.visitors
            counts = found.get((cohort.week, k), [0, 0, 0])
            shares = tuple(share(c, n, level) if over else None for c in counts)
            rows.append(CohortWeek(cohort.week, k, *shares))
    return tuple(rows)
