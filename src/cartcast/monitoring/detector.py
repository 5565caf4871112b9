"""An e-detector: a change is found soon, and the expected number of false alarms is bounded.

Day t brings a standardised value x_t. While all is well its mean, given the past, is at most 0 and
its noise is not wilder than normal with deviation 1. For every bet b the sums of Shiryaev and
Roberts

    M_t(b) = (M_{t-1}(b) + 1) * exp(b * x_t - b^2 / 2),     M_0 = 0

then grow by at most 1 a day in expectation, as does their mean over the bets. An alarm is raised
when that mean reaches `threshold`, and the sums start again at 0. Since each alarm uses up
`threshold` of what the days bring in, the expected number of false alarms within T days is at most
T / threshold, whenever one looks and whatever the past decided (e-detectors: Shin, Ramdas, Rinaldo
2023, https://arxiv.org/abs/2203.03532). Values are cut at `CUT`, which only lowers the sums: one
odd day, such as a holiday, alarms by itself only with the proof of several.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["BETS", "CUT", "Crossings", "detect", "threshold"]

Floats = NDArray[np.float64]

BETS = (0.25, 0.5, 1.0, 2.0)
"""Bets: the shifts, in deviations of a day, for which the detector is quickest."""
CUT = 3.0
"""Largest value of a day, in deviations."""
_MOST = 1e150


class Crossings(NamedTuple):
    """What a detector found in each of S series over T days.

    Attributes:
        alarm: days at whose end an alarm was raised; bool, shape (T, S).
        since: the likeliest first day of the change, for days with an alarm, else -1; shape (T, S).
        evidence: natural logarithm of the detector before any restart; shape (T, S).
    """

    alarm: NDArray[np.bool_]
    since: NDArray[np.int64]
    evidence: Floats


def threshold(budget: float, processes: int, blocks_a_year: float = 365.25) -> float:
    """Return the threshold at which `processes` detectors share a budget of false alarms a year.

    >>> threshold(budget=1, processes=5)
    1826.25
    """
    return processes * blocks_a_year / budget


def detect(x: Floats, level: float) -> Crossings:
    """Run the detector over standardised values; NaN (a day without data) changes nothing.

    Args:
        x: values whose mean is at most 0 while all is well; shape (T,) or (T, S).
        level: the threshold.

    >>> calm, changed = np.full(60, -0.5), np.full(20, 1.0)
    >>> found = detect(np.r_[calm, changed], level=365.0)
    >>> int(found.alarm[:, 0].argmax()), int(found.since[found.alarm].max())
    (71, 60)
    """
    x = np.minimum(np.atleast_2d(x.T).T, CUT)
    days, series = x.shape
    bets = np.asarray(BETS)[:, None]
    sums = np.zeros((len(BETS), series))
    # The likeliest start of a change under each bet: where its log wealth was lowest (CUSUM).
    drift = np.zeros((len(BETS), series))
    start = np.zeros((len(BETS), series), dtype=np.int64)
    alarm = np.zeros((days, series), dtype=bool)
    since = np.full((days, series), -1, dtype=np.int64)
    evidence = np.zeros((days, series))
    for t in range(days):
        seen = ~np.isnan(x[t])
        step = np.where(seen, bets * np.where(seen, x[t], 0.0) - bets**2 / 2, 0.0)
        grown = np.minimum((sums + 1) * np.exp(step), _MOST)
        sums = np.where(seen, grown, sums)
        start = np.where(seen & (drift <= 0), t, start)
        drift = np.where(seen, np.maximum(drift, 0.0) + step, drift)
        mean = sums.mean(axis=0)
        with np.errstate(divide="ignore"):
            evidence[t] = np.log(mean)
        alarm[t] = mean >= level
        best = sums.argmax(axis=0)
        since[t, alarm[t]] = start[best, np.arange(series)][alarm[t]]
        sums[:, alarm[t]] = 0.0
        drift[:, alarm[t]] = 0.0
    return Crossings(alarm, since, evidence)
