"""A particle filter and plain simulation ahead: the second shop's truth, got another way.

It shares with the simulator the tables that define the shop (`behaviour`, `market`), and neither
the filter, nor the solved values, nor the recursion over days. It reads a visitor's log by its
canonical columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cartcast.datasets.missions import behaviour as b
from cartcast.datasets.missions import market
from cartcast.datasets.missions.settings import Missions
from cartcast.datasets.missions.stream import tables_of

WINDOW, IDLE = 0, 0


def draws(rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """One index for each row of weights."""
    edges = np.cumsum(weights, axis=1)
    u = rng.random(len(weights)) * edges[:, -1]
    return (u[:, None] >= edges[:, :-1]).sum(axis=1)


@dataclass
class Cloud:
    """Particles of one visitor: kind, phase, wanted item (-1 none), tempo, log weight."""

    kind: np.ndarray
    phase: np.ndarray
    item: np.ndarray
    tempo: np.ndarray
    weight: np.ndarray

    def take(self, rows: np.ndarray) -> Cloud:
        return Cloud(
            *(v[rows] for v in (self.kind, self.phase, self.item, self.tempo, self.weight))
        )


class Filter:
    """Follows one visitor through the log."""

    def __init__(self, shop: Missions, first_day: int, days: int, n: int, seed: int) -> None:
        self.shop, self.n, self.rng = shop, n, np.random.default_rng(seed)
        self.first_day = first_day
        self.goods = market.goods(shop)
        self.t = tables_of(shop, np.array([shop.paid]), first_day, days, 0.0, 0.0)
        self.index = {name: i for i, name in enumerate(self.goods.item)}
        self.cats = {c[0]: i for i, c in enumerate(shop.categories)}
        self.channels = [c[0] for c in shop.channels]

    def demand(self, day: int) -> np.ndarray:
        return self.goods.share[self.goods.cat] * self.t.fashion[day]

    def begin(self, row: Any, day: int) -> None:
        effects = {n: e for g in (self.shop.channels, self.shop.countries, self.shop.devices)
                   for n, _, e in g}  # fmt: skip
        never = sum(effects[x] for x in (row.channel, row.country, row.device))
        kinds = b.types(self.shop, np.array([never]))
        n = self.n
        phase = self.rng.choice(4, n, p=self.t.start)
        items = self.rng.choice(len(self.goods.item), n, p=self.demand(day))
        self.cloud = Cloud(draws(self.rng, np.repeat(kinds, n, axis=0)), phase,
                           np.where(phase > 0, items, -1), np.zeros(n, int), np.zeros(n))  # fmt: skip

    def on_sale(self, c: Cloud, day: int) -> np.ndarray:
        return (c.item >= 0) & (self.goods.cat[c.item] == self.t.sales[day])

    def a_day(self, c: Cloud, day: int) -> np.ndarray:
        """Phases move overnight, in place; return who comes back with which probability."""
        before = c.phase
        c.phase = draws(self.rng, self.t.daily[before])
        new = (before == IDLE) & (c.phase == 1)
        items = self.rng.choice(len(self.goods.item), new.sum(), p=self.demand(day))
        c.item = np.where(np.isin(c.phase, (0, 4)), -1, c.item)
        c.item[new] = items
        gone = c.phase == 4
        back = self.t.returns[c.kind, np.where(gone, 0, c.phase), self.on_sale(c, day).astype(int)]
        return np.where(gone, 0.0, back)

    def weigh(self, factor: np.ndarray) -> None:
        c = self.cloud
        with np.errstate(divide="ignore"):
            c.weight = c.weight + np.log(factor)
        c.weight = c.weight - c.weight.max()
        w = np.exp(c.weight)
        if w.sum() ** 2 / (w**2).sum() < 0.5 * self.n:
            rows = self.rng.choice(self.n, self.n, p=w / w.sum())
            self.cloud = c.take(rows)
            self.cloud.weight = np.zeros(self.n)

    def absent(self, since: int, until: int) -> None:
        for day in range(since + 1, until + 1):
            back = self.a_day(self.cloud, day)
            gone = self.cloud.phase == 4
            self.cloud.phase[gone] = 0  # of weight 0 in the end: nobody who is gone comes back
            self.weigh(np.where(gone, 0.0, back if day == until else 1 - back))

    def shows(self, row: Any, day: int, before: int) -> np.ndarray:
        """P(what a page shows) for each particle, from the event's columns."""
        c, shop = self.cloud, self.shop
        chance = np.ones(self.n)
        item = self.index.get(row.item_id, -1) if row.page == "item" else -1
        cat = self.cats.get(row.category, -1)
        if row.page == "search":
            name = row.query.split()[-1]
            item = self.index.get(name, -1)
            naming = np.array(shop.naming)[c.phase]
            chance = naming if item >= 0 else 1 - naming
        if item >= 0:
            share = self.goods.share[cat]
            if before >= 0:
                share = (1 - shop.switch) * (cat == before) + shop.switch * share
            idle = share * self.t.fashion[day, item]
            focus = np.array(shop.focus)[c.phase]
            rest = self.t.fashion[day, item] / (1 - self.t.fashion[day, c.item])
            same = self.goods.cat[c.item] == cat
            search = np.where(c.item == item, focus, np.where(same, (1 - focus) * rest, 0.0))
            return chance * np.where(c.phase == IDLE, idle, search)
        if row.page in ("list", "search", "compare"):
            own = (self.goods.cat[c.item] == cat) * (1 - shop.stray)
            share = self.goods.share[cat]
            return chance * np.where(c.phase == IDLE, share, own + shop.stray * share)
        return chance

    def landed(self, row: Any, day: int, first: bool) -> None:
        c = self.cloud
        channel, page = self.channels.index(row.channel), PAGE[row.page]
        c.tempo = draws(self.rng, self.t.tempo_start[c.phase])
        weight = self.t.landing[channel, c.phase, page]
        if not first:
            weight = weight * self.t.channels_again[c.phase, channel]
        self.weigh(weight * self.shows(row, day, -1))

    def click(self, place: Place, row: Any | None, day: int, seconds: float) -> None:
        """Phases move, and a click is seen, or (no row) that the visit ended."""
        c = self.cloud
        wanted = ((c.item == place.last) & (c.item >= 0)).astype(int)
        sale = self.on_sale(c, day).astype(int)
        c.phase = draws(self.rng, self.t.chain[place.page, wanted, c.phase])
        option = b.EXIT if row is None else option_of(row)
        weight = self.t.choices[place.page, place.cart, c.kind, c.phase, wanted, sale, option]
        if row is not None:
            c.tempo = draws(self.rng, self.t.tempo[c.phase, c.tempo])
            z = (np.log(seconds) - self.t.gap_mean[place.page, c.tempo]) / self.t.gap_spread[
                c.tempo
            ]
            norm = self.t.gap_spread[c.tempo] * self.t.gap_norm[place.page, c.tempo]
            weight = weight * np.exp(-z * z / 2) / norm * self.shows(row, day, place.cat)
        self.weigh(weight)

    def sample(self, n: int) -> Cloud:
        w = np.exp(self.cloud.weight)
        return self.cloud.take(self.rng.choice(self.n, n, p=w / w.sum()))


PAGE = {"home": 0, "list": 1, "search": 2, "item": 3, "checkout": 6, "compare": 7}


def option_of(row: Any) -> int:
    words = {"add_to_cart": 4, "remove_from_cart": 5, "add_payment_info": b.PAYMENT}
    return words.get(row.event_type, PAGE.get(row.page, -1))


@dataclass
class Place:
    """What can be seen of a visit after a click."""

    page: int = -1
    cart: int = 0
    last: int = -1
    cat: int = -1
    values: tuple[float, ...] = ()

    def after(self, row: Any, f: Filter) -> Place:
        page = option_of(row)
        last = f.index[row.item_id] if row.page == "item" else self.last
        seen = row.page in ("list", "search", "item", "compare")
        values = self.values
        if page == 4:
            values = (*values, row.price * row.quantity)
        if page == 5:
            left = list(values)
            left.remove(min(left, key=lambda v: abs(v - row.price * row.quantity)))
            values = tuple(left)
        cat = f.cats[row.category] if seen else self.cat
        return Place(page, len(values), last, cat, values)


def play(f: Filter, c: Cloud, day: int, place: Place | None) -> tuple[np.ndarray, np.ndarray]:
    """Play visits to their end, each particle its own; return (bought, money). Phases change."""
    n, rng, t = len(c.kind), f.rng, f.t
    bought, money = np.zeros(n, bool), np.zeros(n)
    slots = np.zeros((n, b.CART_LIMIT))
    if place is None:
        channel = draws(rng, t.channels_again[c.phase])
        page = draws(rng, t.landing[channel, c.phase])
        cart, last = np.zeros(n, int), np.full(n, -1)
        last = np.where(page == 3, looked_at(f, c, day), last)
    else:
        page, cart, last = (np.full(n, v) for v in (place.page, place.cart, place.last))
        slots[:, : place.cart] = place.values
    on = c.phase > IDLE  # idle visits buy nothing and stay idle
    sale = f.on_sale(c, day).astype(int)
    while on.any():
        i = np.flatnonzero(on)
        wanted = (last[i] == c.item[i]).astype(int)
        c.phase[i] = draws(rng, t.chain[page[i], wanted, c.phase[i]])
        o = draws(rng, t.choices[page[i], cart[i], c.kind[i], c.phase[i], wanted, sale[i]])
        pays = i[o == b.PAYMENT]
        through = pays[rng.random(len(pays)) < f.shop.paid]
        bought[through] = True
        money[through] = slots[through].sum(axis=1)
        on[i[o >= b.PAYMENT]] = False
        go = o < b.PAYMENT
        i, o = i[go], o[go]
        page[i] = o
        views = i[o == 3]
        last[views] = looked_at(f, c.take(views), day)
        adds = i[o == 4]
        units = rng.geometric(1 - f.shop.extra_unit, len(adds))
        slots[adds, cart[adds]] = units * t.price[day, last[adds]]
        cart[adds] += 1
        drops = i[o == 5]
        which = (rng.random(len(drops)) * cart[drops]).astype(int)
        slots[drops[which == 0]] = np.roll(slots[drops[which == 0]], -1, axis=1)
        cart[drops] -= 1
        slots[drops, cart[drops]] = 0.0
    return bought, money


def looked_at(f: Filter, c: Cloud, day: int) -> np.ndarray:
    """An item that each searching particle would view next."""
    per = f.shop.items
    weight = f.t.fashion[day].reshape(-1, per)[f.goods.cat[c.item]].copy()
    weight[np.arange(len(c.item)), c.item % per] = 0.0
    other = f.goods.cat[c.item] * per + draws(f.rng, weight)
    return np.where(f.rng.random(len(c.item)) < np.array(f.shop.focus)[c.phase], c.item, other)


def buys_later(f: Filter, c: Cloud, day: int, now: pd.Timestamp) -> np.ndarray:
    """Who buys in a visit that begins within the horizon after `now`."""
    bought = np.zeros(len(c.kind), bool)
    last_day = (now - pd.Timestamp(0)).days - f.first_day + f.shop.horizon
    clock = (now - now.normalize()).total_seconds() / 3600
    hours = np.array(f.shop.hour_traffic, float)
    for later in range(day + 1, last_day + 1):
        back = f.rng.random(len(c.kind)) < f.a_day(c, later)
        gone = c.phase == 4
        if later == last_day:
            start = f.rng.choice(24, len(back), p=hours / hours.sum()) + f.rng.random(len(back))
            back &= start < clock
        i = np.flatnonzero(back & ~gone & ~bought)
        came = c.take(i)
        bought[i] = play(f, came, later, None)[0]
        c.phase[i] = came.phase
        c.phase[gone], c.kind[gone] = 0, WINDOW
        bought_now = i[bought[i]]
        c.phase[bought_now], c.item[bought_now] = 0, -1
    return bought


def follow(f: Filter, rows: pd.DataFrame, ahead: int) -> pd.DataFrame:
    """The truth after each event of one visitor, by simulation: means over `ahead` particles.

    Rows must have `day` (of the visit's start, 0 for the first) and lie in order.
    """
    out = []
    since = -1
    for session, visit in rows.groupby("session_id", sort=False):
        day = int(visit["day"].iloc[0])
        first = since < 0
        if first:
            f.begin(visit.iloc[0], day)
        else:
            f.absent(since, day)
        place, before = Place(), None
        for row in visit.itertuples():
            if row.event_type == "purchase" or row.page == "account":
                continue
            if before is None:
                f.landed(row, day, first)
            else:
                f.click(place, row, day, (row.event_time - before).total_seconds())
            before = row.event_time
            place = place.after(row, f)
            out.append((session, row.event_order, *look(f, place, day, before, ahead)))
        if (visit["event_type"] == "purchase").any():
            f.cloud.phase[:], f.cloud.item[:] = 0, -1
        elif place.page != b.PAYMENT:
            f.click(place, None, day, 1.0)
        since = day
    names = ["session_id", "event_order", "p", "r", "soon", "r_error"]
    return pd.DataFrame(out, columns=names)


def look(f: Filter, place: Place, day: int, now: pd.Timestamp, ahead: int) -> tuple[float, ...]:
    """P(purchase), E(money), P(purchase in the horizon) and the error of the money."""
    c = f.sample(ahead)
    if place.page == b.PAYMENT:
        bought = f.rng.random(ahead) < f.shop.paid
        money = bought * sum(place.values)
    else:
        bought, money = play(f, c, day, place)
    soon = bought | buys_later(f, c, day, now)
    return bought.mean(), money.mean(), soon.mean(), money.std() / np.sqrt(ahead)
