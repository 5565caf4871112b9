"""How a search unfolds in the second shop: probabilities by page, phase and type of visitor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cartcast.datasets.missions.settings import PHASES, TYPES, Missions

__all__ = [
    "CART_LIMIT",
    "EXIT",
    "OPTIONS",
    "PAGES",
    "PAYMENT",
    "PLACES",
    "chain",
    "channels_again",
    "choices",
    "daily",
    "landing",
    "returns",
    "types",
]

Floats = NDArray[np.float64]

PAGES = (
    "home", "list", "search", "item", "add", "remove", "checkout", "compare", "purchase",
    "payment", "post",
)  # fmt: skip
"""Where a visit can be; from the first eight it continues by choice."""

PLACES = 8
OPTIONS = (*PAGES[:PLACES], "payment", "exit")
"""What may come next; an item may be the wanted one or an alternative in its category."""

PAYMENT, EXIT = 8, 9
CART_LIMIT = 2

_NO = -np.inf
_BASE = np.array(
    # home  list search item  add  remove checkout compare payment exit
    [
        [-1.5, 1.0, 0.6, 0.2, _NO, -3.0, -0.5, -2.5, _NO, 0.2],  # home
        [-2.0, 0.4, -0.4, 1.4, _NO, -3.0, -1.0, -1.0, _NO, 0.1],  # list
        [-2.2, 0.0, 0.0, 1.5, _NO, -3.0, -1.0, -0.8, _NO, 0.1],  # search
        [-2.2, 0.4, -0.2, 0.8, -2.4, -3.0, -0.4, -0.6, _NO, 0.1],  # item
        [-2.0, -0.4, -1.0, 0.0, _NO, -1.4, 0.9, -1.6, _NO, 0.0],  # add
        [-1.4, 0.2, -0.4, 0.6, _NO, -2.0, 0.0, -0.8, _NO, 0.2],  # remove
        [-2.4, -1.2, -2.0, -0.4, _NO, -1.2, _NO, -2.0, 1.3, 0.2],  # checkout
        [-2.4, 0.2, -0.4, 1.3, _NO, -3.0, -0.8, 0.2, _NO, 0.1],  # compare
    ]
)
_BY_PHASE = np.array(
    [
        [0.8, 0.5, -0.2, 0.0, -1.8, 0.5, -2.2, -1.6, -1.0, 0.7],  # idle
        [0.2, 0.6, 0.2, 0.0, -0.8, 0.2, -1.0, -0.2, -0.4, 0.1],  # exploring
        [-0.2, 0.1, 0.1, 0.3, 0.0, 0.0, -0.3, 0.9, 0.0, 0.0],  # comparing
        [-0.4, -0.4, 0.1, 0.2, 1.2, -0.4, 0.9, -0.4, 0.5, -0.4],  # ready
    ]
)
_WANTED = np.array([0.0, 0.0, -0.2, 0.1, 1.6, 0.0, 0.3, 0.2, 0.0, -0.2])
"""What changes while the item viewed last is the wanted one."""

_ON_SALE = {"window": 0.4, "bargain": 1.3, "ordinary": 0.3}
_FULL_PRICE = {"window": 0.0, "bargain": -1.1, "ordinary": 0.0}


def choices() -> Floats:
    """Return P(option | page, cart, type, phase, wanted item in view, on sale).

    Shape (PLACES, CART_LIMIT + 1, types, phases, 2, 2, options). The last item viewed counts as in
    view until another is viewed. Idle visitors, and those of type
    `window`, never check out.
    """
    shape = (PLACES, CART_LIMIT + 1, len(TYPES), len(PHASES), 2, 2, len(OPTIONS))
    weight = np.empty(shape)
    add, remove, checkout = (OPTIONS.index(o) for o in ("add", "remove", "checkout"))
    for page, cart, kind, phase, wanted, sale in np.ndindex(*shape[:-1]):
        w = _BASE[page] + _BY_PHASE[phase] + wanted * _WANTED
        if phase > 0:
            eager = (_ON_SALE if sale else _FULL_PRICE)[TYPES[kind]]
            w[[add, checkout, PAYMENT]] += eager * np.array([1.0, 0.8, 0.4])
        if cart == 0:
            w[[remove, checkout, PAYMENT]] = _NO
        if cart == CART_LIMIT:
            w[add] = _NO
        if TYPES[kind] == "window" or phase == 0:
            w[[checkout, PAYMENT]] = _NO
        weight[page, cart, kind, phase, wanted, sale] = np.exp(w)
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True))


def chain() -> Floats:
    """Return P(phase after | page, wanted item in view, phase before), shape (PLACES, 2, 4, 4)."""
    table = np.zeros((PLACES, 2, 4, 4))
    for page, wanted in np.ndindex(PLACES, 2):
        look, weigh = PAGES[page] in ("item", "add"), PAGES[page] == "compare"
        closer = 0.10 if look and wanted else 0.08 if weigh else 0.02
        surer = (
            0.30 if PAGES[page] == "add" else 0.08 if look and wanted else 0.05 if weigh else 0.01
        )
        table[page, wanted] = [
            [1.0, 0.0, 0.0, 0.0],
            [0.0, 1.0 - closer, closer, 0.0],
            [0.0, 0.02, 0.98 - surer, surer],
            [0.0, 0.0, 0.03, 0.97],
        ]
    return table


def daily(shop: Missions) -> Floats:
    """Return P(phase tomorrow | phase today), shape (4, 5); the fifth is gone for good.

    From idle to exploring a new search begins, for an item drawn by the fashion of that day.
    """
    table = np.zeros((4, 5))
    table[0, [1, 4]] = shop.wake, shop.lapse
    table[1, [0, 2]] = shop.fade[1], shop.ripen[0]
    table[2, [0, 3]] = shop.fade[2], shop.ripen[1]
    table[3, [0, 2]] = shop.fade[3], 0.05
    table[range(4), range(4)] = 1 - table.sum(axis=1)
    return table


def returns(shop: Missions) -> Floats:
    """Return the probability of a visit on a day, by (type, phase, on sale)."""
    table = np.empty((len(TYPES), len(PHASES), 2))
    table[:] = np.array(shop.come_back)[None, :, None]
    table[TYPES.index("bargain"), 1:, 1] *= shop.sale_pull
    return np.minimum(table, 0.95)


def types(shop: Missions, never: Floats) -> Floats:
    """Return P(type) of visitors whose effects on never buying are `never`, shape (n, 3)."""
    window = 1 / (1 + np.exp(-(shop.window + never)))
    keen = 1 / (1 + np.exp(-shop.bargain))
    return np.stack([window, (1 - window) * keen, (1 - window) * (1 - keen)], axis=1)


def channels_again(shop: Missions) -> Floats:
    """Return P(channel | phase) of a later visit, shape (phases, channels)."""
    tilt = np.array(
        [  # search, ads, direct, social, newsletter
            [0.0, 0.2, 0.0, 0.6, 1.2],
            [0.3, 0.2, 0.3, 0.0, 0.4],
            [0.4, 0.0, 0.8, -0.6, 0.2],
            [0.3, -0.4, 1.6, -1.4, 0.0],
        ]
    )
    weight = np.array([c[1] for c in shop.channels]) * np.exp(tilt)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def landing() -> Floats:
    """Return P(landing page | channel, phase), shape (channels, phases, PLACES)."""
    by_channel = np.array(
        [  # home, list, search, item
            [0.2, 0.3, -0.8, 0.6],
            [-0.6, 0.6, -2.0, 0.6],
            [1.2, 0.0, 0.4, -0.2],
            [0.4, 0.4, -1.4, 0.2],
            [0.6, 0.8, -1.4, 0.0],
        ]
    )
    by_phase = np.array(
        [[0.5, 0.2, -0.6, 0.0], [0.2, 0.4, 0.0, 0.0], [-0.2, 0.0, 0.4, 0.4], [-0.4, -0.6, 0.8, 0.8]]
    )
    weight = np.exp(by_channel[:, None, :] + by_phase[None, :, :])
    table = np.zeros((*weight.shape[:2], PLACES))
    table[..., :4] = weight / weight.sum(axis=2, keepdims=True)
    return table
