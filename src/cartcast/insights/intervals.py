"""The interval of a share: how far a conversion rate may be off."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

from cartcast.errors import UsageError

__all__ = ["Share", "share"]


class Share(NamedTuple):
    """`did` of `of` units, as a share with its interval; all null when `of` is 0.

    Attributes:
        did: units that did it.
        of: units that could have done it.
        value: did / of, from 0 to 1.
        low: lower end of the interval.
        high: upper end of the interval.
    """

    did: int
    of: int
    value: float | None
    low: float | None
    high: float | None


def share(count: int, of: int, level: float = 0.95) -> Share:
    """Return `count / of` with Wilson's score interval at confidence `level`.

    Source: Wilson (1927), https://doi.org/10.1080/01621459.1927.10502953. It keeps its coverage
    for small counts and never leaves 0 to 1.

    Raises:
        UsageError: the counts or the level are impossible.

    >>> s = share(2, 10)
    >>> round(s.low, 4), s.value, round(s.high, 4)
    (0.0567, 0.2, 0.5098)
    >>> share(0, 0).value is None
    True
    """
    if not 0 < level < 1:
        raise UsageError(f"level must fulfil 0 < level < 1, got {level}.")
    if not 0 <= count <= of:
        raise UsageError(f"a share needs 0 <= count <= of, got {count} of {of}.")
    if of == 0:
        return Share(0, 0, None, None, None)
    z = NormalDist().inv_cdf((1 + level) / 2)
    p = count / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    # At 0 and at `of` the interval ends exactly there; rounding would leave 1e-18 over.
    low = 0.0 if count == 0 else middle - half
    high = 1.0 if count == of else middle + half
    return Share(count, of, p, low, high)
