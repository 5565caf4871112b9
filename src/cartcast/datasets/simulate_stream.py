"""The log piece by piece, in time order, in memory that follows the chunk and not the log."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cartcast.datasets import simulate_kernel as kernel
from cartcast.datasets import simulate_model as model
from cartcast.datasets.simulate_kernel import Ends, Ints, Rows, Tables
from cartcast.datasets.simulate_model import Shop
from cartcast.datasets.simulate_table import event_schema, events_table, truth_table
from cartcast.datasets.simulate_visits import Plan, Visits, pick
from cartcast.datasets.truth import solve

__all__ = ["Arm", "Stream"]

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Arm:
    """One arm of a simulated experiment.

    `share` is its share of visitors; `lift` the relative change it makes to the probability that
    an order with payment details goes through. As every purchase passes there once, it is exactly
    the relative change of a visit's probability of purchase and of its expected revenue.
    """

    name: str
    share: float
    lift: float = 0.0


class Stream:
    """Simulates visits in the order of their start and gives out events in time order.

    Rows wait until no later visit can come before them. The delay of late events is log-normal
    with a median of four hours.
    """

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
        self.shop, self.seed, self.arms = shop, seed, tuple(arms)
        self.by = "known" if disorder else "time"
        self.chunk = chunk
        self.plan = Plan(shop, sessions, seed, start, days)
        self.goods = model.catalogue()
        self.lookup = tables_of(shop, late, twice)
        self.schema = event_schema(bool(self.arms))
        self.made = 0
        self.totals: dict[str, Any] = dict.fromkeys(
            ("events", "purchases", "purchase_sessions", "bot_sessions", "late_events",
             "repeated_events"), 0,
        )  # fmt: skip
        self.totals["revenue"] = 0.0
        self.times: list[int] = []

    def counts(self) -> dict[str, Any]:
        """Return what was simulated so far: counts, money in EUR, times in UTC."""
        low, high = (datetime(1970, 1, 1) + timedelta(microseconds=t) for t in self.times)
        return {
            "sessions": self.made,
            "visitors": self.plan.visitors,
            **self.totals,
            "conversion": self.totals["purchase_sessions"] / self.made,
            "start": low,
            "end": high,
            "seed": self.seed,
            "arms": {a.name: {"share": a.share, "lift": a.lift} for a in self.arms},
        }

    def tables(self, wants_truth: bool) -> Iterator[tuple[pa.Table, pa.Table | None]]:
        """Yield (events, truth)."""
        waiting: list[Columns] = []
        for day in range(self.plan.days):
            visits = self.plan.day(day)
            for begin in range(0, len(visits), self.chunk):
                part = visits[begin : begin + self.chunk]
                waiting = yield from self._flush(waiting, int(part.start[0]), wants_truth)
                waiting.append(self._simulate(part))
                self.made += len(part)
        yield from self._flush(waiting, None, wants_truth)

    def _flush(
        self, waiting: list[Columns], until: int | None, wants_truth: bool
    ) -> Generator[tuple[pa.Table, pa.Table | None], None, list[Columns]]:
        """Yield the rows before `until`, and return the others."""
        if not waiting:
            return waiting
        rows = {k: np.concatenate([w[k] for w in waiting]) for k in waiting[0]}
        ready = rows[self.by] < (np.iinfo(np.int64).max if until is None else until)
        if ready.any():
            now = {k: v[ready] for k, v in rows.items()}
            # A repeated event has its own order, so that the three keys leave no ties.
            order = np.lexsort((now["order"], now["visitor"], now[self.by]))
            now = {k: v[order] for k, v in now.items()}
            self._count(now)
            events = events_table(now, self.shop, self.goods, [a.name for a in self.arms])
            yield events, truth_table(now, events) if wants_truth else None
        return [{k: v[~ready] for k, v in rows.items()}] if not ready.all() else []

    def _simulate(self, part: Visits) -> Columns:
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
        totals = self.totals
        totals["purchase_sessions"] += int((ends.bought > 0).sum())
        totals["bot_sessions"] += int(ends.bot.sum())
        totals["repeated_events"] += int(ends.repeated.sum())
        totals["revenue"] += float(ends.revenue.sum())
        rows = {k: np.concatenate([p[k] for p in pieces]) for k in Rows._fields}
        at = rows["visit"]
        of_visit = {
            "visitor": part.visitor, "visit": part.visit, "country": part.country,
            "device": part.device, "channel": context.channel, "campaign": context.campaign,
            "arm": arm,
        }  # fmt: skip
        return rows | {k: v[at] for k, v in of_visit.items()}

    def _assign(self, visitor: Ints) -> Ints:
        if not self.arms:
            return np.zeros(len(visitor), np.int64)
        u = kernel.uniforms(self.seed, visitor, np.zeros_like(visitor), 6, 1)[:, 0]
        return pick(np.array([a.share for a in self.arms]), u)

    def _count(self, rows: Columns) -> None:
        self.totals["events"] += len(rows["time"])
        self.totals["purchases"] += int((rows["page"] == 8).sum())
        self.totals["late_events"] += int((rows["known"] > rows["time"]).sum())
        times = (*self.times, int(rows["time"].min()), int(rows["time"].max()))
        self.times = [min(times), max(times)]


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
