"""The embedded engine: a DuckDB connection with a memory limit, a place to spill, and UTC."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb

from cartcast import system
from cartcast.config import parse_size
from cartcast.errors import DataError, StorageError
from cartcast.events.sql import place_literal

__all__ = ["DEFAULT_MEMORY", "connect", "cores", "keeping_order", "one_line", "translate"]

DEFAULT_MEMORY = "2GB"
"""Memory of the engine unless the caller says otherwise; what does not fit is spilled to disk."""


def cores() -> int:
    """Return how many cores work here may use: one in a task of Spark."""
    return 1 if _in_task() else system.cores()


def _in_task() -> bool:
    """Return whether this is a task of Spark, which runs as many as there are cores."""
    spark = sys.modules.get("pyspark")
    return spark is not None and spark.TaskContext.get() is not None


def connect(
    folder: Path | None = None, memory: str | int | None = None
) -> duckdb.DuckDBPyConnection:
    """Return a connection whose tables and spilled data live in `folder` (or in memory).

    Args:
        folder: work folder for tables that do not fit; removed by the caller.
        memory: what the process may take, such as `2GB`; default `DEFAULT_MEMORY`. The engine is
            given three quarters: it does not count all that it takes, and Python takes its own.

    Raises:
        UsageError: the size is not a positive size.
    """
    size = parse_size(memory if memory is not None else DEFAULT_MEMORY)
    con = duckdb.connect(":memory:")
    con.execute(f"SET memory_limit = '{size * 3 // 4} bytes'")
    if _in_task():
        con.execute("SET threads = 1")
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET enable_progress_bar = false")
    con.execute("SET autoinstall_known_extensions = false")
    con.execute("SET autoload_known_extensions = false")
    con.execute("SET python_enable_replacements = false")
    con.execute("SET preserve_insertion_order = true")
    if folder:
        con.execute(f"SET temp_directory = {place_literal(folder)}")
    return con


@contextlib.contextmanager
def keeping_order(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let rows that one scan reads be written in its order.

    The engine keeps no order across a join, and it makes a join of `IN` and a long list.
    """
    con.execute("SET disabled_optimizers = 'in_clause'")
    try:
        yield
    finally:
        con.execute("RESET disabled_optimizers")


def one_line(error: BaseException, limit: int = 240) -> str:
    """Return the first line of an engine's message, without its SQL."""
    text = str(error).strip().split("\n")[0]
    return text if len(text) <= limit else text[: limit - 3] + "..."


_TOO_DEEP = ("expression depth limit", "Recursion level", "Information loss on integer cast")
"""What the engine says of values nested deeper than it can describe."""


def too_deep(where: str) -> DataError:
    """Return the error for values that are nested more deeply than anything here can follow."""
    return DataError(
        f"{where}: a value is nested too deeply to be read; flatten it, or leave the column out."
    )


def translate(error: duckdb.Error, where: str) -> Exception:
    """Return the Cartcast error for an engine error met while reading or writing `where`."""
    text = str(error)
    if "No space left" in text or "max_temp_directory_size" in text:
        return StorageError(
            f"{where}: the disk is full; nothing was written. Free space and retry."
        )
    if any(words in text for words in _TOO_DEEP):
        return too_deep(where)
    if isinstance(error, duckdb.OutOfMemoryException):
        return StorageError(
            f"{where}: does not fit in the memory allowed ({one_line(error, 120)}); "
            "leave out columns that are not needed, or give a larger --memory where a verb has it."
        )
    if "Could not write" in text or "Could not create" in text:
        return StorageError(
            f"{where}: the result cannot be written ({one_line(error, 120)}); nothing was changed. "
            "Free space, or set TMPDIR to another place."
        )
    return DataError(f"{where}: cannot be read: {one_line(error)}. Check the file's format.")
