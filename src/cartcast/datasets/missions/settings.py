"""Everything that can be turned in the second shop."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PHASES", "TYPES", "Missions"]

TYPES = ("window", "bargain", "ordinary")
"""What kind of visitor: one who never buys, one who waits for a sale, or an ordinary one."""

PHASES = ("idle", "exploring", "comparing", "ready")
"""How far the search for the wanted item has come; idle visitors want nothing yet."""


@dataclass(frozen=True)
class Missions:
    """The second shop; the defaults give about 3 % of sessions with a purchase.

    Attributes:
        categories: (name, share, mean of log prices).
        items: items in each category, at least 2.
        countries, devices, channels: (name, share, effect on the log odds of never buying).
        window, bargain: log odds of never buying, and of waiting for a sale among the others.
        start: log weight of each phase at a first visit.
        lapse, wake: daily probability that an idle visitor is gone for good, or begins a search.
        ripen: daily probabilities of exploring to comparing, and comparing to ready.
        fade: daily probability that each phase ends in idleness.
        come_back: daily probability of a visit, by phase.
        sale_pull: factor on `come_back` of a bargain hunter whose wanted item is on sale.
        focus: by phase, the probability that an item viewed is the wanted one.
        naming: by phase, the probability that a search names an item and not a category.
        switch: probability that an idle visitor views an item of another category than before.
        stray: probability that a list shows another category than that of the wanted item.
        pause: by phase, the probability of going from a burst into a pause; `resume` back.
        burst_seconds, pause_seconds: (median, deviation of the logarithm).
        sale_days, sale_cycle: every `sale_cycle` days one category is on sale for `sale_days`.
        cut: the price on sale, as a share of the full one.
        drift: deviation of an item's log popularity over the weeks.
        paid: probability that an order with payment details goes through.
        post: probability of one more page after a purchase.
        extra_unit: probability of one more unit of an item (geometric).
        horizon: days that `p_purchase_<horizon>d` of the truth looks ahead.
        weekday_traffic, month_traffic, hour_traffic: relative numbers of visits.
    """

    categories: tuple[tuple[str, float, float], ...] = (
        ("cameras", 0.26, 5.6),
        ("phones", 0.24, 5.9),
        ("headphones", 0.22, 4.3),
        ("speakers", 0.16, 4.7),
        ("watches", 0.12, 5.0),
    )
    items: int = 12
    countries: tuple[tuple[str, float, float], ...] = (
        ("US", 0.46, 0.0),
        ("CA", 0.22, -0.3),
        ("GB", 0.20, 0.2),
        ("AU", 0.12, 0.4),
    )
    devices: tuple[tuple[str, float, float], ...] = (
        ("mobile", 0.62, 0.5),
        ("desktop", 0.32, -0.6),
        ("tablet", 0.06, 0.1),
    )
    channels: tuple[tuple[str, float, float], ...] = (
        ("search", 0.38, -0.3),
        ("ads", 0.24, 0.4),
        ("direct", 0.18, -0.2),
        ("social", 0.14, 0.9),
        ("newsletter", 0.06, -0.6),
    )
    window: float = -0.4
    bargain: float = -0.2
    start: tuple[float, ...] = (0.0, 0.2, -0.7, -1.5)
    lapse: float = 0.15
    wake: float = 0.04
    ripen: tuple[float, float] = (0.14, 0.12)
    fade: tuple[float, ...] = (0.0, 0.16, 0.10, 0.08)
    come_back: tuple[float, ...] = (0.015, 0.08, 0.16, 0.22)
    sale_pull: float = 1.8
    focus: tuple[float, ...] = (0.0, 0.20, 0.42, 0.68)
    naming: tuple[float, ...] = (0.05, 0.15, 0.35, 0.65)
    switch: float = 0.3
    stray: float = 0.12
    pause: tuple[float, ...] = (0.15, 0.12, 0.35, 0.10)
    resume: float = 0.45
    burst_seconds: tuple[float, float] = (6.0, 0.8)
    pause_seconds: tuple[float, float] = (200.0, 0.9)
    sale_days: int = 4
    sale_cycle: int = 9
    cut: float = 0.75
    drift: float = 0.7
    paid: float = 0.85
    post: float = 0.3
    extra_unit: float = 0.08
    horizon: int = 7
    weekday_traffic: tuple[float, ...] = (1.1, 1.05, 1.0, 1.0, 0.95, 0.85, 1.0)
    month_traffic: tuple[float, ...] = (
        0.95, 0.9, 0.95, 0.95, 0.95, 0.95, 1.0, 1.0, 1.0, 1.05, 1.4, 1.4,
    )  # fmt: skip
    hour_traffic: tuple[float, ...] = (
        14, 9, 6, 4, 3, 3, 6, 14, 26, 34, 38, 42, 48, 44, 40, 38, 38, 40, 46, 54, 60, 58, 44, 26,
    )  # fmt: skip
