"""Soundness: what can spoil an experiment is looked for before its effects are believed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from cartcast.events.sql import identifier, literal
from cartcast.experiments import codes
from cartcast.experiments.difference import compare
from cartcast.experiments.exact import LEAST_EVENTS
from cartcast.experiments.group_sequential import Look
from cartcast.experiments.metrics import Mean, Metric, Quantile
from cartcast.experiments.moments import Moments
from cartcast.experiments.plan import Plan
from cartcast.experiments.results import Comparison
from cartcast.experiments.sample_ratio import ALARM, SampleRatio, chi_squared, sample_ratio
from cartcast.experiments.units import UnitTable
from cartcast.findings import Finding, finding

__all__ = [
    "LEAST_UNITS",
    "check_comparison",
    "check_exposures",
    "check_history",
    "ratio_findings",
    "ratio_of",
    "segment_ratios",
    "still_running",
]

LEAST_UNITS = 30
"""Units of an arm below which there is no interval and no p-value."""


def check_exposures(units: UnitTable, plan: Plan) -> Iterator[Finding]:
    """Yield what is wrong with the arms; keep declared arms, and each unit in its first one."""
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


def ratio_of(units: UnitTable, plan: Plan, day: str | None) -> SampleRatio:
    """Return the sample ratio, by day of exposure where the table has one."""
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


def ratio_findings(ratio: SampleRatio) -> list[Finding]:
    """Return the alarm, if there is one."""
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


def segment_ratios(units: UnitTable, plan: Plan) -> Iterator[Finding]:
    """Yield segments in which the arms do not have their shares: a browser that loses an arm, say.

    All segments are tested together (Bonferroni), by the test that is valid for one look.
    """
    shares = plan.allocation.shares()
    counted = f"count(DISTINCT {identifier(units.cluster)})" if units.cluster else "count(*)"
    tests = []
    for column in plan.segments:
        units.require([column])
        cells: dict[Any, dict[str, int]] = {}
        for value, arm, n in units.rows(
            f"SELECT CAST({identifier(column)} AS VARCHAR), {identifier(units.arm)}, {counted} "
            f"FROM {units.relation} GROUP BY 1, 2"
        ):
            cells.setdefault(value, {})[arm] = n
        for value, counts in cells.items():
            p = chi_squared([counts.get(a, 0) for a in shares], list(shares.values()))
            tests.append((p, column, value, counts))
    for p, column, value, counts in sorted(tests, key=lambda t: t[0]):
        if p * len(tests) < ALARM:
            got = ", ".join(f"{a} {counts.get(a, 0):,}" for a in shares)
            where = f"{column} {'unknown' if value is None else value}"
            text = f"in {where} units are {got} (p = {p * len(tests):.2g} corrected)."
            yield finding(codes.SAMPLE_RATIO, text, p_value=p * len(tests), segment=where)


def check_history(whole: Mapping[tuple[Any, ...], Moments], plan: Plan) -> list[Finding]:
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
        test = compare(*metric.pair(a, b)).absolute
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


def still_running(done: float | None, look: Look | None) -> Finding:
    """Return the finding of a test before its planned end."""
    share = "" if done is None else f" ({done:.0%} of the expected units are there)"
    how = f"; at this look |z| must pass {look.bound:.2f}" if look else ""
    return finding(codes.STILL_RUNNING, f"the planned end is not reached{share}{how}.")


def peeked(times: int) -> Finding:
    """Return the finding of a test that was looked at with fewer units than now."""
    how = "once" if times == 1 else f"{times} times"
    return finding(codes.PEEKED, f"looked at {how} before, with fewer units.", count=times)


def check_comparison(c: Comparison, metric: Metric, plan: Plan) -> Iterator[Finding]:
    """Yield what a reader of one comparison must know."""
    where = f"{c.metric}, {c.arm}" + (f", {c.segment[0]} = {c.segment[1]}" if c.segment else "")
    if min(c.units, c.units_control) < LEAST_UNITS:
        n = min(c.units, c.units_control)
        yield finding(codes.FEW_UNITS, f"{where}: an arm has {n} units, {LEAST_UNITS} are needed.")
        return
    d = c.difference
    if d.absolute is None:
        nothing = all(v == 0 or math.isnan(v) for v in (d.control, d.treatment))
        code = codes.NO_EVENTS if nothing else codes.NO_VARIANCE
        yield finding(code, f"{where}: {'no events' if nothing else 'no variance'}.")
        return
    if d.relative is None and not (c.exact or isinstance(metric, Quantile)):
        yield finding(codes.NO_RELATIVE, f"{where}: the control's value is {d.control:.4g}.")
    if c.exact:
        yield finding(
            codes.FEW_EVENTS, f"{where}: an arm has fewer than {LEAST_EVENTS} such units."
        )
    if c.guardrail is not None and not c.guardrail.excludes_null:
        end = c.guardrail.low if metric.better == "higher" else c.guardrail.high
        yield finding(
            codes.GUARDRAIL,
            f"{where}: the change may be {end:+.2%}, tolerated is {metric.margin:.2%}.",
        )
