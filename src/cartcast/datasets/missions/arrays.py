"""What the second shop's kernel reads and writes, as named arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartcast.datasets.simulate_kernel import columns_of

__all__ = ["Found", "Hidden", "Rows", "Tables"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Tables(NamedTuple):
    """What the kernel reads: the tables of `behaviour`, `market` and `values`, and settings.

    `fashion`, `sales`, `price` (of the day), and `others` (mean price of the other items of a
    category, by fashion) are by day; `later` is by days ahead and day; `hours` is the share of
    visits that start before each hour.
    """

    landing: Floats
    channels_again: Floats
    choices: Floats
    chain: Floats
    tempo: Floats
    tempo_start: Floats
    gap_mean: Floats
    gap_spread: Floats
    gap_norm: Floats
    daily: Floats
    returns: Floats
    focus: Floats
    naming: Floats
    start: Floats
    item_cat: Ints
    cat_share: Floats
    fashion: Floats
    sales: Ints
    price: Floats
    others: Floats
    values: Floats
    later: Floats
    paid: Floats
    hours: Floats
    stray: float
    switch: float
    post: float
    extra_unit: float
    horizon: int
    late: float
    late_median: float
    twice: float


class Rows(NamedTuple):
    """What the kernel writes, as `simulate_kernel.Rows`, and the truth of the horizon.

    `later` is for a purchase from the event on; `over` only for those after the visit, once it is
    known to be over: NaN but at its last event.
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
    later: Floats
    over: Floats

    @classmethod
    def empty(cls, size: int) -> Rows:
        """Return room for `size` events."""
        return cls(*columns_of(cls._fields, size))


class Hidden(NamedTuple):
    """What is hidden of each visitor when a visit begins, and of the filter when it is wanted.

    `kind`, `phase` and `item` (-1 none) are drawn when `visit` is 0; `since` is the day of the
    visit before. The kernel sets them to those of the next visit. `belief` has one row or more.
    """

    kind: Ints
    phase: Ints
    item: Ints
    since: Ints
    belief: Floats


class Found(NamedTuple):
    """How each visit ended; as `simulate_kernel.Ends`, and the day of the next visit (-1 none)."""

    end: Ints
    events: Ints
    repeated: Ints
    bought: Ints
    revenue: Floats
    bot: Ints
    next_day: Ints

    @classmethod
    def empty(cls, size: int) -> Found:
        """Return room for `size` visits."""
        return cls(*columns_of(cls._fields, size))
