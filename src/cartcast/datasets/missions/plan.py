"""Who comes to the second shop, and when again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from cartcast.datasets.draws import uniforms
from cartcast.datasets.missions.arrays import Found, Hidden
from cartcast.datasets.missions.settings import Missions
from cartcast.datasets.simulate_calendar import HOUR, Calendar, Floats, Ints, Visits, pick

__all__ = ["Plan", "Searches"]


@dataclass
class Searches(Visits):
    """Visits with what is hidden of their visitors, and the filter's belief (or nothing)."""

    kind: Ints
    phase: Ints
    item: Ints
    since: Ints
    belief: Floats

    def hidden(self) -> Hidden:
        """Return a copy of what the kernel changes."""
        return Hidden(*(getattr(self, n).copy() for n in Hidden._fields))


class Plan(Calendar[Searches]):
    """The second shop's visits: one a day at most for each visitor.

    Beside those who will come back, memory holds their beliefs where the truth is wanted.
    """

    def __init__(self, shop: Missions, sessions: int, seed: int, start: date, days: int) -> None:
        super().__init__(shop, sessions, seed, start, days)
        self.shop = shop
        self.remembers = True

    def _new(self, day: int, visitor: Ints) -> Searches:
        n = len(visitor)
        zero = np.zeros(n, np.int64)
        u = uniforms(self.seed, visitor, zero, 3, 4)
        n_hidden = 1 + 3 * self.shop.items * len(self.shop.categories)
        return Searches(
            visitor=visitor,
            visit=zero,
            start=self._clock(np.full(n, day), u[:, 0], u[:, 1]),
            country=pick(np.array([c[1] for c in self.shop.countries]), u[:, 2]),
            device=pick(np.array([d[1] for d in self.shop.devices]), u[:, 3]),
            bought=zero,
            kind=zero,
            phase=zero,
            item=zero - 1,
            since=zero,
            belief=np.zeros((n, 3, n_hidden if self.remembers else 0)),
        )

    def come_back(self, visits: Searches, ends: Found, hidden: Hidden) -> None:
        """Plan the next visit of those who come back, on the day that the kernel found."""
        keep = ends.next_day >= 0
        if not keep.any():
            return
        day = ends.next_day[keep]
        now, end = visits[keep], ends.end[keep]
        u = uniforms(self.seed, now.visitor, now.visit, 7, 2)
        following = Searches(
            visitor=now.visitor,
            visit=now.visit + 1,
            start=np.maximum(self._clock(day, u[:, 0], u[:, 1]), end + HOUR),
            country=now.country,
            device=now.device,
            bought=np.maximum(now.bought, (ends.bought[keep] > 0).astype(np.int64)),
            **{n: getattr(hidden, n)[keep] for n in Hidden._fields},
        )
        self._await(following, day)
