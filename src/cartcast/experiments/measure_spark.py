"""Measuring on Spark: Spark brings each unit's events together, one machine's SQL sums them up."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from cartcast.errors import DataError
from cartcast.events.log import Log, open_log
from cartcast.events.schema import Clock
from cartcast.events.spark.pieces import COLUMNS, Piece, collected, handed_over, object_in, working
from cartcast.events.spark.session import from_arrow, session
from cartcast.events.sql import identifier
from cartcast.experiments.gather import EXPOSURE, Counts, Facts, gather, reads, tomorrow
from cartcast.experiments.measure import Measured, check_exposed, check_measurable, finished, nobody
from cartcast.experiments.plan import Plan
from cartcast.insights.source import Source

__all__ = ["measure_spark"]

_GIVEN = {name: f"@{name}" for name in EXPOSURE}
_TABLES = ("units", "days")
_ROWS = 100_000  # of a piece: some megabytes


class _Gather(NamedTuple):
    """What a worker does with the rows of its units; a class, so that Spark can send it there."""

    plan: Plan
    told: Facts
    clock: Clock
    given: bool
    memory: str | int | None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return handed_over(self.pieces(batches))

    def pieces(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Piece]:
        first = next(batches, None)
        if first is None:
            return
        with working("the log", self.memory) as (con, _):
            rows = pa.RecordBatchReader.from_batches(
                first.schema, itertools.chain((first,), batches)
            )
            con.register("coming", rows)
            con.execute("CREATE TABLE rows AS SELECT * FROM coming")
            named = ", ".join(f"{identifier(c)} AS {name}" for name, c in _GIVEN.items())
            seen = f"{identifier(_GIVEN['exposed'])} IS NOT NULL"
            con.execute(f"CREATE VIEW events AS SELECT * FROM rows WHERE NOT ({seen})")
            con.execute(f"CREATE VIEW given AS SELECT {named} FROM rows WHERE {seen}")
            source = Source(con, self.clock, tuple(first.schema.names), None)
            yield Piece.of(0, "part", gather(source, self.plan, self.told, self.given))
            for key, table in enumerate(_TABLES, 1):
                found = con.execute(f"SELECT * FROM {table}").to_arrow_reader(_ROWS)
                for batch in found:
                    yield Piece(key, "part", _packed(batch))


def _packed(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue().to_pybytes()


def measure_spark(
    log: Any, plan: Plan, exposures: Any = None, *, clock: Clock = "time",
    memory: str | int | None = None,
) -> Measured:  # fmt: skip
    """Return the table of units of an experiment from a log that one machine does not hold.

    The same as `measure`: what a task does is its SQL, over all events of some units.

    Args:
        log: Spark DataFrame of canonical events, or a clean log that
            `cartcast validate --engine spark` wrote: its folder, or its `Log`.
        plan: the experiment, with `quantities` for the columns of its metrics.
        exposures: Spark DataFrame, Arrow table or data frame with `unit, arm, exposed`; without
            one, see `measure`.
        clock: of a DataFrame's log; a folder says it itself.
        memory: limit of the engine of each task, such as `2GB`.

    Raises:
        DefinitionError: the plan has no quantities.
        DataError: the log has no time or no such unit, or nobody was exposed.
    """
    from pyspark.sql import functions as fn

    if isinstance(log, str | Path | Log):
        folder = log if isinstance(log, Log) else open_log(log)
        log, clock = session().read.parquet(str(folder.path)), folder.clock
    check_measurable(plan, clock)
    events = log.select(*map(_named, reads(plan, log.columns)))
    told = _facts(events, plan)
    unit = _text(events, plan.unit)
    rows = events.where(unit.isNotNull() & fn.col("event_time").isNotNull())
    if exposures is None:
        rows = rows.select("*", *(fn.lit(None).alias(c) for c in _GIVEN.values()))
    else:
        rows = rows.unionByName(_given(log.sparkSession, exposures), allowMissingColumns=True)
    rows = rows.repartition(fn.coalesce(unit, fn.col(f"`{_GIVEN['unit']}`")))
    task = _Gather(plan, told, clock, exposures is not None, memory)
    return _together(rows.mapInArrow(task.__call__, COLUMNS), plan, told, exposures is not None)


def _named(column: str) -> Any:
    from pyspark.sql import functions as fn

    return fn.col(f"`{column}`")


def _text(frame: Any, column: str) -> Any:
    """Return a column of ids as texts, the same here and in DuckDB."""
    kind = frame.schema[column].dataType.simpleString()
    if kind not in ("string", "bigint", "int", "smallint", "tinyint"):
        raise DataError(f"{column} must hold texts or whole numbers, it holds {kind}.")
    return _named(column).cast("string")


def _facts(events: Any, plan: Plan) -> Facts:
    from pyspark.sql import functions as fn

    says = fn.lit(False)
    if {"experiment", "arm"} <= set(events.columns):
        says = fn.col("experiment").cast("string") == plan.allocation.key
        for column in ("arm", plan.unit, "event_time"):
            says &= _named(column).isNotNull()
    # Asked as Arrow: rows of Spark would hold a time of the driver's own zone.
    at = fn.col("event_time")
    most = fn.lit(str(tomorrow())).cast(events.schema["event_time"].dataType)
    latest = fn.coalesce(fn.max(fn.when(at <= most, at)), fn.max(at))
    found = events.agg(latest.alias("latest"), fn.count(fn.when(says, 1)).alias("logged")).toArrow()
    return Facts(found["latest"].cast(pa.timestamp("us"))[0].as_py(), found["logged"][0].as_py())


def _given(spark: Any, exposures: Any) -> Any:
    """Return exposures as a Spark DataFrame with names of their own."""
    if not hasattr(exposures, "mapInArrow"):
        if not isinstance(exposures, pa.Table):
            exposures = pa.Table.from_pandas(exposures, preserve_index=False)
        exposures = from_arrow(spark, exposures)
    check_exposed(exposures.columns)
    kept = exposures.select(
        _text(exposures, "unit").alias(_GIVEN["unit"]),
        _named("arm").cast("string").alias(_GIVEN["arm"]),
        _named("exposed").alias(_GIVEN["exposed"]),
    )
    return kept.dropna()


def _together(pieces: Any, plan: Plan, told: Facts, given: bool) -> Measured:
    """Add the parts up, as one machine would have found them."""
    counts = [0] * len(Counts._fields)
    tables: dict[int, list[pa.Table]] = {1: [], 2: []}
    for piece in collected(pieces, "part"):
        if piece.key == 0:
            counts = [a + b for a, b in zip(counts, object_in(piece), strict=True)]
        else:
            tables[piece.key].append(pa.ipc.open_stream(piece.payload).read_all())
    if not tables[1]:
        raise DataError(nobody(plan, Counts(*counts)))
    with contextlib.closing(duckdb.connect()) as con:
        for key, name in enumerate(_TABLES, 1):
            con.register(name, pa.concat_tables(tables[key]))
        return finished(Source(con, "time", (), None), plan, told, Counts(*counts), given)
