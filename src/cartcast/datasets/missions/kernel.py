"""One visit of the second shop after another, compiled; with the filter if truth is wanted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cartcast.datasets.draws import compiled, draw, key, normal, uniform
from cartcast.datasets.missions import filter as exact
from cartcast.datasets.missions.behaviour import CART_LIMIT, EXIT, PAYMENT, PLACES
from cartcast.datasets.simulate_kernel import GAP_LIMIT, LONGEST_VISIT, write_event

__all__ = ["visits"]

_SEARCH, _ITEM, _ADD, _REMOVE = 2, 3, 4, 5
_LIST, _COMPARE, _PURCHASE, _PAID, _POST = 1, 7, 8, 9, 10
_AT, _CART, _LAST, _CAT, _SHOWN = range(5)  # the visible state, in an array `place`
_ROW, _ORDER, _SOURCE, _TIME, _VISIT = range(5)  # where to write, in an array `cursor`
_KIND, _PHASE, _WANTED, _TEMPO = range(4)  # what is hidden, in an array `mind`
_VALUE, _QUANTITY = range(2)  # in an array `money`
_DAY = 86_400_000_000


@compiled
def _gap(rng: Any, t: Any, page: Any, tempo: Any) -> Any:
    """Return microseconds until the next event."""
    while True:
        gap = math.exp(t.gap_mean[page, tempo] + t.gap_spread[tempo] * normal(rng))
        if gap < GAP_LIMIT:
            return max(int(gap * 1e6), 1000)


@compiled
def _category(rng: Any, t: Any, mind: Any) -> Any:
    if mind[_PHASE] == 0 or uniform(rng) < t.stray:
        return draw(rng, t.cat_share)
    return t.item_cat[mind[_WANTED]]


@compiled
def _item(rng: Any, t: Any, day: Any, mind: Any, before: Any) -> Any:
    """Draw the item of a page: the wanted one, another of its category, or any."""
    per = len(t.item_cat) // len(t.cat_share)
    if mind[_PHASE] == 0:
        cat = before
        if before < 0 or uniform(rng) < t.switch:
            cat = draw(rng, t.cat_share)
        return cat * per + draw(rng, t.fashion[day, cat * per : (cat + 1) * per])
    wanted = mind[_WANTED]
    if uniform(rng) < t.focus[mind[_PHASE]]:
        return wanted
    low = t.item_cat[wanted] * per
    while True:
        item = low + draw(rng, t.fashion[day, low : low + per])
        if item != wanted:
            return item


@compiled
def _show(rng: Any, t: Any, day: Any, mind: Any, place: Any, option: Any) -> Any:
    """Draw what the next page shows: its category, and its item if it has one."""
    place[_SHOWN] = -1
    if option == _ITEM or (option == _SEARCH and uniform(rng) < t.naming[mind[_PHASE]]):
        place[_SHOWN] = _item(rng, t, day, mind, place[_CAT])
        place[_CAT] = t.item_cat[place[_SHOWN]]
    elif option in (_LIST, _SEARCH, _COMPARE):
        place[_CAT] = _category(rng, t, mind)


@compiled
def _move(rng: Any, t: Any, day: Any, place: Any, money: Any, basket: Any, units: Any,
          option: Any) -> Any:  # fmt: skip
    """Change the visible state by the option taken."""
    money[_QUANTITY] = 0.0
    place[_AT] = option
    if option == _ITEM:
        place[_LAST] = place[_SHOWN]
    elif option == _ADD:
        quantity = 1.0
        while uniform(rng) < t.extra_unit:
            quantity += 1.0
        k = place[_CART]
        basket[k], units[k] = place[_LAST], quantity
        place[_SHOWN] = place[_LAST]
        place[_CART] += 1
        money[_VALUE] += quantity * t.price[day, place[_LAST]]
        money[_QUANTITY] = quantity
    elif option == _REMOVE:
        k = int(uniform(rng) * place[_CART])
        place[_SHOWN] = basket[k]
        money[_QUANTITY] = units[k]
        money[_VALUE] -= units[k] * t.price[day, basket[k]]
        place[_CART] -= 1
        for m in range(k, place[_CART]):
            basket[m], units[m] = basket[m + 1], units[m + 1]
        if place[_CART] == 0:
            money[_VALUE] = 0.0


@compiled
def _ahead(t: Any, start: Any, now: Any, ahead: Any) -> Any:
    """Set how far the horizon reaches: whole days after the visit's, and the share of one more."""
    passed = min(now // _DAY - start // _DAY, 1)
    hour = (now % _DAY) / 3.6e9
    h = int(hour)
    ahead[0] = t.horizon - 1 + passed
    ahead[1] = t.hours[h] + (hour - h) * (t.hours[h + 1] - t.hours[h])


@compiled
def _put(dirt: Any, t: Any, out: Any, cursor: Any, page: Any, item: Any, cat: Any, quantity: Any,
         told: Any) -> Any:  # fmt: skip
    """Write one event with its truth."""
    begin = cursor[_ROW]
    write_event(dirt, t, out, cursor, page, item, cat, quantity, told[0], told[1])
    for row in range(begin, cursor[_ROW]):
        out.later[row] = told[2]
        out.over[row] = np.nan


@compiled
def _tell(t: Any, inner: Any, day: Any, arm: Any, start: Any, place: Any, money: Any, cursor: Any,
          told: Any) -> Any:  # fmt: skip
    ahead = np.zeros(2)
    _ahead(t, start, cursor[_TIME], ahead)
    exact.truth(t, inner, day, ahead, arm, place[_AT], place[_CART], place[_LAST], money[_VALUE],
                told)  # fmt: skip


@compiled
def _browse(rng: Any, dirt: Any, t: Any, out: Any, cursor: Any, day: Any, arm: Any, channel: Any,
            mind: Any, inner: Any, place: Any, money: Any, basket: Any, units: Any,
            landed: Any, wants: Any) -> Any:  # fmt: skip
    """Simulate one visit until it ends or gives payment details."""
    start = cursor[_TIME]
    told = np.zeros(3)
    mind[_TEMPO] = draw(rng, t.tempo_start[mind[_PHASE]])
    option, seconds = landed, -1.0
    place[:] = -1
    place[_CART] = 0
    money[:] = 0.0
    while True:
        page, cart, last, before = place[_AT], place[_CART], place[_LAST], place[_CAT]
        _show(rng, t, day, mind, place, option)
        _move(rng, t, day, place, money, basket, units, option)
        if wants:
            cat = place[_CAT]
            exact.seen(t, inner, day, page, cart, last, option, place[_SHOWN], cat, before, seconds)
            _tell(t, inner, day, arm, start, place, money, cursor, told)
        page = _PAID if option == PAYMENT else option
        cat = t.item_cat[place[_SHOWN]] if place[_SHOWN] >= 0 else place[_CAT]
        _put(dirt, t, out, cursor, page, place[_SHOWN], cat, money[_QUANTITY], told)
        if option == PAYMENT:
            return
        wanted = 1 if place[_LAST] >= 0 and place[_LAST] == mind[_WANTED] else 0
        sale = 1 if mind[_WANTED] >= 0 and t.item_cat[mind[_WANTED]] == t.sales[day] else 0
        mind[_PHASE] = draw(rng, t.chain[place[_AT], wanted, mind[_PHASE]])
        row = t.choices[place[_AT], place[_CART], mind[_KIND], mind[_PHASE], wanted, sale]
        option = draw(rng, row)
        if option == EXIT:
            if wants:
                exact.seen(t, inner, day, place[_AT], place[_CART], place[_LAST], option, -1,
                           place[_CAT], place[_CAT], 1.0)  # fmt: skip
            return
        mind[_TEMPO] = draw(rng, t.tempo[mind[_PHASE], mind[_TEMPO]])
        step = _gap(rng, t, place[_AT], mind[_TEMPO])
        cursor[_TIME] += step
        seconds = step * 1e-6


@compiled
def _buy(rng: Any, dirt: Any, t: Any, out: Any, cursor: Any, day: Any, arm: Any, start: Any,
         inner: Any, place: Any, money: Any, basket: Any, units: Any,
         wants: Any) -> Any:  # fmt: skip
    """Write the purchase, one event for each item, and what follows; return the events."""
    cursor[_TIME] += _gap(rng, t, _ADD, 0)
    told = np.zeros(3)
    place[_AT] = PLACES + 1
    if wants:
        _tell(t, inner, day, arm, start, place, money, cursor, told)
    bought, lines = 0, place[_CART]
    for k in range(lines):
        for m in range(k):
            if basket[m] == basket[k] and units[m] > 0.0:
                units[m] += units[k]
                units[k] = 0.0
    for k in range(lines):
        if units[k] > 0.0:
            cat = t.item_cat[basket[k]]
            _put(dirt, t, out, cursor, _PURCHASE, basket[k], cat, units[k], told)
            bought += 1
    while uniform(rng) < t.post:
        cursor[_TIME] += _gap(rng, t, 0, 0)
        if wants:
            _tell(t, inner, day, arm, start, place, money, cursor, told)
        _put(dirt, t, out, cursor, _POST, -1, -1, 0.0, told)
    return bought


@compiled
def _away(rng: Any, t: Any, day: Any, days: Any, mind: Any) -> Any:
    """Live through the days until the next visit; return its day, or -1."""
    per = len(t.item_cat) // len(t.cat_share)
    for day_after in range(day + 1, days):
        before = mind[_PHASE]
        phase = draw(rng, t.daily[before])
        if phase == 4:
            return -1
        mind[_PHASE] = phase
        if phase == 0:
            mind[_WANTED] = -1
        elif before == 0:
            cat = draw(rng, t.cat_share)
            share = t.fashion[day_after, cat * per : (cat + 1) * per]
            mind[_WANTED] = cat * per + draw(rng, share)
        sale = 1 if phase > 0 and t.item_cat[mind[_WANTED]] == t.sales[day_after] else 0
        if uniform(rng) < t.returns[mind[_KIND], phase, sale]:
            return day_after
    return -1


@compiled
def _first(rng: Any, t: Any, day: Any, kinds: Any, mind: Any) -> Any:
    """Draw what is hidden of a new visitor."""
    per = len(t.item_cat) // len(t.cat_share)
    mind[_KIND] = draw(rng, kinds)
    mind[_PHASE] = draw(rng, t.start)
    mind[_WANTED] = -1
    if mind[_PHASE] > 0:
        cat = draw(rng, t.cat_share)
        mind[_WANTED] = cat * per + draw(rng, t.fashion[day, cat * per : (cat + 1) * per])


@compiled
def _prior(t: Any, day: Any, kinds: Any, belief: Any) -> Any:
    """Set the belief of a new visitor."""
    for y in range(belief.shape[0]):
        belief[y, 0] = kinds[y] * t.start[0]
        for w in range(len(t.item_cat)):
            demand = t.cat_share[t.item_cat[w]] * t.fashion[day, w]
            for j in range(3):
                belief[y, 1 + 3 * w + j] = kinds[y] * t.start[j + 1] * demand


@compiled
def visits(first: Any, seed: Any, visitor: Any, visit: Any, start: Any, day: Any, days: Any,
           kinds: Any, arm: Any, channel: Any, t: Any, hidden: Any, out: Any, ends: Any,
           wants: Any) -> Any:  # fmt: skip
    """Simulate visits from `first` on until `out` is nearly full; return (visits done, rows).

    `channel` is that of a first visit, and is set for a later one, as it tells of the phase.
    """
    rng, dirt = np.zeros(1, dtype=np.uint64), np.zeros(1, dtype=np.uint64)
    away = np.zeros(1, dtype=np.uint64)
    place, cursor = np.zeros(5, dtype=np.int64), np.zeros(5, dtype=np.int64)
    mind, money = np.zeros(4, dtype=np.int64), np.zeros(2)
    units, basket = np.zeros(CART_LIMIT), np.zeros(CART_LIMIT, dtype=np.int64)
    shape = (3, 1 + 3 * len(t.item_cat))
    inner, told = np.zeros((shape[0], shape[1], 2)), np.zeros(3)
    for i in range(first, len(visitor)):
        begin = cursor[_ROW]
        if begin + LONGEST_VISIT > len(out.visit):
            return i, begin
        rng[0] = key(seed, visitor[i], visit[i], 1)
        dirt[0] = key(seed, visitor[i], visit[i], 2)
        away[0] = key(seed, visitor[i], visit[i], 5)
        cursor[_ORDER] = cursor[_SOURCE] = 0
        cursor[_TIME], cursor[_VISIT] = start[i], i
        new = visit[i] == 0
        mind[_KIND], mind[_PHASE], mind[_WANTED] = hidden.kind[i], hidden.phase[i], hidden.item[i]
        if new:
            _first(rng, t, day[i], kinds[i], mind)
        else:
            channel[i] = draw(rng, t.channels_again[mind[_PHASE]])
        landed = draw(rng, t.landing[channel[i], mind[_PHASE]])
        if wants:
            belief = hidden.belief[i]
            if new:
                _prior(t, day[i], kinds[i], belief)
            else:
                exact.absent(t, belief, hidden.since[i], day[i])
            exact.begin(t, belief, channel[i], landed, new, inner)
        _browse(rng, dirt, t, out, cursor, day[i], arm[i], channel[i], mind, inner, place, money,
                basket, units, landed, wants)  # fmt: skip
        paid = place[_AT] == PAYMENT and uniform(rng) < t.paid[arm[i]]
        if wants:
            exact.leave(inner, hidden.belief[i], paid)
        if paid:
            mind[_PHASE], mind[_WANTED] = 0, -1
            if wants:
                inner[:] = 0.0
                inner[:, 0, 0] = hidden.belief[i][:, 0]
            ends.revenue[i] = money[_VALUE]
            ends.bought[i] = _buy(rng, dirt, t, out, cursor, day[i], arm[i], start[i], inner,
                                  place, money, basket, units, wants)  # fmt: skip
        if wants:
            place[_AT] = PLACES + 1
            _tell(t, inner, day[i], arm[i], start[i], place, money, cursor, told)
            out.over[cursor[_ROW] - 1] = told[2]
        ends.next_day[i] = _away(away, t, day[i], days, mind)
        hidden.kind[i], hidden.phase[i], hidden.item[i] = mind[_KIND], mind[_PHASE], mind[_WANTED]
        hidden.since[i] = day[i]
        ends.end[i] = cursor[_TIME]
        ends.events[i] = cursor[_SOURCE]
        ends.repeated[i] = cursor[_ORDER] - cursor[_SOURCE]
    return len(visitor), cursor[_ROW]
