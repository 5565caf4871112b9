"""Years of a watched shop, drawn as daily sums: clean ones, and ones with a planted fault.

A thousand years of single clicks would take days; their sums take seconds. A year has weekdays,
holidays, campaigns, a Christmas season that the model has not seen, weather that lasts for days,
and visitors who return: those who buy bring several moments that share the outcome. The true
probability of each class of visits is known, and the model says it but for a small error that the
run's own test part shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import UsageError, did_you_mean
from cartcast.monitoring.days import CLIP

__all__ = ["FAULTS", "QUIET", "Years", "simulate_years"]

Floats = NDArray[np.float64]

FAULTS: Final[Mapping[str, str]] = {
    "conversion": "conversion x 0.8 after a change of the site",
    "carts": "the tracker loses half of the carts",
    "cents": "prices arrive in cents",
    "bots": "five times as many sessions of bots",
    "stale": "the model goes stale: half of what it knows fades within half a year",
    "clock": "the clock moves by an hour",
    "twice": "a tenth of the feed arrives twice",
}
QUIET: Final[Mapping[str, str]] = {
    "christmas": "Christmas: visits x 1.8, conversion x 1.3, baskets x 1.15",
    "campaign": "a campaign: visits x 1.6, mostly of those who buy less",
}

_LOGITS: Final = np.linspace(-6.5, 1.5, 17)
_MIX: Final = np.exp(-0.5 * ((_LOGITS + 4.2) / 1.5) ** 2)
_HOURS: Final = 0.15 + np.exp(-0.5 * ((np.arange(24) - 14.5) / 4.5) ** 2)
_MORE_MOMENTS: Final = 2.0
"""Moments beyond the first that a visitor brings, on average; they share the outcome."""
_BASKET: Final = 60.0
_BASKET_SHAPE: Final = 1.5
_CHRISTMAS: Final = range(329, 358)
_SIGNALS: Final = {"carts": 0.11, "fast": 0.04, "doubled": 0.002, "late": 0.005, "nulls": 0.02,
                   "buying": 0.03}  # fmt: skip


@dataclass(frozen=True)
class Years:
    """Simulated years.

    Attributes:
        table: daily sums (`days.COLUMNS`), each of shape (days, years).
        feed: what the feed tells by day, each of shape (days, years): sessions, price (log of the
            middle price), clock (the day's centre in hours), and shares of sessions or events.
        test: the same sums of the run's test part, shape (60,).
        planted: day on which the fault begins, or None.
        visitors: visitors by day, shape (days, years).
    """

    table: dict[str, Floats]
    feed: dict[str, Floats]
    test: dict[str, Floats]
    planted: int | None
    visitors: Floats


@dataclass
class _World:
    """What the days are like, before anybody comes: factors of shape (days, years)."""

    traffic: Floats
    rate: Floats
    basket: Floats
    cheap: Floats
    odd: Floats


def simulate_years(
    years: int,
    seed: int = 0,
    *,
    fault: str | None = None,
    visitors: float = 2_000,
    days: int = 365,
    planted: int = 200,
    only: str | None = None,
) -> Years:
    """Draw `years` of a shop, with a fault from day `planted` on, if one is named.

    Args:
        years: how many.
        seed: the same seed gives the same years.
        fault: one of `FAULTS`.
        visitors: visitors on a usual day; about 3 % of them buy.
        days: days of each.
        planted: the first day of the fault, from 0.
        only: one of `QUIET`: years without other holidays and campaigns, to see what that alone
            does.

    Raises:
        UsageError: no such fault.
    """
    if fault is not None and fault not in FAULTS:
        raise UsageError(f"unknown fault {fault!r}.{did_you_mean(fault, FAULTS)}")
    rng = np.random.default_rng(seed)
    world = _world(rng, days, years, only)
    test_world = _world(rng, 60, 1, "none")
    table, feed = _draw(rng, world, visitors, fault, planted)
    test, _ = _draw(rng, test_world, visitors, None, 0)
    return Years(
        table,
        feed,
        {name: values[:, 0] for name, values in test.items()},
        planted if fault else None,
        table["visitors"],
    )


def _world(rng: np.random.Generator, days: int, years: int, only: str | None) -> _World:
    day = np.arange(days)[:, None]
    shape = (days, years)
    weekday = np.array([1.0, 1.0, 0.97, 0.98, 1.03, 0.9, 1.12])[day % 7]
    # The model knows the weekday, but not quite.
    rate = np.array([1.0, 1.01, 0.99, 1.0, 1.0, 0.97, 1.03])[day % 7] * np.ones(shape)
    weather = np.zeros(shape)
    steps = rng.normal(0, 1, shape)
    weather[0] = steps[0]
    for t in range(1, days):
        weather[t] = 0.5 * weather[t - 1] + 0.75**0.5 * steps[t]
    rate *= np.exp(0.04 * weather)
    traffic = weekday * np.exp(0.08 * rng.normal(0, 1, shape) + 0.05 * weather)
    basket, cheap, odd = np.ones(shape), np.zeros(shape), np.zeros(shape)
    if only is None:
        holiday = rng.random(shape) < 10 / 365
        traffic = np.where(holiday, traffic * 0.6, traffic)
        rate = np.where(holiday, rate * rng.uniform(0.85, 1.1, shape), rate)
        odd = np.where(holiday, rng.normal(0, 0.3, shape), odd)
    if only in (None, "campaign"):
        for _ in range(6 if days >= 300 else 1):
            begin = rng.integers(0, days, years)
            inside = (day >= begin) & (day < begin + 5)
            traffic = np.where(inside, traffic * 1.6, traffic)
            cheap = np.where(inside, 0.35, cheap)
            rate = np.where(inside, rate * rng.uniform(0.92, 1.12, years), rate)
    if only in (None, "christmas"):
        inside = np.isin(day, _CHRISTMAS) & np.ones(shape, dtype=bool)
        traffic, rate = np.where(inside, traffic * 1.8, traffic), np.where(inside, rate * 1.3, rate)
        basket = np.where(inside, 1.15, basket)
    return _World(traffic, rate, basket, cheap, odd)


def _draw(
    rng: np.random.Generator, world: _World, usual: float, fault: str | None, planted: int
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    days, years = world.traffic.shape
    on = (np.arange(days) >= planted)[:, None] if fault else np.zeros((days, 1), dtype=bool)
    visits = rng.poisson(usual * world.traffic).astype(np.float64)
    sums = {name: np.zeros((days, years)) for name in _SUMS}
    buying = np.zeros((days, years))
    for k, logit in enumerate(_LOGITS):
        true = 1 / (1 + np.exp(-logit))
        # Visits of a campaign come from the lower half of the classes.
        share = _MIX[k] / _MIX.sum() * (1 - world.cheap)
        share = share + world.cheap * (2 * _MIX[k] / _MIX.sum() if logit < -3.7 else 0.0)
        came = rng.poisson(visits * share).astype(np.float64)
        chance = np.clip(true * world.rate * np.where(on & (fault == "conversion"), 0.8, 1), 0, 1)
        bought = rng.binomial(came.astype(np.int64), chance).astype(np.float64)
        buying += bought
        for part, said, n, y in _said(rng, logit, came, bought, on, fault, planted):
            if part:
                _add(rng, sums, said, n, y)
    if fault == "bots":
        bots = rng.poisson(on * usual * world.traffic * 0.16).astype(np.float64)
        _add(rng, sums, np.full((days, years), -6.0), bots, np.zeros_like(bots))
        visits = visits + bots
    if fault == "twice":
        # Doubled purchases are marked by the contract and count once; clicks count double.
        sums["moments"] *= np.where(on, 1.1, 1.0)
    table = _finish(rng, sums, world, buying, on, fault)
    return table, _feed(rng, world, visits, on, fault, buying)


_SUMS: Final = ("visitors", "moments", "expected", "realised", "log_loss", "log_loss_expected",
                "brier", "brier_expected", "rate_var", "rate_scale", "pg", "pp", "yg", "yp", "vgg",
                "vg", "vp", "vpp")  # fmt: skip


def _said(
    rng: np.random.Generator, logit: float, came: Floats, bought: Floats,
    on: NDArray[np.bool_], fault: str | None, planted: int,
) -> list[tuple[bool, Floats, Floats, Floats]]:  # fmt: skip
    """Return what the model says of a class of visits: (any, logit, visitors, buyers)."""
    said = np.full(came.shape, logit)
    if fault == "stale":
        # What the model knows fades: its logits stay, while the truth moves towards the mean.
        age = np.clip((np.arange(len(came)) - planted) / 180, 0, 1)[:, None]
        said = -4.2 + (logit + 4.2) * (1 + 0.6 * age)
        said = said - 0.9 * age * (1 - 0.25 * age)
    if fault != "carts" or logit < -2:
        return [(True, said, came, bought)]
    # Half of those with a cart look as if they had none: 2.5 lower on the scale of logits.
    lost = rng.binomial(came.astype(np.int64), np.where(on, 0.5, 0.0)).astype(np.float64)
    among = rng.hypergeometric(
        bought.astype(np.int64), (came - bought).astype(np.int64), lost.astype(np.int64)
    ).astype(np.float64)
    return [(True, said, came - lost, bought - among), (True, said - 2.5, lost, among)]


def _add(
    rng: np.random.Generator, sums: dict[str, Floats], logit: Floats, n: Floats, y: Floats
) -> None:
    """Add `n` visitors of which `y` bought, all with the same logit, as their moments."""
    p = np.clip(1 / (1 + np.exp(-logit)), CLIP, 1 - CLIP)
    g = -np.log(p / (1 - p))
    yes = y + rng.poisson(_MORE_MOMENTS * y)
    no = (n - y) + rng.poisson(_MORE_MOMENTS * (n - y))
    m = yes + no
    # A visitor brings 1 + Poisson(k) moments: their square is (1 + k)^2 + k on average.
    square = (1 + _MORE_MOMENTS) ** 2 + _MORE_MOMENTS
    parts = {
        "visitors": n, "moments": m, "expected": m * p, "realised": yes,
        "log_loss": -yes * np.log(p) - no * np.log(1 - p),
        "log_loss_expected": m * (-p * np.log(p) - (1 - p) * np.log(1 - p)),
        "brier": yes * (1 - p) ** 2 + no * p**2, "brier_expected": m * p * (1 - p),
        "rate_var": square * (y * (1 - p) ** 2 + (n - y) * p**2), "rate_scale": m * p * (1 - p),
        "pg": m * p * g, "pp": m * p * p, "yg": (yes - m * p) * g, "yp": (yes - m * p) * p,
        "vgg": m * p * (1 - p) * g * g, "vg": m * p * (1 - p) * g, "vp": m * p * p * (1 - p),
        "vpp": m * p**3 * (1 - p),
    }  # fmt: skip
    for name, value in parts.items():
        sums[name] += value


def _finish(
    rng: np.random.Generator, sums: dict[str, Floats], world: _World, buying: Floats,
    on: NDArray[np.bool_], fault: str | None,
) -> dict[str, Floats]:  # fmt: skip
    """Return the columns of `days_of`: centre the loss by the day, and draw the money."""
    s = sums
    mean_g, mean_p = s["pg"] / s["expected"], s["pp"] / s["expected"]
    excess = s["realised"] - s["expected"]
    design = s["rate_var"].sum() / s["rate_scale"].sum()
    shape_scale = s["vgg"] - 2 * mean_g * s["vg"] + mean_g**2 * s["rate_scale"]
    shape_b_scale = 4 * (s["vpp"] - 2 * mean_p * s["vp"] + mean_p**2 * s["rate_scale"])
    basket = _BASKET * world.basket * np.where(on & (fault == "cents"), 100.0, 1.0)
    drawn = rng.gamma(np.maximum(buying, 1e-9) * _BASKET_SHAPE) / _BASKET_SHAPE
    # The money of a visitor's purchase counts at each of its moments before it, as purchases do.
    money = drawn * (1 + _MORE_MOMENTS) * basket
    square = (1 + _MORE_MOMENTS) ** 2 * _BASKET**2 * (1 + 1 / _BASKET_SHAPE)
    kept = {name: s[name] for name in _SUMS[:10]}
    return {
        **kept,
        "shape": s["yg"] - mean_g * excess,
        "shape_var": design * shape_scale,
        "shape_scale": shape_scale,
        "shape_b": -2 * (s["yp"] - mean_p * excess),
        "shape_b_var": design * shape_b_scale,
        "shape_b_scale": shape_b_scale,
        "excess_var": design * s["vgg"],
        "excess_scale": s["vgg"],
        "revenue": money,
        "revenue_expected": s["expected"] * _BASKET,
        "revenue_var": buying * square,
    }


def _feed(
    rng: np.random.Generator, world: _World, visits: Floats, on: NDArray[np.bool_],
    fault: str | None, buying: Floats,
) -> dict[str, Floats]:  # fmt: skip
    """Draw what the feed tells: shares with some noise between days, price and clock."""
    shape = visits.shape
    faults = {"carts": ("carts", 0.5), "bots": ("fast", 4.3), "twice": ("doubled", 50.0)}
    feed: dict[str, Floats] = {"sessions": visits}
    for name, share in _SIGNALS.items():
        usual = share * np.exp(0.06 * rng.normal(0, 1, shape))
        if fault in faults and faults[fault][0] == name:
            usual = np.where(on, usual * faults[fault][1], usual)
        if name == "carts":
            usual = usual * (1 - 0.2 * (world.cheap > 0)) * (1 + 0.3 * (world.basket > 1))
        drawn = rng.binomial(visits.astype(np.int64), np.clip(usual, 0, 1)).astype(np.float64)
        feed[name] = buying if name == "buying" else drawn
    feed["price"] = np.log(25.0) + 0.03 * rng.normal(0, 1, shape) + np.log(world.basket) / 2
    feed["price"] = feed["price"] + np.where(on & (fault == "cents"), np.log(100.0), 0.0)
    centre = float((_HOURS * np.arange(24)).sum() / _HOURS.sum())
    spread = float((_HOURS * (np.arange(24) - centre) ** 2).sum() / _HOURS.sum()) ** 0.5
    noise = np.hypot(spread / np.sqrt(np.maximum(visits, 1)), 0.05)
    feed["clock"] = centre + noise * rng.normal(0, 1, shape) + world.odd
    feed["clock"] = feed["clock"] + np.where(on & (fault == "clock"), 1.0, 0.0)
    return feed
