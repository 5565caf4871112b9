"""Confidence sequences: intervals that may be looked at after every unit.

The asymptotic confidence sequence of Waudby-Smith et al. (2021), https://arxiv.org/abs/2103.06476:
with N units so far, c = N rho^2 + 1 and the level 1 - a, the half width is

    error * sqrt(2 c / (c - 1) * log(sqrt(c) / a))             two-sided
    error * sqrt(2 c / (c - 1) * log(1 + sqrt(c) / (2 a)))     one-sided

It is narrowest, relative to a fixed interval, about the number of units that rho is tuned for.
"""

from __future__ import annotations

import math
from dataclasses import replace

from cartcast.errors import UsageError
from cartcast.experiments.difference import Estimate

__all__ = ["TUNED_FOR", "always_valid", "width_factor"]

TUNED_FOR = 5_000
"""Units of both arms together for which the sequence is narrowest, unless planned otherwise."""
LEAST = 100
"""Units of both arms together before which no interval is given: the theorem is asymptotic."""


def _growth(n: int, alpha: float, tuned_for: float, two_sided: bool) -> float:
    """Return c = n rho^2 + 1, with rho tuned for `tuned_for` units."""
    a = alpha if two_sided else 2 * alpha
    return n * (-2 * math.log(a) + math.log(1 - 2 * math.log(a))) / tuned_for + 1


def width_factor(
    n: int, alpha: float = 0.05, tuned_for: float = TUNED_FOR, *, two_sided: bool = True
) -> float:
    """Return the half width of the sequence in standard errors after `n` units of both arms.

    >>> round(width_factor(5_000), 2), round(width_factor(50_000), 2)
    (3.04, 3.24)
    """
    c = _growth(n, alpha, tuned_for, two_sided)
    tail = math.sqrt(c) / alpha if two_sided else 1 + math.sqrt(c) / (2 * alpha)
    return math.sqrt(2 * c / (c - 1) * math.log(tail))


def _p_value(z: float, n: int, alpha: float, tuned_for: float, two_sided: bool) -> float:
    """Return the least level at which the sequence leaves the null out, rho being kept."""
    c = _growth(n, alpha, tuned_for, two_sided)
    log_evidence = z * z * (c - 1) / (2 * c)
    if two_sided:
        return min(1.0, math.exp(0.5 * math.log(c) - log_evidence))
    if z <= 0:
        return 1.0
    # 1 + sqrt(c) / (2 a) = exp(evidence), solved for a; expm1 would overflow beyond 700.
    return min(1.0, math.sqrt(c) / (2 * math.expm1(min(log_evidence, 700.0))))


def always_valid(fixed: Estimate, n: int, tuned_for: float = TUNED_FOR) -> Estimate | None:
    """Return the interval and p-value that hold at every look, from the fixed ones.

    Args:
        fixed: the estimate, its alternative and null.
        n: units of both arms together.
        tuned_for: units for which the sequence shall be narrowest: those expected at the end.

    Returns:
        The estimate with its sequence; None before there are 100 units.

    Raises:
        UsageError: `tuned_for` is not positive.
    """
    if tuned_for <= 0:
        raise UsageError(f"tuned_for must be positive, got {tuned_for}.")
    if n < LEAST:
        return None
    alpha = 1 - fixed.level
    two_sided = fixed.alternative == "two-sided"
    half = fixed.error * width_factor(n, alpha, tuned_for, two_sided=two_sided)
    z = (fixed.value - fixed.null) / fixed.error
    sign = -1.0 if fixed.alternative == "less" else 1.0
    return replace(
        fixed,
        low=-math.inf if fixed.alternative == "less" else fixed.value - half,
        high=math.inf if fixed.alternative == "greater" else fixed.value + half,
        p_value=_p_value(sign * z, n, alpha, tuned_for, two_sided),
        degrees=math.inf,
    )
