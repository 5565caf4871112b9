"""The second shop's events, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtr

from cartcast.datasets.draws import uniforms
from cartcast.datasets.missions import behaviour, market
from cartcast.datasets.missions.arrays import Found, Rows, Tables
from cartcast.datasets.missions.kernel import visits
from cartcast.datasets.missions.plan import Plan, Searches
from cartcast.datasets.missions.settings import Missions
from cartcast.datasets.missions.table import event_schema, events_table, truth_schema, truth_table
from cartcast.datasets.missions.values import later, solve
from cartcast.datasets.simulate_calendar import pick
from cartcast.datasets.simulate_kernel import GAP_LIMIT, LONGEST_VISIT
from cartcast.datasets.simulate_stream import Arm, Columns, EventStream

__all__ = ["MissionStream", "tables_of"]

_SECONDS_BY_PAGE = np.array([0.8, 1.0, 0.8, 1.5, 0.6, 0.6, 1.4, 1.8])
"""Factor on the median seconds that people spend on each page."""


class MissionStream(EventStream):
    """Simulates the second shop; arguments as for the first shop's stream."""

    currency = "USD"

    def __init__(
        self,
        shop: Missions,
        sessions: int,
        seed: int,
        arms: Sequence[Arm],
        start: date,
        days: int,
        *,
        late: float,
        twice: float,
        disorder: bool,
        chunk: int,
    ) -> None:
        super().__init__(seed, arms, disorder=disorder, chunk=chunk)
        self.shop = shop
        self.plan: Plan = Plan(shop, sessions, seed, start, days)
        self.first_day, self.days = self.plan.first_day, days
        paid = shop.paid * (1 + np.array([a.lift for a in self.arms] or [0.0]))
        self.lookup = tables_of(shop, paid, self.first_day, days, late, twice)
        self.schema = event_schema(bool(self.arms))
        self.truth_schema = truth_schema(shop)

    def tables(self, wants_truth: bool) -> Iterator[tuple[pa.Table, pa.Table | None]]:
        """Yield (events, truth)."""
        self.plan.remembers = wants_truth
        return super().tables(wants_truth)

    def _events(self, rows: Columns) -> pa.Table:
        return events_table(rows, self.shop, self.lookup, [a.name for a in self.arms])

    def _truth(self, rows: Columns, events: pa.Table) -> pa.Table:
        return truth_table(rows, events, self.shop)

    def _simulate(self, part: Searches, wants_truth: bool) -> Columns:
        shop, n = self.shop, len(part)
        u = uniforms(self.seed, part.visitor, part.visit, 4, 2)
        channel = pick(np.array([c[1] for c in shop.channels]), u[:, 0])
        never = np.zeros(n)
        for rows, index in (
            (shop.channels, channel),
            (shop.countries, part.country),
            (shop.devices, part.device),
        ):
            never += np.array([r[2] for r in rows])[index]
        kinds, arm = behaviour.types(shop, never), self._assign(part.visitor)
        day, hidden, ends = self.plan.day_of(part.start), part.hidden(), Found.empty(n)
        pieces: list[Columns] = []
        done = 0
        while done < n:
            out = Rows.empty(10 * n + 2 * LONGEST_VISIT)
            done, size = visits(
                done, self.seed, part.visitor, part.visit, part.start, day, self.days, kinds,
                arm, channel, self.lookup, hidden, out, ends, wants_truth,
            )  # fmt: skip
            pieces.append({k: getattr(out, k)[:size] for k in Rows._fields})
        self.plan.come_back(part, ends, hidden)
        self._add(ends)
        rows_ = {k: np.concatenate([p[k] for p in pieces]) for k in Rows._fields}
        sale = self.lookup.sales[day]
        names = [c[0] for c in shop.channels]
        told = np.isin(channel, [names.index("ads"), names.index("newsletter")])
        of_visit: dict[str, NDArray[Any]] = {
            "visitor": part.visitor, "visit": part.visit, "country": part.country,
            "device": part.device, "channel": channel, "arm": arm, "day": day, "sale": sale,
            "campaign": np.where(told & (u[:, 1] < 0.5), sale, -1),
        }  # fmt: skip
        return rows_ | {k: v[rows_["visit"]] for k, v in of_visit.items()}


def tables_of(
    shop: Missions, paid: NDArray[np.float64], first_day: int, days: int, late: float, twice: float
) -> Tables:
    """Return all that the kernel looks up; `paid` is by arm."""
    goods = market.goods(shop)
    reach = days + shop.horizon + 2
    fashion = market.fashion(shop, first_day, days)
    sales = market.sales(shop, first_day, reach)
    cut = np.where(goods.cat[None, :] == sales[:days, None], shop.cut, 1.0)
    price = np.round(goods.price * cut, 2)
    of_cat = (fashion * price).reshape(days, len(shop.categories), shop.items).sum(axis=2)
    others = (of_cat[:, goods.cat] - fashion * price) / (1 - fashion)
    tempo = np.zeros((4, 2, 2))
    tempo[:, 0, 1], tempo[:, 1, 0] = shop.pause, shop.resume
    tempo[:, 0, 0], tempo[:, 1, 1] = 1 - tempo[:, 0, 1], 1 - tempo[:, 1, 0]
    steady = tempo[:, 0, 1] / (tempo[:, 0, 1] + shop.resume)
    seconds = np.array([shop.burst_seconds[0], shop.pause_seconds[0]])
    spread = np.array([shop.burst_seconds[1], shop.pause_seconds[1]])
    mean = np.log(seconds * _SECONDS_BY_PAGE[:, None])
    start = np.exp(np.array(shop.start))
    hours = np.cumsum([0.0, *shop.hour_traffic, 0.0])
    return Tables(
        landing=behaviour.landing(),
        channels_again=behaviour.channels_again(shop),
        choices=behaviour.choices(),
        chain=behaviour.chain(),
        tempo=tempo,
        tempo_start=np.stack([1 - steady, steady], axis=1),
        gap_mean=mean,
        gap_spread=spread,
        gap_norm=ndtr((np.log(GAP_LIMIT) - mean) / spread),
        daily=behaviour.daily(shop),
        returns=behaviour.returns(shop),
        focus=np.array(shop.focus),
        naming=np.array(shop.naming),
        start=start / start.sum(),
        item_cat=goods.cat,
        cat_share=goods.share,
        fashion=fashion,
        sales=sales,
        price=price,
        others=others,
        values=solve(shop),
        later=later(shop, paid, sales, days),
        paid=paid,
        hours=hours / hours[-1],
        stray=shop.stray,
        switch=shop.switch,
        post=shop.post,
        extra_unit=shop.extra_unit,
        horizon=shop.horizon,
        late=late,
        late_median=4 * 3600.0,
        twice=twice,
    )
