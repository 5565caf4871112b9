"""Who comes to the first shop, and what is visible of each visit."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np

from cartcast.datasets.draws import uniforms
from cartcast.datasets.simulate_calendar import DAY, HOUR, Calendar, Ints, Visits, pick
from cartcast.datasets.simulate_kernel import Ends
from cartcast.datasets.simulate_model import Floats, Shop

__all__ = ["Context", "Plan"]


class Context(NamedTuple):
    """Channel, campaign (-1 none), readiness, log odds of price sensitivity, chance of a bot."""

    channel: Ints
    campaign: Ints
    readiness: Floats
    sensitive: Floats
    bot_share: Floats


class Plan(Calendar[Visits]):
    """The first shop's visits."""

    def __init__(self, shop: Shop, sessions: int, seed: int, start: date, days: int) -> None:
        super().__init__(shop, sessions, seed, start, days)
        self.shop = shop
        self.weekend = np.array([d.weekday() >= 5 for d in self.dates])
        self.month = np.array([d.month - 1 for d in self.dates])

    def _new(self, day: int, visitor: Ints) -> Visits:
        zero = np.zeros(len(visitor), np.int64)
        u = uniforms(self.seed, visitor, zero, 3, 4)
        return Visits(
            visitor=visitor,
            visit=zero,
            start=self._clock(np.full(len(visitor), day), u[:, 0], u[:, 1]),
            country=pick(np.array([c[1] for c in self.shop.countries]), u[:, 2]),
            device=pick(np.array([d[1] for d in self.shop.devices]), u[:, 3]),
            bought=zero,
        )

    def come_back(self, visits: Visits, ends: Ends) -> None:
        """Plan the next visit of those who come back, always on a later day.

        It depends on what could be seen of the visit (clicks, a cart left, a purchase), never on
        the hidden intent, so that it tells the filter nothing.
        """
        u = uniforms(self.seed, visits.visitor, visits.visit, 5, 4)
        odds = -2.0 + 0.5 * np.log(ends.events) + 0.7 * ends.cart + 0.5 * (ends.bought > 0)
        odds += 0.3 * np.minimum(visits.visit, 3)
        wait = 1 + np.floor(np.exp(np.log(3.0) + 1.1 * _normal(u[:, 1]))).astype(np.int64)
        day = self.day_of(visits.start) + wait
        start = self._clock(day, u[:, 2], u[:, 3])
        late = start < ends.end + HOUR
        day, start = day + late, start + late * DAY
        keep = (u[:, 0] < 1 / (1 + np.exp(-odds))) & (ends.bot == 0) & (day < self.days)
        following = Visits(
            visits.visitor, visits.visit + 1, start, visits.country, visits.device,
            np.maximum(visits.bought, (ends.bought > 0).astype(np.int64)),
        )  # fmt: skip
        self._await(following[keep], day[keep])

    def context(self, visits: Visits) -> Context:
        """Return what is visible of each visit and decides on its hidden state."""
        shop = self.shop
        u = uniforms(self.seed, visits.visitor, visits.visit, 4, 2)
        share = np.array([c[1] for c in shop.channels])
        again = share * np.array([1.0, 0.6, 2.0, 0.5, 2.5])
        new = visits.visit == 0
        channel = np.where(new, pick(share, u[:, 0]), pick(again, u[:, 0]))
        day = self.day_of(visits.start)
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
