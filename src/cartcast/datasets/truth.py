"""What can be known: probability of a purchase and expected revenue from every state of a visit.

The visible state and the hidden state together form an absorbing Markov chain; its values are
solutions of linear systems. A forward filter (in the simulation itself) weighs them by what the
visible history says about the hidden state.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartcast.datasets import simulate_model as model
from cartcast.datasets.simulate_model import CART_LIMIT, HIDDEN, STATES, TIERS, Floats, Shop

__all__ = ["Values", "solve"]


class Values(NamedTuple):
    """Values of each (visible state, hidden state) just after a click, before payment succeeds.

    Each has shape (STATES, HIDDEN); `category` has shape (STATES, HIDDEN, 3). With cart value c,
    price l of the last item, and deviation d_t of the expected price of tier t in the category in
    view from its mean over categories, and payments that succeed with probability q:

        P(purchase) = q * pay
        E(revenue) = q * (cart * c + last * l + sum_t category_t * d_t + base)
    """

    pay: Floats
    cart: Floats
    last: Floats
    category: Floats
    base: Floats


@functools.lru_cache(maxsize=8)
def solve(shop: Shop) -> Values:
    """Return the values of all states by solving the absorbing chain."""
    moves = _moves()
    eye = np.eye(STATES * HIDDEN)

    def absorb(matrix: Floats, gain: Floats) -> Floats:
        return np.asarray(np.linalg.solve(eye - matrix, gain.reshape(STATES * HIDDEN, -1)))

    def flat(options: dict[str, float]) -> Floats:
        total = np.zeros_like(eye)
        for name, factor in options.items():
            total += factor * moves[name].reshape(eye.shape)
        return total

    same = dict.fromkeys(("home", "list", "search", "same_item", "add", "checkout"), 1.0)
    every = flat({**same, "new_item": 1.0, "remove": 1.0})
    pays = moves["payment"].sum(axis=(2, 3))
    pay = absorb(every, pays)
    shrink = np.array([0.0] + [(n - 1) / n for n in range(1, CART_LIMIT + 1)])
    kept = moves["remove"] * shrink[_cart_of_states()][:, None, None, None]
    cart = absorb(flat({**same, "new_item": 1.0}) + kept.reshape(eye.shape), pays)
    units = 1 / (1 - shop.extra_unit)
    added = moves["add"].reshape(eye.shape) @ cart * units
    last = absorb(flat({**same, "remove": 1.0}), added)
    by_tier = np.empty((STATES * HIDDEN, 3))
    tiers = np.arange(STATES) % TIERS
    for tier in (1, 2, 3):
        to = moves["new_item"] * (tiers == tier)[None, None, :, None]
        by_tier[:, tier - 1] = (to.reshape(eye.shape) @ last)[:, 0]
    stay = 1 - shop.switch
    fading = flat({**same, "new_item": 1.0, "remove": 1.0, "list": stay, "search": stay})
    goods = model.catalogue()
    average = goods.cat_share @ goods.mean
    return Values(
        pay=pay.reshape(STATES, HIDDEN),
        cart=cart.reshape(STATES, HIDDEN),
        last=last.reshape(STATES, HIDDEN),
        category=absorb(fading, by_tier).reshape(STATES, HIDDEN, 3),
        base=absorb(every, by_tier @ average).reshape(STATES, HIDDEN),
    )


def _cart_of_states() -> NDArray[np.int64]:
    return np.arange(STATES) // TIERS % (CART_LIMIT + 1)


def _moves() -> dict[str, Floats]:
    """Return P(hidden', option, state' | state, hidden) by option, (STATES, HIDDEN) twice."""
    chain, choices, tier_share = model.chain(), model.choices(), model.tier_share()
    index = np.arange(STATES)
    cart, tier = _cart_of_states(), index % TIERS
    page_of = {"home": 0, "list": 1, "search": 2, "same_item": 3, "add": 4, "remove": 5}
    result = {}
    for o, option in enumerate(model.OPTIONS[:9]):
        move = np.zeros((STATES, HIDDEN, STATES, HIDDEN))
        for s in index:
            step = chain * choices[s, :, o][None, :]
            if not step.any():
                continue
            if option == "new_item":
                for t in (1, 2, 3):
                    move[s, :, model.state(3, cart[s], t), :] += step * tier_share[:, t - 1]
            elif option == "payment":
                move[s, :, s, :] = step
            else:
                change = {"add": 1, "remove": -1}.get(option, 0)
                page = page_of.get(option, 6)
                move[s, :, model.state(page, cart[s] + change, tier[s]), :] = step
        result[option] = move
    return result
