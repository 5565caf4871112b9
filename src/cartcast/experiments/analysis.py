"""Analysis: every arm against the control, for every metric and segment, with what spoils it.

The order is that of trust: are the data sound (sample ratio, exposures, history), then effects,
then what many comparisons and early looks do to them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cartcast.errors import DataError, DefinitionError
from cartcast.experiments.bayes import posterior
from cartcast.experiments.corrections import adjust_within
from cartcast.experiments.difference import Difference, Estimate, Linear, Mix, compare
from cartcast.experiments.exact import Yes, always_valid_share, exact_share, few_events
from cartcast.experiments.group_sequential import Look, looks
from cartcast.experiments.metrics import UNITS, Metric, Proportion, Quantile
from cartcast.experiments.moments import Moments
from cartcast.experiments.plan import Plan
from cartcast.experiments.quantiles import quantile
from cartcast.experiments.results import Analysis, Comparison, Segment
from cartcast.experiments.sequence import TUNED_FOR, always_valid
from cartcast.experiments.shrinkage import shrink
from cartcast.experiments.soundness import (
    LEAST_UNITS,
    check_comparison,
    check_exposures,
    check_history,
    peeked,
    ratio_findings,
    ratio_of,
    segment_ratios,
    still_running,
)
from cartcast.experiments.strata import stratified
from cartcast.experiments.units import UnitTable, open_units
from cartcast.findings import by_severity

__all__ = ["analyze"]

Group = tuple[Any, ...]
Pair = tuple[Linear, Linear, Mix | None]
MOST_STRATA = 1_000
"""Values of a column of strata: more would be ids."""


def analyze(
    source: Any,
    plan: Plan,
    *,
    arm: str = "arm",
    day: str | None = None,
    running: bool = False,
    information: Sequence[float] = (),
    memory: str | int | None = None,
) -> Analysis:
    """Return the analysis of a table of units: one row a unit, with its arm and its columns.

    Args:
        source: Parquet or CSV file, Arrow table or data frame.
        plan: the experiment's plan.
        arm: column of the arm.
        day: column of the day of exposure, for the sequential test of the sample ratio; without,
            the columns `day` or `exposed` if there are such.
        running: whether the planned end has not been reached.
        information: shares of the expected units at the looks before this one.
        memory: limit of the engine, such as `2GB`.

    Raises:
        DataError: a column is missing, a value is no number, or a unit has several rows.
        DefinitionError: looks are planned without the expected units that they are shares of.
    """
    ids = [name for name in (arm, plan.unit, plan.cluster) if name]
    with open_units(source, arm=arm, cluster=plan.cluster, texts=ids, memory=memory) as units:
        found = list(check_exposures(units, plan))
        ratio = ratio_of(units, plan, day)
        found += ratio_findings(ratio)
        found += segment_ratios(units, plan)
        needs = [c for c in plan.needs() if c != UNITS]
        whole = units.moments(needs)
        found += check_history(whole, plan)
        made = list(_comparisons(units, plan, whole, _strata(units, plan)))
        for column in plan.segments:
            made += _segment(units, plan, needs, column)
    done = None if not plan.expected_units else sum(ratio.units.values()) / plan.expected_units
    look = _look(plan, done, information)
    running = running or (done is not None and done < 1 - 1e-9)
    if running:
        found.append(still_running(done, look))
    # What was seen at the planned end, or since, is the end itself.
    early = [t for t in information if t < min(done or 1.0, 1.0)]
    if early and not plan.looks:
        found.append(peeked(len(early)))
    for comparison, metric in made:
        found += check_comparison(comparison, metric, plan)
    comparisons = _corrected([c for c, _ in made], plan)
    return Analysis(
        plan.allocation.key, plan.control, ratio, tuple(comparisons), look, done, plan.level,
        plan.correction, plan.scope, tuple(by_severity(found)),
    )  # fmt: skip


def _comparisons(
    units: UnitTable,
    plan: Plan,
    moments: Mapping[Group, Moments],
    strata: Mapping[str, Mapping[Group, Mapping[Any, Moments]]],
    segment: Segment | None = None,
) -> Iterator[tuple[Comparison, Metric]]:
    rest = () if segment is None else (segment[1],)
    for name, metric in plan.metrics.items():
        for arm in plan.allocation.arms[1:]:
            a, b = moments.get((plan.control, *rest)), moments.get((arm, *rest))
            if a is None or b is None:
                continue
            pair: Pair | None
            raw, few = 0.0, None
            if isinstance(metric, Quantile):
                pair = _quantiles(units, metric, plan.control, arm, segment)
            else:
                used = metric.clustered() if plan.cluster else metric
                pair = (*used.pair(a, b), None)
                raw = sum(arm.raw_variance / arm.n for arm in pair[:2])
                if cells := strata.get(metric.strata or ""):
                    pair = stratified(metric, cells[(plan.control, *rest)], cells[(arm, *rest)])
                few = None if plan.cluster else _few(metric, a, b)
            yield _compared(name, metric, arm, segment, (a.n, b.n), pair, raw, few, plan), metric


def _quantiles(
    units: UnitTable, metric: Quantile, control: str, arm: str, segment: Segment | None
) -> Pair | None:
    made = []
    for name in (control, arm):
        values, clusters = units.values(metric.value, name, segment)
        made.append(quantile(values, metric.q, clusters))
    return None if made[0] is None or made[1] is None else (made[0], made[1], None)


def _compared(
    name: str,
    metric: Metric,
    arm: str,
    segment: Segment | None,
    n: tuple[int, int],
    pair: Pair | None,
    raw: float,
    few: tuple[Yes, Yes] | None,
    plan: Plan,
) -> Comparison:
    """Compare two arms; `raw` is the variance of the difference without covariate and strata."""
    if pair is None or min(n) < LEAST_UNITS:
        values = (math.nan, math.nan) if pair is None else (pair[0].value, pair[1].value)
        return Comparison(name, arm, segment, *n, Difference(*values, None, None))
    d = compare(*pair, level=plan.level)
    adjusts = not isinstance(metric, Quantile) and (
        metric.strata is not None or len(metric.needs) > len(metric.columns)
    )
    explained = 1 - d.absolute.error**2 / raw if adjusts and d.absolute and raw > 0 else None
    tuned = plan.expected_units or TUNED_FOR
    always = d.absolute and always_valid(d.absolute, sum(n), tuned)
    if few is not None and d.absolute is not None:
        fixed = exact_share(*few, level=plan.level)
        d = Difference(few[0].value, few[1].value, fixed, None)
        always, explained = always_valid_share(fixed, *few, tuned), None
    return Comparison(
        metric=name,
        arm=arm,
        segment=segment,
        units_control=n[0],
        units=n[1],
        difference=d,
        always_valid=always,
        always_valid_relative=d.relative and always_valid(d.relative, sum(n), tuned),
        posterior=(
            posterior(d.relative, plan.prior, level=plan.level, higher=metric.better == "higher")
            if d.relative
            else None
        ),
        guardrail=_guardrail(metric, pair, plan.level),
        explained=explained,
        exact=few is not None and d.absolute is not None,
    )


def _few(metric: Metric, a: Moments, b: Moments) -> tuple[Yes, Yes] | None:
    """Return how many units of both arms say yes, where they are few."""
    if not isinstance(metric, Proportion):
        return None
    for m in (a, b):
        p, i = m.mean_of(metric.value), m.columns.index(metric.value)
        if abs(m.cov[i, i] * (m.n - 1) / m.n - p * (1 - p)) > 1e-6:
            raise DataError(f"{metric.value}: a proportion needs 0 and 1; take a mean of others.")
    control, treatment = (Yes(round(m.mean_of(metric.value) * m.n), m.n) for m in (a, b))
    return (control, treatment) if few_events(control, treatment) else None


def _strata(
    units: UnitTable, plan: Plan, by: Sequence[str] = ()
) -> dict[str, dict[Group, dict[Any, Moments]]]:
    """Return moments by column of strata, by arm (and `by`), and by stratum."""
    out: dict[str, dict[Group, dict[Any, Moments]]] = {}
    for column in plan.strata:
        if column in by:
            continue
        needs = [
            c
            for m in plan.metrics.values()
            if not isinstance(m, Quantile) and m.strata == column
            for c in m.needs
        ]
        cells: dict[Group, dict[Any, Moments]] = {}
        for group, moments in units.moments(list(dict.fromkeys(needs)), by=[*by, column]).items():
            cells.setdefault(group[:-1], {})[group[-1]] = moments
        if (most := max(len(values) for values in cells.values())) > MOST_STRATA:
            raise DataError(f"strata: {column!r} has {most} values, {MOST_STRATA} at most.")
        out[column] = cells
    return out


def _guardrail(metric: Metric, pair: Pair, level: float) -> Estimate | None:
    if metric.margin is None:
        return None
    if metric.better == "higher":
        return compare(*pair, level=level, alternative="greater", margin=-metric.margin).relative
    return compare(*pair, level=level, alternative="less", margin=metric.margin).relative


def _segment(
    units: UnitTable, plan: Plan, needs: Sequence[str], column: str
) -> list[tuple[Comparison, Metric]]:
    groups = units.moments(needs, by=[column])
    strata = _strata(units, plan, [column])
    made: list[tuple[Comparison, Metric]] = []
    for value in dict.fromkeys(group[1] for group in groups):
        made += _comparisons(units, plan, groups, strata, (column, value))
    out = []
    for name in plan.metrics:
        for arm in plan.allocation.arms[1:]:
            mine = [(c, m) for c, m in made if (c.metric, c.arm) == (name, arm)]
            drawn = iter(shrink([c.difference.absolute for c, _ in mine]))
            out += [(replace(c, shrunk=next(drawn)), m) for c, m in mine]
    return out


def _look(plan: Plan, done: float | None, before: Sequence[float]) -> Look | None:
    if plan.looks and done is None:
        raise DefinitionError(
            f"{plan.allocation.key}: looks are shares of expected_units, which the plan lacks."
        )
    if not plan.looks or done is None or done <= 0:
        return None
    # Units may be fewer than at a look before, when late exposures are left out.
    return looks([*(t for t in before if t < done), done], 1 - plan.level)[-1]


def _corrected(comparisons: list[Comparison], plan: Plan) -> list[Comparison]:
    """Correct the p-values of goal metrics; guardrails must each hold and are not corrected.

    Segments are looked into after the fact and are corrected apart from the whole.
    """
    p: dict[int, float | None] = {}
    for i, c in enumerate(comparisons):
        goal = plan.metrics[c.metric].margin is None
        p[i] = c.difference.absolute.p_value if goal and c.difference.absolute else None

    def scope(i: int) -> tuple[Any, ...]:
        c = comparisons[i]
        return c.segment is None, *(getattr(c, name) for name in plan.scope)

    adjusted = adjust_within(p, scope, plan.correction)
    return [replace(c, adjusted=adjusted[i]) for i, c in enumerate(comparisons)]
