"""Shrinkage: effects of segments drawn towards their common mean, as far as they are noise.

The spread between segments is estimated by DerSimonian and Laird (1986),
doi:10.1016/0197-2456(86)90046-2; each effect is then its posterior mean under that spread. The
most extreme of many segments is mostly luck, and this takes the luck out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cartcast.experiments.difference import Estimate, interval

__all__ = ["shrink"]


def shrink(effects: Sequence[Estimate | None]) -> list[Estimate | None]:
    """Return each effect shrunk, in the order given; None stays None, and a lone one as it is.

    >>> from cartcast.experiments.difference import interval
    >>> [round(e.value, 2) for e in shrink([interval(v, 1.0) for v in (-1.0, 0.0, 1.0)])]
    [0.0, 0.0, 0.0]
    >>> [round(e.value, 2) for e in shrink([interval(v, 1.0) for v in (-9.0, 0.0, 9.0)])]
    [-8.89, 0.0, 8.89]
    """
    known = [e for e in effects if e is not None]
    if len(known) < 2:
        return list(effects)
    value = np.array([e.value for e in known])
    variance = np.array([e.error**2 for e in known])
    weight = 1 / variance
    centre = float(weight @ value / weight.sum())
    scatter = float(weight @ (value - centre) ** 2)
    room = float(weight.sum() - weight @ weight / weight.sum())
    between = max(0.0, (scatter - (len(known) - 1)) / room)
    total = 1 / (variance + between)
    common = float(total @ value / total.sum())
    own = between / (between + variance)
    drawn = own * value + (1 - own) * common
    # Of the segment's own noise, and of the common mean's.
    error = np.sqrt(own * variance + (1 - own) ** 2 / total.sum())
    rest = iter(
        interval(float(v), max(float(s), math.ulp(1.0)), level=e.level)
        for v, s, e in zip(drawn, error, known, strict=True)
    )
    return [None if e is None else next(rest) for e in effects]
