"""Analysis: every arm against the control, for every metric and segment, with what spoils it.

The order is that of trust: are the data sound (sample ratio, exposures, history), then effects,
then what many comparisons and early looks do to them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from cartcast.errors import DataError
from cartcast.events.sql import identifier, literal
from cartcast.experiments import codes
from cartcast.experiments.bayes import Posterior, posterior
from cartcast.experiments.corrections import adjust_within
from cartcast.experiments.difference import Difference, Estimate, Linear, compare
from cartcast.experiments.group_sequential import Look, looks
from cartcast.experiments.metrics import UNITS, Mean, Metric, Proportion, Quantile
from cartcast.experiments.moments import Moments
from cartcast.experiments.plan import Plan
from cartcast.experiments.quantiles import quantile
from cartcast.experiments.sample_ratio import ALARM, SampleRatio, sample_ratio
from cartcast.experiments.sequence import TUNED_FOR, always_valid
from cartcast.experiments.shrinkage import shrink
from cartcast.experiments.units import UnitTable, open_units
from cartcast.findings import Finding, by_severity, finding

__all__ = ["LEAST_UNITS", "Analysis", "Comparison", "analyze"]

LEAST_UNITS = 30
"""Units of an arm below which there is no interval and no p-value."""
LEAST_EVENTS = 10
"""Units on either side of yes and no below which a share's interval holds only roughly."""
Segment = tuple[str, Any]


@dataclass(frozen=True)
class Comparison:
    """One arm against the control in one metric.

    Attributes:
        metric: name of the metric.
        arm: the arm.
        segment: column and value it is limited to; None: all units.
        units_control: randomised units of the control.
        units: randomised units of the arm.
        difference: the fixed test: valid once, at the planned end.
        always_valid: the absolute difference with an interval that holds at every look.
        always_valid_relative: the same for the relative difference.
        posterior: of the relative difference under the plan's prior.
        guardrail: for a guardrail, the one-sided test that the arm is not worse than the margin.
        adjusted: p-value corrected for the other comparisons (of all units, or of the segments);
            None for guardrails and where there is no p-value.
        explained: share of the variance that the covariate takes away; None without one.
        shrunk: for a segment, the effect drawn towards that of all segments together.
    """

    metric: str
    arm: str
    segment: Segment | None
    units_control: int
    units: int
    difference: Difference
    always_valid: Estimate | None = None
    always_valid_relative: Estimate | None = None
    posterior: Posterior | None = None
    guardrail: Estimate | None = None
    adjusted: float | None = None
    explained: float | None = None
    shrunk: Estimate | None = None


@dataclass(frozen=True)
class Analysis:
    """What an experiment says so far.

    Attributes:
        experiment: its key.
        control: the arm that the others are compared with.
        sample_ratio: units by arm against the intended shares.
        comparisons: every metric, arm and segment.
        look: the bound that |z| must pass at this look, where looks were planned; else None.
        progress: share of the expected units that is there; None where none were planned.
        level: confidence of the intervals.
        correction: how p-values were corrected, and `scope` within what.
        scope: see `Plan.scope`.
        findings: what a reader must know, the gravest first.
    """

    experiment: str
    control: str
    sample_ratio: SampleRatio
    comparisons: tuple[Comparison, ...]
    look: Look | None
    progress: float | None
    level: float
    correction: str
    scope: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def trusted(self) -> bool:
        """Whether no finding blocks."""
        return all(f.severity != "block" or f.waived for f in self.findings)

    def get(self, metric: str, arm: str, segment: Segment | None = None) -> Comparison:
        """Return one comparison.

        Raises:
            DataError: there is none.
        """
        for c in self.comparisons:
            if (c.metric, c.arm, c.segment) == (metric, arm, segment):
                return c
        raise DataError(f"no comparison of {metric!r} for arm {arm!r} in segment {segment}.")

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**asdict(self), "trusted": self.trusted,
                "findings": [f.as_dict() for f in self.findings]}  # fmt: skip


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
    """
    with open_units(source, arm=arm, cluster=plan.cluster, memory=memory) as units:
        found = list(_exposures(units, plan))
        ratio = _ratio(units, plan, day)
        found += _ratio_findings(ratio)
        needs = [c for c in plan.needs() if c != UNITS]
        whole = units.moments(needs)
        found += _history(whole, plan)
        made = list(_comparisons(units, plan, whole))
        for column in plan.segments:
            made += _segment(units, plan, needs, column)
    done = None if not plan.expected_units else sum(ratio.units.values()) / plan.expected_units
    look = _look(plan, done, information)
    running = running or (done is not None and done < 1 - 1e-9)
    if running:
        found.append(_running(done, look))
    if information and not plan.looks:
        found.append(finding(codes.PEEKED, f"looked at {len(information)} times before this one."))
    for comparison, metric in made:
        found += _checks(comparison, metric, plan)
    comparisons = _corrected([c for c, _ in made], plan)
    return Analysis(
        plan.allocation.key, plan.control, ratio, tuple(comparisons), look, done, plan.level,
        plan.correction, plan.scope, tuple(by_severity(found)),
    )  # fmt: skip


def _exposures(units: UnitTable, plan: Plan) -> Iterator[Finding]:
    arms = plan.allocation.arms
    listed = ", ".join(literal(a) for a in arms)
    column = identifier(units.arm)
    strange = units.rows(
        f"SELECT count(*) FROM {units.relation} WHERE CAST({column} AS VARCHAR) IS NULL "
        f"OR CAST({column} AS VARCHAR) NOT IN ({listed})"
    )[0][0]
    units.connection.execute(
        f"CREATE TEMP VIEW declared_units AS SELECT * REPLACE (CAST({column} AS VARCHAR) AS "
        f"{column}) FROM {units.relation} WHERE CAST({column} AS VARCHAR) IN ({listed})"
    )
    units.relation = "declared_units"
    if strange:
        yield finding(
            codes.UNKNOWN_ARM, f"{strange} units have none of the arms {', '.join(arms)}.",
            count=strange,
        )  # fmt: skip
    unit = plan.unit if plan.unit in units.columns else None
    if unit or units.cluster:
        twice = units.check_units(unit, plan.control)
        if twice:
            yield finding(
                codes.IN_TWO_ARMS, f"{twice} units were in more than one arm.", count=twice
            )
    have = units.counts()
    for name in arms:
        if name not in have:
            yield finding(codes.ARM_WITHOUT_UNITS, f"arm {name!r} has no units.")


def _ratio(units: UnitTable, plan: Plan, day: str | None) -> SampleRatio:
    shares = plan.allocation.shares()
    counts = units.counts()
    column = day or next((c for c in ("day", "exposed") if c in units.columns), None)
    if column is None:
        return sample_ratio(counts, shares)
    units.require([column])
    key = units.cluster and identifier(units.cluster)
    moment = f"CAST({identifier(column)} AS DATE)"
    name = identifier(units.arm)
    # A cluster counts on the day its first unit came.
    firsts = (
        f"SELECT {name} AS a, min({moment}) AS d FROM {units.relation} GROUP BY {name}, {key}"
        if key
        else f"SELECT {name} AS a, {moment} AS d FROM {units.relation}"
    )
    found = units.rows(f"SELECT d, a, count(*) FROM ({firsts}) GROUP BY d, a ORDER BY d")
    table: dict[Any, dict[str, int]] = {}
    for d, a, n in found:
        table.setdefault(d, {})[a] = n
    daily = [[row.get(a, 0) for a in shares] for row in table.values()]
    return sample_ratio(counts, shares, daily)


def _ratio_findings(ratio: SampleRatio) -> list[Finding]:
    if not ratio.wrong:
        return []
    got = ", ".join(f"{a} {n:,}" for a, n in ratio.units.items())
    meant = ", ".join(f"{s:.4g}" for s in ratio.shares.values())
    p = ratio.p_value if ratio.always_valid is None else ratio.always_valid
    return [
        finding(
            codes.SAMPLE_RATIO, f"units are {got}, meant were shares of {meant} (p = {p:.2g}).",
            p_value=p, units=dict(ratio.units),
        )
    ]  # fmt: skip


def _history(whole: Mapping[tuple[Any, ...], Moments], plan: Plan) -> list[Finding]:
    """Compare what the arms did before: differences there are no effects of the experiment."""
    pairs = [
        (column, arm)
        for column in dict.fromkeys(
            m.covariate for m in plan.metrics.values() if isinstance(m, Mean) and m.covariate
        )
        for arm in plan.allocation.arms[1:]
    ]
    out, seen = [], set()
    for column, arm in pairs:
        a, b = whole.get((plan.control,)), whole.get((arm,))
        if a is None or b is None or min(a.n, b.n) < LEAST_UNITS:
            continue
        metric = Mean(column).clustered() if plan.cluster else Mean(column)
        both = a + b
        test = compare(metric.linear(a, both), metric.linear(b, both)).absolute
        if test is None and column not in seen:
            seen.add(column)
            out.append(finding(codes.NO_PRE_PERIOD, f"{column} is the same for all units."))
        elif test is not None and test.p_value < ALARM / len(pairs):
            out.append(
                finding(
                    codes.DIFFERENT_BEFORE,
                    f"{arm} differs from {plan.control} in {column} by {test.value:.4g} "
                    f"(p = {test.p_value:.2g}).",
                    p_value=test.p_value,
                )
            )
    return out


def _comparisons(
    units: UnitTable,
    plan: Plan,
    moments: Mapping[tuple[Any, ...], Moments],
    segment: Segment | None = None,
) -> Iterator[tuple[Comparison, Metric]]:
    rest = () if segment is None else (segment[1],)
    for name, metric in plan.metrics.items():
        for arm in plan.allocation.arms[1:]:
            a, b = moments.get((plan.control, *rest)), moments.get((arm, *rest))
            if a is None or b is None:
                continue
            if isinstance(metric, Quantile):
                pair = _quantiles(units, metric, plan.control, arm, segment)
            else:
                used = metric.clustered() if plan.cluster else metric
                both = a + b
                pair = used.linear(a, both), used.linear(b, both)
            yield _compared(name, metric, arm, segment, (a.n, b.n), pair, plan), metric


def _quantiles(
    units: UnitTable, metric: Quantile, control: str, arm: str, segment: Segment | None
) -> tuple[Linear, Linear] | None:
    made = []
    for name in (control, arm):
        values, clusters = units.values(metric.value, name, segment)
        made.append(quantile(values, metric.q, clusters))
    return None if made[0] is None or made[1] is None else (made[0], made[1])


def _compared(
    name: str,
    metric: Metric,
    arm: str,
    segment: Segment | None,
    n: tuple[int, int],
    pair: tuple[Linear, Linear] | None,
    plan: Plan,
) -> Comparison:
    enough = pair is not None and min(n) >= LEAST_UNITS
    if pair is None or not enough:
        values = (math.nan, math.nan) if pair is None else (pair[0].value, pair[1].value)
        return Comparison(name, arm, segment, *n, Difference(*values, None, None))
    d = compare(*pair, level=plan.level)
    tuned = plan.expected_units or TUNED_FOR
    raw = pair[0].raw_variance / pair[0].n + pair[1].raw_variance / pair[1].n
    left = pair[0].variance / pair[0].n + pair[1].variance / pair[1].n
    adjusts = not isinstance(metric, Quantile) and len(metric.needs) > len(metric.columns)
    return Comparison(
        metric=name,
        arm=arm,
        segment=segment,
        units_control=n[0],
        units=n[1],
        difference=d,
        always_valid=d.absolute and always_valid(d.absolute, sum(n), tuned),
        always_valid_relative=d.relative and always_valid(d.relative, sum(n), tuned),
        posterior=(
            posterior(d.relative, plan.prior, level=plan.level, higher=metric.better == "higher")
            if d.relative
            else None
        ),
        guardrail=_guardrail(metric, pair, plan.level),
        explained=1 - left / raw if adjusts and raw > 0 else None,
    )


def _guardrail(metric: Metric, pair: tuple[Linear, Linear], level: float) -> Estimate | None:
    if metric.margin is None:
        return None
    if metric.better == "higher":
        return compare(*pair, level=level, alternative="greater", margin=-metric.margin).relative
    return compare(*pair, level=level, alternative="less", margin=metric.margin).relative


def _segment(
    units: UnitTable, plan: Plan, needs: Sequence[str], column: str
) -> list[tuple[Comparison, Metric]]:
    groups = units.moments(needs, by=[column])
    made: list[tuple[Comparison, Metric]] = []
    for value in dict.fromkeys(group[1] for group in groups):
        made += _comparisons(units, plan, groups, (column, value))
    out = []
    for name in plan.metrics:
        for arm in plan.allocation.arms[1:]:
            mine = [(c, m) for c, m in made if (c.metric, c.arm) == (name, arm)]
            drawn = iter(shrink([c.difference.absolute for c, _ in mine]))
            out += [(replace(c, shrunk=next(drawn)), m) for c, m in mine]
    return out


def _look(plan: Plan, done: float | None, before: Sequence[float]) -> Look | None:
    if not plan.looks or done is None or done <= 0:
        return None
    # Units may be fewer than at a look before, when late exposures are left out.
    return looks([*(t for t in before if t < done), done], 1 - plan.level)[-1]


def _running(done: float | None, look: Look | None) -> Finding:
    share = "" if done is None else f" ({done:.0%} of the expected units are there)"
    how = f"; at this look |z| must pass {look.bound:.2f}" if look else ""
    return finding(codes.STILL_RUNNING, f"the planned end is not reached{share}{how}.")


def _checks(c: Comparison, metric: Metric, plan: Plan) -> Iterator[Finding]:
    where = f"{c.metric}, {c.arm}" + (f", {c.segment[0]} = {c.segment[1]}" if c.segment else "")
    if min(c.units, c.units_control) < LEAST_UNITS:
        n = min(c.units, c.units_control)
        yield finding(codes.FEW_UNITS, f"{where}: an arm has {n} units, {LEAST_UNITS} are needed.")
        return
    d = c.difference
    if d.absolute is None:
        nothing = d.control == 0 and d.treatment == 0
        code = codes.NO_EVENTS if nothing else codes.NO_VARIANCE
        yield finding(code, f"{where}: {'no events' if nothing else 'no variance'}.")
        return
    if d.relative is None and not isinstance(metric, Quantile):
        yield finding(codes.NO_RELATIVE, f"{where}: the control's value is {d.control:.4g}.")
    if isinstance(metric, Proportion) and not plan.cluster:
        rare = min(
            min(p, 1 - p) * n for p, n in ((d.control, c.units_control), (d.treatment, c.units))
        )
        if rare < LEAST_EVENTS:
            yield finding(codes.FEW_EVENTS, f"{where}: only about {max(rare, 0):.0f} units differ.")
    if c.guardrail is not None and not c.guardrail.excludes_null:
        end = c.guardrail.low if metric.better == "higher" else c.guardrail.high
        yield finding(
            codes.GUARDRAIL,
            f"{where}: the change may be {end:+.2%}, tolerated is {metric.margin:.2%}.",
        )


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
