"""What each state of a visit is worth: the chance of a purchase in it, its money, and later visits.

Within a visit the wanted item is fixed, and only its relation to what is seen matters: is it the
item in view, is it on sale. So visible and hidden state together are a small absorbing Markov
chain, whose values solve linear systems; later visits follow by recursion over days.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from cartcast.datasets.missions import behaviour as b
from cartcast.datasets.missions.settings import Missions

__all__ = ["CART", "LAST", "OTHERS", "PAY", "VALUES", "WANTED", "later", "solve"]

Floats = NDArray[np.float64]

_PHASES, _CARTS = 3, b.CART_LIMIT + 1
_SHAPE = (b.PLACES, _CARTS, 2, _PHASES)
_STATES = int(np.prod(_SHAPE))
_ITEM, _ADD, _REMOVE = (b.OPTIONS.index(o) for o in ("item", "add", "remove"))

PAY, CART, LAST, WANTED, OTHERS, VALUES = 3, 6, 7, 8, 9, 10
"""Places in the last axis of `solve`; the visit's ends without payment, by phase, come first."""


@functools.lru_cache(maxsize=8)
def solve(shop: Missions) -> Floats:
    """Return the values of all states just after a click, in a visit that wants something.

    Shape (2 types that buy: bargain, ordinary; on sale; PLACES; carts; wanted item in view;
    3 phases; VALUES). Values: three probabilities that the visit ends without payment details in
    each phase; three that details are given in each phase; and four coefficients. With cart value
    c, price l of the item in view, w of the wanted item, and a the mean price of the others in its
    category, weighted by fashion,

        E(value of the cart when payment details are given) =
            CART * c + LAST * l + WANTED * w + OTHERS * a
    """
    out = np.empty((2, 2, *_SHAPE, VALUES))
    for kind, sale in np.ndindex(2, 2):
        out[kind, sale] = _solve_one(shop, kind + 1, sale)
    return out


def _solve_one(shop: Missions, kind: int, sale: int) -> Floats:
    moves = _moves(shop, kind, sale)
    eye = np.eye(_STATES)
    keep = np.sum([moves[o] for o in range(b.PAYMENT) if o != _ITEM], axis=0)
    every = keep + moves[_ITEM]

    def absorb(matrix: Floats, gain: Floats) -> Floats:
        return np.asarray(np.linalg.solve(eye - matrix, gain))

    phase = np.arange(_STATES) % _PHASES
    in_phase = phase[:, None] == np.arange(_PHASES)
    ends = absorb(every, np.hstack([moves[b.EXIT] @ in_phase, moves[b.PAYMENT] @ in_phase]))
    pays = moves[b.PAYMENT].sum(axis=1)
    entries = np.arange(_STATES) // (2 * _PHASES) % _CARTS
    share = np.where(entries > 0, (entries - 1) / np.maximum(entries, 1), 0.0)
    shrunk = every - moves[_REMOVE] + share[:, None] * moves[_REMOVE]
    cart = absorb(shrunk, pays)
    last = absorb(keep, moves[_ADD] @ cart / (1 - shop.extra_unit))
    in_view = np.arange(_STATES) // _PHASES % 2
    wanted = absorb(every, moves[_ITEM] @ (in_view * last))
    others = absorb(every, moves[_ITEM] @ ((1 - in_view) * last))
    columns = np.column_stack([ends, cart, last, wanted, others])
    return columns.reshape(*_SHAPE, VALUES)


def _moves(shop: Missions, kind: int, sale: int) -> list[Floats]:
    """Return P(option, next state | state) by option; payment and exit keep the place."""
    chain, choices = b.chain()[:, :, 1:, 1:], b.choices()[:, :, kind, 1:, :, sale]
    moves = [np.zeros((*_SHAPE, *_SHAPE)) for _ in b.OPTIONS]
    for page, cart, wanted in np.ndindex(*_SHAPE[:3]):
        # rows: phase before; columns: phase after
        for option in range(len(b.OPTIONS)):
            step = chain[page, wanted] * choices[page, cart, :, wanted, option]
            if not step.any():
                continue
            here = moves[option][page, cart, wanted]
            if option >= b.PAYMENT:
                here[:, page, cart, wanted, :] = step
            elif option == _ITEM:
                focus = np.array(shop.focus[1:])
                here[:, option, cart, 1, :] = step * focus
                here[:, option, cart, 0, :] = step * (1 - focus)
            else:
                after = cart + {_ADD: 1, _REMOVE: -1}.get(option, 0)
                here[:, option, after, wanted, :] = step
    return [m.reshape(_STATES, _STATES) for m in moves]


def _whole_visit(shop: Missions) -> Floats:
    """Return the first six values before a later visit: (type, on sale, phase, 6)."""
    values, focus = solve(shop), np.array(shop.focus[1:])
    first = np.einsum("mc,cmp->mp", b.channels_again(shop), b.landing())[1:]
    empty = values[:, :, :, 0, :, :, :CART]  # type, sale, page, wanted, phase, value
    start = np.zeros((b.PLACES, 2, _PHASES))
    start[:, 0] = first.T
    start[_ITEM, 1] = first[:, _ITEM] * focus
    start[_ITEM, 0] = first[:, _ITEM] * (1 - focus)
    return np.asarray(np.einsum("yspgmv,pgm->ysmv", empty, start))


def later(shop: Missions, paid: Floats, sales: NDArray[np.int64], days: int) -> Floats:
    """Return P(a purchase in a visit on the next n days | state at the end of a day).

    Args:
        shop: the shop.
        paid: probability that an order with payment details goes through, by arm.
        sales: category on sale by day (-1 none), for `days + horizon + 2` days.
        days: days of the simulation.

    Returns:
        Shape (horizon + 2, days, arms, 2 types that buy, 1 + 3 * categories): n days ahead; state
        0 is idle, then 1 + 3 * category of the wanted item + phase - 1.
    """
    cats, n_last = len(shop.categories), shop.horizon + 1
    whole, daily, returns = _whole_visit(shop), b.daily(shop), b.returns(shop)[1:]
    share = np.array([c[1] for c in shop.categories])
    share = share / share.sum()
    states = 1 + 3 * cats
    out = np.zeros((n_last + 1, days + n_last, len(paid), 2, states))
    q = paid[:, None, None, None]
    for n in range(1, n_last + 1):
        for day in range(days + n_last - n):
            ahead = out[n - 1, day + 1]  # arm, type, state
            search = ahead[..., 1:].reshape(len(paid), 2, cats, 3)
            sale = (np.arange(cats) == sales[day + 1]).astype(int)
            of = whole[:, sale]  # type, category, phase, value
            left = of[..., :PAY][None] + (1 - q[..., None]) * of[..., PAY:CART][None]
            buys = q * of[..., PAY:CART].sum(axis=-1)[None]
            then = np.einsum("aycmn,aycn->aycm", left, search)
            back = returns[:, 1:, :][:, :, sale].transpose(0, 2, 1)[None]
            met = back * (buys + then) + (1 - back) * search  # arm, type, category, phase
            # An idle visit buys nothing and stays idle, so it changes nothing.
            idle = ahead[..., 0]
            now = out[n, day]
            new = np.einsum("ayc,c->ay", met[..., 0], share)
            now[..., 0] = daily[0, 0] * idle + daily[0, 1] * new
            into = daily[1:, 0][None, None, None] * idle[..., None, None]
            stay = np.einsum("mn,aycn->aycm", daily[1:, 1:4], met)
            now[..., 1:] = (into + stay).reshape(len(paid), 2, 3 * cats)
    return out[:, :days]
