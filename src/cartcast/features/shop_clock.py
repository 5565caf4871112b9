"""The shop's clock: `event_time` (UTC) plus `utc_offset`, by which calendar features are told."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from functools import lru_cache
from typing import Final

from cartcast.events.zones import changes

__all__ = ["MINUTE", "SHOP_TIME", "ShopClock"]

MINUTE: Final = 60_000_000
"""Microseconds."""

SHOP_TIME: Final = "@shop_time"
"""Stands for a column that no log has: `event_time` by the shop's clock, in microseconds."""

_EPOCH = dt.datetime(1970, 1, 1)


class ShopClock:
    """The offsets that the contract writes into a log of this zone, for single moments.

    Args:
        zone: the shop's, such as `Europe/Berlin`; None is UTC.

    >>> ShopClock("Europe/Berlin").offset(1_700_000_000_000_000)
    60
    """

    def __init__(self, zone: str | None) -> None:
        self._changes, self._offsets = _offsets(zone) if zone is not None else ([], [0])
        # Moments come close to each other: those between two changes are told at once.
        self._from = self._until = self._shift = 0

    def offset(self, time: int) -> int:
        """Return the minutes east of UTC at a time (microseconds since 1970, UTC)."""
        return self._offsets[bisect_right(self._changes, time)]

    def local(self, time: int) -> int:
        """Return a time by the shop's clock, in microseconds as if it were UTC."""
        if not self._from <= time < self._until:
            at, edges = bisect_right(self._changes, time), (-(2**63), *self._changes, 2**63)
            self._from, self._until = edges[at : at + 2]
            self._shift = self._offsets[at] * MINUTE
        return time + self._shift


@lru_cache(maxsize=16)
def _offsets(zone: str) -> tuple[list[int], list[int]]:
    """Return the times at which a zone's offset changes, and the offsets before, between, after."""
    first, found = changes(zone)
    times = [(c.at - _EPOCH) // dt.timedelta(microseconds=1) for c in found]
    return times, [first, *(c.after for c in found)]
