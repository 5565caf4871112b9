"""The first shop's events: visits, one after another, each with its exact filter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pyarrow as pa

from cartcast.datasets import simulate_kernel as kernel
from cartcast.datasets import simulate_model as model
from cartcast.datasets.simulate_calendar import Visits
from cartcast.datasets.simulate_kernel import Ends, Rows, Tables
from cartcast.datasets.simulate_model import Shop
from cartcast.datasets.simulate_stream import Arm, Columns, EventStream
from cartcast.datasets.simulate_table import TRUTH_SCHEMA, event_schema, events_table, truth_table
from cartcast.datasets.simulate_visits import Plan
from cartcast.datasets.truth import solve

__all__ = ["Stream"]


class Stream(EventStream):
    """The first shop's events. Its truth is always computed: the simulation rests on the filter."""

    def __init__(
        self,
        shop: Shop,
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
        self.goods = model.catalogue()
        self.lookup = tables_of(shop, late, twice)
        self.schema = event_schema(bool(self.arms))
        self.truth_schema = TRUTH_SCHEMA

    def _events(self, rows: Columns) -> pa.Table:
        return events_table(rows, self.shop, self.goods, [a.name for a in self.arms])

    def _truth(self, rows: Columns, events: pa.Table) -> pa.Table:
        return truth_table(rows, events)

    def _simulate(self, part: Visits, wants_truth: bool) -> Columns:
        context = self.plan.context(part)
        prior = model.prior(context.readiness, context.sensitive, context.bot_share)
        arm = self._assign(part.visitor)
        lift = np.array([a.lift for a in self.arms] or [0.0])
        paid = self.shop.paid * (1 + lift[arm])
        ends = Ends.empty(len(part))
        pieces: list[Columns] = []
        done = 0
        while done < len(part):
            out = Rows.empty(8 * len(part) + 2 * kernel.LONGEST_VISIT)
            done, n = kernel.visits(
                done, self.seed, part.visitor, part.visit, part.start, prior, context.channel,
                paid, self.lookup, out, ends,
            )  # fmt: skip
            pieces.append({k: getattr(out, k)[:n] for k in Rows._fields})
        self.plan.come_back(part, ends)
        self._add(ends)
        rows = {k: np.concatenate([p[k] for p in pieces]) for k in Rows._fields}
        at = rows["visit"]
        of_visit = {
            "visitor": part.visitor, "visit": part.visit, "country": part.country,
            "device": part.device, "channel": context.channel, "campaign": context.campaign,
            "arm": arm,
        }  # fmt: skip
        return rows | {k: v[at] for k, v in of_visit.items()}


def tables_of(shop: Shop, late: float, twice: float) -> Tables:
    """Return all that the kernel looks up."""
    goods, values = model.catalogue(), solve(shop)
    return Tables(
        landing=model.landing(),
        chain=model.chain(),
        choices=model.choices(),
        tier_share=model.tier_share(),
        item_cat=goods.cat,
        item_tier=goods.tier,
        item_price=goods.price,
        item_share=goods.share,
        first=goods.first,
        cumulative=goods.cumulative,
        cat_share=goods.cat_share,
        deviation=goods.mean - goods.cat_share @ goods.mean,
        pay=values.pay,
        cart=values.cart,
        last=values.last,
        category=values.category,
        base=values.base,
        human_gap=np.log(model.HUMAN_SECONDS),
        human_spread=model.HUMAN_SPREAD,
        bot_gap=np.array([np.log(model.BOT_SECONDS), model.BOT_SPREAD]),
        switch=shop.switch,
        post=shop.post,
        extra_unit=shop.extra_unit,
        late=late,
        late_median=4 * 3600.0,
        twice=twice,
    )
