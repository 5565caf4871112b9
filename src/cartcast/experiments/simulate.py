"""A simulated experiment with a known truth: what analyses are tested against.

Visitors come to the shop by their own rates before and after the start. Arms come from the hash of
their id. The lift on the chance to buy differs by visitor and may fade or come late. Faults that
spoil real experiments can be planted, one by one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cartcast.errors import UsageError
from cartcast.experiments.allocation import Allocation

__all__ = ["START", "Simulated", "World", "simulate"]

START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
"""Start of a simulated experiment where none is given: a Monday."""
_DAY = 86_400
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """What is simulated.

    Attributes:
        visitors: how many come at all.
        days_before: days of history before the start.
        days: days of the experiment.
        sessions_a_day: of the average visitor; visitors differ (gamma, shape 2).
        chance: to buy in a session, of the average visitor; it rises with `loyalty`.
        spend: mean of an order, gamma with shape 2.
        lift: relative lift on the chance to buy for the average visitor.
        lift_by_loyalty: how much more lift a visitor has for each unit of loyalty.
        novelty: days after which half of the lift is gone, or None.
        delay: days after the exposure before which there is no lift.
        outliers: share of orders that are a hundred times as large.
        household: mean number of visitors in a household; above 1 they share rate and arm.
        lost: share of exposures that are not logged, by arm.
        doubled: share of exposures that are logged twice, the second a day later.
        other_arm: share of visitors that also see another arm a day later.
        new_id: share of visitors that get a new id at a login after the exposure, and with it
            another arm by chance.
        refunds: share of orders that are refunded after the end.
        start: first moment of the experiment (UTC).
    """

    visitors: int = 2_000
    days_before: int = 14
    days: int = 14
    sessions_a_day: float = 0.3
    chance: float = 0.1
    spend: float = 40.0
    lift: float = 0.0
    lift_by_loyalty: float = 0.0
    novelty: float | None = None
    delay: float = 0.0
    outliers: float = 0.0
    household: float = 1.0
    lost: Mapping[str, float] = field(default_factory=dict)
    doubled: float = 0.0
    other_arm: float = 0.0
    new_id: float = 0.0
    refunds: float = 0.0
    start: dt.datetime = START

    def __post_init__(self) -> None:
        if self.visitors < 1 or self.days < 1 or self.days_before < 0:
            raise UsageError("a world needs visitors and days.")
        shares = (self.outliers, self.doubled, self.other_arm, self.new_id, self.refunds,
                  *self.lost.values())  # fmt: skip
        if any(not 0 <= s <= 1 for s in shares) or self.household < 1:
            raise UsageError(
                "shares must lie within 0 and 1, and a household has a member or more."
            )


@dataclass(frozen=True)
class Simulated:
    """A simulated experiment.

    Attributes:
        log: events with canonical columns.
        exposures: `unit, arm, exposed`, with the planted faults.
        truth: a row per visitor: `unit, arm, household, loyalty, rate, lift`, and the expected
            orders within the experiment under control and under treatment.
        effect: true mean difference in orders per exposed unit between treatment and control.
    """

    log: pa.Table
    exposures: pa.Table
    truth: pa.Table
    effect: float


def simulate(world: World, allocation: Allocation | None = None, seed: int = 0) -> Simulated:
    """Return a simulated experiment; the same world and seed give the same events.

    >>> s = simulate(World(visitors=50), seed=1)
    >>> sorted(set(s.log["event_type"].to_pylist()))
    ['page_view', 'purchase']
    """
    allocation = allocation or Allocation("simulated", ("control", "treatment"))
    rng = np.random.default_rng(seed)
    v = _visitors(world, allocation, rng)
    s = _sessions(world, v, rng)
    exposed = _first(s["time"], s["who"], world.visitors)
    lift = _lift(world, v, s, exposed)
    bought = rng.random(len(lift)) < np.clip(v["chance"][s["who"]] * (1 + lift), 0, 1)
    ids = _ids(world, v, s, exposed, rng)
    log = _log(world, s, ids, bought, rng)
    return Simulated(
        log, _exposures(world, allocation, v, s, ids, exposed, rng), *_truth(world, v, exposed)
    )


def _visitors(world: World, allocation: Allocation, rng: np.random.Generator) -> dict[str, Any]:
    n = world.visitors
    household = np.arange(n)
    if world.household > 1:
        household = np.sort(rng.integers(0, max(int(n / world.household), 1), size=n))
    shared = rng.gamma(2.0, 0.5, size=n)
    rate = world.sessions_a_day * (shared[household] if world.household > 1 else shared)
    loyalty = rng.normal(size=n)
    ids = np.array([f"v{i:07d}" for i in range(n)])
    hashed = ids if world.household == 1 else np.char.add("h", household.astype(str))
    return {
        "id": ids,
        "household": household,
        "rate": rate,
        "loyalty": loyalty,
        "chance": np.minimum(world.chance * np.exp(0.5 * loyalty - 0.125), 0.9),
        "lift": np.maximum(world.lift + world.lift_by_loyalty * loyalty, -1.0),
        "arm": allocation.assign_many(hashed.tolist()),
        "arms": allocation.arms,
    }


def _sessions(world: World, v: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Return the visitor and the second from the start of each session, in time order."""
    whole = world.days_before + world.days
    count = rng.poisson(v["rate"] * whole)
    who = np.repeat(np.arange(world.visitors), count)
    time = (rng.random(len(who)) * whole - world.days_before) * _DAY
    order = np.lexsort((time, who))
    return {"who": who[order], "time": np.floor(time[order])}


def _first(time: Floats, who: NDArray[np.int64], visitors: int) -> Floats:
    """Return the second of each visitor's first session from the start on; inf without one."""
    out = np.full(visitors, np.inf)
    np.minimum.at(out, who[time >= 0], time[time >= 0])
    return out


def _lift(world: World, v: dict[str, Any], s: dict[str, Any], exposed: Floats) -> Floats:
    treated = v["arm"][s["who"]] >= 1
    age = (s["time"] - exposed[s["who"]]) / _DAY
    lift = np.where(treated & (age >= world.delay), v["lift"][s["who"]], 0.0)
    if world.novelty is not None:
        lift = lift * 0.5 ** (np.maximum(age, 0) / world.novelty)
    return np.asarray(lift, dtype=np.float64)


def _ids(
    world: World, v: dict[str, Any], s: dict[str, Any], exposed: Floats, rng: np.random.Generator
) -> NDArray[np.str_]:
    """Return the id that each session is logged with; some change at a login."""
    ids = v["id"][s["who"]]
    changes = (rng.random(world.visitors) < world.new_id)[s["who"]]
    late = changes & (s["time"] > exposed[s["who"]] + _DAY)
    return np.where(late, np.char.add("u", ids), ids)


def _stamps(world: World, seconds: Floats) -> NDArray[np.datetime64]:
    start = np.datetime64(world.start.replace(tzinfo=None), "us")
    return np.asarray(start + (seconds * 1e6).astype("timedelta64[us]"))


def _table(columns: dict[str, Any]) -> pa.Table:
    return pa.table(columns)


def _log(
    world: World, s: dict[str, Any], ids: NDArray[np.str_], bought: Any, rng: np.random.Generator
) -> pa.Table:
    n = len(ids)
    amount = rng.gamma(2.0, world.spend / 2, size=n)
    amount = np.where(rng.random(n) < world.outliers, amount * 100, amount)
    refunded = bought & (rng.random(n) < world.refunds)
    session = np.char.add("s", np.arange(n).astype(str))
    kinds = [(np.ones(n, bool), "page_view", 0.0, 1), (bought, "purchase", 60.0, 2),
             (refunded, "refund", (world.days + 7.0) * _DAY, 3)]  # fmt: skip
    parts = []
    for chosen, kind, after, order in kinds:
        money = amount[chosen] if kind != "page_view" else np.full(int(chosen.sum()), np.nan)
        parts.append(
            _table(
                {
                    "visitor_id": ids[chosen],
                    "session_id": session[chosen],
                    "event_time": _stamps(world, s["time"][chosen] + after),
                    "event_order": np.full(int(chosen.sum()), order),
                    "event_type": np.full(int(chosen.sum()), kind),
                    "price": pa.array(money, from_pandas=True),
                    "quantity": np.ones(int(chosen.sum())),
                }
            )
        )
    return pa.concat_tables(parts)


def _exposures(
    world: World,
    allocation: Allocation,
    v: dict[str, Any],
    s: dict[str, Any],
    ids: NDArray[np.str_],
    exposed: Floats,
    rng: np.random.Generator,
) -> pa.Table:
    n = world.visitors
    seen = np.isfinite(exposed) & (v["arm"] >= 0)
    lost = np.array([world.lost.get(a, 0.0) for a in v["arms"]])[v["arm"]]
    first = seen & (rng.random(n) >= lost)
    again = first & (rng.random(n) < world.doubled)
    other = first & (rng.random(n) < world.other_arm)
    swapped = (v["arm"] + 1) % len(v["arms"])
    parts = [(first, v["arm"], 0.0), (again, v["arm"], _DAY), (other, swapped, _DAY)]
    tables = [
        _table(
            {
                "unit": v["id"][chosen],
                "arm": np.array(v["arms"])[arm[chosen]],
                "exposed": _stamps(world, exposed[chosen] + after),
            }
        )
        for chosen, arm, after in parts
    ]
    fresh = np.char.startswith(ids, "u")
    if fresh.any():
        names, at = np.unique(ids[fresh], return_index=True)
        arms = allocation.assign_many(names.tolist())
        tables.append(
            _table(
                {
                    "unit": names[arms >= 0],
                    "arm": np.array(v["arms"])[arms[arms >= 0]],
                    "exposed": _stamps(world, s["time"][fresh][at][arms >= 0]),
                }
            )
        )
    return pa.concat_tables(tables)


def _truth(world: World, v: dict[str, Any], exposed: Floats) -> tuple[pa.Table, float]:
    """Return each visitor's truth, and the mean effect on orders over the exposed ones."""
    left = np.where(np.isfinite(exposed), world.days - exposed / _DAY, 0.0)
    reached = np.maximum(left - world.delay, 0.0)
    if world.novelty is not None:
        # The lift halves every `novelty` days: its integral over the days it is there.
        speed = np.log(2) / world.novelty
        reached = (np.exp(-speed * np.minimum(world.delay, left)) - np.exp(-speed * left)) / speed
    # The exposing session itself, then sessions at the visitor's rate.
    base = v["chance"] * (np.isfinite(exposed) + v["rate"] * left)
    now = float(world.delay <= 0) * np.isfinite(exposed)
    gain = v["chance"] * v["lift"] * (now + v["rate"] * reached)
    table = _table(
        {
            "unit": v["id"],
            "arm": np.where(v["arm"] >= 0, np.array(v["arms"])[v["arm"]], None),
            "household": np.char.add("h", v["household"].astype(str)),
            "loyalty": v["loyalty"],
            "rate": v["rate"],
            "lift": v["lift"],
            "orders_control": base,
            "orders_treatment": base + gain,
        }
    )
    seen = np.isfinite(exposed)
    return table, float(gain[seen].mean()) if seen.any() else 0.0
