"""What the second shop sells: items, their fashion by day, and which category is on sale when."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartcast.datasets.missions.settings import Missions

__all__ = ["Goods", "fashion", "goods", "sales"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BRANDS = ("Orso", "Pell", "Quad", "Rime", "Sola")
_COLORS = ("black", "silver", "white", "blue")
_SEED = 2013


class Goods(NamedTuple):
    """The items, category by category; `share` is each category's share of searches."""

    item: list[str]
    category: list[str]
    brand: list[str]
    color: list[str]
    cat: Ints
    price: Floats
    share: Floats


@functools.lru_cache(maxsize=8)
def goods(shop: Missions) -> Goods:
    """Return the items; they do not depend on a simulation's seed."""
    rng = np.random.default_rng(_SEED)
    n = shop.items * len(shop.categories)
    cat = np.repeat(np.arange(len(shop.categories)), shop.items)
    level = np.array([c[2] for c in shop.categories])[cat]
    share = np.array([c[1] for c in shop.categories])
    return Goods(
        item=[f"m{i + 1:04d}" for i in range(n)],
        category=[shop.categories[c][0] for c in cat],
        brand=[_BRANDS[i] for i in rng.integers(0, len(_BRANDS), n)],
        color=[_COLORS[i] for i in rng.integers(0, len(_COLORS), n)],
        cat=cat.astype(np.int64),
        price=np.asarray(np.round(np.exp(level + 0.6 * rng.standard_normal(n)), 2), np.float64),
        share=share / share.sum(),
    )


def fashion(shop: Missions, first_day: int, days: int) -> Floats:
    """Return each item's share of the demand in its category, shape (days, items).

    The logarithm of an item's popularity swings in waves of three to seventeen weeks. It depends
    on the date only (`first_day` counts from 1970), so that all logs are logs of one shop.
    """
    rng = np.random.default_rng(_SEED + 1)
    n = shop.items * len(shop.categories)
    level = 0.8 * rng.standard_normal(n)
    period, phase = rng.uniform(21, 120, (3, n)), rng.uniform(0, 2 * np.pi, (3, n))
    day = first_day + np.arange(days)
    waves = np.sin(2 * np.pi * day[:, None, None] / period + phase).sum(axis=1)
    weight = np.exp(level + shop.drift * np.sqrt(2 / 3) * waves)
    grouped = weight.reshape(days, len(shop.categories), shop.items)
    return np.asarray((grouped / grouped.sum(axis=2, keepdims=True)).reshape(days, n))


def sales(shop: Missions, first_day: int, days: int) -> Ints:
    """Return the category on sale on each day, -1 for none; it depends on the date only.

    >>> sales(Missions(sale_days=1, sale_cycle=3), 0, 6).tolist()
    [0, -1, -1, 2, -1, -1]
    """
    day = first_day + np.arange(days)
    turn = day // shop.sale_cycle
    # Steps of 2 in turn, and one more each round, so that sales follow no simple order.
    which = (2 * turn + turn // len(shop.categories)) % len(shop.categories)
    return np.where(day % shop.sale_cycle < shop.sale_days, which, -1).astype(np.int64)
