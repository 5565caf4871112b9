"""Measuring: from a clean log and its exposures to the table of units, in one pass of DuckDB.

Sums by unit and day since exposure are made once; the table of units and the effect over time are
read from them, so a hundred million events are scanned once, whatever is asked afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from cartcast.errors import DataError, DefinitionError
from cartcast.events.engine import translate
from cartcast.events.sql import identifier, literal
from cartcast.experiments import codes
from cartcast.experiments.difference import Difference, compare
from cartcast.experiments.metrics import Mean
from cartcast.experiments.moments import Moments
from cartcast.experiments.plan import Plan
from cartcast.experiments.units import UnitTable
from cartcast.findings import Finding, finding
from cartcast.insights.source import Source, opened

__all__ = ["DayEffect", "Measured", "effect_over_time", "measure"]

EXPOSURE = ("unit", "arm", "exposed")
"""Columns of a table of exposures: the id that was hashed, the arm, and when (UTC)."""
_DAY = 86_400


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        units: the table of units: `unit, arm, exposed`, the quantities, and the segments.
        findings: what a reader must know: exposures left out, units in two arms, caps.
        days: per unit and day since exposure: `unit, arm, k`, and each quantity that adds up.
    """

    units: pa.Table
    findings: tuple[Finding, ...]
    days: pa.Table

    @property
    def weeks(self) -> float:
        """Weeks from the first exposure to the last; at least a day."""
        low, high = (fold(self.units["exposed"]).as_py() for fold in (pc.min, pc.max))
        return float(max((high - low).total_seconds() / _DAY, 1.0) / 7)

    @property
    def units_a_month(self) -> float:
        """Units that come in 30 days, at the pace of those measured."""
        return self.units.num_rows / self.weeks * 30 / 7


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
    if not plan.quantities:
        raise DefinitionError(f"{plan.allocation.key}: the plan declares no quantities to measure.")
    with opened(log) as source:
        if source.clock not in ("time", "day"):
            raise DataError(f"experiments need a time; this log's clock is {source.clock!r}.")
        unit = source.require(plan.unit)
        try:
            findings = _expose(source, plan, unit, exposures)
            findings += _due(source, plan)
            _sum_up(source, plan, unit)
            findings += _cap(source, plan)
            units = source.connection.execute(
                f"SELECT e.*, {_columns(plan)} FROM exposed e LEFT JOIN sums s USING (unit) "
                "ORDER BY unit"
            ).to_arrow_table()
            days = source.connection.execute("SELECT * FROM days ORDER BY unit, k").to_arrow_table()
        except duckdb.Error as error:
            raise translate(error, "the log") from error
    return Measured(units, tuple(findings), days)


def _expose(source: Source, plan: Plan, unit: str, exposures: Any) -> list[Finding]:
    """Make `exposed`: unit, arm, exposed, and the segments as they were then."""
    con, found = source.connection, []
    if exposures is None and (logged := _logged(source, plan, unit)):
        text = f"{logged} events of the log say who saw which arm."
        found.append(finding(codes.LOGGED, text, count=logged))
    elif exposures is None:
        con.execute(
            f"CREATE TEMP TABLE seen AS SELECT CAST({unit} AS VARCHAR) AS unit, "
            f"min(event_time) AS exposed FROM events WHERE {unit} IS NOT NULL"
            + (f" AND event_time >= {_stamp(plan)}" if plan.start else "")
            + " GROUP BY 1"
        )
        ids = con.execute("SELECT unit FROM seen ORDER BY unit").to_arrow_table()
        con.register("assigned", ids.append_column("arm", plan.allocation.arms_of(ids["unit"])))
        con.execute(
            "CREATE OR REPLACE TEMP TABLE raw AS SELECT unit, arm, exposed FROM seen "
            "JOIN assigned USING (unit) WHERE arm IS NOT NULL"
        )
    else:
        con.register("given", exposures)
        have = {c[0] for c in con.execute("DESCRIBE given").fetchall()}
        if missing := [c for c in EXPOSURE if c not in have]:
            raise DataError(f"the exposures lack {', '.join(missing)}; they need {EXPOSURE}.")
        con.execute(
            "CREATE OR REPLACE TEMP TABLE raw AS SELECT CAST(unit AS VARCHAR) AS unit, "
            "CAST(arm AS VARCHAR) AS arm, CAST(exposed AS TIMESTAMP) AS exposed FROM given "
            "WHERE unit IS NOT NULL AND arm IS NOT NULL AND exposed IS NOT NULL"
        )
    if plan.start:
        early = source.row(f"SELECT count(*) FROM raw WHERE exposed < {_stamp(plan)}")[0]
        con.execute(f"DELETE FROM raw WHERE exposed < {_stamp(plan)}")
        if early:
            found.append(
                finding(codes.BEFORE_START, f"{early} exposures before the start.", count=early)
            )
    if plan.end:
        con.execute(f"DELETE FROM raw WHERE exposed >= {literal(str(_naive(plan.end)))}::TIMESTAMP")
    con.execute(
        "CREATE TEMP TABLE exposed AS SELECT unit, arg_min(arm, (exposed, arm)) AS arm, "
        "min(exposed) AS exposed, count(DISTINCT arm) AS arms FROM raw GROUP BY unit"
    )
    many = source.row("SELECT count(*) FROM exposed WHERE arms > 1")[0]
    if many:
        found.append(
            finding(codes.IN_TWO_ARMS, f"{many} units were in more than one arm.", count=many)
        )
    if not source.row("SELECT count(*) FROM exposed")[0]:
        raise DataError(f"{plan.allocation.key}: nobody was exposed in this log.")
    return found


def _logged(source: Source, plan: Plan, unit: str) -> int:
    """Make `raw` of the log's events that name the experiment; return how many there are."""
    if not {"experiment", "arm"} <= set(source.columns):
        return 0
    source.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE raw AS SELECT CAST({unit} AS VARCHAR) AS unit, "
        "CAST(arm AS VARCHAR) AS arm, CAST(event_time AS TIMESTAMP) AS exposed FROM events "
        f"WHERE CAST(experiment AS VARCHAR) = {literal(plan.allocation.key)} "
        f"AND arm IS NOT NULL AND {unit} IS NOT NULL AND event_time IS NOT NULL"
    )
    return int(source.row("SELECT count(*) FROM raw")[0])


def _naive(moment: Any) -> Any:
    return moment.replace(tzinfo=None)


def _stamp(plan: Plan) -> str:
    return f"{literal(str(_naive(plan.start)))}::TIMESTAMP"


def _due(source: Source, plan: Plan) -> list[Finding]:
    """Leave out units whose windows reach past the end of the log: all must be seen as long."""
    ends = [q.end for q in plan.quantities.values() if math.isfinite(q.end)]
    source.connection.execute(
        "CREATE TEMP TABLE log_end AS SELECT max(event_time) AS latest FROM events"
    )
    if not ends or max(ends) <= 0:
        return []
    late = f"exposed + INTERVAL ({int(max(ends))}) SECOND > (SELECT latest FROM log_end)"
    count = source.row(f"SELECT count(*) FROM exposed WHERE {late}")[0]
    source.connection.execute(f"DELETE FROM exposed WHERE {late}")
    if not count:
        return []
    text = f"{count} units were exposed too late to be seen for {max(ends) / _DAY:g} days."
    return [finding(codes.STILL_RUNNING, text, count=count)]


def _sum_up(source: Source, plan: Plan, unit: str) -> None:
    """Make `sums` (a row per unit) and `days` (per unit and day since exposure)."""
    extra = [c for c in ("price", "quantity") if c in source.columns]
    money = "price * coalesce(quantity, 1)" if len(extra) == 2 else "NULL::DOUBLE"
    # A log of the contract says both: the money of a line, and which purchases came before.
    added = "" if "revenue" in source.columns else f", {money} AS revenue"
    once = " AND NOT coalesce(repeat_purchase, false)" * ("repeat_purchase" in source.columns)
    # Segments are read from all that came before the exposure.
    first = "-Infinity" if plan.segments else min(0.0, *(q.start for q in plan.quantities.values()))
    source.connection.execute(
        "CREATE TEMP VIEW joined AS SELECT x.unit, x.arm, "
        "(epoch_us(e.event_time) - epoch_us(x.exposed)) / 1e6 AS since, e.*"
        f"{added} FROM exposed x JOIN events e ON x.unit = CAST(e.{unit} AS VARCHAR) "
        f"WHERE since >= '{first}'::DOUBLE{once}"
    )
    for name, q in plan.quantities.items():
        if q.column and q.column != "revenue":
            source.require(q.column)
        if name in {"unit", "arm", "exposed", "arms", "k"}:
            raise DefinitionError(f"a quantity cannot be called {name!r}.")
    wanted = ", ".join(f"{q.sql()} AS {identifier(n)}" for n, q in plan.quantities.items())
    source.connection.execute(
        f"CREATE TEMP TABLE sums AS SELECT unit, {wanted} FROM joined GROUP BY unit"
    )
    adding = [
        f"{q.sql()} AS {identifier(n)}"
        for n, q in plan.quantities.items()
        if q.kind in ("count", "sum") and q.before is None
    ]
    source.connection.execute(
        f"CREATE TEMP TABLE days AS SELECT unit, arm, CAST(floor(since / {_DAY}) AS INTEGER) AS k"
        + "".join(f", {a}" for a in adding)
        + " FROM joined WHERE since >= 0 GROUP BY unit, arm, k"
    )
    for column in plan.segments:
        name = source.require(column)
        source.connection.execute(f"ALTER TABLE exposed ADD COLUMN {name} VARCHAR")
        source.connection.execute(
            f"UPDATE exposed SET {name} = f.v FROM (SELECT unit, CAST(arg_max({name}, since) "
            "AS VARCHAR) AS v FROM joined WHERE since <= 0 GROUP BY unit) f "
            "WHERE f.unit = exposed.unit"
        )


def _columns(plan: Plan) -> str:
    return ", ".join(f"coalesce(s.{identifier(n)}, 0) AS {identifier(n)}" for n in plan.quantities)


def _cap(source: Source, plan: Plan) -> list[Finding]:
    found = []
    for name, q in plan.quantities.items():
        column, cap = identifier(name), q.cap
        if q.cap_quantile is not None:
            # Among those above zero: where most units have nothing, any quantile of all is zero.
            cap = source.row(
                f"SELECT quantile_cont({column}, {q.cap_quantile}) FROM sums WHERE {column} > 0"
            )[0]
        if cap is None:
            continue
        count, cut = source.row(
            f"SELECT count(*), coalesce(sum({column} - {cap}), 0) FROM sums WHERE {column} > {cap}"
        )
        total = source.row(f"SELECT sum({column}) FROM sums")[0] or 0.0
        source.connection.execute(f"UPDATE sums SET {column} = {cap} WHERE {column} > {cap}")
        if count:
            text = f"{name}: {count} units were capped at {cap:.6g}, {cut / total:.1%} of the sum."
            found.append(finding(codes.CAPPED, text, count=count, cap=cap))
    return found


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
    log: Any, plan: Plan, measured: Measured, quantity: str, arm: str, days: int = 14
) -> tuple[DayEffect, ...]:
    """Return the effect by day since exposure, of units that were seen through that day.

    A lift that falls from day to day is novelty; one that rises has not arrived yet.

    Raises:
        DataError: the quantity does not add up by day.
    """
    if quantity not in measured.days.column_names:
        raise DataError(f"{quantity!r} is not a count or sum, so it has no value by day.")
    with opened(log) as source:
        con = source.connection
        con.register("units", measured.units)
        con.register("days", measured.days)
        con.execute(
            "CREATE TEMP VIEW wide AS SELECT u.arm, r.k, "
            f"coalesce(d.{identifier(quantity)}, 0) AS y FROM units u "
            f"CROSS JOIN (SELECT range AS k FROM range({int(days)})) r "
            "LEFT JOIN days d ON d.unit = u.unit AND d.k = r.k WHERE u.exposed + "
            "INTERVAL (r.k + 1) DAY <= (SELECT max(event_time) FROM events)"
        )
        groups = UnitTable(con, "wide", ("arm", "k", "y")).moments(["y"], by=["k"])
    out = []
    for k in range(days):
        a, b = groups.get((plan.control, k)), groups.get((arm, k))
        if a is not None and b is not None:
            out.append(DayEffect(k, (a.n, b.n), _plain(a, b, plan.level)))
    return tuple(out)


def _plain(a: Moments, b: Moments, level: float) -> Difference:
    both = a + b
    return compare(Mean("y").linear(a, both), Mean("y").linear(b, both), level=level)
