"""The calendar of a simulation: how many visits start on each day, and who comes back when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["DAY", "HOUR", "Calendar", "Visits", "pick"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
DAY, HOUR = 86_400_000_000, 3_600_000_000
"""Microseconds in a day, and in an hour."""


@dataclass
class Visits:
    """Visits in the order of their start; one entry per visit in each array.

    `start` is in microseconds since 1970; `visit` counts a visitor's visits from 0; `bought` is 1
    when the visitor has bought before.
    """

    visitor: Ints
    visit: Ints
    start: Ints
    country: Ints
    device: Ints
    bought: Ints

    def __len__(self) -> int:
        return len(self.visitor)

    def __getitem__(self, key: Any) -> Self:
        return type(self)(*(getattr(self, f.name)[key] for f in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the visits of all parts, one after another; one part at least."""
        names = [f.name for f in fields(cls)]
        return cls(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


V = TypeVar("V", bound=Visits)


class Traffic(Protocol):
    """A shop whose traffic follows weekday (Monday first), month (January first) and hour."""

    @property
    def weekday_traffic(self) -> tuple[float, ...]: ...
    @property
    def month_traffic(self) -> tuple[float, ...]: ...
    @property
    def hour_traffic(self) -> tuple[float, ...]: ...


def pick(shares: Floats, u: Floats) -> Ints:
    """Return the index drawn from `shares` by each uniform."""
    edges = np.cumsum(shares) / np.sum(shares)
    return np.minimum(np.searchsorted(edges, u, side="right"), len(shares) - 1).astype(np.int64)


class Calendar(ABC, Generic[V]):
    """Exactly `sessions` visits over `days` days; those who come back take places of new ones.

    Memory holds the visitors who will come back, and nothing of those who will not.
    """

    def __init__(self, shop: Traffic, sessions: int, seed: int, start: date, days: int) -> None:
        self.sessions, self.seed, self.days = sessions, seed, days
        self.first_day = (start - date(1970, 1, 1)).days
        self.dates = [start + timedelta(days=d) for d in range(days)]
        traffic = np.array(
            [
                shop.weekday_traffic[d.weekday()] * shop.month_traffic[d.month - 1]
                for d in self.dates
            ]
        )
        self.quota = np.floor(np.cumsum(traffic) / traffic.sum() * sessions + 1e-6).astype(int)
        self.hours = np.array(shop.hour_traffic, dtype=float)
        self.made = 0
        self.visitors = 0
        self.returns: dict[int, list[V]] = defaultdict(list)

    def day(self, day: int) -> V:
        """Return the visits that start on `day` (0 is the first), in the order of their start."""
        parts = self.returns.pop(day, [])
        if parts:
            back = type(parts[0]).joined(parts)
            back = back[np.argsort(back.start * 1.0, kind="stable")][: self.sessions - self.made]
            parts = [back]
        n_back = len(parts[0]) if parts else 0
        n_new = max(0, int(self.quota[day]) - self.made - n_back)
        visitor = np.arange(self.visitors, self.visitors + n_new, dtype=np.int64)
        self.visitors += n_new
        self.made += n_back + n_new
        new = self._new(day, visitor)
        both = type(new).joined([*parts, new])
        return both[np.lexsort((both.visitor, both.start))]

    @abstractmethod
    def _new(self, day: int, visitor: Ints) -> V:
        """Return the first visits of new visitors."""

    def day_of(self, start: Ints) -> Ints:
        """Return the day of each moment, 0 for the first."""
        return start // DAY - self.first_day

    def _clock(self, day: Ints, u_hour: Floats, u_rest: Floats) -> Ints:
        hour = pick(self.hours, u_hour)
        seconds = hour * 3600 + u_rest * 3600
        return (self.first_day + day) * DAY + (seconds * 1e6).astype(np.int64)

    def _await(self, following: V, day: Ints) -> None:
        """Keep visits until their day comes."""
        order = np.argsort(day, kind="stable")
        days, begins = np.unique(day[order], return_index=True)
        for d, rows in zip(days, np.split(order, begins[1:]), strict=len(days) > 0):
            self.returns[int(d)].append(following[rows])
