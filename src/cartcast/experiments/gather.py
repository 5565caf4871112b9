"""Gathering: what each exposed unit did, from the events of a log or of a part of one, in SQL.

A part holds all events and exposures of its units. What only the whole log can say stands in
`Facts`; what is counted over units adds up over parts.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import NamedTuple

from cartcast.errors import DataError, DefinitionError, UsageError, did_you_mean
from cartcast.events.sql import identifier, literal
from cartcast.experiments.plan import Plan
from cartcast.insights.source import Source

__all__ = ["DAY", "EXPOSURE", "Counts", "Facts", "facts", "gather", "reads", "tomorrow"]

EXPOSURE = ("unit", "arm", "exposed")
"""Columns of a table of exposures: the id that was hashed, the arm, and when (UTC)."""
DAY = 86_400
"""Seconds."""
_OWN = {*EXPOSURE, "arms", "k"}
_NUMBERS = ("DOUBLE", "FLOAT", "DECIMAL", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT",
            "U", "BOOLEAN", "\"NULL\"")  # fmt: skip
_PRICED = ("price", "quantity")


class Facts(NamedTuple):
    """What only the whole log can say.

    Attributes:
        latest: time of its last event (UTC), or None. One that lies ahead says nothing of how long
            the log is; where all do, as in a simulation, the last one counts.
        logged: events that name the experiment, a unit and an arm.
    """

    latest: dt.datetime | None
    logged: int


class Counts(NamedTuple):
    """What was left out or odd; adds up over parts.

    Attributes:
        early: exposures before the start.
        several: units in more than one arm.
        late: units whose windows reach past the end of the log.
        strangers: units that the log does not know at all.
    """

    early: int = 0
    several: int = 0
    late: int = 0
    strangers: int = 0


def _carried(plan: Plan) -> tuple[str, ...]:
    """Return the columns of a log that units keep as they were at the exposure."""
    strata = (c for c in plan.strata if c not in plan.quantities)
    cluster = [plan.cluster] if plan.cluster and plan.cluster != plan.unit else []
    return tuple(dict.fromkeys([*plan.segments, *strata, *cluster]))


def reads(plan: Plan, columns: Sequence[str]) -> list[str]:
    """Return the columns of a log that a plan reads, of those that it has.

    Raises:
        UsageError: the log lacks one. DefinitionError: a quantity has a name of our own.
    """
    wanted = [plan.unit, "event_type", *_carried(plan)]
    for name, q in plan.quantities.items():
        if name in _OWN:
            raise DefinitionError(f"a quantity cannot be called {name!r}.")
        worked_out = q.column == "revenue" and {*_PRICED} <= set(columns)
        wanted += [q.column] if q.column and not worked_out else []
    for name in wanted:
        if name not in columns:
            raise UsageError(f"the log has no column {name!r}.{did_you_mean(name, columns)}")
    also = ("event_time", "experiment", "arm", "revenue", "repeat_purchase", *_PRICED)
    return [c for c in columns if c in {*wanted, *also}]


def _says_who(plan: Plan, columns: tuple[str, ...], unit: str) -> str:
    """Return the SQL condition of an event that says which arm a unit saw."""
    if not {"experiment", "arm"} <= set(columns):
        return "false"
    return (
        f"CAST(experiment AS VARCHAR) = {literal(plan.allocation.key)} "
        f"AND arm IS NOT NULL AND {unit} IS NOT NULL AND event_time IS NOT NULL"
    )


def tomorrow() -> dt.datetime:
    """Return the moment (UTC, without zone) after which a device's clock must have been wrong."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(days=1)


def facts(source: Source, plan: Plan) -> Facts:
    """Return what the whole log of `source` says.

    Raises:
        UsageError: it has no column of the plan's unit.
    """
    condition = _says_who(plan, source.columns, source.require(plan.unit))
    latest, logged = source.row(
        "SELECT CAST(coalesce(max(event_time) FILTER (event_time <= ?), max(event_time)) AS "
        f"TIMESTAMP), count(*) FILTER ({condition}) FROM events",
        [tomorrow()],
    )
    return Facts(latest, logged)


def gather(source: Source, plan: Plan, told: Facts, given: bool) -> Counts:
    """Make the tables `units` and `days` of the view `events` (and `given`, the exposures).

    `units` holds `unit, arm, exposed, arms`, the segments as they were then, and the quantities
    before they are capped; `days` the sums per unit and day since the exposure.

    Raises:
        UsageError: the log lacks a column. DefinitionError: a quantity has a name of our own.
        DataError: a column to add up holds no numbers.
    """
    unit = source.require(plan.unit)
    early = _raw(source, plan, unit, told, given)
    source.connection.execute(
        "CREATE TEMP TABLE exposed AS SELECT unit, arg_min(arm, (exposed, arm)) AS arm, "
        "min(exposed) AS exposed, count(DISTINCT arm) AS arms FROM raw GROUP BY unit"
    )
    several = source.row("SELECT count(*) FROM exposed WHERE arms > 1")[0]
    late = _due(source, plan, told)
    _sum_up(source, plan, unit)
    columns = ", ".join(
        f"coalesce(s.{identifier(n)}, 0) AS {identifier(n)}" for n in plan.quantities
    )
    source.connection.execute(
        f"CREATE TEMP TABLE units AS SELECT e.*, {columns} FROM exposed e "
        "LEFT JOIN sums s USING (unit)"
    )
    strangers = source.row(
        "SELECT count(*) FROM exposed x ANTI JOIN "
        f"(SELECT CAST({unit} AS VARCHAR) AS unit FROM events) e USING (unit)"
    )[0]
    return Counts(early, several, late, strangers)


def _raw(source: Source, plan: Plan, unit: str, told: Facts, given: bool) -> int:
    """Make `raw`: every exposure that counts; return how many came before the start."""
    con = source.connection
    if given:
        rows = (
            "SELECT CAST(unit AS VARCHAR) AS unit, CAST(arm AS VARCHAR) AS arm, "
            "CAST(exposed AS TIMESTAMP) AS exposed FROM given "
            "WHERE unit IS NOT NULL AND arm IS NOT NULL AND exposed IS NOT NULL"
        )
    elif told.logged:
        rows = (
            f"SELECT CAST({unit} AS VARCHAR) AS unit, CAST(arm AS VARCHAR) AS arm, "
            "CAST(event_time AS TIMESTAMP) AS exposed FROM events WHERE "
            + _says_who(plan, source.columns, unit)
        )
    else:
        con.execute(
            f"CREATE TEMP TABLE seen AS SELECT CAST({unit} AS VARCHAR) AS unit, "
            "CAST(min(event_time) AS TIMESTAMP) AS exposed FROM events "
            f"WHERE {unit} IS NOT NULL AND event_time IS NOT NULL"
            + (f" AND event_time >= {_stamp(plan.start)}" if plan.start else "")
            + " GROUP BY 1"
        )
        ids = con.execute("SELECT unit FROM seen ORDER BY unit").to_arrow_table()
        con.register("assigned", ids.append_column("arm", plan.allocation.arms_of(ids["unit"])))
        rows = (
            "SELECT unit, arm, exposed FROM seen JOIN assigned USING (unit) WHERE arm IS NOT NULL"
        )
    con.execute(f"CREATE TEMP TABLE raw AS {rows}")
    early = 0
    if plan.start:
        before = f"exposed < {_stamp(plan.start)}"
        early = source.row(f"SELECT count(*) FROM raw WHERE {before}")[0]
        con.execute(f"DELETE FROM raw WHERE {before}")
    if plan.end:
        con.execute(f"DELETE FROM raw WHERE exposed >= {_stamp(plan.end)}")
    return int(early)


def _stamp(moment: dt.datetime | None) -> str:
    return "NULL::TIMESTAMP" if moment is None else f"'{moment.replace(tzinfo=None)}'::TIMESTAMP"


def _due(source: Source, plan: Plan, told: Facts) -> int:
    """Leave out units whose windows reach past the end of the log: all must be seen as long."""
    ends = [q.end for q in plan.quantities.values() if math.isfinite(q.end)]
    if not ends or max(ends) <= 0:
        return 0
    late = f"exposed + INTERVAL ({int(max(ends))}) SECOND > {_stamp(told.latest)}"
    count = source.row(f"SELECT count(*) FROM exposed WHERE {late}")[0]
    source.connection.execute(f"DELETE FROM exposed WHERE {late}")
    return int(count)


def _sum_up(source: Source, plan: Plan, unit: str) -> None:
    """Make `sums` (a row per unit) and `days` (per unit and day since exposure)."""
    read = [c for c in reads(plan, source.columns) if c not in ("arm", "event_time", plan.unit)]
    values = ", ".join(f"e.{identifier(c)}" for c in dict.fromkeys([*read, *_carried(plan)]))
    # A log of the contract says both: the money of a line, and which purchases came before.
    if "revenue" not in read and {*_PRICED} <= {*read}:
        values += ", e.price * coalesce(e.quantity, 1) AS revenue"
    once = " AND NOT coalesce(e.repeat_purchase, false)" * ("repeat_purchase" in source.columns)
    # Segments are read from all that came before the exposure.
    first = (
        "-Infinity" if _carried(plan) else min(0.0, *(q.start for q in plan.quantities.values()))
    )
    source.connection.execute(
        "CREATE TEMP VIEW joined AS SELECT x.unit, x.arm, "
        f"(epoch_us(e.event_time) - epoch_us(x.exposed)) / 1e6 AS since, {values} "
        f"FROM exposed x JOIN events e ON x.unit = CAST(e.{unit} AS VARCHAR) "
        f"WHERE since >= '{first}'::DOUBLE{once}"
    )
    kinds = {row[0]: row[1] for row in source.rows("DESCRIBE joined")}
    for q in plan.quantities.values():
        if q.kind == "sum" and q.column and not kinds[q.column].startswith(_NUMBERS):
            raise DataError(f"{q.column} holds no numbers to add up, but {kinds[q.column]}.")
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
        f"CREATE TEMP TABLE days AS SELECT unit, arm, CAST(floor(since / {DAY}) AS INTEGER) AS k"
        + "".join(f", {a}" for a in adding)
        + " FROM joined WHERE since >= 0 GROUP BY unit, arm, k"
    )
    for column in _carried(plan):
        name = source.require(column)
        source.connection.execute(f"ALTER TABLE exposed ADD COLUMN {name} VARCHAR")
        source.connection.execute(
            f"UPDATE exposed SET {name} = f.v FROM (SELECT unit, CAST(arg_max({name}, since) "
            "AS VARCHAR) AS v FROM joined WHERE since <= 0 GROUP BY unit) f "
            "WHERE f.unit = exposed.unit"
        )
