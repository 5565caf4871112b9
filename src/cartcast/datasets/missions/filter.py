"""The exact filter: P(hidden state | all that was seen of the visitor), compiled.

A belief has the shape (types, 1 + 3 * items): column 0 is idle, 1 + 3 * item + phase - 1 a search.
Within a visit it has one more axis, for the tempo of clicks: burst or pause.
"""

from __future__ import annotations

import math
from typing import Any

from cartcast.datasets.draws import compiled
from cartcast.datasets.missions.behaviour import EXIT, PLACES
from cartcast.datasets.missions.values import CART, LAST, OTHERS, PAY, WANTED

__all__ = ["absent", "begin", "leave", "scale", "seen", "shown", "truth"]

_ITEM, _SEARCH = 3, 2
_LIST, _COMPARE = 1, 7


@compiled
def scale(belief: Any) -> Any:
    """Divide a belief by its sum."""
    total = belief.sum()
    belief /= total


@compiled
def begin(t: Any, belief: Any, channel: Any, landed: Any, first: Any, inner: Any) -> Any:
    """Set `inner`, the belief within a visit, from that before it and the landing page."""
    for y in range(belief.shape[0]):
        for s in range(belief.shape[1]):
            m = 0 if s == 0 else 1 + (s - 1) % 3
            weight = belief[y, s] * t.landing[channel, m, landed]
            if not first:
                weight *= t.channels_again[m, channel]
            for tempo in range(2):
                inner[y, s, tempo] = weight * t.tempo_start[m, tempo]


@compiled
def shown(t: Any, day: Any, m: Any, w: Any, option: Any, item: Any, cat: Any, before: Any) -> Any:
    """Return P(what the next page shows), by phase and wanted item; `before` is the category."""
    chance = 1.0
    if option == _SEARCH:
        chance = t.naming[m] if item >= 0 else 1.0 - t.naming[m]
    if option == _ITEM or (option == _SEARCH and item >= 0):
        if m == 0:
            share = t.cat_share[cat]
            if before >= 0:
                share = (1.0 - t.switch) * (1.0 if cat == before else 0.0) + t.switch * share
            return chance * share * t.fashion[day, item]
        if item == w:
            return chance * t.focus[m]
        if t.item_cat[w] != cat:
            return 0.0
        return chance * (1.0 - t.focus[m]) * t.fashion[day, item] / (1.0 - t.fashion[day, w])
    if option in (_LIST, _SEARCH, _COMPARE):
        if m == 0:
            return chance * t.cat_share[cat]
        own = 1.0 if t.item_cat[w] == cat else 0.0
        return chance * ((1.0 - t.stray) * own + t.stray * t.cat_share[cat])
    return chance


@compiled
def _gap_density(t: Any, page: Any, tempo: Any, seconds: Any) -> Any:
    """Return the density of the time to the next click, up to a factor of the tempo alone."""
    z = (math.log(seconds) - t.gap_mean[page, tempo]) / t.gap_spread[tempo]
    return math.exp(-0.5 * z * z) / (t.gap_spread[tempo] * t.gap_norm[page, tempo])


@compiled
def seen(t: Any, inner: Any, day: Any, page: Any, cart: Any, last: Any, option: Any, item: Any,
         cat: Any, before: Any, seconds: Any) -> Any:  # fmt: skip
    """Weigh by one more click: phases move, then the choice, the pause and the page are seen.

    `last` is the item in view before the click. With `option` EXIT the visit ends, and with a
    landing (`seconds` below 0) only what is shown counts.
    """
    landing = seconds < 0.0
    density = (1.0, 1.0)
    if not landing and option != EXIT:
        density = (_gap_density(t, page, 0, seconds), _gap_density(t, page, 1, seconds))
    items = (inner.shape[1] - 1) // 3
    for y in range(inner.shape[0]):
        for w in range(-1, items):
            low = 0 if w < 0 else 1 + 3 * w
            n = 1 if w < 0 else 3
            mass = 0.0
            for s in range(low, low + n):
                mass += inner[y, s, 0] + inner[y, s, 1]
            if mass == 0.0:
                continue
            wanted = 1 if w >= 0 and w == last else 0
            sale = 1 if w >= 0 and t.item_cat[w] == t.sales[day] else 0
            a0, a1, a2 = inner[y, low, 0], 0.0, 0.0
            b0, b1, b2 = inner[y, low, 1], 0.0, 0.0
            if n == 3:
                a1, a2 = inner[y, low + 1, 0], inner[y, low + 2, 0]
                b1, b2 = inner[y, low + 1, 1], inner[y, low + 2, 1]
            for j in range(n):
                m = 0 if w < 0 else 1 + j
                weight = 1.0
                if option != EXIT:
                    weight = shown(t, day, m, w, option, item, cat, before)
                if landing:
                    inner[y, low + j, 0] *= weight
                    inner[y, low + j, 1] *= weight
                    continue
                weight *= t.choices[page, cart, y, m, wanted, sale, option]
                if n == 1:
                    burst, pause = a0, b0
                else:
                    step = t.chain[page, wanted]
                    burst = a0 * step[1, m] + a1 * step[2, m] + a2 * step[3, m]
                    pause = b0 * step[1, m] + b1 * step[2, m] + b2 * step[3, m]
                tempo = t.tempo[m]
                inner[y, low + j, 0] = (
                    weight * density[0] * (burst * tempo[0, 0] + pause * tempo[1, 0])
                )
                inner[y, low + j, 1] = (
                    weight * density[1] * (burst * tempo[0, 1] + pause * tempo[1, 1])
                )
    scale(inner)


@compiled
def leave(inner: Any, belief: Any, bought: Any) -> Any:
    """Set the belief at the end of a visit; a purchase ends the search."""
    for y in range(belief.shape[0]):
        total = 0.0
        for s in range(belief.shape[1]):
            belief[y, s] = inner[y, s, 0] + inner[y, s, 1]
            total += belief[y, s]
        if bought:
            belief[y, :] = 0.0
            belief[y, 0] = total


@compiled
def absent(t: Any, belief: Any, since: Any, until: Any) -> Any:
    """Carry a belief from the day `since` of a visit to the day `until` of the next."""
    items = (belief.shape[1] - 1) // 3
    for day in range(since + 1, until + 1):
        for y in range(belief.shape[0]):
            idle = belief[y, 0]
            rest = idle * t.daily[0, 0]
            for w in range(items):
                low = 1 + 3 * w
                a, b, c = belief[y, low], belief[y, low + 1], belief[y, low + 2]
                rest += a * t.daily[1, 0] + b * t.daily[2, 0] + c * t.daily[3, 0]
                demand = t.cat_share[t.item_cat[w]] * t.fashion[day, w]
                sale = 1 if t.item_cat[w] == t.sales[day] else 0
                for j in range(3):
                    mass = a * t.daily[1, j + 1] + b * t.daily[2, j + 1] + c * t.daily[3, j + 1]
                    mass += idle * t.daily[0, j + 1] * demand
                    back = t.returns[y, j + 1, sale]
                    belief[y, low + j] = mass * (back if day == until else 1.0 - back)
            back = t.returns[y, 0, 0]
            belief[y, 0] = rest * (back if day == until else 1.0 - back)
        scale(belief)


@compiled
def truth(t: Any, inner: Any, day: Any, ahead: Any, arm: Any, page: Any, cart: Any, last: Any,
          value: Any, told: Any) -> Any:  # fmt: skip
    """Set `told` to P(purchase), E(revenue) and P(purchase within the horizon).

    `ahead` is (whole days, share of one more day) that the horizon reaches after the visit's day;
    `page` PLACES stands for payment details just given, and PLACES + 1 for after the purchase.
    """
    whole, part = int(ahead[0]), ahead[1]
    q = t.paid[arm]
    p, r, soon = 0.0, 0.0, 0.0
    for y in range(1, 3):
        near, far = t.later[whole, day, arm, y - 1], t.later[whole + 1, day, arm, y - 1]
        soon += (inner[y, 0, 0] + inner[y, 0, 1]) * ((1.0 - part) * near[0] + part * far[0])
        for w in range((inner.shape[1] - 1) // 3):
            low = 1 + 3 * w
            cat = t.item_cat[w]
            sale = 1 if cat == t.sales[day] else 0
            wanted = 1 if w == last else 0
            for j in range(3):
                mass = inner[y, low + j, 0] + inner[y, low + j, 1]
                if mass == 0.0:
                    continue
                if page >= PLACES:
                    end = low - 3 * w + 3 * cat + j
                    soon += mass * ((1.0 - part) * near[end] + part * far[end])
                    continue
                v = t.values[y - 1, sale, page, cart, wanted, j]
                for k in range(3):
                    end = 1 + 3 * cat + k
                    rest = (1.0 - part) * near[end] + part * far[end]
                    soon += mass * (v[k] + (1.0 - q) * v[PAY + k]) * rest
                    p += mass * v[PAY + k]
                worth = v[CART] * value + v[WANTED] * t.price[day, w]
                worth += v[OTHERS] * t.others[day, w]
                if last >= 0:
                    worth += v[LAST] * t.price[day, last]
                r += mass * worth
    told[0], told[1], told[2] = q * p, q * r, q * p + soon
    if page == PLACES:
        told[0], told[1] = q, q * value
        told[2] = q + (1.0 - q) * soon
