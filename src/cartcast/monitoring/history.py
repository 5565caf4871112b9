"""What a watch remembers of a run: days, feed and shifts, added to and read back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.monitoring.days import COLUMNS, days_of
from cartcast.monitoring.drift import bins_of, count_days
from cartcast.monitoring.feed import Feed
from cartcast.monitoring.moments import Moments
from cartcast.monitoring.plan import Plan
from cartcast.monitoring.store import Store

__all__ = [
    "arrays", "blocks", "keep_days", "keep_feed", "keep_shifts", "kept_days", "kept_hours",
    "losses",
]  # fmt: skip

Floats = NDArray[np.float64]


def arrays(days: pd.DataFrame) -> dict[str, Floats]:
    """Return the columns of daily sums."""
    return {c: days[c].to_numpy(dtype=np.float64) for c in COLUMNS}


def keep_days(store: Store, run: str, found: Moments) -> pd.DataFrame:
    """Keep the whole days of matured moments; return all that are kept, gaps as empty rows."""
    known = found.known
    made = days_of(known) if len(known) else pd.DataFrame(columns=["day", *COLUMNS])
    rows = {
        str(row["day"].date()): {c: None if row[c] != row[c] else float(row[c]) for c in COLUMNS}
        for row in made.to_dict("records")
    }
    store.keep_rows("days", run, rows)
    return kept_days(store, run)


def kept_days(store: Store, run: str) -> pd.DataFrame:
    """Return the days that are kept of a run, gaps as empty rows: `day` and `COLUMNS`."""
    kept = store.rows("days", run)
    table = pd.DataFrame.from_dict(kept, orient="index", columns=list(COLUMNS), dtype=np.float64)
    table.insert(0, "day", pd.to_datetime(table.index))
    if table.empty:
        return table.reset_index(drop=True)
    # Days without a moment stay empty rows, so that a week is seven of them.
    every = pd.DataFrame({"day": pd.date_range(table["day"].min(), table["day"].max(), freq="D")})
    return every.merge(table, on="day", how="left")


def losses(days: pd.DataFrame, window: int = 7) -> pd.DataFrame:
    """Return realised against expected loss and outcomes, over `window` days up to each.

    Returns:
        day, log_loss, log_loss_expected, brier and brier_expected of a moment, realised and
        expected outcomes a day; a window that is not whole, or holds no moment, is left out.
    """
    sums = days[list(COLUMNS)].fillna(0.0).rolling(window).sum()
    out = pd.DataFrame({"day": days["day"]})
    for name in ("log_loss", "log_loss_expected", "brier", "brier_expected"):
        out[name] = sums[name] / sums["moments"]
    for name in ("realised", "expected"):
        out[name] = sums[name] / window
    return out[sums["moments"] > 0].reset_index(drop=True)


def blocks(days: pd.DataFrame, plan: Plan) -> dict[str, Floats]:
    """Return the sums of days, put together on the last of them until enough is expected."""
    sums = arrays(days)
    out = {c: np.full(len(days), np.nan) for c in COLUMNS}
    begin = 0
    expected = np.nan_to_num(sums["expected"])
    for t in range(len(days)):
        if expected[begin : t + 1].sum() >= plan.least_expected:
            for c in COLUMNS:
                part = sums[c][begin : t + 1]
                out[c][t] = np.nansum(part) if np.isfinite(part).any() else np.nan
            begin = t + 1
    return out


def keep_feed(store: Store, run: str, feed: Feed | None) -> Feed | None:
    """Keep what the log tells by day and hour; return all that is kept."""
    if feed is None:
        return None
    rows = {
        str(row["day"].date()): {
            k: None if v is None or v != v else float(v) for k, v in row.items() if k != "day"
        }
        for row in feed.days.to_dict("records")
    }
    store.keep_rows("feed", run, rows)
    kept = store.rows("feed", run)
    days = pd.DataFrame.from_dict(kept, orient="index", dtype=np.float64)
    days.insert(0, "day", pd.to_datetime(days.index))
    if len(days):
        every = pd.DataFrame({"day": pd.date_range(days["day"].min(), days["day"].max(), freq="D")})
        days = every.merge(days, on="day", how="left")
    hours = {
        h.isoformat(): float(n)
        for h, n in zip(feed.hours["hour"], feed.hours["events"], strict=True)
    }
    store.keep_hours(run, hours)
    return Feed(days, kept_hours(store, run))


def kept_hours(store: Store, run: str) -> pd.DataFrame:
    """Return the hours that are kept of a run's feed: hour, events; those without any are 0."""
    series = pd.Series(store.hours(run), dtype=np.float64)
    series.index = pd.to_datetime(series.index)
    if len(series):
        series = series.reindex(pd.date_range(series.index.min(), series.index.max(), freq="h"))
    return pd.DataFrame({"hour": series.index, "events": series.fillna(0.0).to_numpy()})


def keep_shifts(store: Store, run: str, found: Moments) -> dict[pd.Timestamp, Any]:
    """Keep each feature's counts by day; return all that are kept."""
    if found.features is not None and len(found.features):
        bins = store.bins(run, bins_of(found.features))
        whole = found.table["time"] < found.matured
        counted = count_days(
            found.features[whole].reset_index(drop=True),
            found.table[whole].reset_index(drop=True), bins,
        )  # fmt: skip
        store.keep_rows("shifts", run, {str(d.date()): v for d, v in counted.items()})
    return {pd.Timestamp(d): v for d, v in store.rows("shifts", run).items()}
