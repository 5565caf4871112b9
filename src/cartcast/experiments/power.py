"""Power: how many units a test needs, and what it can find with the units there are.

By the normal formula for a difference of means. A sequential test needs its own bound in place of
the normal quantile; that is its price, and `sequential_cost` tells it.
"""

from __future__ import annotations

import math
from typing import Literal

from scipy.special import ndtr, ndtri

from cartcast.errors import UsageError
from cartcast.experiments.sequence import width_factor

__all__ = ["detectable", "needed", "power", "sequential_cost"]

Sides = Literal[1, 2]


def _critical(alpha: float, sides: Sides) -> float:
    if not 0 < alpha < 1 or sides not in (1, 2):
        raise UsageError(f"alpha must fulfil 0 < alpha < 1 with 1 or 2 sides, got {alpha}.")
    return float(-ndtri(alpha / sides))


def power(
    effect: float,
    control: float,
    treatment: float,
    n_control: float,
    n_treatment: float,
    *,
    alpha: float = 0.05,
    sides: Sides = 2,
    bound: float | None = None,
) -> float:
    """Return the chance to find `effect`.

    Args:
        effect: true difference.
        control: variance per unit in the control.
        treatment: variance per unit in the treatment.
        n_control: units of the control.
        n_treatment: units of the treatment.
        alpha: error of the test.
        sides: 2, or 1 for a test in the direction of the effect.
        bound: |z| that must be passed, in place of the normal quantile.

    Raises:
        UsageError: a parameter breaks its rule.

    >>> round(power(0.03, 45, 45, 859_896, 859_896), 6)
    0.834583
    """
    if min(control, treatment) < 0 or min(n_control, n_treatment) <= 0:
        raise UsageError("power needs variances of 0 or more and units above 0.")
    error = math.sqrt(control / n_control + treatment / n_treatment)
    z = _critical(alpha, sides) if bound is None else bound
    if error == 0:
        return 1.0 if effect else alpha
    shift = abs(effect) / error
    other = ndtr(-z - shift) if sides == 2 else 0.0
    return float(ndtr(shift - z) + other)


def needed(
    effect: float,
    control: float,
    treatment: float,
    *,
    share: float = 0.5,
    alpha: float = 0.05,
    wanted: float = 0.8,
    sides: Sides = 2,
) -> int:
    """Return the units of both arms together that find `effect` with the chance `wanted`.

    `share` is that of the treatment among both arms.

    Raises:
        UsageError: a parameter breaks its rule, or the effect is zero.

    >>> needed(0.02, 0.1 * 0.9, 0.12 * 0.88)  # from 10 % to 12 %
    7677
    """
    from scipy.optimize import brentq

    if effect == 0 or not 0 < share < 1 or not alpha < wanted < 1:
        raise UsageError(
            "a sample size needs an effect, 0 < share < 1 and alpha < power < 1, got "
            f"{effect}, {share} and {wanted}."
        )

    def short(log_n: float) -> float:
        n = math.exp(log_n)
        return (
            power(effect, control, treatment, n * (1 - share), n * share, alpha=alpha, sides=sides)
            - wanted
        )

    return math.ceil(math.exp(brentq(short, math.log(1e-6), math.log(1e18), xtol=1e-12)) - 1e-6)


def detectable(
    control: float,
    treatment: float,
    n_control: float,
    n_treatment: float,
    *,
    alpha: float = 0.05,
    wanted: float = 0.8,
    sides: Sides = 2,
    bound: float | None = None,
) -> float:
    """Return the least effect that is found with the chance `wanted`.

    Raises:
        UsageError: a parameter breaks its rule.
    """
    from scipy.optimize import brentq

    error = math.sqrt(control / n_control + treatment / n_treatment)
    if not alpha < wanted < 1:
        raise UsageError(f"power must lie between alpha and 1, got {wanted}.")
    if error == 0:
        return 0.0

    def short(effect: float) -> float:
        found = power(
            effect, control, treatment, n_control, n_treatment, alpha=alpha, sides=sides,
            bound=bound,
        )  # fmt: skip
        return found - wanted

    return float(brentq(short, 0.0, 50 * error, xtol=1e-15 + 1e-12 * error))


def sequential_cost(n: int, *, alpha: float = 0.05, wanted: float = 0.8) -> float:
    """Return how many times the units a confidence sequence needs at its best for the same power.

    >>> round(sequential_cost(10_000), 2)
    1.91
    """
    z, other = _critical(alpha, 2), float(ndtri(wanted))
    return ((width_factor(n, alpha, n) + other) / (z + other)) ** 2
