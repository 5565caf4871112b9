"""Measuring: from a clean log and its exposures to the table of units, in one pass of DuckDB.

Sums by unit and day since exposure are made once; the table of units and the effect over time are
read from them, so a hundred million events are scanned once, whatever is asked afterwards.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from cartcast.errors import DataError, DefinitionError
from cartcast.events.engine import translate
from cartcast.events.schema import Clock
from cartcast.events.sql import identifier
from cartcast.experiments import codes
from cartcast.experiments.difference import Difference, compare
from cartcast.experiments.gather import DAY, EXPOSURE, Counts, Facts, facts, gather
from cartcast.experiments.metrics import Mean
from cartcast.experiments.moments import Moments
from cartcast.experiments.plan import Plan
from cartcast.experiments.units import UnitTable
from cartcast.findings import Finding, finding
from cartcast.insights.source import Source, opened

__all__ = ["DayEffect", "Measured", "check_exposed", "check_measurable", "effect_over_time",
           "finished", "measure"]  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        units: the table of units: `unit, arm, exposed`, the quantities, and the segments.
        findings: what a reader must know: exposures left out, units in two arms, caps.
        days: per unit and day since exposure: `unit, arm, k`, and each quantity that adds up.
        latest: time of the log's last event (UTC), or None.
        reach: share of all units that take part: coverage, layer and holdout leave the others out.
    """

    units: pa.Table
    findings: tuple[Finding, ...]
    days: pa.Table
    latest: dt.datetime | None
    reach: float = 1.0

    @property
    def weeks(self) -> float:
        """Weeks from the first exposure to the last; at least a day."""
        low, high = (fold(self.units["exposed"]).as_py() for fold in (pc.min, pc.max))
        return float(max((high - low).total_seconds() / DAY, 1.0) / 7)

    @property
    def units_a_month(self) -> float:
        """All units that come in 30 days, at the pace of those measured."""
        return self.units.num_rows / self.reach / self.weeks * 30 / 7


def measure(log: Any, plan: Plan, exposures: Any = None) -> Measured:
    """Return the table of units of an experiment.

    Args:
        log: a clean log: a `Log`, the path of a canonical Parquet file, or an Arrow table.
        plan: the experiment, with `quantities` for the columns of its metrics.
        exposures: Arrow table or data frame with `unit, arm, exposed`. Without one, they are the
            log's own events that name the experiment; without those, every unit is exposed at its
            first event from the plan's start on, in the arm of its hash.

    Raises:
        DefinitionError: the plan has no quantities.
        DataError: the log has no time or no such unit, or nobody was exposed.
    """
    with opened(log) as source:
        check_measurable(plan, source.clock)
        con = source.connection
        try:
            if exposures is not None:
                con.register("given", exposures)
                check_exposed([c[0] for c in con.execute("DESCRIBE given").fetchall()])
            told = facts(source, plan)
            counts = gather(source, plan, told, exposures is not None)
            return finished(source, plan, told, counts, exposures is not None)
        except duckdb.Error as error:
            raise translate(error, "the log") from error


def check_measurable(plan: Plan, clock: Clock) -> None:
    """Check that a plan can be measured on a log of this clock.

    Raises:
        DefinitionError: the plan has no quantities. DataError: the log has no time.
    """
    if not plan.quantities:
        raise DefinitionError(f"{plan.allocation.key}: the plan declares no quantities to measure.")
    if clock not in ("time", "day"):
        raise DataError(f"experiments need a time; this log's clock is {clock!r}.")


def check_exposed(columns: Sequence[str]) -> None:
    """Check the columns of a table of exposures.

    Raises:
        DataError: one is missing.
    """
    if missing := [c for c in EXPOSURE if c not in columns]:
        raise DataError(f"the exposures lack {', '.join(missing)}; they need {EXPOSURE}.")


def nobody(plan: Plan, counts: Counts) -> str:
    """Return the words for a log in which no unit counts."""
    why = f" ({counts.early} exposures lie before {plan.start:%Y-%m-%d})" if counts.early else ""
    return f"{plan.allocation.key}: nobody was exposed in this log{why}."


def finished(source: Source, plan: Plan, told: Facts, counts: Counts, given: bool) -> Measured:
    """Return what the tables `units` and `days` of the whole log hold, capped and told.

    Raises:
        DataError: nobody was exposed.
    """
    con, found = source.connection, list[Finding]()
    total = source.row("SELECT count(*) FROM units")[0]
    if told.logged and not given:
        text = f"{told.logged} events of the log say who saw which arm."
        found.append(finding(codes.LOGGED, text, count=told.logged))
    if counts.early:
        text = f"{counts.early} exposures before the start."
        found.append(finding(codes.BEFORE_START, text, count=counts.early))
    if counts.several:
        text = f"{counts.several} of {total} units were in more than one arm."
        found.append(finding(codes.IN_TWO_ARMS, text, count=counts.several))
    if counts.late:
        longest = max(q.end for q in plan.quantities.values() if math.isfinite(q.end)) / DAY
        text = f"{counts.late} units were exposed too late to be seen for {longest:g} days."
        found.append(finding(codes.STILL_RUNNING, text, count=counts.late))
    elif not total:
        raise DataError(nobody(plan, counts))
    if counts.strangers and total:
        text = f"{counts.strangers} of {total} exposed units have no event in the log."
        found.append(finding(codes.STRANGERS, text, count=counts.strangers))
    values = "*"
    if caps := _caps(source, plan, found):
        cut = (f"least({c}, {cap}) AS {c}" for c, cap in caps.items())
        values = f"* REPLACE ({', '.join(cut)})"
    units = con.execute(f"SELECT {values} FROM units ORDER BY unit").to_arrow_table()
    days = con.execute("SELECT * FROM days ORDER BY unit, k").to_arrow_table()
    return Measured(units, tuple(found), days, told.latest, plan.allocation.reach)


def _caps(source: Source, plan: Plan, found: list[Finding]) -> dict[str, float]:
    """Return where columns are capped, and add what that takes away to the findings."""
    caps = {}
    for name, q in plan.quantities.items():
        column, cap = identifier(name), q.cap
        if q.cap_quantile is not None:
            # Among those above zero: where most units have nothing, any quantile of all is zero.
            cap = source.row(
                f"SELECT quantile_cont({column}, {q.cap_quantile}) FROM units WHERE {column} > 0"
            )[0]
        if cap is None:
            continue
        above = f"FILTER ({column} > {cap})"
        count, cut, total = source.row(
            f"SELECT count(*) {above}, sum({column} - {cap}) {above}, sum({column}) FROM units"
        )
        caps[column] = cap
        if count:
            text = f"{name}: {count} units were capped at {cap:.6g}, {cut / total:.1%} of the sum."
            found.append(finding(codes.CAPPED, text, count=count, cap=cap))
    return caps


@dataclass(frozen=True)
class DayEffect:
    """The effect on one day since exposure.

    Attributes:
        day: whole days since the exposure, from 0.
        units: units of control and arm that were seen through this day.
        difference: of the mean on that day.
    """

    day: int
    units: tuple[int, int]
    difference: Difference


def effect_over_time(
    plan: Plan, measured: Measured, quantity: str, arm: str, days: int = 14
) -> tuple[DayEffect, ...]:
    """Return the effect by day since exposure, of units that were seen through that day.

    A lift that falls from day to day is novelty; one that rises has not arrived yet.

    Raises:
        DataError: the quantity does not add up by day.
    """
    if quantity not in measured.days.column_names:
        raise DataError(f"{quantity!r} is not a count or sum, so it has no value by day.")
    with contextlib.closing(duckdb.connect()) as con:
        con.register("units", measured.units)
        con.register("days", measured.days)
        con.execute(
            "CREATE TEMP VIEW wide AS SELECT u.arm, r.k, "
            f"coalesce(d.{identifier(quantity)}, 0) AS y FROM units u "
            f"CROSS JOIN (SELECT range AS k FROM range({int(days)})) r "
            "LEFT JOIN days d ON d.unit = u.unit AND d.k = r.k WHERE u.exposed + "
            f"INTERVAL (r.k + 1) DAY <= '{measured.latest}'::TIMESTAMP"
        )
        groups = UnitTable(con, "wide", ("arm", "k", "y")).moments(["y"], by=["k"])
    out = []
    for k in range(days):
        a, b = groups.get((plan.control, k)), groups.get((arm, k))
        if a is not None and b is not None:
            out.append(DayEffect(k, (a.n, b.n), _plain(a, b, plan.level)))
    return tuple(out)


def _plain(a: Moments, b: Moments, level: float) -> Difference:
    return compare(*Mean("y").pair(a, b), level=level)
