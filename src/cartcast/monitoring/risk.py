"""Risk: is the model worse than it was, by the outcomes themselves? This alone pages somebody.

Five signed processes read the daily sums (`cartcast.monitoring.days`): purchases and revenue below
and above those expected, and the loss above the run's own level. Each day's value is a quotient,
held against a bound (the level and the accepted margin), and divided by its deviation, which is
predicted from what is known before the outcomes: the design effect of visitors, and how much such
days have differed from the same weekday a week before. A detector then decides
(`cartcast.monitoring.detector`).

Realised loss as it is would be blind and noisy at once: when conversion falls by a fifth, Brier
score and log loss fall, and at Christmas they rise. So they are told, and tested with the day's
rate granted, while the rate has processes of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartcast.findings import Code
from cartcast.monitoring import codes
from cartcast.monitoring.detector import Crossings, detect, threshold
from cartcast.monitoring.plan import Plan

__all__ = ["PROCESSES", "Level", "Process", "levels", "standardised", "watch"]

Floats = NDArray[np.float64]
Table = Mapping[str, Floats]

_WEEK = 7
_MEMORY = 56
"""Days of which the noise between days is learnt."""
_NOISE = 0.03
"""Least noise between days, as a share: no shop is steadier."""
_FIRST_NOISE = 0.06
"""Noise between days before two weeks are known."""


@dataclass(frozen=True)
class Process:
    """One signed process.

    Attributes:
        name: as in metrics and messages.
        code: the finding that an alarm raises.
        above: whether values above the bound are bad, else those below.
        top, bottom: columns of the quotient; `top` less `less`, where that is given.
        var, scale: columns of the squares over visitors and of what they would be.
        margin: name of the accepted margin in the plan.
        center: value while all is well: 1 for a ratio, 0 for an excess.
        doubt: deviation of the level of calibrated runs from `center`, before the run is seen.
    """

    name: str
    code: Code
    above: bool
    top: str
    bottom: str
    var: str
    scale: str
    margin: str
    center: float = 1.0
    doubt: float = 0.05


PROCESSES = (
    Process("purchases_down", codes.PURCHASES_DOWN, False, "realised", "expected", "rate_var",
            "rate_scale", "purchases_down"),
    Process("purchases_up", codes.PURCHASES_UP, True, "realised", "expected", "rate_var",
            "rate_scale", "purchases_up"),
    Process("log_loss", codes.LOSS, True, "shape", "log_loss_expected", "shape_var",
            "shape_scale", "loss", 0.0, 0.02),
    Process("brier", codes.LOSS, True, "shape_b", "brier_expected", "shape_b_var",
            "shape_b_scale", "loss", 0.0, 0.02),
    Process("revenue_down", codes.REVENUE_DOWN, False, "revenue", "revenue_expected",
            "revenue_var", "revenue_expected", "revenue_down"),
    Process("revenue_up", codes.REVENUE_UP, True, "revenue", "revenue_expected", "revenue_var",
            "revenue_expected", "revenue_up"),
)  # fmt: skip


class Level(NamedTuple):
    """The run's own level of a process, from its test part.

    Attributes:
        measured: the quotient on the test part.
        error: its standard error, over visitors.
        value: the level held against: `measured`, drawn towards what a calibrated run has, the
            more so the less the test part says.
        design: squares over visitors divided by those of independent moments.
    """

    measured: float
    error: float
    value: float
    design: float


def levels(test: Table) -> dict[str, Level]:
    """Return the level of each process from the daily sums of the run's test part.

    Processes whose columns hold nothing (no money, nobody bought) are left out.

    Args:
        test: columns of `days_of` over the run's own predictions of its test part.
    """
    found: dict[str, Level] = {}
    for process in PROCESSES:
        top, bottom, var, scale = (
            float(np.sum(test[c]))
            for c in (process.top, process.bottom, process.var, process.scale)
        )
        if not (bottom > 0 and scale > 0 and var > 0):
            continue
        measured, error = top / bottom, var**0.5 / bottom
        weight = process.doubt**2 / (process.doubt**2 + error**2)
        value = process.center + weight * (measured - process.center)
        found[process.name] = Level(measured, error, value, var / scale)
    return found


def _as_columns(table: Table, name: str) -> Floats:
    values = np.asarray(table[name], dtype=np.float64)
    return values if values.ndim == 2 else values[:, None]


def noise_between_days(value: Floats, sampling: Floats) -> Floats:
    """Return, for each day, the deviation between days beyond sampling, from the days before it.

    Differences to the same weekday a week before are free of weekdays and slow seasons, and their
    median of one-off days.
    """
    days, series = value.shape
    gap = np.full((days, series), np.nan)
    gap[_WEEK:] = np.abs(value[_WEEK:] - value[:-_WEEK])
    out = np.full((days, series), _FIRST_NOISE)
    for t in range(2 * _WEEK, days):
        past = slice(max(_WEEK, t - _MEMORY), t)
        known = np.isfinite(gap[past]).sum(axis=0) >= _WEEK
        if not known.any():
            continue
        total = np.nanmedian(gap[past][:, known], axis=0) * 1.4826 / 2**0.5
        drawn = np.nanmedian(sampling[past][:, known], axis=0)
        out[t, known] = np.sqrt(np.maximum(total**2 - drawn**2, _NOISE**2))
    return out


def standardised(table: Table, process: Process, level: Level, margin: float) -> Floats:
    """Return each day's value beyond its bound, in its deviations; shape (T, S), NaN without data.

    Positive values speak against the model; while all is well their mean is not above 0.
    """
    top, bottom = _as_columns(table, process.top), _as_columns(table, process.bottom)
    scale = _as_columns(table, process.scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(bottom > 0, top / bottom, np.nan)
        sampling = np.sqrt(level.design * scale) / bottom
    deviation = np.sqrt(sampling**2 + noise_between_days(value, sampling) ** 2)
    scale_of_margin = level.value if process.center else 1.0
    sign = 1.0 if process.above else -1.0
    bound = level.value + sign * margin * scale_of_margin
    return np.asarray(sign * (value - bound) / deviation)


def watch(table: Table, known: Mapping[str, Level], plan: Plan) -> dict[str, Crossings]:
    """Return what each process found in daily sums of shape (T,) or (T, S).

    The budget is shared by the processes that are watched; each restarts after its alarm.
    """
    level = threshold(plan.budget, len(known))
    found = {}
    for process in PROCESSES:
        if process.name in known:
            x = standardised(table, process, known[process.name], getattr(plan, process.margin))
            found[process.name] = detect(x, level)
    return found
