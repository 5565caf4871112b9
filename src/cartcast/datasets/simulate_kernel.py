"""The compiled heart of the simulator: one visit after another, with its exact filter.

Every visit draws from its own stream of random numbers (`draws`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartcast.datasets.draws import compiled, draw, key, normal, uniform
from cartcast.datasets.simulate_model import BOT, CART_LIMIT, HIDDEN, TIERS

__all__ = [
    "GAP_LIMIT",
    "LONGEST_VISIT",
    "Ends",
    "Rows",
    "Tables",
    "columns_of",
    "visits",
    "write_event",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LONGEST_VISIT = 4096
"""Rows kept free for one visit; a longer one has a probability below 1e-20."""

_REAL = {"quantity", "p", "r", "later", "over", "revenue"}

GAP_LIMIT = 1740.0
"""Seconds that a gap within a visit stays below: less than the usual 30 minutes."""


class Tables(NamedTuple):
    """What the kernel reads; the names are those of `simulate_model` and `truth.Values`.

    `human_gap` is the median of log seconds after each page, `human_spread` their deviation;
    `bot_gap` is (median, deviation) for bots. `deviation` is the expected price by category and
    tier, less its mean over categories.
    """

    landing: Floats
    chain: Floats
    choices: Floats
    tier_share: Floats
    item_cat: Ints
    item_tier: Ints
    item_price: Floats
    item_share: Floats
    first: Ints
    cumulative: Floats
    cat_share: Floats
    deviation: Floats
    pay: Floats
    cart: Floats
    last: Floats
    category: Floats
    base: Floats
    human_gap: Floats
    human_spread: float
    bot_gap: Floats
    switch: float
    post: float
    extra_unit: float
    late: float
    late_median: float
    twice: float


def columns_of(names: Sequence[str], size: int) -> list[Any]:
    """Return an array of zeros for each name: whole numbers, but for those in `_REAL`."""
    return [np.zeros(size, np.float64 if n in _REAL else np.int64) for n in names]


class Rows(NamedTuple):
    """What the kernel writes, one entry per event; times in microseconds since 1970.

    `visit` is the position of the visit in the chunk, `source` numbers the events of a visit from
    0 before repetition, `p` and `r` are the truth after the event.
    """

    visit: Ints
    order: Ints
    time: Ints
    known: Ints
    page: Ints
    item: Ints
    cat: Ints
    quantity: Floats
    source: Ints
    p: Floats
    r: Floats

    @classmethod
    def empty(cls, size: int) -> Rows:
        """Return room for `size` events."""
        return cls(*columns_of(cls._fields, size))


class Ends(NamedTuple):
    """How each visit ended.

    Time of its last event; events; repeats of events; lines bought; money; and whether (1)
    a cart was left and the visitor was a bot.
    """

    end: Ints
    events: Ints
    repeated: Ints
    bought: Ints
    revenue: Floats
    cart: Ints
    bot: Ints

    @classmethod
    def empty(cls, size: int) -> Ends:
        """Return room for `size` visits."""
        return cls(*columns_of(cls._fields, size))


_LIST, _SEARCH, _ITEM, _ADD, _REMOVE, _CHECKOUT, _PAYMENT, _PURCHASE, _POST = range(1, 10)
_NEW, _SAME, _TO_ADD, _TO_REMOVE, _TO_CHECKOUT, _TO_PAYMENT, _EXIT = range(3, 10)
_AT, _CART, _TIER, _LAST, _CAT, _SHOWN = range(6)  # the visible state, in an array `place`
_ROW, _ORDER, _SOURCE, _TIME, _VISIT = range(5)  # where to write, in an array `cursor`
_VALUE, _PRICE, _QUANTITY = range(3)  # cart value, price of the last item, in an array `money`


@compiled
def _index(place: Any) -> Any:
    return (place[_AT] * (CART_LIMIT + 1) + place[_CART]) * TIERS + place[_TIER]


@compiled
def _gap(rng: Any, t: Any, page: Any, hidden: Any) -> Any:
    """Return microseconds until the next event."""
    while True:
        if hidden == BOT:
            gap = math.exp(t.bot_gap[0] + t.bot_gap[1] * normal(rng))
        else:
            gap = math.exp(t.human_gap[page] + t.human_spread * normal(rng))
        if gap < GAP_LIMIT:
            return max(int(gap * 1e6), 1000)


@compiled
def _bot_ratio(t: Any, page: Any, step: Any) -> Any:
    """Return the density of a gap from a bot over its density from a person."""
    x = math.log(step * 1e-6)
    human = (x - t.human_gap[page]) / t.human_spread
    bot = (x - t.bot_gap[0]) / t.bot_gap[1]
    return math.exp(0.5 * human * human - 0.5 * bot * bot) * t.human_spread / t.bot_gap[1]


@compiled
def _show(rng: Any, t: Any, place: Any, hidden: Any, option: Any, landed: Any) -> Any:
    """Draw what the next page shows: its category, and its item if it has one."""
    turns = option in (_LIST, _SEARCH) and not landed
    if turns and (place[_CAT] < 0 or uniform(rng) < t.switch):
        place[_CAT] = draw(rng, t.cat_share)
    place[_SHOWN] = -1
    if option == _NEW:
        if place[_CAT] < 0:
            place[_CAT] = draw(rng, t.cat_share)
        group = place[_CAT] * 3 + draw(rng, t.tier_share[hidden])
        lo, hi = t.first[group], t.first[group + 1]
        place[_SHOWN] = min(lo + np.searchsorted(t.cumulative[lo:hi], uniform(rng)), hi - 1)
    elif option == _SAME:
        place[_SHOWN] = place[_LAST]


@compiled
def _weigh(t: Any, belief: Any, place: Any, cat: Any, option: Any, landed: Any) -> Any:
    """Weigh the hidden states by the probability of what was seen; `cat` is the one before."""
    shown = place[_SHOWN]
    at = _index(place)
    for j in range(HIDDEN):
        if option in (_NEW, _SAME):
            # A new item may be the one seen last, too: both ways lead to the same page.
            new = 0.0
            if cat < 0 or t.item_cat[shown] == cat:
                new = t.tier_share[j, t.item_tier[shown] - 1] * t.item_share[shown]
            if not landed:
                new *= t.choices[at, j, _NEW]
                if shown == place[_LAST]:
                    new += t.choices[at, j, _SAME]
            belief[j] *= new
        elif not landed:
            belief[j] *= t.choices[at, j, option]
    total = belief.sum()
    for j in range(HIDDEN):
        belief[j] /= total


@compiled
def _move(rng: Any, t: Any, place: Any, money: Any, basket: Any, units: Any, option: Any) -> Any:
    """Change the visible state by the option taken."""
    money[_QUANTITY] = 0.0
    if option <= _SEARCH:
        place[_AT] = option
    elif option in (_NEW, _SAME):
        shown = place[_SHOWN]
        place[_AT], place[_LAST], place[_TIER] = _ITEM, shown, t.item_tier[shown]
        place[_CAT] = t.item_cat[shown]
        money[_PRICE] = t.item_price[shown]
    elif option == _TO_ADD:
        quantity = 1.0
        while uniform(rng) < t.extra_unit:
            quantity += 1.0
        basket[place[_CART]] = place[_LAST]
        units[place[_CART]] = quantity
        place[_AT], place[_SHOWN] = _ADD, place[_LAST]
        place[_CART] += 1
        money[_VALUE] += quantity * money[_PRICE]
        money[_QUANTITY] = quantity
    elif option == _TO_REMOVE:
        k = int(uniform(rng) * place[_CART])
        place[_AT], place[_SHOWN] = _REMOVE, basket[k]
        money[_QUANTITY] = units[k]
        money[_VALUE] -= units[k] * t.item_price[basket[k]]
        place[_CART] -= 1
        for m in range(k, place[_CART]):
            basket[m], units[m] = basket[m + 1], units[m + 1]
        if place[_CART] == 0:
            money[_VALUE] = 0.0
    elif option == _TO_CHECKOUT:
        place[_AT] = _CHECKOUT
    else:
        place[_AT] = _PAYMENT


@compiled
def _truth(t: Any, belief: Any, place: Any, money: Any, paid: Any) -> Any:
    """Return P(purchase) and E(revenue) given all that was seen."""
    if place[_AT] == _PAYMENT:
        return paid, paid * money[_VALUE]
    at, cat = _index(place), place[_CAT]
    p, r = 0.0, 0.0
    for j in range(HIDDEN):
        p += belief[j] * t.pay[at, j]
        worth = t.cart[at, j] * money[_VALUE] + t.last[at, j] * money[_PRICE] + t.base[at, j]
        if cat >= 0:
            for tier in range(3):
                worth += t.category[at, j, tier] * t.deviation[cat, tier]
        r += belief[j] * worth
    return paid * p, paid * r


@compiled
def write_event(dirt: Any, t: Any, out: Any, cursor: Any, page: Any, item: Any, cat: Any,
                quantity: Any, p: Any, r: Any) -> Any:  # fmt: skip
    """Write one event, sometimes known late, sometimes twice."""
    late, delay, twice = uniform(dirt), normal(dirt), uniform(dirt)
    for copy in range(2 if twice < t.twice else 1):
        row = cursor[_ROW]
        cursor[_ROW] += 1
        cursor[_ORDER] += 1
        out.visit[row], out.order[row] = cursor[_VISIT], cursor[_ORDER]
        out.time[row] = out.known[row] = cursor[_TIME]
        if late < t.late or copy > 0:
            out.known[row] += 1 + int(t.late_median * math.exp(1.2 * delay) * 1e6)
        out.page[row], out.item[row], out.cat[row] = page, item, cat
        out.quantity[row], out.source[row] = quantity, cursor[_SOURCE]
        out.p[row], out.r[row] = p, r
    cursor[_SOURCE] += 1


@compiled
def _browse(rng: Any, dirt: Any, t: Any, out: Any, cursor: Any, channel: Any, paid: Any,
            belief: Any, place: Any, money: Any, basket: Any, units: Any) -> Any:  # fmt: skip
    """Simulate one visit until it ends or gives payment details; return its hidden state."""
    hidden = draw(rng, belief)
    ahead = np.zeros(HIDDEN)
    place[:] = -1
    place[_CART] = place[_TIER] = 0
    money[:] = 0.0
    option = draw(rng, t.landing[channel, hidden])
    for j in range(HIDDEN):
        belief[j] *= t.landing[channel, j, option]
    landed = True
    while True:
        if landed and option > 0:
            place[_CAT] = draw(rng, t.cat_share)
        cat = place[_CAT]
        _show(rng, t, place, hidden, option, landed)
        _weigh(t, belief, place, cat, option, landed)
        _move(rng, t, place, money, basket, units, option)
        landed = False
        p, r = _truth(t, belief, place, money, paid)
        quantity = money[_QUANTITY]
        write_event(dirt, t, out, cursor, place[_AT], place[_SHOWN], place[_CAT], quantity, p, r)
        if place[_AT] == _PAYMENT:
            return hidden
        hidden = draw(rng, t.chain[hidden])
        option = draw(rng, t.choices[_index(place), hidden])
        if option == _EXIT:
            return hidden
        for j in range(HIDDEN):
            ahead[j] = 0.0
            for i in range(HIDDEN):
                ahead[j] += belief[i] * t.chain[i, j]
        belief[:] = ahead
        step = _gap(rng, t, place[_AT], hidden)
        belief[BOT] *= _bot_ratio(t, place[_AT], step)
        cursor[_TIME] += step


@compiled
def _buy(rng: Any, dirt: Any, t: Any, out: Any, cursor: Any, lines: Any, basket: Any,
         units: Any) -> Any:  # fmt: skip
    """Write the purchase, one event for each item, and what follows; return the events."""
    cursor[_TIME] += _gap(rng, t, _ADD, 0)
    bought = 0
    for k in range(lines):
        for m in range(k):
            if basket[m] == basket[k] and units[m] > 0.0:
                units[m] += units[k]
                units[k] = 0.0
    for k in range(lines):
        if units[k] > 0.0:
            cat = t.item_cat[basket[k]]
            write_event(dirt, t, out, cursor, _PURCHASE, basket[k], cat, units[k], 0.0, 0.0)
            bought += 1
    while uniform(rng) < t.post:
        cursor[_TIME] += _gap(rng, t, 0, 0)
        write_event(dirt, t, out, cursor, _POST, -1, -1, 0.0, 0.0, 0.0)
    return bought


@compiled
def visits(first: Any, seed: Any, visitor: Any, visit: Any, start: Any, prior: Any, channel: Any,
           paid: Any, t: Any, out: Any, ends: Any) -> Any:  # fmt: skip
    """Simulate visits from `first` on until `out` is nearly full; return (visits done, rows)."""
    rng, dirt = np.zeros(1, dtype=np.uint64), np.zeros(1, dtype=np.uint64)
    place, cursor = np.zeros(6, dtype=np.int64), np.zeros(5, dtype=np.int64)
    money, units = np.zeros(3), np.zeros(CART_LIMIT)
    basket = np.zeros(CART_LIMIT, dtype=np.int64)
    for i in range(first, len(visitor)):
        begin = cursor[_ROW]
        if begin + LONGEST_VISIT > len(out.visit):
            return i, begin
        rng[0] = key(seed, visitor[i], visit[i], 1)
        dirt[0] = key(seed, visitor[i], visit[i], 2)
        cursor[_ORDER] = cursor[_SOURCE] = 0
        cursor[_TIME], cursor[_VISIT] = start[i], i
        belief = prior[i].copy()
        hidden = _browse(rng, dirt, t, out, cursor, channel[i], paid[i], belief, place, money,
                         basket, units)  # fmt: skip
        if place[_AT] == _PAYMENT and uniform(rng) < paid[i]:
            ends.bought[i] = _buy(rng, dirt, t, out, cursor, place[_CART], basket, units)
            ends.revenue[i] = money[_VALUE]
            money[_VALUE] = 0.0
        ends.end[i] = cursor[_TIME]
        ends.events[i] = cursor[_SOURCE]
        ends.repeated[i] = cursor[_ORDER] - cursor[_SOURCE]
        ends.cart[i] = 1 if money[_VALUE] > 0.0 else 0
        ends.bot[i] = 1 if hidden == BOT else 0
    return len(visitor), cursor[_ROW]
