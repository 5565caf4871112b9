"""E-values: evidence that may be combined over features whatever their dependence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import UsageError

__all__ = ["e_bh", "e_value"]

Floats = NDArray[np.float64]


def e_value(p: Floats | float) -> Floats:
    """Return the e-value of a p-value, with no choice of how small it was expected to be.

    The mean of k p^(k-1) over k in (0, 1): (1 - p + p log p) / (p log(p)^2), see Vovk and Wang
    2021, https://doi.org/10.1214/20-AOS2020.

    >>> e_value(np.array([1.0, 0.1, 0.001])).round(2).tolist()
    [0.5, 1.26, 20.79]
    """
    p = np.clip(np.asarray(p, dtype=np.float64), 1e-300, 1.0)
    log = np.log(p)
    small = log > -1e-4
    safe = np.where(small, -1.0, log)
    value = (1 - p + p * safe) / (p * safe**2)
    # Near p = 1 the quotient loses its digits; its series is 1/2 - log(p)/6 and so on.
    return np.asarray(np.where(small, 0.5 - log / 6, value))


def e_bh(values: Mapping[str, float], level: float = 0.05) -> list[str]:
    """Return the names found at a false discovery rate of `level`, strongest first.

    With m e-values, the k largest are taken for the greatest k whose k-th largest is at least
    m / (level k): valid under any dependence (Wang and Ramdas 2022,
    https://doi.org/10.1111/rssb.12489).

    Raises:
        UsageError: `level` is not within 0 and 1, or an e-value is negative or no number.

    >>> e_bh({"hour": 100.0, "price": 45.0, "device": 1.0, "brand": 3.0}, level=0.05)
    ['hour', 'price']
    """
    if not 0 < level < 1:
        raise UsageError(f"level must fulfil 0 < level < 1, got {level}.")
    if any(not v >= 0 for v in values.values()):
        raise UsageError(f"e-values must not be negative, got {dict(values)}.")
    ranked = sorted(values, key=lambda name: (-values[name], name))
    most = 0
    for k, name in enumerate(ranked, start=1):
        if values[name] >= len(ranked) / (level * k):
            most = k
    return ranked[:most]
