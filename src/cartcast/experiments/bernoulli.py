"""An exact confidence sequence for one share, valid at every look and with few units.

Where the asymptotic sequence would need thousands of units (a rare error, a new shop), the
beta-binomial mixture of Howard et al. (2021), doi:10.1214/20-AOS1991, holds from the first one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.optimize import brentq
from scipy.special import betaln

from cartcast.errors import UsageError
from cartcast.experiments.difference import check_level

__all__ = ["ShareSequence", "log_evidence", "share_sequence", "tuned_rho"]


class ShareSequence(NamedTuple):
    """A share with an interval that holds at every look.

    Attributes:
        value: yes / of.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float


def tuned_rho(variance: float, alpha: float = 0.05) -> float:
    """Return the mixture's parameter that makes the boundary tightest at `variance`.

    >>> round(tuned_rho(100), 5)
    12.60056
    """
    return variance / (2 * math.log(1 / alpha) + math.log(1 + 2 * math.log(1 / alpha)))


def log_evidence(total: float, variance: float, g: float, h: float, rho: float) -> float:
    """Return the log of the two-sided mixture against a mean of zero.

    `total` is the sum of centred values that jump down by g or up by h, `variance` g h times
    their number, `rho` from `tuned_rho`.
    """
    r = max(rho - g * h, 1e-3 * g * h)
    down, up = g * (g + h), h * (g + h)
    return (
        variance / (g * h) * math.log(g + h)
        - (variance + h * total) / up * math.log(g)
        - (variance - g * total) / down * math.log(h)
        + float(betaln((r + variance - g * total) / down, (r + variance + h * total) / up))
        - float(betaln(r / down, r / up))
    )


def share_sequence(
    yes: int, of: int, tuned_for: float = 1_000, *, level: float = 0.95, tuned_alpha: float = 0.05
) -> ShareSequence:
    """Return the share with its sequence, tightest after about `tuned_for` units.

    Raises:
        UsageError: not 0 <= yes <= of with of > 0, or the level is not within 0 and 1.

    >>> s = share_sequence(700, 1000, tuned_for=100)
    >>> round(s.low, 4), round(s.high, 4)
    (0.6516, 0.7459)
    """
    if not 0 <= yes <= of or of == 0:
        raise UsageError(f"a share needs 0 <= yes <= of and of > 0, got {yes} of {of}.")
    limit = -math.log(1 - check_level(level))
    value = yes / of

    def excess(p: float) -> float:
        spread = p * (1 - p)
        rho = tuned_rho(spread * tuned_for, tuned_alpha)
        return log_evidence((value - p) * of, spread * of, p, 1 - p, rho) - limit

    edge = 1e-12
    inside = min(max(value, edge), 1 - edge)
    low = float(brentq(excess, edge, inside)) if value > 0 and excess(edge) > 0 else 0.0
    high = float(brentq(excess, inside, 1 - edge)) if value < 1 and excess(1 - edge) > 0 else 1.0
    return ShareSequence(value, low, high)
