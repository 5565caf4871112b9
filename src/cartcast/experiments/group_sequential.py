"""Group sequential tests: a few planned looks that share the error among them.

Bounds by alpha spending (Lan and DeMets 1983, doi:10.1093/biomet/70.3.659), found by numerical
integration of the running sum (Armitage, McPherson and Rowe 1969, doi:10.2307/2343787).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from cartcast.errors import UsageError

__all__ = ["Look", "Spending", "looks", "spent"]

Floats = NDArray[np.float64]
Spending = Literal["power", "obrien-fleming", "pocock"]
TRUNCATION = 8.0
"""No bound lies further out than this many standard errors."""
_BLOCK = 64  # nodes of the quadrature come in blocks of so many
_MOST = 2048
_NOTHING = 1e-13  # of error to spend is a rounding
_LEAST_STEP = 1e-5  # of information; a look without new units repeats the bound before


class Look(NamedTuple):
    """One planned look.

    Attributes:
        information: share of the planned units, above 0.
        bound: |z| from which the test stops here.
        level: two-sided (one-sided) error at which the bound alone would test.
        spent: error spent up to here.
    """

    information: float
    bound: float
    level: float
    spent: float


def spent(
    information: float, alpha: float, spending: Spending = "obrien-fleming", power: float = 2.0
) -> float:
    """Return the error spent at a share of the information, at most `alpha`.

    `power` spends alpha t^power; the other two imitate O'Brien and Fleming's bounds (little early)
    and Pocock's (about the same at each look).

    Raises:
        UsageError: no such spending.

    >>> round(spent(0.5, 0.05, "power"), 4), round(spent(1.0, 0.05), 4)
    (0.0125, 0.05)
    """
    t = min(information, 1.0)
    if t <= 0:
        return 0.0
    if spending == "power":
        return float(alpha * t**power)
    if spending == "obrien-fleming":
        return float(2 * ndtr(ndtri(alpha / 2) / np.sqrt(t)))
    if spending == "pocock":
        return float(alpha * np.log(1 + (np.e - 1) * t))
    raise UsageError(f"spending must be power, obrien-fleming or pocock, got {spending!r}.")


def looks(
    information: Sequence[float],
    alpha: float = 0.05,
    *,
    spending: Spending = "obrien-fleming",
    power: float = 2.0,
    two_sided: bool = True,
) -> tuple[Look, ...]:
    """Return the bound of each look.

    Args:
        information: share of the planned units at each look, increasing. Looks beyond 1 (the test
            ran over) spend no more error, and a look without new units repeats the one before.
        alpha: error of all looks together.
        spending: how the error is spent over the information.
        power: exponent of the spending `power`.
        two_sided: whether both directions stop; each then has half of the error.

    Raises:
        UsageError: the shares do not increase, or a parameter breaks its rule.

    >>> [round(k.bound, 2) for k in looks([0.25, 0.5, 0.75, 1.0])]
    [4.33, 2.96, 2.36, 2.01]
    """
    shares = [float(t) for t in information]
    if not shares or shares[0] <= 0 or any(b < a for a, b in pairwise(shares)):
        raise UsageError(f"information must be positive and increase, got {shares}.")
    if not 0 < alpha < 0.5:
        raise UsageError(f"alpha must fulfil 0 < alpha < 0.5, got {alpha}.")
    sides = 2 if two_sided else 1
    out: list[Look] = []
    density = _Density(np.zeros(1), np.ones(1))
    before, used = 0.0, 0.0
    for t in shares:
        if before and t - before <= _LEAST_STEP:
            out.append(out[-1]._replace(information=t))
            continue
        step = np.sqrt(t - before)
        z = _bound(density, step, np.sqrt(t), spent(t, alpha / sides, spending, power) - used)
        used += _beyond(density, step, z * np.sqrt(t))
        out.append(Look(t, z, sides * float(ndtr(-z)), sides * used))
        density = _carry(density, step, np.sqrt(t), z, two_sided)
        before = t
    return tuple(out)


class _Density(NamedTuple):
    """The running sum where it did not stop: nodes, and density times weight at each."""

    nodes: Floats
    mass: Floats


@lru_cache(maxsize=16)
def _legendre(count: int) -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return nodes, weights


def _beyond(density: _Density, step: float, limit: float) -> float:
    """Return the chance that the sum passes `limit` upwards in this step."""
    return float(density.mass @ ndtr((density.nodes - limit) / step))


def _bound(density: _Density, step: float, scale: float, aim: float) -> float:
    from scipy.optimize import brentq

    def excess(z: float) -> float:
        return _beyond(density, step, z * scale) - aim

    if aim < _NOTHING or excess(TRUNCATION) >= 0:
        return TRUNCATION
    return float(brentq(excess, -TRUNCATION, TRUNCATION, xtol=1e-10))


def _carry(density: _Density, step: float, scale: float, z: float, two_sided: bool) -> _Density:
    """Return the sum after this look, where it did not stop."""
    low, high = (-z if two_sided else -TRUNCATION) * scale, z * scale
    # Four nodes to a standard deviation of the step, in whole blocks so that they are made once.
    count = _BLOCK * int(np.ceil(max(4 * (high - low) / step, 1) / _BLOCK))
    nodes, weights = _legendre(min(count, _MOST))
    nodes = low + (high - low) * (nodes + 1) / 2
    away = (nodes[:, None] - density.nodes[None, :]) / step
    height = np.exp(-(away**2) / 2) / (np.sqrt(2 * np.pi) * step)
    return _Density(nodes, height @ density.mass * weights * (high - low) / 2)
