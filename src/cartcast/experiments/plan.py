"""The plan of an experiment: what is compared, how, and when one may look; from YAML."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from cartcast.errors import DefinitionError, NotFoundError, did_you_mean
from cartcast.experiments.allocation import Allocation, Holdout, Layer
from cartcast.experiments.bayes import FLAT, Prior
from cartcast.experiments.corrections import CORRECTIONS
from cartcast.experiments.metrics import Mean, Metric, Proportion, Quantile, Ratio
from cartcast.experiments.plan_words import REFUSED, built, check_kinds, is_a, moment
from cartcast.experiments.quantities import Quantity
from cartcast.yamlfile import read_yaml

__all__ = ["Plan", "plan_from", "read_plan", "read_plans"]

_KNOWN = (
    "key", "arms", "coverage", "layer", "holdout", "seed", "hash_version", "design", "metrics",
    "quantities", "unit", "cluster", "start", "end", "expected_units", "looks", "level",
    "correction", "scope", "prior", "segments", "version", "blocked_below",
)  # fmt: skip
_SCOPES = ("metric", "arm", "segment")
AMOUNTS = ("revenue", "order_value", "line_value", "price")
"""Columns of a log that hold money."""
_KINDS: dict[str, tuple[type[Any], str]] = {
    "proportion": (Proportion, "value"),
    "mean": (Mean, "value"),
    "ratio": (Ratio, "numerator"),
    "quantile": (Quantile, "value"),
}


@dataclass(frozen=True)
class Plan:
    """One experiment as declared before its start.

    Attributes:
        allocation: arms, weights, layer and holdout; the first arm is the control.
        metrics: what is compared, by name, over columns of the table of units.
        quantities: how the columns come from the log's events, by name; empty for ready tables.
        unit: column of the log (of the table of units) that holds the hashed id.
        cluster: column of what was randomised, where that is larger than the unit.
        start: first moment (UTC) that counts, or None.
        end: planned end (UTC), or None.
        expected_units: units in all arms that were planned for, or None.
        looks: planned looks as shares of the expected units; empty: one, at the end.
        level: confidence of the intervals.
        correction: for many comparisons: `none`, `bonferroni`, `holm`, `holm-sidak`, `hochberg`,
            `hochberg-sidak`, `bh` (Benjamini-Hochberg) or `by` (Benjamini-Yekutieli).
        scope: comparisons are corrected within each metric, arm or segment named here; empty:
            over all of them.
        prior: on the relative effect, for the Bayesian reading.
        segments: columns of the table of units to look into.
    """

    allocation: Allocation
    metrics: Mapping[str, Metric]
    quantities: Mapping[str, Quantity] = field(default_factory=dict)
    unit: str = "unit"
    cluster: str | None = None
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    expected_units: int | None = None
    looks: tuple[float, ...] = ()
    level: float = 0.95
    correction: str = "holm"
    scope: tuple[str, ...] = ()
    prior: Prior = FLAT
    segments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        key = self.allocation.key
        if not self.metrics:
            raise DefinitionError(f"{key}: an experiment needs a metric.")
        if not 0 < self.level < 1:
            raise DefinitionError(f"{key}: level must fulfil 0 < level < 1, got {self.level}.")
        if self.correction not in CORRECTIONS:
            raise DefinitionError(
                f"{key}: unknown correction {self.correction!r}."
                f"{did_you_mean(self.correction, CORRECTIONS)}"
            )
        for name in self.scope:
            if name not in _SCOPES:
                raise DefinitionError(
                    f"{key}: unknown scope {name!r}.{did_you_mean(name, _SCOPES)}"
                )
        if self.start and self.end and self.start >= self.end:
            raise DefinitionError(f"{key}: starts at {self.start} but ends at {self.end}.")
        if self.expected_units is not None and self.expected_units < 2:
            raise DefinitionError(f"{key}: expected_units must be 2 or more.")
        if any(not 0 < t <= 1 for t in self.looks) or list(self.looks) != sorted(set(self.looks)):
            raise DefinitionError(f"{key}: looks must increase within 0 and 1, got {self.looks}.")
        if self.strata and self.cluster:
            raise DefinitionError(f"{key}: strata need units that are randomised one by one.")
        for name in self.known_before():
            if name in self.quantities and self.quantities[name].before is None:
                raise DefinitionError(
                    f"{key}: strata and covariates must be known before the exposure; {name!r} "
                    "lies after it, and may be an effect of it."
                )

    @property
    def control(self) -> str:
        """The arm that the others are compared with."""
        return self.allocation.control

    @property
    def money(self) -> tuple[str, ...]:
        """Metrics that are money per unit: means of a sum of the log's amounts."""
        return tuple(
            name
            for name, m in self.metrics.items()
            if isinstance(m, Mean)
            and (q := self.quantities.get(m.value)) is not None
            and q.kind == "sum"
            and q.column in AMOUNTS
        )

    def closed(self, at: dt.datetime) -> Literal["not started", "ended"] | None:
        """Return why nobody is exposed at a moment (with its zone); None while it runs."""
        if self.start is not None and at < self.start:
            return "not started"
        return "ended" if self.end is not None and at >= self.end else None

    @property
    def strata(self) -> tuple[str, ...]:
        """The columns of strata that metrics name, merged."""
        named = (m.strata for m in self.metrics.values() if not isinstance(m, Quantile))
        return tuple(dict.fromkeys(s for s in named if s is not None))

    def known_before(self) -> tuple[str, ...]:
        """Return the strata and covariates of all metrics."""
        averaged = [m for m in self.metrics.values() if not isinstance(m, Quantile)]
        return (*self.strata, *(c for m in averaged for c in m.needs if c not in m.columns))

    def needs(self) -> tuple[str, ...]:
        """Return the columns of the table of units that the metrics read, merged."""
        return tuple(dict.fromkeys(c for m in self.metrics.values() for c in m.needs))


def read_plan(path: Path | str, name: str | None = None) -> Plan:
    """Read a plan from YAML: one experiment, or the one called `name` under `experiments:`.

    Raises:
        NotFoundError: there is no such file or experiment.
        DefinitionError: it is not a plan.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"{path}: no such plan.")
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise DefinitionError(f"{path}: must hold `name: value` lines.")
    if "experiments" in data:
        found = data["experiments"] or {}
        if not isinstance(found, dict) or not all(isinstance(d, dict) for d in found.values()):
            raise DefinitionError(f"{path}: experiments must be names with `name: value` lines.")
        chosen = name or (next(iter(found)) if len(found) == 1 else None)
        if chosen not in found:
            raise NotFoundError(
                f"{path}: no experiment {chosen!r}.{did_you_mean(str(chosen), found)}"
            )
        data = {"key": chosen, **found[chosen]}
    return plan_from(data)


def read_plans(paths: Iterable[Path | str]) -> dict[str, Plan]:
    """Read all plans of files and folders (`*.yaml`, `*.yml`), by the experiment's key.

    Those of `activations:` are left out: who is in one is decided by its rule, so that nobody is
    exposed who only asks for an arm.

    Raises:
        NotFoundError: a file or folder is not there.
        DefinitionError: one is no plan, a key comes twice, or two share units of one layer.
    """
    found: dict[str, Plan] = {}
    ruled: set[str] = set()
    for path in map(Path, paths):
        inside = sorted(p for p in path.glob("*") if p.suffix in (".yaml", ".yml"))
        if path.is_dir() and not inside:
            raise NotFoundError(f"{path}: no plan (*.yaml) in this folder.")
        for file in inside or [path]:
            if not file.is_file():
                raise NotFoundError(f"{file}: no such plan.")
            data = read_yaml(file)
            named = data.get("experiments") if isinstance(data, dict) else None
            for key in named if isinstance(named, dict) else (None,):
                plan = read_plan(file, key)
                if plan.allocation.key in found:
                    raise DefinitionError(f"{file}: {plan.allocation.key!r} is declared twice.")
                found[plan.allocation.key] = plan
            acts = data.get("activations") if isinstance(data, dict) else None
            for key, act in acts.items() if isinstance(acts, dict) else ():
                ruled.add(str(act.get("experiment", key) if isinstance(act, dict) else key))
    for a, b in itertools.combinations(found.values(), 2):
        _check_apart(a, b)
    return {key: plan for key, plan in found.items() if key not in ruled}


def _check_apart(a: Plan, b: Plan) -> None:
    """Refuse two experiments of one layer that would share units at the same time."""
    one, other = a.allocation.layer, b.allocation.layer
    if one is None or other is None or one.name != other.name or a.unit != b.unit:
        return
    low, high = max(one.start, other.start), min(one.end, other.end)
    begin = max(filter(None, (a.start, b.start)), default=None)
    end = min(filter(None, (a.end, b.end)), default=None)
    if low < high and (begin is None or end is None or begin < end):
        raise DefinitionError(
            f"{a.allocation.key} and {b.allocation.key} overlap in layer {one.name!r} from {low:g} "
            f"to {high:g}: a unit there would be in both."
        )


def plan_from(data: Mapping[str, Any]) -> Plan:
    """Return a plan from plain data.

    Raises:
        DefinitionError: a name is unknown, a design is not offered, or a value breaks its rule.

    >>> p = plan_from({"key": "k", "arms": {"a": 0.5, "b": 0.5}, "metrics": {
    ...     "conversion": {"proportion": "bought"}}})
    >>> p.metrics["conversion"]
    Proportion(better='higher', margin=None, strata=None, value='bought', covariate=None)
    """
    key = str(data.get("key", "experiment"))
    for name in data:
        if name not in _KNOWN:
            raise DefinitionError(f"{key}: unknown word {name!r}.{did_you_mean(str(name), _KNOWN)}")
    design = data.get("design", "parallel")
    if design != "parallel":
        why = REFUSED.get(design, "there is no such design")
        raise DefinitionError(f"{key}: design {design!r}: {why}; parallel is.")
    check_kinds(key, data)
    try:
        return Plan(
            allocation=_allocation(key, data),
            metrics={str(n): _metric(f"{key}: {n}", d) for n, d in data.get("metrics", {}).items()},
            quantities={str(n): built(Quantity, f"{key}: {n}", d)
                        for n, d in data.get("quantities", {}).items()},
            start=moment(key, data.get("start")),
            end=moment(key, data.get("end")),
            looks=tuple(float(t) for t in data.get("looks", ())),
            scope=tuple(data.get("scope", ())),
            prior=built(Prior, f"{key}: prior", data.get("prior", {})),
            segments=tuple(data.get("segments", ())),
            **{n: data[n] for n in ("unit", "cluster", "expected_units", "level", "correction")
               if n in data},
        )  # fmt: skip
    except (TypeError, AttributeError, ValueError) as error:
        raise DefinitionError(f"{key}: {' '.join(str(error).split())}.") from error


def _allocation(key: str, data: Mapping[str, Any]) -> Allocation:
    arms = data.get("arms")
    if not isinstance(arms, dict | list) or not arms:
        raise DefinitionError(f"{key}: arms must be names, or names with weights.")
    for arm in arms:
        if not is_a(arm, (str, int, float)):
            raise DefinitionError(
                f"{key}: an arm must be a name, got {arm!r}; quote words such as 'on' and 'off'."
            )
    weights = tuple(arms.values()) if isinstance(arms, dict) else ()
    if not all(is_a(w, (int, float)) for w in weights):
        raise DefinitionError(f"{key}: weights of arms must be numbers, got {weights}.")
    return Allocation(
        key=key,
        arms=tuple(str(a) for a in arms),
        weights=tuple(float(w) for w in weights),
        coverage=float(data.get("coverage", 1.0)),
        layer=built(Layer, f"{key}: layer", data["layer"]) if "layer" in data else None,
        holdout=(built(Holdout, f"{key}: holdout", data["holdout"]) if "holdout" in data else None),
        seed=str(data.get("seed", "")),
        **{n: data[n] for n in ("hash_version", "version", "blocked_below") if n in data},
    )


def _metric(where: str, data: Any) -> Metric:
    kinds = [k for k in _KINDS if isinstance(data, dict) and k in data]
    if len(kinds) != 1:
        raise DefinitionError(f"{where}: needs one of {', '.join(_KINDS)}, got {data!r}.")
    kind, column = _KINDS[kinds[0]]
    known = {f.name: f for f in fields(kind)}
    given = {{"by": "denominator", kinds[0]: column}.get(k, k): v for k, v in data.items()}
    for name, value in given.items():
        if name not in known:
            raise DefinitionError(f"{where}: unknown word {name!r}.{did_you_mean(name, known)}")
        number = name in ("q", "margin")
        if value is not None and not is_a(value, (int, float) if number else (str,)):
            what = "a number" if number else "a name"
            raise DefinitionError(f"{where}: {name} must be {what}, got {value!r}.")
    made: Metric = kind(**given)
    return made
