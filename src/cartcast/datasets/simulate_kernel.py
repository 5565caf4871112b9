"""The compiled heart of the simulator: one visit after another, with its exact filter.

Every visit draws from its own stream, keyed by (seed, visitor, visit), so results depend neither
on the size of chunks nor on the order of work.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from cartcast.datasets.simulate_model import BOT, CART_LIMIT, HIDDEN, TIERS

__all__ = ["LONGEST_VISIT", "uniforms", "visits"]

LONGEST_VISIT = 4096
"""Rows that one visit may have; a longer one has a probability below 1e-25."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)

GAP_LIMIT = 1740.0
"""Seconds that a gap within a visit stays below: less than the usual 30 minutes."""

BOT_GAP = (math.log(1.5), 0.5)
HUMAN_GAP = (
    math.log(22.0), math.log(30.0), math.log(20.0), math.log(40.0), math.log(12.0),
    math.log(12.0), math.log(45.0),
)  # fmt: skip
HUMAN_SPREAD = 0.9

_LIST, _SEARCH, _ITEM, _ADD, _REMOVE, _CHECKOUT, _PAYMENT, _PURCHASE, _POST = range(1, 10)
_NEW, _SAME, _O_ADD, _O_REMOVE, _O_CHECKOUT, _O_PAYMENT, _EXIT = range(3, 10)


@numba.njit(cache=True)
def _mix(x: Any) -> Any:
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


@numba.njit(cache=True)
def _key(seed: Any, visitor: Any, visit: Any, stream: Any) -> Any:
    x = _mix(np.uint64(seed) + _GOLDEN)
    x = _mix(x ^ (np.uint64(visitor) + _GOLDEN))
    x = _mix(x ^ (np.uint64(visit) * _M1 + _GOLDEN))
    return _mix(x ^ (np.uint64(stream) * _M2 + _GOLDEN))


@numba.njit(cache=True)
def _uniform(rng: Any) -> Any:
    rng[0] += _GOLDEN
    return (float(_mix(rng[0]) >> _S11) + 0.5) * (1.0 / 9007199254740992.0)


@numba.njit(cache=True)
def _normal(rng: Any) -> Any:
    radius = math.sqrt(-2.0 * math.log(_uniform(rng)))
    return radius * math.cos(2.0 * math.pi * _uniform(rng))


@numba.njit(cache=True)
def _draw(rng: Any, weights: Any) -> Any:
    left = _uniform(rng)
    last = 0
    for i in range(len(weights)):
        if weights[i] > 0.0:
            last = i
            left -= weights[i]
            if left < 0.0:
                return i
    return last


@numba.njit(cache=True)
def uniforms(seed: Any, visitors: Any, visits: Any, stream: Any, n: Any) -> Any:
    """Return `n` uniforms for each (visitor, visit), shape (len(visitors), n)."""
    out = np.empty((len(visitors), n))
    rng = np.zeros(1, dtype=np.uint64)
    for i in range(len(visitors)):
        rng[0] = _key(seed, visitors[i], visits[i], stream)
        for j in range(n):
            out[i, j] = _uniform(rng)
    return out


@numba.njit(cache=True)
def _gap(rng: Any, page: Any, hidden: Any, human: Any, spread: Any, bot: Any) -> Any:
    while True:
        if hidden == BOT:
            gap = math.exp(bot[0] + bot[1] * _normal(rng))
        else:
            gap = math.exp(human[page] + spread * _normal(rng))
        if gap < GAP_LIMIT:
            return max(gap, 0.001)


@numba.njit(cache=True)
def _see(belief: Any, scratch: Any, matrix: Any) -> Any:
    for j in range(HIDDEN):
        total = 0.0
        for i in range(HIDDEN):
            total += belief[i] * matrix[i, j]
        scratch[j] = total


@numba.njit(cache=True)
def _scale(belief: Any) -> Any:
    total = 0.0
    for j in range(HIDDEN):
        total += belief[j]
    for j in range(HIDDEN):
        belief[j] /= total


@numba.njit(cache=True)
def visits(
    first: Any,
    n_visits: Any,
    seed: Any,
    visitor: Any,
    visit: Any,
    start: Any,
    prior: Any,
    channel: Any,
    paid: Any,
    landing: Any,
    chain: Any,
    choices: Any,
    tier_share: Any,
    goods: Any,
    values: Any,
    numbers: Any,
    noise: Any,
    out: Any,
    ends: Any,
) -> Any:
    """Simulate visits `first` ... until `out` is nearly full; return (visits done, rows).

    `goods` = (cat, tier, price, share, first, cumulative, deviation, cat_share);
    `values` = (pay, cart, last, category, base); `numbers` = (switch, post, extra unit, spread,
    human gaps, bot gap); `noise` = (late share, late median in s, twice share);
    `out` = (visit, order, time, known, page, item, cat, quantity, price, source, probability,
    revenue); `ends` = (end, events, purchases, revenue, cart left, bot) by visit.
    """
    cat_of, tier_of, price_of, share_of, firsts, cumulative, deviation, cat_share = goods
    v_pay, v_cart, v_last, v_cat, v_base = values
    switch, post, extra, spread, human, bot_gap = numbers
    late_share, late_median, twice_share = noise
    (o_visit, o_order, o_time, o_known, o_page, o_item, o_cat, o_qty, o_src, o_p, o_r) = out
    e_end, e_events, e_bought, e_revenue, e_cart, e_bot = ends
    rng = np.zeros(1, dtype=np.uint64)
    dirt = np.zeros(1, dtype=np.uint64)
    belief = np.zeros(HIDDEN)
    scratch = np.zeros(HIDDEN)
    basket_item = np.zeros(CART_LIMIT, dtype=np.int64)
    basket_qty = np.zeros(CART_LIMIT)
    row = 0
    size = len(o_visit)
    for i in range(first, n_visits):
        if row + LONGEST_VISIT > size:
            return i, row
        rng[0] = _key(seed, visitor[i], visit[i], 1)
        dirt[0] = _key(seed, visitor[i], visit[i], 2)
        hidden = _draw(rng, prior[i])
        for j in range(HIDDEN):
            belief[j] = prior[i, j]
        page = _draw(rng, landing[channel[i], hidden])
        for j in range(HIDDEN):
            belief[j] *= landing[channel[i], j, page]
        time = start[i]
        cart, tier, item, cat = 0, 0, -1, -1
        cart_value, last_price, qty = 0.0, 0.0, 0.0
        shown = -1
        if page > 0:
            cat = _draw(rng, cat_share)
        option = page
        if page == _ITEM:
            option = _NEW
        order, source = 0, 0
        bought, revenue = 0, 0.0
        begin = row
        landed = True
        while True:
            # Who is seen: the item, and what it says about the hidden state.
            qty = 0.0
            shown = -1
            if not landed:
                if (option == _LIST or option == _SEARCH) and (cat < 0 or _uniform(rng) < switch):
                    cat = _draw(rng, cat_share)
            if option == _NEW:
                if cat < 0:
                    cat = _draw(rng, cat_share)
                t = _draw(rng, tier_share[hidden])
                lo = firsts[cat * 3 + t]
                hi = firsts[cat * 3 + t + 1]
                u = _uniform(rng)
                shown = lo + np.searchsorted(cumulative[lo:hi], u)
                if shown >= hi:
                    shown = hi - 1
            elif option == _SAME:
                shown = item
            if landed:
                if page == _ITEM:
                    for j in range(HIDDEN):
                        belief[j] *= tier_share[j, tier_of[shown] - 1]
            else:
                at = (page * (CART_LIMIT + 1) + cart) * TIERS + tier
                if option == _NEW or option == _SAME:
                    for j in range(HIDDEN):
                        like = 0.0
                        if cat_of[shown] == cat or cat < 0:
                            like = (
                                choices[at, j, _NEW]
                                * tier_share[j, tier_of[shown] - 1]
                                * share_of[shown]
                            )
                        if shown == item:
                            like += choices[at, j, _SAME]
                        belief[j] = scratch[j] * like
                else:
                    for j in range(HIDDEN):
                        belief[j] = scratch[j] * choices[at, j, option]
            landed = False
            # The click changes the visible state.
            if option <= 2:
                page = option
            elif option == _NEW or option == _SAME:
                page = _ITEM
                item = shown
                tier = tier_of[item]
                cat = cat_of[item]
                last_price = price_of[item]
            elif option == _O_ADD:
                page = _ADD
                shown = item
                qty = 1.0
                while _uniform(rng) < extra:
                    qty += 1.0
                basket_item[cart] = item
                basket_qty[cart] = qty
                cart += 1
                cart_value += qty * price_of[item]
            elif option == _O_REMOVE:
                page = _REMOVE
                k = int(_uniform(rng) * cart)
                shown = basket_item[k]
                qty = basket_qty[k]
                cart_value -= qty * price_of[shown]
                for m in range(k, cart - 1):
                    basket_item[m] = basket_item[m + 1]
                    basket_qty[m] = basket_qty[m + 1]
                cart -= 1
                if cart == 0:
                    cart_value = 0.0
            elif option == _O_CHECKOUT:
                page = _CHECKOUT
            else:
                page = _PAYMENT
            _scale(belief)
            # The truth just after this click.
            if page == _PAYMENT:
                p, r = paid[i], paid[i] * cart_value
            else:
                at = (page * (CART_LIMIT + 1) + cart) * TIERS + tier
                p, r = 0.0, 0.0
                for j in range(HIDDEN):
                    p += belief[j] * v_pay[at, j]
                    worth = v_cart[at, j] * cart_value + v_last[at, j] * last_price + v_base[at, j]
                    if cat >= 0:
                        for t in range(3):
                            worth += v_cat[at, j, t] * deviation[cat, t]
                    r += belief[j] * worth
                p *= paid[i]
                r *= paid[i]
            order, row = _write(
                dirt, noise, out, row, i, order, time, page, shown, cat, qty, source, p, r
            )
            source += 1
            if page == _PAYMENT:
                break
            # What comes next.
            hidden = _draw(rng, chain[hidden])
            at = (page * (CART_LIMIT + 1) + cart) * TIERS + tier
            option = _draw(rng, choices[at, hidden])
            if option == _EXIT:
                break
            _see(belief, scratch, chain)
            gap = _gap(rng, page, hidden, human, spread, bot_gap)
            step = int(gap * 1e6)
            time += step
            x = math.log(step * 1e-6)
            zh = (x - human[page]) / spread
            zb = (x - bot_gap[0]) / bot_gap[1]
            ratio = math.exp(0.5 * zh * zh - 0.5 * zb * zb) * spread / bot_gap[1]
            scratch[BOT] *= ratio
        if page == _PAYMENT and _uniform(rng) < paid[i]:
            time += int(_gap(rng, 4, 0, human, spread, bot_gap) * 1e6)
            for k in range(cart):
                same = -1
                for m in range(k):
                    if basket_item[m] == basket_item[k]:
                        same = m
                        break
                if same >= 0:
                    basket_qty[same] += basket_qty[k]
                    basket_qty[k] = 0.0
            for k in range(cart):
                if basket_qty[k] > 0.0:
                    shown = basket_item[k]
                    order, row = _write(
                        dirt, noise, out, row, i, order, time, _PURCHASE, shown, cat_of[shown],
                        basket_qty[k], source, 0.0, 0.0,
                    )  # fmt: skip
                    source += 1
                    bought += 1
            revenue = cart_value
            while _uniform(rng) < post:
                time += int(_gap(rng, 0, 0, human, spread, bot_gap) * 1e6)
                order, row = _write(
                    dirt, noise, out, row, i, order, time, _POST, -1, -1, 0.0, source, 0.0, 0.0
                )
                source += 1
            cart_value = 0.0
        e_end[i] = time
        e_events[i] = row - begin
        e_bought[i] = bought
        e_revenue[i] = revenue
        e_cart[i] = 1 if cart_value > 0.0 else 0
        e_bot[i] = 1 if hidden == BOT else 0
    return n_visits, row


@numba.njit(cache=True)
def _write(
    dirt: Any,
    noise: Any,
    out: Any,
    row: Any,
    i: Any,
    order: Any,
    time: Any,
    page: Any,
    shown: Any,
    cat: Any,
    qty: Any,
    source: Any,
    p: Any,
    r: Any,
) -> Any:
    """Write one event, sometimes known late, sometimes twice; return (order, row)."""
    late_share, late_median, twice_share = noise
    (o_visit, o_order, o_time, o_known, o_page, o_item, o_cat, o_qty, o_src, o_p, o_r) = out
    u, delay, twice = _uniform(dirt), _normal(dirt), _uniform(dirt)
    times = 2 if twice < twice_share else 1
    for copy in range(times):
        order += 1
        o_visit[row] = i
        o_order[row] = order
        o_time[row] = time
        o_known[row] = time
        if u < late_share or copy > 0:
            o_known[row] = time + int(late_median * math.exp(1.2 * delay) * 1e6) + 1
        o_page[row] = page
        o_item[row] = shown
        o_cat[row] = cat
        o_qty[row] = qty
        o_src[row] = source
        o_p[row] = p
        o_r[row] = r
        row += 1
    return order, row
