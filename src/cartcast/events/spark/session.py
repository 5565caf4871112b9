"""The Spark session: the one that runs, or one on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from cartcast.errors import UsageError

__all__ = ["by_key", "from_arrow", "holding", "session", "small_batches"]


def session() -> Any:
    """Return the running Spark session, or start one (local, all cores, UTC).

    Raises:
        UsageError: pyspark or Java is not installed.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise UsageError(
            "--engine spark needs the extra: pip install 'cartcast[spark]', and Java 17."
        ) from error
    if (active := SparkSession.getActiveSession()) is not None:
        return active
    # Workers on this machine must be the Python that has cartcast; a cluster sets its own.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        return (
            SparkSession.builder.appName("cartcast")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .getOrCreate()
        )
    except Exception as error:  # pyspark's own errors share no base with a name worth knowing
        first = str(error).strip().splitlines()[0]
        raise UsageError(f"Spark does not start ({first}); it needs Java 17 or newer.") from error


def from_arrow(spark: Any, table: pa.Table) -> Any:
    """Return an Arrow table as a Spark DataFrame, with all of its rows.

    Spark 4 stops at the first batch without rows, and what comes after it is lost.
    """
    filled = [batch for batch in table.to_batches() if batch.num_rows]
    return spark.createDataFrame(pa.Table.from_batches(filled, table.schema))


def by_key() -> Any:
    """Return the column that says which task gets a piece."""
    from pyspark.sql import functions as fn

    return fn.col("key")


@contextmanager
def holding() -> Iterator[Callable[[Any], Any]]:
    """Yield a function that lets Spark keep a frame on its disks until the block ends."""
    from pyspark import StorageLevel

    frames: list[Any] = []

    def hold(frame: Any) -> Any:
        frames.append(frame.persist(StorageLevel.DISK_ONLY))
        return frames[-1]

    try:
        yield hold
    finally:
        for frame in frames:
            frame.unpersist()


@contextmanager
def small_batches(spark: Any) -> Iterator[None]:
    """Let few pieces lie in a batch: a column of a batch holds 2 GB at most."""
    name = "spark.sql.execution.arrow.maxRecordsPerBatch"
    before = spark.conf.get(name)
    spark.conf.set(name, "32")
    try:
        yield
    finally:
        spark.conf.set(name, before)
