"""The same fold on Spark: Spark moves and sorts the data, the kernels fold them.

Events are range-partitioned and sorted by session; `mapInArrow` hands each partition, batch by
batch, to the scan that runs on one machine. The visitor's past reaches across sessions, so Spark's
windows work it out first and it travels with each session's first event.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cartcast.errors import UsageError
from cartcast.events.log import Log
from cartcast.events.schema import Clock
from cartcast.events.spark.session import from_arrow, session
from cartcast.features.scan import Scan, scan
from cartcast.features.source import ROWS, Source, open_source
from cartcast.features.visitor import counted_column
from cartcast.progress import Progress

if TYPE_CHECKING:
    from cartcast.features.featureset import FeatureSet

__all__ = ["frame", "replay", "score", "session"]

_ROW = "@row"


def replay(
    features: FeatureSet,
    events: Any,
    at: str | tuple[int, ...],
    out: Path | str | None,
    progress: Progress | None = None,
) -> pa.Table | Path:
    """Run `FeatureSet.replay(engine="spark")`.

    `out` is a folder on any file system that Spark can write, as Spark writes it: parts and a
    `_SUCCESS` mark. It must not exist.
    """
    spark = session()
    clock: Clock = "time"
    if progress is not None:
        progress("features on Spark", None)
    if isinstance(events, Log) and events.path.is_dir():
        events, clock = spark.read.parquet(str(events.path)), events.clock
    source = None if hasattr(events, "mapInArrow") else open_source(events)
    if source is None:
        found = frame(features, events, at, clock)
    elif isinstance(source.data, Path):
        source.check(features.program)
        found = frame(features, spark.read.parquet(str(source.data)), at, source.clock)
    else:
        assert isinstance(source.data, pa.Table)  # what is opened from outside is no stream
        source.check(features.program)
        found = frame(features, from_arrow(spark, source.data), at, source.clock)
    if out is None:
        table: pa.Table = found.toArrow()
        return table
    if "://" not in str(out) and Path(out).exists():
        raise UsageError(f"{out}: exists; Spark writes a new folder, give another name.")
    found.write.parquet(str(out))
    return Path(out)


def frame(
    features: FeatureSet, events: Any, at: str | tuple[int, ...] = "every click",
    clock: Clock = "time", partitions: int | None = None,
) -> Any:  # fmt: skip
    """Return a Spark DataFrame of features, lazily, from a Spark DataFrame of canonical events.

    Args:
        features: the feature set.
        events: canonical columns; `event_order` counts from 1 within a session.
        at: `every click`, `end`, or clicks.
        clock: what the log's clock can tell, see `events.schema.Clock`.
        partitions: of the range partitioning; Spark's default when None.
    """
    program = features.program
    columns = _columns(features, clock, events.columns)
    rows = _with_history(events, program.history, clock).select(*map(_quoted, columns))
    by = "session_id"
    ranged = rows.repartitionByRange(partitions, by) if partitions else rows.repartitionByRange(by)
    schema = _plain(
        Scan(_stream(iter(()), pa.schema([]), clock), program, at, None, 1, ROWS).schema
    )
    return ranged.sortWithinPartitions(by, "event_order").mapInArrow(
        _Fold(features, at, clock), _spark_schema(schema)
    )


def score(frame: Any, load: Callable[[], Any], columns: Mapping[str, str]) -> Any:
    """Return a Spark DataFrame of features with predictions beside them.

    Args:
        frame: what `frame` returned.
        load: called once per partition on the worker; returns a function from a pandas
            DataFrame of the features to a mapping of column name to values.
        columns: predicted columns and their Spark types, such as {"p": "double"}.
    """
    fields = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in frame.schema.fields)
    added = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    return frame.mapInArrow(_Score(load, tuple(columns)), f"{fields}, {added}")


class _Fold:
    """Folds one partition; a class, so that Spark can send it to the workers."""

    def __init__(self, features: FeatureSet, at: str | tuple[int, ...], clock: Clock) -> None:
        self.features = features
        self.at = at
        self.clock = clock

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        first = next(batches, None)
        if first is None:
            return
        source = _stream(itertools.chain((first,), batches), first.schema, self.clock)
        for found in scan(Scan(source, self.features.program, self.at, None, 1, ROWS)):
            schema = _plain(found.schema)
            yield pa.RecordBatch.from_arrays(
                [c.cast(f.type) for c, f in zip(found.columns, schema, strict=True)], schema=schema
            )


class _Score:
    """Adds predictions to the batches of one partition."""

    def __init__(self, load: Callable[[], Any], names: tuple[str, ...]) -> None:
        self.load = load
        self.names = names

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        predict = self.load()
        for batch in batches:
            made = predict(batch.to_pandas())
            for name in self.names:
                batch = batch.append_column(name, pa.array(made[name]))
            yield batch


def _stream(batches: Iterator[pa.RecordBatch], schema: pa.Schema, clock: Clock) -> Source:
    return Source(batches, schema, 0, clock, True, "the Spark partition")


def _plain(schema: pa.Schema) -> pa.Schema:
    """Return the schema with plain strings: Spark takes no dictionaries."""
    plain = [f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in schema]
    return pa.schema(plain)


def _spark_schema(schema: pa.Schema) -> str:
    kinds = {pa.string(): "string", pa.int64(): "bigint", pa.float64(): "double"}
    return ", ".join(f"`{f.name}` {kinds[f.type]}" for f in schema)


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _columns(features: FeatureSet, clock: Clock, held: list[str]) -> list[str]:
    """Return the columns that must travel: those that are read and there."""
    from cartcast.features.encode import needed_columns

    program = features.program
    needed = needed_columns(program.inputs, clock, history=False)
    history = program.history if clock in ("time", "day") and "visitor_id" in held else ()
    return [c for c in needed if c in held] + list(history)


def _with_history(events: Any, history: tuple[str, ...], clock: Clock) -> Any:
    """Add the visitor's past to the first event of each session, in the log's order."""
    if not history or clock not in ("time", "day") or "visitor_id" not in events.columns:
        return events
    from pyspark.sql import Window
    from pyspark.sql import functions as fn

    try:
        ordered = events.withColumn(_ROW, fn.col("_metadata.row_index"))
        by = (fn.col("_metadata.file_path"), fn.col(_quoted(_ROW)))
        ordered = ordered.withColumn("@file", by[0])
        order = ["`event_time`", "`@file`", _quoted(_ROW)]
        ordered.schema  # noqa: B018 (analysed here: a frame that is no file has no row_index)
    except Exception:  # noqa: BLE001 (pyspark raises one of several AnalysisException classes)
        ordered, order = events, ["`event_time`", "`session_id`", "`event_order`"]
    known = fn.col("visitor_id").isNotNull() & fn.col("event_time").isNotNull()
    begins = known & (fn.col("event_order") == 1)
    before = (
        Window.partitionBy("visitor_id").orderBy(*order)
        .rowsBetween(Window.unboundedPreceding, -1)
    )  # fmt: skip
    for name in history:
        if name == "@earlier_sessions":
            value = fn.coalesce(fn.sum(begins.cast("long")).over(before), fn.lit(0))
        elif name == "@days_since":
            latest = fn.max("event_time").over(before)
            micros = fn.expr("unix_micros(cast(event_time as timestamp))")
            since = micros - fn.unix_micros(latest.cast("timestamp"))
            value = since / fn.lit(86_400e6)
        else:
            column, text = counted_column(name.removeprefix("@earlier:"))
            kind = fn.col(_quoted(column)) == text
            counted = fn.sum((known & kind).cast("long")).over(before)
            value = fn.coalesce(counted, fn.lit(0))
        ordered = ordered.withColumn(name, fn.when(begins, value.cast("double")))
    return ordered
