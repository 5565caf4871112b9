"""A DuckDB file that an export writes: new and whole, or changed in one transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from cartcast.atomic import atomic_path
from cartcast.errors import DataError, StorageError
from cartcast.events.engine import connect, one_line
from cartcast.events.sql import identifier, place_literal
from cartcast.scratch import scratch

__all__ = ["duckdb_file"]


class _DuckdbTarget:
    def __init__(self, con: duckdb.DuckDBPyConnection, where: str) -> None:
        self._con = con
        self.where = where

    def run(self, sql: str) -> None:
        self._con.execute(sql)

    def comments(self, schema: str) -> dict[str, str | None]:
        found = self._con.execute(
            "SELECT table_name, comment FROM duckdb_tables() "
            "WHERE database_name = 'target' AND lower(schema_name) = lower($1) UNION ALL "
            "SELECT view_name, comment FROM duckdb_views() "
            "WHERE database_name = 'target' AND lower(schema_name) = lower($1)",
            [schema],
        ).fetchall()
        return {str(name).lower(): told for name, told in found}

    def make(
        self, schema: str, name: str, columns: Mapping[str, str], views: Sequence[str]
    ) -> None:
        declared = ", ".join(f"{identifier(c)} {kind}" for c, kind in columns.items())
        self.run(f"CREATE OR REPLACE TABLE {identifier(schema)}.{identifier(name)} ({declared})")

    def fill(self, table: str, rows: pa.RecordBatchReader) -> None:
        self._con.register("rows_in", rows)
        self.run(f"INSERT INTO {table} FROM rows_in")
        self._con.unregister("rows_in")


@contextlib.contextmanager
def duckdb_file(path: Path) -> Iterator[_DuckdbTarget]:
    """Yield a DuckDB file in a transaction; on any error it is as it was, or not there.

    Views and macros that the file holds can reach nothing but the file.

    Raises:
        DataError: it is no DuckDB file.
        StorageError: another process has it open, or it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        place = path
        if not path.exists():
            place = stack.enter_context(atomic_path(path))
            # The engine makes the file itself.
            place.unlink()
            stack.callback(place.with_name(f"{place.name}.wal").unlink, missing_ok=True)
        con = stack.enter_context(connect(stack.enter_context(scratch())))
        try:
            con.execute(f"ATTACH {place_literal(place)} AS target (TYPE duckdb)")
            con.execute("SET enable_external_access = false")
            con.execute("SET lock_configuration = true")
            con.execute("USE target")
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise StorageError(
                    f"{path}: another process has it open; close it there and retry."
                ) from error
            raise DataError(f"{path}: not a DuckDB file: {one_line(error)}") from error
        try:
            con.begin()
            yield _DuckdbTarget(con, str(path))
            con.commit()
        except duckdb.Error as error:
            raise StorageError(
                f"{path}: cannot be written: {one_line(error)} Nothing was changed."
            ) from error
