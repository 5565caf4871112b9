"""Tables for the charts: what an insight counted, in the columns that a chart draws."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from cartcast.app.periods import NEARLY
from cartcast.insights.breakdown import Breakdown
from cartcast.insights.cohorts import Cohorts
from cartcast.insights.distributions import Correlations, Distribution
from cartcast.insights.funnel import Funnel, FunnelStep
from cartcast.insights.heatmap import HeatMap
from cartcast.insights.overview import Overview
from cartcast.insights.paths import Paths
from cartcast.segments.steps import step_words

__all__ = [
    "MEASURES",
    "SECONDS",
    "breakdown",
    "by_clock",
    "cohorts",
    "correlations",
    "distribution",
    "funnel",
    "funnel_cells",
    "funnel_table",
    "heat_map",
    "laid_over",
    "paths",
    "trend",
]

MEASURES: dict[str, tuple[str, str]] = {
    "conversion": ("conversion (sessions that buy)", "share"),
    "sessions": ("sessions", "count"),
    "visitors": ("visitors", "count"),
    "revenue": ("revenue", "money"),
    "average_order": ("average order", "money"),
}
"""Measures of the trend: axis label and unit."""

SECONDS = ("median time", "a quarter within", "three quarters within")
"""Columns of the funnel's table that hold seconds since the step before."""


def trend(o: Overview, measure: str, span: tuple[datetime, datetime] | None = None) -> pd.DataFrame:
    """Return time, value, partial and, for conversion, the interval.

    A period is partial where `span`, in which sessions can begin, begins or ends well within it.
    """
    rows = []
    for t in o.trend:
        row: dict[str, Any] = {"time": t.start, "partial": _partial(o, t.start, span)}
        if measure == "conversion":
            share = t.conversion
            row |= {"value": None, "low": None, "high": None}
            if share is not None:
                row |= {"value": share.value, "low": share.low, "high": share.high}
        else:
            row["value"] = getattr(t, measure)
        rows.append(row)
    names = ["value", "low", "high"] if measure == "conversion" else ["value"]
    table = pd.DataFrame(rows, columns=["time", "partial", *names]).astype({"partial": bool})
    for column in names:
        table[column] = table[column].astype(float)
    return table


def laid_over(there: date, here: date, grain: str) -> pd.Timedelta:
    """Return by how much a trend from one day is moved to lie over that from another.

    >>> laid_over(date(2024, 3, 1), date(2024, 3, 8), "day").days
    7
    >>> laid_over(date(2024, 3, 2), date(2024, 3, 13), "week").days  # from Monday to Monday
    14
    """
    kind = {"hour": "h", "day": "D", "week": "W-SUN", "month": "M"}[grain]
    begun = [pd.Timestamp(day).to_period(kind).start_time for day in (there, here)]
    return begun[1] - begun[0]


def by_clock(text: str, zone: str | None) -> datetime:
    """Return a moment that is kept in UTC by the shop's clock, on which a trend is drawn.

    >>> by_clock("2024-03-05T23:30:00+00:00", "Europe/Berlin")
    datetime.datetime(2024, 3, 6, 0, 30)
    >>> by_clock("2024-03-05T23:30:00", None)
    datetime.datetime(2024, 3, 5, 23, 30)
    """
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at.astimezone(ZoneInfo(zone or "UTC")).replace(tzinfo=None)


def _partial(o: Overview, start: datetime, span: tuple[datetime, datetime] | None) -> bool:
    if span is None or o.grain is None:
        return False
    length = timedelta(days={"hour": 1 / 24, "day": 1, "week": 7, "month": 30}[o.grain])
    spare = length * NEARLY
    return span[0] > start + spare or span[1] < start + length - spare


def funnel(steps: Sequence[FunnelStep]) -> pd.DataFrame:
    """Return step, count, share, low, high of one segment."""
    return pd.DataFrame(
        {
            "step": [step_words(s.step) for s in steps],
            "count": [s.reached for s in steps],
            "share": [s.of_first.value for s in steps],
            "low": [s.of_first.low for s in steps],
            "high": [s.of_first.high for s in steps],
            "seconds": [s.seconds_median for s in steps],
        }
    )


def funnel_cells(f: Funnel) -> pd.DataFrame:
    """Return segment, reached, step, value, n of all steps after the first, by segment."""
    size = len(f.steps) // len(f.segments)
    rows = [(f.steps[k - k % size], k % size + 1, s) for k, s in enumerate(f.steps) if k % size]
    return pd.DataFrame(
        [
            (
                "unknown" if s.segment is None else s.segment,
                k,
                step_words(s.step),
                s.of_first.value,
                a.reached,
            )
            for a, k, s in rows
        ],
        columns=["segment", "reached", "step", "value", "n"],
    )


def funnel_table(f: Funnel) -> pd.DataFrame:
    """Return every figure of a funnel, for reading and export."""
    rows = []
    for s in f.steps:
        row: dict[str, Any] = {f.by: s.segment or "unknown"} if f.by else {}
        row |= {
            "step": s.step,
            f"{f.unit}s": s.reached,
            "share of first": s.of_first.value,
            "low": s.of_first.low,
            "high": s.of_first.high,
            "share of step before": s.of_previous.value,
            "lost": s.lost,
            **dict(zip(SECONDS, (s.seconds_median, s.seconds_low, s.seconds_high), strict=True)),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def breakdown(b: Breakdown, measure: str = "conversion") -> pd.DataFrame:
    """Return name, value, low, high, n; `measure` is conversion or revenue_per_session."""
    rows = []
    for r in b.rows:
        row: dict[str, Any] = {"name": "unknown" if r.value is None else r.value, "n": r.sessions}
        if measure == "conversion" and r.conversion is not None:
            row |= {"value": r.conversion.value, "low": r.conversion.low, "high": r.conversion.high}
        elif measure == "conversion":
            row |= {"value": None, "low": None, "high": None}
        else:
            row["value"] = r.sessions if measure == "sessions" else r.revenue_per_session
        rows.append(row)
    return pd.DataFrame(rows)


def heat_map(h: HeatMap, measure: str) -> pd.DataFrame:
    """Return weekday (0 = Monday), hour, value, n; `measure` is sessions or conversion."""
    return pd.DataFrame(
        {
            "weekday": [c.weekday - 1 for c in h.cells],
            "hour": [c.hour for c in h.cells],
            "value": [
                float(c.sessions)
                if measure == "sessions"
                else (
                    float("nan") if c.conversion is None or not c.sessions else c.conversion.value
                )
                for c in h.cells
            ],
            "n": [c.sessions for c in h.cells],
        }
    )


def distribution(d: Distribution) -> pd.DataFrame:
    """Return name, left, right, count for numbers; name, value for words."""
    if d.kind == "number":
        bars = [b for b in d.bars if b.low is not None and b.high is not None]
        left = [b.low - 0.5 * d.whole for b in bars if b.low is not None]
        right = [b.high + 0.5 * d.whole for b in bars if b.high is not None]
        # The last bar gathers the tail: it is drawn as wide as the others.
        if len(bars) > 1 and str(bars[-1].label).endswith("and more"):
            right[-1] = left[-1] + right[0] - left[0]
        names, counts = [b.label for b in bars], [b.n for b in bars]
        return pd.DataFrame({"name": names, "left": left, "right": right, "count": counts})
    return pd.DataFrame({"name": [b.label for b in d.bars], "value": [b.n for b in d.bars]})


def correlations(c: Correlations) -> pd.DataFrame:
    """Return the square table."""
    return pd.DataFrame(c.values, index=list(c.columns), columns=list(c.columns), dtype=float)


def paths(p: Paths) -> pd.DataFrame:
    """Return source, target, count, and the column that a flow begins in: the first is 0."""
    return pd.DataFrame(
        [
            (
                f.source,
                f.target,
                f.sessions,
                p.depth - f.step if p.direction == "to" else f.step - 1,
            )
            for f in p.flows
        ],
        columns=["source", "target", "count", "step"],
    )


def cohorts(c: Cohorts, measure: str) -> pd.DataFrame:
    """Return cohort, age, value, n; `measure` is returned, bought or bought_again."""
    rows = []
    for w in c.weeks:
        share = getattr(w, measure)
        rows.append((str(w.week), w.k, None if share is None else share.value, share and share.of))
    table = pd.DataFrame(rows, columns=["cohort", "age", "value", "n"])
    table["value"] = table["value"].astype(float)
    return table
