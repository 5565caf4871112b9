"""Allocation: which arm a unit belongs to, from its id alone, in Python and as SQL.

A unit's bucket falls into an arm's range [low, high). Coverage shrinks each range from its own
start, so that ramping up never moves a unit to another arm. Layers keep experiments apart, the
global holdout keeps units out of all of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import DefinitionError
from cartcast.events.sql import literal
from cartcast.experiments.hashing import bucket, bucket_sql, buckets

__all__ = ["Allocation", "Assigned", "Holdout", "Kept", "Layer", "Range", "arm_ranges", "choose"]

Range = tuple[float, float]
Reason = Literal["assigned", "kept", "holdout", "layer", "coverage", "blocked", "no unit"]
_SUM_TOLERANCE = 0.01


@dataclass(frozen=True)
class Layer:
    """A share of the units for one of several experiments that exclude each other.

    Attributes:
        name: the layer's name; experiments with disjoint ranges in one layer share no unit.
        start: lower end of the range, from 0.
        end: upper end, to 1, exclusive.
    """

    name: str
    start: float
    end: float

    def __post_init__(self) -> None:
        if not self.name or not 0 <= self.start < self.end <= 1:
            raise DefinitionError(
                f"a layer needs a name and 0 <= start < end <= 1, got {self.name!r} from "
                f"{self.start} to {self.end}."
            )

    def has(self, unit: str) -> bool:
        """Return whether `unit` falls into the range (hash version 1, as GrowthBook's)."""
        return self.start <= bucket(f"__{self.name}", unit, version=1) < self.end


@dataclass(frozen=True)
class Holdout:
    """A share of units that see no experiment and no activation, to measure all of them at once.

    Attributes:
        name: the holdout's name, its seed.
        share: from 0 to 1 exclusive.
    """

    name: str
    share: float

    def __post_init__(self) -> None:
        if not self.name or not 0 < self.share < 1:
            raise DefinitionError(
                f"a holdout needs a name and 0 < share < 1, got {self.name!r} with {self.share}."
            )

    @property
    def seed(self) -> str:
        """What is hashed in front of the id."""
        return f"holdout:{self.name}"

    def has(self, unit: str) -> bool:
        """Return whether `unit` is held out."""
        return bucket(self.seed, unit) < self.share


@dataclass(frozen=True)
class Kept:
    """An arm that was given before and stays, whatever became of the weights.

    Attributes:
        arm: the arm's name.
        version: version of the allocation that gave it.
    """

    arm: str
    version: int = 0


@dataclass(frozen=True)
class Assigned:
    """What a unit got.

    Attributes:
        unit: the id that was hashed; exposures are logged with it.
        arm: the arm's name; None when the unit is not in the experiment.
        reason: why: assigned by its bucket, kept from before, or which door was shut.
    """

    unit: str
    arm: str | None
    reason: Reason


def arm_ranges(
    arms: int, coverage: float = 1.0, weights: Sequence[float] | None = None
) -> tuple[Range, ...]:
    """Return the range of each arm; weights that do not fit fall back to equal ones.

    This copies the lenient rules of GrowthBook's SDKs, for experiments that were declared there:
    coverage is cut to 0 and 1, weights of the wrong number or sum are ignored. `Allocation`
    refuses both.

    >>> arm_ranges(2, 0.5)
    ((0.0, 0.25), (0.5, 0.75))
    """
    coverage = min(max(coverage, 0.0), 1.0)
    equal = [1.0 / arms] * arms
    used = equal if weights is None or len(weights) != arms else list(weights)
    if abs(sum(used) - 1) > _SUM_TOLERANCE:
        used = equal
    out, start = [], 0.0
    for weight in used:
        out.append((start, start + coverage * weight))
        start += weight
    return tuple(out)


def choose(value: float, ranges: Sequence[Range]) -> int:
    """Return the index of the range that holds the bucket, or -1.

    >>> choose(0.5, [(0.0, 0.5), (0.5, 1.0)]), choose(0.3, [(0.0, 0.25), (0.5, 0.75)])
    (1, -1)
    """
    return next((i for i, (low, high) in enumerate(ranges) if low <= value < high), -1)


@dataclass(frozen=True)
class Allocation:
    """How the units of one experiment are divided among its arms.

    Attributes:
        key: name of the experiment.
        arms: names, the control first.
        weights: share of each arm; must add up to 1; equal without.
        coverage: share of each arm's units that take part, above 0, at most 1.
        layer: the share of units that the experiment may use; None: all.
        holdout: units that take part in nothing; None: no such units.
        seed: hashed in front of the id; default the key.
        hash_version: 2; 1 only for an experiment that was started so elsewhere.
        version: raise it to assign arms afresh; `Kept` arms of other versions no longer hold.
        blocked_below: units whose kept arm is of a version below this leave the experiment.
        ranges: explicit ranges of buckets; None: from weights and coverage.

    Raises:
        DefinitionError: a rule above is broken, or ranges overlap.

    >>> a = Allocation("free-shipping", ("control", "free"))
    >>> a.assign("visitor-7")
    Assigned(unit='visitor-7', arm='free', reason='assigned')
    """

    key: str
    arms: tuple[str, ...]
    weights: tuple[float, ...] = ()
    coverage: float = 1.0
    layer: Layer | None = None
    holdout: Holdout | None = None
    seed: str = ""
    hash_version: int = 2
    version: int = 0
    blocked_below: int = 0
    ranges: tuple[Range, ...] = field(default=())

    def __post_init__(self) -> None:
        _check_arms(self.key, self.arms)
        if not self.weights:
            object.__setattr__(self, "weights", (1.0 / len(self.arms),) * len(self.arms))
        _check_weights(self)
        if not self.ranges:
            made = arm_ranges(len(self.arms), self.coverage, self.weights)
            object.__setattr__(self, "ranges", made)
        _check_ranges(self)
        if not self.seed:
            object.__setattr__(self, "seed", self.key)
        bucket(self.seed, "", self.hash_version)

    @property
    def control(self) -> str:
        """The arm that the others are compared with."""
        return self.arms[0]

    def shares(self) -> dict[str, float]:
        """Return the share of each arm among the units that take part."""
        widths = [high - low for low, high in self.ranges]
        return {a: w / sum(widths) for a, w in zip(self.arms, widths, strict=True)}

    @property
    def reach(self) -> float:
        """Share of all units that take part: what coverage, layer and holdout leave.

        >>> a = Allocation("k", ("a", "b"), coverage=0.5, holdout=Holdout("2026", 0.1))
        >>> round(a.reach, 9)
        0.45
        """
        layer = 1.0 if self.layer is None else self.layer.end - self.layer.start
        rest = 1.0 if self.holdout is None else 1 - self.holdout.share
        return sum(high - low for low, high in self.ranges) * layer * rest

    def assign(self, unit: str, kept: Kept | None = None) -> Assigned:
        """Return the arm of one unit; `kept` is what it got before, where that is stored."""
        if not unit:
            return Assigned(unit, None, "no unit")
        if self.holdout is not None and self.holdout.has(unit):
            return Assigned(unit, None, "holdout")
        if kept is not None and kept.version < self.blocked_below:
            return Assigned(unit, None, "blocked")
        if kept is not None and kept.version == self.version and kept.arm in self.arms:
            return Assigned(unit, kept.arm, "kept")
        if self.layer is not None and not self.layer.has(unit):
            return Assigned(unit, None, "layer")
        at = choose(bucket(self.seed, unit, self.hash_version), self.ranges)
        return Assigned(
            unit, None if at < 0 else self.arms[at], "coverage" if at < 0 else "assigned"
        )

    def assign_many(self, units: Any) -> NDArray[np.int64]:
        """Return the index of each unit's arm, shape (n,); -1 for those that take no part.

        Raises:
            DataError: the ids are neither texts nor whole numbers.
        """
        values = buckets(self.seed, units, self.hash_version)
        out = np.full(len(values), -1, dtype=np.int64)
        for i, (low, high) in enumerate(self.ranges):
            out[(values >= low) & (values < high)] = i
        if self.layer is not None:
            place = buckets(f"__{self.layer.name}", units, version=1)
            out[~((place >= self.layer.start) & (place < self.layer.end))] = -1
        if self.holdout is not None:
            out[buckets(self.holdout.seed, units) < self.holdout.share] = -1
        return out

    def arms_of(self, units: Any) -> Any:
        """Return the arm of each unit as an Arrow array, null for those that take no part.

        As a function of DuckDB: `con.create_function("arm_of", a.arms_of, ["VARCHAR"], "VARCHAR",
        type="arrow", null_handling="special")`.

        Raises:
            DataError: the ids are neither texts nor whole numbers.

        >>> Allocation("free-shipping", ("control", "free")).arms_of(["visitor-7", ""]).to_pylist()
        ['free', None]
        """
        import pyarrow as pa

        place = self.assign_many(units)
        return pa.array(self.arms, pa.string()).take(pa.array(place, pa.int64(), mask=place < 0))

    def assign_sql(self, column: str) -> str:
        """Return a DuckDB expression for the arm of the ids in the expression `column`.

        >>> import duckdb
        >>> a = Allocation("free-shipping", ("control", "free"))
        >>> duckdb.sql("SELECT " + a.assign_sql("'visitor-7'")).fetchone()
        ('free',)
        """
        doors = []
        if self.holdout is not None:
            doors.append(f"{bucket_sql(self.holdout.seed, column)} >= {self.holdout.share!r}")
        if self.layer is not None:
            place = bucket_sql(f"__{self.layer.name}", column, version=1)
            doors.append(f"{place} >= {self.layer.start!r} AND {place} < {self.layer.end!r}")
        mine = bucket_sql(self.seed, column, self.hash_version)
        arms = " ".join(
            f"WHEN b >= {low!r} AND b < {high!r} THEN {literal(arm)}"
            for arm, (low, high) in zip(self.arms, self.ranges, strict=True)
        )
        # The bucket is made once and looked up in every range through a list of one.
        chosen = f"list_transform([{mine}], lambda b: CASE {arms} END)[1]"
        return f"CASE WHEN {' AND '.join(doors)} THEN {chosen} END" if doors else chosen

    @classmethod
    def from_growthbook(cls, data: Mapping[str, Any]) -> Allocation:
        """Return the allocation of an experiment as GrowthBook's SDKs declare it.

        Read are key, seed, hashVersion, variations or meta, weights, coverage, ranges, namespace,
        bucketVersion and minBucketVersion; conditions are not: filter the units before.

        Raises:
            DefinitionError: there are not two variations.
        """
        meta = data.get("meta") or [{} for _ in data.get("variations", ())]
        arms = tuple(str(m.get("key", i)) for i, m in enumerate(meta))
        given = data.get("ranges")
        ranges = (
            tuple((float(low), float(high)) for low, high in given)
            if given
            else arm_ranges(max(len(arms), 1), data.get("coverage", 1.0), data.get("weights"))
        )
        place = data.get("namespace")
        return cls(
            key=data["key"],
            arms=arms,
            layer=Layer(*place) if place else None,
            seed=data.get("seed", ""),
            hash_version=data.get("hashVersion", 1),
            version=data.get("bucketVersion", 0),
            blocked_below=data.get("minBucketVersion", 0),
            ranges=ranges,
        )


def _check_arms(key: str, arms: tuple[str, ...]) -> None:
    if not key:
        raise DefinitionError("an experiment needs a key.")
    if len(arms) < 2 or len(set(arms)) != len(arms) or not all(arms):
        raise DefinitionError(f"{key}: needs two or more arms with different names, got {arms}.")


def _check_weights(a: Allocation) -> None:
    if len(a.weights) != len(a.arms):
        raise DefinitionError(f"{a.key}: {len(a.weights)} weights for {len(a.arms)} arms.")
    if not all(math.isfinite(w) and w > 0 for w in a.weights):
        raise DefinitionError(
            f"{a.key}: every arm needs a weight above 0, got {a.weights}; leave an empty arm out."
        )
    if abs(sum(a.weights) - 1) > 1e-6:
        raise DefinitionError(
            f"{a.key}: weights must add up to 1, got {a.weights}, which is {sum(a.weights):g}."
        )
    if not 0 < a.coverage <= 1:
        raise DefinitionError(f"{a.key}: coverage must fulfil 0 < coverage <= 1, got {a.coverage}.")


def _check_ranges(a: Allocation) -> None:
    if len(a.ranges) != len(a.arms):
        raise DefinitionError(f"{a.key}: {len(a.ranges)} ranges for {len(a.arms)} arms.")
    for low, high in a.ranges:
        # A hair above 1 is what adding weights leaves.
        if not 0 <= low <= high <= 1 + 1e-9:
            raise DefinitionError(f"{a.key}: a range must lie within 0 and 1, got {low} to {high}.")
    ordered = sorted(r for r in a.ranges if r[0] < r[1])
    if not ordered:
        raise DefinitionError(f"{a.key}: no arm has any unit.")
    for (_, end), (start, _) in itertools.pairwise(ordered):
        if start < end - 1e-9:
            raise DefinitionError(
                f"{a.key}: arms overlap: one reaches {end:g}, another starts at {start:g}."
            )
