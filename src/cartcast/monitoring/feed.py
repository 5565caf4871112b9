"""The feed: is what arrives composed as on the shop's own past days?

Every signal of a day is held against the same weekday of the eight weeks before, in units of how
far such days have lain apart; an alarm needs both a size that matters and more than chance. None of
this pages: it makes tickets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from cartcast.events import Log
from cartcast.findings import Code
from cartcast.monitoring import codes

__all__ = ["SIGNALS", "Feed", "Signal", "Unusual", "feed_of", "unusual"]

Floats = NDArray[np.float64]

_HOUR: Final = pd.Timedelta(hours=1)
_WEEK: Final = 7
_BACK: Final = 8
_LEAST: Final = 3
"""Same weekdays before that are needed to judge a day."""
_FREEDOM: Final = 8
"""Degrees of freedom of the tails of a day's deviation: real days are not normal."""
_WINDOWS: Final = ((3, 3, 2), (7, 5, 5))
"""Days looked at together, known ones that they need, and independent ones that they are worth."""


@dataclass(frozen=True)
class Signal:
    """One figure of a day.

    Attributes:
        name: as in alarms; `null:COLUMN` stands for every column.
        code: the finding that it raises.
        kind: `share` (compared as log odds), `log` (already a logarithm) or `circle` (hours of a
            day, where 23.9 lies beside 0.1).
        material: difference that matters, on that scale.
        up, down: whether more, or less, is bad.
        least: for shares: the share, in the larger of both, below which nothing matters.
        spread: for others: deviation of a single session, on that scale.
        says: what an alarm says.
    """

    name: str
    code: Code
    kind: str
    material: float
    up: bool = True
    down: bool = True
    least: float = 0.0
    spread: float = 0.0
    says: str = ""


SIGNALS: Final = (
    Signal("carts", codes.FEED_SHARE, "share", 0.45, up=False, least=0.01,
           says="share of sessions with a cart"),
    Signal("buying", codes.FEED_SHARE, "share", 0.7, least=0.003,
           says="share of sessions with a purchase"),
    Signal("doubled", codes.DOUBLED, "share", 1.1, down=False, least=0.01,
           says="share of events that came before"),
    Signal("late", codes.LATE, "share", 1.1, down=False, least=0.03,
           says="share of events known an hour late or more"),
    Signal("nulls", codes.FEED_SHARE, "share", 0.9, down=False, least=0.05,
           says="share of empty values among those usually there"),
    Signal("unseen", codes.FEED_SHARE, "share", 1.1, down=False, least=0.01,
           says="share of events whose word the run has not seen"),
    Signal("fast", codes.MACHINES, "share", 0.9, down=False, least=0.02,
           says="share of sessions at the speed of machines"),
    Signal("price", codes.MONEY_SCALE, "log", 0.6, spread=1.2, says="middle price"),
    Signal("clock", codes.CLOCK, "circle", 0.6, spread=6.5, says="centre of the day, in hours"),
)  # fmt: skip
"""Differences that matter: a third fewer carts, twice the bots, prices x 1.8, 36 minutes."""


class Feed(NamedTuple):
    """What a log tells of its feed.

    Attributes:
        days: one row a day: day, sessions, events, and a column for each signal that it can tell:
            counts for shares (of `sessions` for carts, buying and fast, else of `events`).
        hours: one row an hour: hour (UTC, where no clock is put forward), events; hours without any
            are there with 0.
    """

    days: pd.DataFrame
    hours: pd.DataFrame


class Unusual(NamedTuple):
    """Days on which a signal was unusual.

    Attributes:
        alarm: shape (T, S).
        usual: what it was on such weekdays, on its own scale, shape (T, S).
        apart: how far from that what alarms lies: the day, or the mean of days, shape (T, S).
        window: how many days up to that one alarm together; 1 where it does alone, shape (T, S).
    """

    alarm: NDArray[np.bool_]
    usual: Floats
    apart: Floats
    window: NDArray[np.int64]


def _of_sessions(name: str) -> bool:
    return name in ("carts", "buying", "fast")


def _columns(values: Any) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array if array.ndim == 2 else array[:, None]


def unusual(feed: Mapping[str, Any], signal: Signal, budget: float) -> Unusual:
    """Return the days on which a signal lies further from its past than matters and than chance.

    Args:
        feed: columns of `Feed.days`, each of shape (T,) or (T, S).
        signal: which.
        budget: false alarms a year that this signal may cost.
    """
    value = _columns(feed[signal.name])
    if signal.kind == "share":
        n = _columns(feed["sessions" if _of_sessions(signal.name) else "events"])
        share = (value + 0.5) / (n + 1)
        value = np.log(share / (1 - share))
    else:
        chance = signal.spread / np.sqrt(np.maximum(_columns(feed["sessions"]), 1.0))
    days, series = value.shape
    usual = np.full((days, series), np.nan)
    for t in range(_LEAST * _WEEK, days):
        past = value[[t - _WEEK * k for k in range(1, _BACK + 1) if t - _WEEK * k >= 0]]
        if signal.kind == "circle":
            past = past[0] + _round(past - past[0])
        enough = np.isfinite(past).sum(axis=0) >= _LEAST
        if enough.any():
            usual[t, enough] = np.nanmedian(past[:, enough], axis=0)
    apart = _round(value - usual) if signal.kind == "circle" else value - usual
    if signal.kind == "share":
        # By the share halfway: that of a day that lost most of its carts is known worse than it
        # was usual, and would hide the loss; the usual one alone would see alarms in small shops.
        half = 1 / (1 + np.exp((usual + value) / -2))
        chance = 1 / np.sqrt(np.maximum(n * half * (1 - half), 1e-9))
    deviation = np.hypot(_noise(apart, chance), chance)
    limit = float(stats.t.isf(budget / 365.25 / 4, _FREEDOM))
    beyond = np.abs(apart) > np.maximum(signal.material, limit * deviation)
    # A small shop shows in days together what no day can; its days are not quite independent.
    told, window = apart, np.ones(apart.shape, dtype=np.int64)
    for days_back, least, worth in _WINDOWS:
        mean = _mean_before(apart, days_back, least)
        found = np.abs(mean) > np.maximum(signal.material, limit * deviation / worth**0.5)
        # The day itself must matter: else the one after it was mended alarms for those before it.
        found &= ~beyond & (apart * np.sign(mean) > signal.material)
        told, window = np.where(found, mean, told), np.where(found, days_back, window)
        beyond |= found
    wanted = ((told > 0) & signal.up) | ((told < 0) & signal.down)
    if signal.kind == "share":
        before = 1 / (1 + np.exp(-usual))
        wanted &= np.maximum(share, before) >= signal.least
    with np.errstate(invalid="ignore"):
        return Unusual(beyond & wanted & np.isfinite(apart), usual, told, window)


def _mean_before(apart: Floats, days: int, least: int) -> Floats:
    """Return the mean of the days up to each, of those known; NaN where fewer than `least` are."""
    padded = np.concatenate([np.full((days - 1, apart.shape[1]), np.nan), apart])
    windows = np.lib.stride_tricks.sliding_window_view(padded, days, axis=0)
    known = np.isfinite(windows).sum(axis=2)
    with np.errstate(invalid="ignore"):
        mean = np.nansum(windows, axis=2) / np.maximum(known, 1)
    return np.where(known >= least, mean, np.nan)


def _round(hours: Floats) -> Floats:
    """Return differences of hours on the clock: within half a day."""
    return np.asarray((hours + 12) % 24 - 12)


def _noise(apart: Floats, chance: Floats) -> Floats:
    """Return how far days have lain from their weekday beyond chance, by the 56 days before."""
    days, series = apart.shape
    out = np.full((days, series), 0.15)
    for t in range(_LEAST * _WEEK + _WEEK, days):
        past = slice(max(0, t - _WEEK * _BACK), t)
        known = np.isfinite(apart[past]).sum(axis=0) >= _WEEK
        if known.any():
            total = np.nanmedian(np.abs(apart[past][:, known]), axis=0) * 1.4826
            drawn = np.nanmedian(chance[past][:, known], axis=0)
            out[t, known] = np.sqrt(np.maximum(total**2 - drawn**2, 0.02**2))
    return out


def feed_of(log: Log, run: Mapping[str, Any]) -> Feed:
    """Return what a log tells by hour (UTC) and by day (the shop's own clock)."""
    columns = set(log.columns)
    told = run["source"]
    words = list((told.get("words") or {}).keys())
    read_by = [c for c in (told.get("read_by") or {}) if c in columns and c != "session_seconds"]
    filled = told.get("filled") or {}
    always = [c for c in read_by if filled.get(c) and min(filled[c].values()) >= 0.95]
    empty = " + ".join(f'(("{c}" IS NULL) AND event_type IN ({_list(filled[c])}))::INT'
                       for c in always) or "0"  # fmt: skip
    # Ids that came before are dropped at the door; what is left are equal rows without an id.
    equal = [c for c in ("session_id", "event_time", "event_type", "item_id") if c in columns]
    doubled = f"count(*) - count(DISTINCT ({', '.join(equal)}))"
    late = (
        "count(*) FILTER (known_time > event_time + INTERVAL 1 HOUR)"
        if "known_time" in columns else "0"
    )  # fmt: skip
    unseen = (
        f"count(*) FILTER (coalesce(source_event, event_type) NOT IN ({_list(words)}))"
        if words else "0"
    )  # fmt: skip
    local = "event_time"
    if "utc_offset" in columns:
        local = "(event_time + to_minutes(coalesce(utc_offset, 0)::BIGINT))"
    # Of sessions, not of events: a visit of a hundred clicks says no more of the clock than one.
    angle = "(epoch(begun) % 86400) / 86400 * 2 * pi()"
    price = "median(price) FILTER (price > 0)" if "price" in columns else "NULL"
    with log.connect() as con:
        con.execute(
            f"CREATE TEMP TABLE told AS SELECT date_trunc('day', {local}) AS day, "
            f"min({local}) AS first, max({local}) AS last, count(*)::DOUBLE AS events, "
            f"({doubled})::DOUBLE AS doubled, ({late})::DOUBLE AS late, "
            f"({unseen})::DOUBLE AS unseen, sum({empty}) / {max(len(always), 1)}.0 AS nulls, "
            f"ln({price}) AS price, sum(revenue) FILTER (event_type = 'purchase' AND NOT "
            "repeat_purchase) AS revenue FROM events GROUP BY 1"
        )
        con.execute(
            f"CREATE TEMP TABLE visit AS SELECT session_id, min({local}) AS begun, "
            "date_trunc('day', begun) AS day, bool_or(event_type = 'add_to_cart') AS cart, "
            "bool_or(event_type = 'purchase') AS bought, count(*) AS n, "
            "epoch(max(event_time) - min(event_time)) AS seconds FROM events GROUP BY 1"
        )
        days = con.execute(
            "SELECT * FROM told JOIN (SELECT day, count(*)::DOUBLE AS sessions, "
            "(count(*) FILTER (cart))::DOUBLE AS carts, "
            "(count(*) FILTER (bought))::DOUBLE AS buying, "
            "(count(*) FILTER (n >= 5 AND seconds < 2 * (n - 1)))::DOUBLE AS fast, "
            f"(atan2(avg(sin({angle})), avg(cos({angle}))) / (2 * pi()) * 24 + 24) % 24 AS clock "
            "FROM visit GROUP BY 1) USING (day) ORDER BY day"
        ).df()
        hours = con.execute(
            "SELECT date_trunc('hour', event_time) AS hour, count(*)::DOUBLE AS events FROM events "
            "GROUP BY 1 ORDER BY 1"
        ).df()
    return Feed(_whole(days), _filled_hours(hours))


def _list(words: Any) -> str:
    return ", ".join("'" + str(w).replace("'", "''") + "'" for w in words)


def _whole(days: pd.DataFrame) -> pd.DataFrame:
    """Put in the days without an event; leave out the first and the last where they are cut.

    Such a day begins after its first hour, or ends before its last.
    """
    days = days.sort_values("day")
    cut = ((days["first"] - days["day"] >= _HOUR) & (days["day"] == days["day"].min())) | (
        (days["last"] - days["day"] < 23 * _HOUR) & (days["day"] == days["day"].max())
    )
    days = days[~cut].drop(columns=["first", "last"]).reset_index(drop=True)
    if days.empty:
        return days
    every = pd.DataFrame({"day": pd.date_range(days["day"].min(), days["day"].max(), freq="D")})
    return every.merge(days, on="day", how="left")


def _filled_hours(hours: pd.DataFrame) -> pd.DataFrame:
    every = pd.DataFrame(
        {"hour": pd.date_range(hours["hour"].min(), hours["hour"].max(), freq="h")}
    )
    return every.merge(hours, on="hour", how="left").fillna({"events": 0.0})
