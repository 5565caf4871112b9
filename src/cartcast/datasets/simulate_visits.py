"""Who comes when: visits by day, first and returning, with what is visible about them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartcast.datasets import simulate_kernel as kernel
from cartcast.datasets.simulate_kernel import Ends
from cartcast.datasets.simulate_model import Floats, Shop

__all__ = ["DAY", "Context", "Plan", "Visits", "pick"]

Ints = NDArray[np.int64]
DAY = 86_400_000_000
"""Microseconds in a day."""


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

    def __getitem__(self, key: Any) -> Visits:
        return Visits(*(getattr(self, f.name)[key] for f in fields(self)))

    @classmethod
    def joined(cls, parts: list[Visits]) -> Visits:
        """Return the visits of all parts, one after another."""
        if not parts:
            return cls(*(np.empty(0, np.int64) for _ in fields(cls)))
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


class Context(NamedTuple):
    """Channel, campaign (-1 none), readiness, log odds of price sensitivity, chance of a bot."""

    channel: Ints
    campaign: Ints
    readiness: Floats
    sensitive: Floats
    bot_share: Floats


def pick(shares: Floats, u: Floats) -> Ints:
    """Return the index drawn from `shares` by each uniform."""
    edges = np.cumsum(shares) / np.sum(shares)
    return np.minimum(np.searchsorted(edges, u, side="right"), len(shares) - 1).astype(np.int64)


class Plan:
    """The calendar of a simulation: exactly `sessions` visits over `days` days.

    Memory holds the visitors who will come back, and nothing of those who will not.
    """

    def __init__(self, shop: Shop, sessions: int, seed: int, start: date, days: int) -> None:
        self.shop, self.sessions, self.seed, self.days = shop, sessions, seed, days
        self.first_day = (start - date(1970, 1, 1)).days
        dates = [start + timedelta(days=d) for d in range(days)]
        traffic = np.array(
            [shop.weekday_traffic[d.weekday()] * shop.month_traffic[d.month - 1] for d in dates]
        )
        self.quota = np.floor(np.cumsum(traffic) / traffic.sum() * sessions + 1e-6).astype(int)
        self.weekend = np.array([d.weekday() >= 5 for d in dates])
        self.month = np.array([d.month - 1 for d in dates])
        self.hours = np.array(shop.hour_traffic, dtype=float)
        self.made = 0
        self.visitors = 0
        self.returns: dict[int, list[Visits]] = defaultdict(list)

    def day(self, day: int) -> Visits:
        """Return the visits that start on `day` (0 is the first), in the order of their start."""
        back = Visits.joined(self.returns.pop(day, []))
        back = back[np.argsort(back.start * 1.0, kind="stable")][: self.sessions - self.made]
        n_new = max(0, int(self.quota[day]) - self.made - len(back))
        new = self._new(day, n_new)
        self.made += len(back) + n_new
        both = Visits.joined([back, new])
        return both[np.lexsort((both.visitor, both.start))]

    def _new(self, day: int, n: int) -> Visits:
        visitor = np.arange(self.visitors, self.visitors + n, dtype=np.int64)
        self.visitors += n
        zero = np.zeros(n, np.int64)
        u = kernel.uniforms(self.seed, visitor, zero, 3, 4)
        return Visits(
            visitor=visitor,
            visit=zero,
            start=self._clock(np.full(n, day), u[:, 0], u[:, 1]),
            country=pick(np.array([c[1] for c in self.shop.countries]), u[:, 2]),
            device=pick(np.array([d[1] for d in self.shop.devices]), u[:, 3]),
            bought=zero,
        )

    def _clock(self, day: Ints, u_hour: Floats, u_rest: Floats) -> Ints:
        hour = pick(self.hours, u_hour)
        seconds = hour * 3600 + u_rest * 3600
        return (self.first_day + day) * DAY + (seconds * 1e6).astype(np.int64)

    def come_back(self, visits: Visits, ends: Ends) -> None:
        """Plan the next visit of those who come back, always on a later day.

        It depends on what could be seen of the visit (clicks, a cart left, a purchase), never on
        the hidden intent, so that it tells the filter nothing.
        """
        u = kernel.uniforms(self.seed, visits.visitor, visits.visit, 5, 4)
        odds = -2.0 + 0.5 * np.log(ends.events) + 0.7 * ends.cart + 0.5 * (ends.bought > 0)
        odds += 0.3 * np.minimum(visits.visit, 3)
        wait = 1 + np.floor(np.exp(np.log(3.0) + 1.1 * _normal(u[:, 1]))).astype(np.int64)
        day = visits.start // DAY - self.first_day + wait
        start = self._clock(day, u[:, 2], u[:, 3])
        late = start < ends.end + 3_600_000_000
        day, start = day + late, start + late * DAY
        keep = (u[:, 0] < 1 / (1 + np.exp(-odds))) & (ends.bot == 0) & (day < self.days)
        following = Visits(
            visits.visitor, visits.visit + 1, start, visits.country, visits.device,
            np.maximum(visits.bought, (ends.bought > 0).astype(np.int64)),
        )  # fmt: skip
        if not keep.any():
            return
        following, day = following[keep], day[keep]
        order = np.argsort(day, kind="stable")
        days, begins = np.unique(day[order], return_index=True)
        for d, rows in zip(days, np.split(order, begins[1:]), strict=True):
            self.returns[int(d)].append(following[rows])

    def context(self, visits: Visits) -> Context:
        """Return what is visible of each visit and decides on its hidden state."""
        shop = self.shop
        u = kernel.uniforms(self.seed, visits.visitor, visits.visit, 4, 2)
        share = np.array([c[1] for c in shop.channels])
        again = share * np.array([1.0, 0.6, 2.0, 0.5, 2.5])
        new = visits.visit == 0
        channel = np.where(new, pick(share, u[:, 0]), pick(again, u[:, 0]))
        day = visits.start // DAY - self.first_day
        campaign = np.full(len(visits), -1)
        names = [c[0] for c in shop.channels]
        reached = np.isin(channel, [names.index("paid"), names.index("email")])
        for i, (_, first, last) in enumerate(shop.campaigns):
            running = (day >= first * self.days) & (day < last * self.days)
            campaign[running & reached & (u[:, 1] < shop.campaign_share)] = i
        readiness = (
            np.array([c[2] for c in shop.countries])[visits.country]
            + np.array([d[2] for d in shop.devices])[visits.device]
            + np.array([c[2] for c in shop.channels])[channel]
            + shop.campaign_effect * (campaign >= 0)
            + shop.weekend_effect * self.weekend[day]
            + np.array(shop.month_effect)[self.month[day]]
            + shop.returning_effect * ~new
            + shop.visit_effect * np.minimum(visits.visit, 3)
            + shop.buyer_effect * visits.bought
        )
        sensitive = np.array(shop.sensitive)[channel]
        return Context(channel, campaign, readiness, sensitive, np.where(new, shop.bot_share, 0.0))


def _normal(u: Floats) -> Floats:
    from scipy.special import ndtri

    return np.asarray(ndtri(u))
