"""Holes of the feed: hours with far fewer events than the same hour of the same weekday before."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from cartcast.monitoring.plan import Plan

__all__ = ["holes", "usual_hours"]

Floats = NDArray[np.float64]

_WEEK: Final = 7 * 24
_BACK: Final = 8
_LEAST: Final = 3
"""Weeks back, and those needed, to say what is usual."""
_HOLE: Final = 0.2
"""Share of the usual events at and below which an hour is a hole."""


def usual_hours(hours: pd.DataFrame) -> Floats:
    """Return what each hour usually holds; NaN before three weeks are known.

    It is the median of the same hour of the same weekday in the eight weeks before.
    """
    count = hours["events"].to_numpy(dtype=np.float64)
    usual = np.full(len(count), np.nan)
    for t in range(_LEAST * _WEEK, len(count)):
        usual[t] = np.median(count[[t - _WEEK * k for k in range(1, _BACK + 1) if t >= _WEEK * k]])
    return usual


def holes(hours: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return the hours with far fewer events than usual: hour, events, usual.

    What is usual is brought to the level of the hours just before, so that a quiet holiday is no
    hole. An hour counts from `plan.hours` usual events on.

    >>> h = pd.DataFrame({"hour": pd.date_range("2026-01-05", periods=24 * 35, freq="h")})
    >>> h["events"] = 100 + h.hour.dt.hour
    >>> h.loc[24 * 33 + 9, "events"] = 3
    >>> holes(h, Plan())[["events", "usual"]].to_numpy().tolist()
    [[3.0, 109.0]]
    """
    count = hours["events"].to_numpy(dtype=np.float64)
    found: list[tuple[Any, float, float]] = []
    usual = usual_hours(hours)
    level = 1.0
    for t in range(_LEAST * _WEEK, len(count)):
        before = slice(max(_LEAST * _WEEK, t - 24), t)
        if t - before.start >= 6 and np.sum(usual[before]) > 0:
            level = float(np.clip(count[before].sum() / usual[before].sum(), 0.3, 1.0))
        expected = usual[t] * level
        if expected >= plan.hours and count[t] <= _HOLE * expected:
            variance = max(_clumps(count, usual, t), 1.1) * expected + (0.3 * expected) ** 2
            size = expected**2 / (variance - expected)
            chance = float(stats.nbinom.cdf(count[t], size, size / (size + expected)))
            if chance < plan.tickets / 8766:
                found.append((hours["hour"].iloc[t], count[t], usual[t]))
    return pd.DataFrame(found, columns=["hour", "events", "usual"])


def _clumps(count: Floats, usual: Floats, t: int) -> float:
    """Return variance over mean of the hours before `t`: events come in sessions, not alone.

    An hour counts as three usual ones at most: a bot's thousand clicks in a night say nothing of
    how empty an hour may be.
    """
    past = slice(max(0, t - 4 * _WEEK), t)
    mean = usual[past]
    known = np.isfinite(mean) & (mean > 0)
    # Before a week is known: about what sessions of a dozen events make.
    if known.sum() < _WEEK:
        return 15.0
    mean = mean[known]
    held = np.minimum(count[past][known], 3 * mean)
    return float(np.mean((held - mean) ** 2 / mean))
