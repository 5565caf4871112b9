"""The simulated shop's parameters: its catalogue, its visitors, and how a visit unfolds."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BOT",
    "BOT_SECONDS",
    "BOT_SPREAD",
    "CART_LIMIT",
    "HIDDEN",
    "HUMANS",
    "HUMAN_SECONDS",
    "HUMAN_SPREAD",
    "INTENTS",
    "OPTIONS",
    "PAGES",
    "STATES",
    "TIERS",
    "Catalogue",
    "Shop",
    "catalogue",
    "chain",
    "choices",
    "landing",
    "prior",
    "state",
    "tier_share",
]

Floats = NDArray[np.float64]

INTENTS = ("looking", "browsing", "comparing", "buying")
"""The hidden intent of a human visit; it changes slowly, click by click."""

HUMANS = 2 * len(INTENTS)
"""Hidden states of people: intent times price sensitivity (0 easy, 1 sensitive)."""

BOT = HUMANS
HIDDEN = HUMANS + 1
"""All hidden states: index = 2 * intent + sensitivity, and one more for bots."""

PAGES = (
    "home",
    "list",
    "search",
    "item",
    "add",
    "remove",
    "checkout",
    "payment",
    "purchase",
    "post",
)
"""Where a visit can be; the first seven are the states from which it continues by choice."""

OPTIONS = (
    "home", "list", "search", "new_item", "same_item", "add", "remove", "checkout", "payment",
    "exit",
)  # fmt: skip
"""What may come next; `same_item` is the item viewed last."""

CART_LIMIT = 3
TIERS = 4
"""Price tier of the item viewed last: 0 none yet, 1 low, 2 middle, 3 high for its category."""

STATES = 7 * (CART_LIMIT + 1) * TIERS

HUMAN_SECONDS = np.array([22.0, 30.0, 20.0, 40.0, 12.0, 12.0, 45.0])
"""Median seconds that people spend on each page; log-normal with HUMAN_SPREAD."""

HUMAN_SPREAD = 0.9
BOT_SECONDS, BOT_SPREAD = 1.5, 0.5


def state(page: Any, cart: Any, tier: Any) -> Any:
    """Return the index of a visible state: page, entries in the cart, tier of the last item."""
    return (page * (CART_LIMIT + 1) + cart) * TIERS + tier


@dataclass(frozen=True)
class Shop:
    """Everything that can be turned in the simulated shop; the defaults are calibrated.

    Attributes:
        countries, devices, channels: (name, share, effect on the visit's readiness to buy).
        campaigns: (name, first day, last day as shares of the period).
        campaign_share: share of e-mail and paid visits that belong to a running campaign.
        campaign_effect, weekend_effect: effects on readiness.
        month_effect: effect on readiness by month, January first.
        returning_effect, visit_effect, buyer_effect: effects on readiness of being back, of each
            earlier visit (three at most), and of having bought before.
        weekday_traffic, month_traffic, hour_traffic: relative numbers of visits.
        sensitive: log odds of being price sensitive, by channel effect (search engines compare).
        bot_share: share of first visits made by bots.
        paid: probability that an order with payment details goes through.
        switch: probability that a list or search shows another category than before.
        post: probability of one more page after a purchase.
        extra_unit: probability of one more unit of an item (geometric).
    """

    countries: tuple[tuple[str, float, float], ...] = (
        ("DE", 0.34, 0.4),
        ("FR", 0.22, 0.0),
        ("PL", 0.18, -0.6),
        ("IT", 0.14, -0.25),
        ("GB", 0.12, 0.15),
    )
    devices: tuple[tuple[str, float, float], ...] = (
        ("mobile", 0.58, -0.5),
        ("desktop", 0.36, 0.7),
        ("tablet", 0.06, 0.0),
    )
    channels: tuple[tuple[str, float, float], ...] = (
        ("organic", 0.34, 0.1),
        ("paid", 0.22, 0.0),
        ("direct", 0.20, 0.6),
        ("social", 0.16, -1.6),
        ("email", 0.08, 1.3),
    )
    campaigns: tuple[tuple[str, float, float], ...] = (
        ("spring-sale", 0.20, 0.32),
        ("clear-out", 0.70, 0.82),
    )
    campaign_share: float = 0.5
    campaign_effect: float = 0.3
    weekend_effect: float = -0.3
    month_effect: tuple[float, ...] = (
        -0.06, -0.06, 0.0, 0.0, 0.04, 0.0, -0.04, -0.04, 0.0, 0.04, 0.1, 0.1,
    )  # fmt: skip
    returning_effect: float = 0.5
    visit_effect: float = 0.2
    buyer_effect: float = 0.8
    weekday_traffic: tuple[float, ...] = (1.05, 1.0, 0.98, 0.98, 0.92, 0.95, 1.12)
    month_traffic: tuple[float, ...] = (
        1.0, 0.92, 0.97, 1.0, 1.03, 0.95, 0.9, 0.92, 1.0, 1.05, 1.3, 1.35,
    )  # fmt: skip
    hour_traffic: tuple[float, ...] = (
        9, 5, 3, 2, 2, 4, 10, 20, 30, 36, 40, 42, 44, 43, 42, 42, 44, 48, 54, 62, 66, 58, 40, 20,
    )  # fmt: skip
    sensitive: tuple[float, ...] = (0.2, 0.4, -0.4, 0.2, -0.2)
    bot_share: float = 0.012
    paid: float = 0.75
    switch: float = 0.25
    post: float = 0.4
    extra_unit: float = 0.15


class Catalogue(NamedTuple):
    """The items: names, category, brand, colour, price, tier (1 to 3) and popularity.

    `share` is an item's probability within its category and tier; `first` and `cumulative` serve
    drawing: items are sorted by (category, tier). `mean` is the expected price by (category, tier).
    """

    item: list[str]
    category: list[str]
    brand: list[str]
    color: list[str]
    cat: NDArray[np.int64]
    tier: NDArray[np.int64]
    price: Floats
    share: Floats
    first: NDArray[np.int64]
    cumulative: Floats
    mean: Floats
    cat_share: Floats


_CATEGORIES = (
    ("tops", 3.0, 0.24),
    ("trousers", 3.6, 0.18),
    ("shoes", 4.1, 0.16),
    ("dresses", 3.9, 0.14),
    ("jackets", 4.6, 0.10),
    ("bags", 4.0, 0.08),
    ("jewellery", 3.3, 0.06),
    ("sale", 2.7, 0.04),
)
_BRANDS = ("Alba", "Brio", "Corva", "Dune", "Elma", "Fjord")
_COLORS = ("black", "white", "blue", "red", "green", "beige", "grey")


@functools.cache
def catalogue(per_tier: int = 14, seed: int = 2008) -> Catalogue:
    """Return the catalogue: log-normal prices, items of each category sorted into three tiers.

    It does not depend on the seed of a simulation, so that all simulated logs share one shop.
    """
    rng = np.random.default_rng(seed)
    cat, tier, price, share, mean = [], [], [], [], []
    per = 3 * per_tier
    for c, (_, level, _) in enumerate(_CATEGORIES):
        prices = np.sort(np.round(np.exp(level + 0.7 * rng.standard_normal(per)), 2))
        popularity = rng.pareto(1.5, per) + 0.2
        for t in range(3):
            part = slice(t * per_tier, (t + 1) * per_tier)
            p = popularity[part] / popularity[part].sum()
            mean.append(float(p @ prices[part]))
            cat.append(np.full(per_tier, c))
            tier.append(np.full(per_tier, t + 1))
            price.append(prices[part])
            share.append(p)
    cats, n = np.concatenate(cat), per * len(_CATEGORIES)
    shares = np.concatenate(share)
    return Catalogue(
        item=[f"i{i + 1:04d}" for i in range(n)],
        category=[_CATEGORIES[c][0] for c in cats],
        brand=[_BRANDS[i] for i in rng.integers(0, len(_BRANDS), n)],
        color=[_COLORS[i] for i in rng.integers(0, len(_COLORS), n)],
        cat=cats.astype(np.int64),
        tier=np.concatenate(tier).astype(np.int64),
        price=np.concatenate(price),
        share=shares,
        first=np.arange(0, n + 1, per_tier, dtype=np.int64),
        cumulative=np.concatenate([np.cumsum(s) for s in share]),
        mean=np.array(mean).reshape(len(_CATEGORIES), 3),
        cat_share=np.array([c[2] for c in _CATEGORIES]),
    )


TIER_SHARE = np.array([[0.25, 0.40, 0.35], [0.50, 0.35, 0.15]])
"""Share of price tiers among new items, for easy and for price-sensitive visits."""

_ADD_BY_TIER = np.array([[0.0, 0.1, 0.1], [0.2, -0.3, -0.9]])

_INTENT_CHAIN = np.array(
    [
        [0.993, 0.006, 0.001, 0.000],
        [0.008, 0.984, 0.007, 0.001],
        [0.002, 0.006, 0.984, 0.008],
        [0.001, 0.002, 0.005, 0.992],
    ]
)

# Log weights of each option by page. -inf: impossible there.
_NO = -np.inf
_BASE = np.array(
    # home  list search  new  same   add  remove checkout payment exit
    [
        [-0.8, 1.0, 0.0, 0.2, -2.0, _NO, -3.0, -1.0, _NO, 0.0],  # home
        [-1.2, 0.6, -0.8, 1.2, -1.2, _NO, -3.0, -1.0, _NO, 0.0],  # list
        [-1.6, -0.2, 0.2, 1.2, -1.0, _NO, -3.0, -1.0, _NO, 0.0],  # search
        [-1.2, 0.6, -0.6, 0.4, -0.4, -0.5, -3.0, -0.6, _NO, 0.0],  # item
        [-1.6, 0.0, -1.0, 0.0, -0.8, _NO, -1.6, 0.6, _NO, -0.4],  # add
        [-1.0, 0.2, -0.6, 0.4, -0.6, _NO, -2.0, 0.0, _NO, 0.0],  # remove
        [-1.8, -0.8, -1.6, -0.8, -0.8, _NO, -1.4, _NO, 1.2, -0.2],  # checkout
    ]
)
_BY_INTENT = np.array(
    # home  list search  new  same   add  remove checkout payment exit
    [
        [0.6, 0.3, -1.0, 0.0, -1.2, -2.2, 0.0, -2.0, -1.2, 0.9],  # looking
        [0.2, 0.3, -0.4, 0.3, -0.6, -1.2, 0.0, -1.0, -0.6, 0.0],  # browsing
        [-0.3, 0.0, 0.5, 0.3, 0.7, -0.4, 0.0, -0.2, 0.0, -0.8],  # comparing
        [-0.6, -0.3, 0.7, 0.0, 0.6, 1.0, -0.3, 1.2, 0.6, -1.3],  # buying
    ]
)
_BOT_BASE = np.array([-1.5, 1.0, -1.0, 2.5, -3.0, _NO, _NO, _NO, _NO, -1.2])


def chain() -> Floats:
    """Return the transition matrix of the hidden state, shape (HIDDEN, HIDDEN)."""
    matrix = np.zeros((HIDDEN, HIDDEN))
    matrix[:HUMANS, :HUMANS] = np.kron(_INTENT_CHAIN, np.eye(2))
    matrix[BOT, BOT] = 1.0
    return matrix


def choices() -> Floats:
    """Return the probability of each option, shape (STATES, HIDDEN, options)."""
    table = np.zeros((STATES, HIDDEN, len(OPTIONS)))
    for page in range(7):
        for cart in range(CART_LIMIT + 1):
            for tier in range(TIERS):
                allowed = np.ones(len(OPTIONS), dtype=bool)
                allowed[4] = tier > 0
                allowed[5] = page == 3 and tier > 0 and cart < CART_LIMIT
                allowed[6] = allowed[7] = allowed[8] = cart > 0
                for hidden in range(HIDDEN):
                    if hidden == BOT:
                        weight = _BOT_BASE.copy()
                    else:
                        weight = _BASE[page] + _BY_INTENT[hidden // 2]
                        weight[5] += _ADD_BY_TIER[hidden % 2, tier - 1] if tier else 0.0
                    weight = np.where(allowed, np.exp(weight), 0.0)
                    table[state(page, cart, tier), hidden] = weight / weight.sum()
    return table


# Landing on home, list, search or item: log weights by channel, and by intent.
_LANDING = np.log(
    np.array(
        [
            [0.25, 0.30, 0.15, 0.30],  # organic
            [0.15, 0.40, 0.05, 0.40],  # paid
            [0.60, 0.20, 0.10, 0.10],  # direct
            [0.35, 0.25, 0.02, 0.38],  # social
            [0.25, 0.45, 0.05, 0.25],  # email
        ]
    )
)
_LANDING_BY_INTENT = np.array(
    [[0.5, 0.0, -0.6, 0.1], [0.2, 0.2, -0.2, 0.0], [-0.3, 0.0, 0.6, 0.2], [-0.4, 0.0, 0.9, 0.2]]
)


def landing() -> Floats:
    """Return the probability of each landing page, shape (channels, HIDDEN, 4)."""
    table = np.zeros((len(_LANDING), HIDDEN, 4))
    for hidden in range(HIDDEN):
        tilt = _LANDING_BY_INTENT[hidden // 2] if hidden < HUMANS else np.array([0, 0, -3.0, 0])
        weight = np.exp(_LANDING + tilt)
        table[:, hidden] = weight / weight.sum(axis=1, keepdims=True)
    return table


def tier_share() -> Floats:
    """Return the probability of each tier of a new item, shape (HIDDEN, 3)."""
    table = np.full((HIDDEN, 3), 1 / 3)
    table[:HUMANS] = np.tile(TIER_SHARE, (len(INTENTS), 1))
    return table


_INTENT_SHARE = np.array([0.0, -0.6, -2.2, -4.0])
_READINESS = np.array([0.0, 0.5, 1.2, 1.8])


def prior(readiness: Floats, sensitive: Floats, bot_share: Floats) -> Floats:
    """Return the distribution of the hidden state at the start of visits, shape (n, HIDDEN).

    Args:
        readiness: sum of the visible effects of each visit, shape (n,).
        sensitive: log odds of price sensitivity, shape (n,).
        bot_share: probability of a bot, shape (n,).
    """
    weight = np.exp(_INTENT_SHARE + readiness[:, None] * _READINESS)
    intent = weight / weight.sum(axis=1, keepdims=True)
    keen = 1 / (1 + np.exp(-sensitive))
    human = (1 - bot_share)[:, None]
    result = np.empty((len(readiness), HIDDEN))
    result[:, 0:HUMANS:2] = human * intent * (1 - keen)[:, None]
    result[:, 1:HUMANS:2] = human * intent * keen[:, None]
    result[:, BOT] = bot_share
    return result
