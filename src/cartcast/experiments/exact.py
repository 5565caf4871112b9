"""Shares with few events: Fisher's exact test, the score interval, and an exact sequence.

Where fewer than `LEAST_EVENTS` units of an arm say yes (or no), the normal approximation is wrong
in both directions. Fisher's test (1922, doi:10.2307/2340521) keeps its error at any number of
units; tests that pick up a little more (Barnard, Boschloo) need a table as large as both arms.
The interval joins the arms' Wilson intervals (Newcombe 1998, method 10,
doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I); where one of the two
finds a difference and the other does not, there is none.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from cartcast.experiments.bernoulli import share_sequence
from cartcast.experiments.difference import Estimate

__all__ = ["LEAST_EVENTS", "Yes", "always_valid_share", "exact_share", "few_events"]

LEAST_EVENTS = 10
"""Units on either side of yes and no, in each arm, from which the normal approximation is used."""


class Yes(NamedTuple):
    """How many units of an arm say yes.

    Attributes:
        yes: units with a yes.
        of: units.
    """

    yes: int
    of: int

    @property
    def value(self) -> float:
        """The share."""
        return self.yes / self.of


def few_events(control: Yes, treatment: Yes) -> bool:
    """Return whether an arm has too few units on one side for the normal approximation."""
    return min(min(arm.yes, arm.of - arm.yes) for arm in (control, treatment)) < LEAST_EVENTS


def _wilson(arm: Yes, z: float) -> tuple[float, float]:
    middle, n = arm.yes + z * z / 2, arm.of + z * z
    half = z * math.sqrt(arm.yes * (arm.of - arm.yes) / arm.of + z * z / 4)
    return max((middle - half) / n, 0.0), min((middle + half) / n, 1.0)


def exact_share(control: Yes, treatment: Yes, *, level: float = 0.95) -> Estimate:
    """Return the difference of two shares with Fisher's p-value.

    >>> e = exact_share(Yes(1, 1000), Yes(9, 1000))
    >>> round(e.value, 4), round(e.low, 4), round(e.high, 4), round(e.p_value, 4)
    (0.008, 0.0017, 0.0161, 0.0212)
    """
    from scipy.stats import fisher_exact

    table = np.array([[arm.yes, arm.of - arm.yes] for arm in (control, treatment)])
    p = min(float(fisher_exact(table).pvalue), 1.0)
    z = float(-ndtri((1 - level) / 2))
    (low, high), (least, most) = _wilson(control, z), _wilson(treatment, z)
    a, b, gap = control.value, treatment.value, treatment.value - control.value
    ends = gap - math.hypot(b - least, high - a), gap + math.hypot(most - b, a - low)
    # Test and interval shall say the same: a difference is found only where both find it.
    if p >= 1 - level or ends[0] <= 0 <= ends[1]:
        p, ends = max(p, 1 - level), (min(ends[0], 0.0), max(ends[1], 0.0))
    error = math.sqrt(a * (1 - a) / control.of + b * (1 - b) / treatment.of)
    return Estimate(gap, error, *ends, p, level=level)


def always_valid_share(fixed: Estimate, control: Yes, treatment: Yes, tuned_for: float) -> Estimate:
    """Return the interval of a difference that holds at every look, with however few events.

    Each arm has its exact sequence at half of the error; so both hold at once.

    Args:
        fixed: the difference as `exact_share` gives it.
        control: of the control.
        treatment: of the other arm.
        tuned_for: units of both arms for which the sequences shall be narrowest.
    """

    def ends(level: float) -> tuple[float, float]:
        each = (1 + level) / 2
        a, b = (share_sequence(*arm, tuned_for / 2, level=each) for arm in (control, treatment))
        return b.low - a.high, b.high - a.low

    def holds_zero(log_alpha: float) -> float:
        low, high = ends(-math.expm1(log_alpha))
        return max(low, -high)

    low, high = ends(fixed.level)
    least = math.log(1e-12)
    p = 1.0
    if holds_zero(least) > 0:
        p = 1e-12
    elif holds_zero(math.log(0.999)) > 0:
        p = math.exp(brentq(holds_zero, least, math.log(0.999), xtol=1e-6))
    return replace(fixed, low=low, high=high, p_value=p)
