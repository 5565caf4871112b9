"""Database files of strangers: opened where nothing else can be reached, and copied out.

A DuckDB or SQLite file can hold views, and a view runs with the rights of who reads it. So each
file has an engine connection of its own, which reaches that one file and no other, and cannot be
reconfigured; only rows leave it, and no more of them than a file of its size may hold.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import duckdb

from cartcast.errors import DataError, NotFoundError, did_you_mean
from cartcast.events.engine import one_line
from cartcast.events.packed import allowed
from cartcast.events.sql import identifier, place_literal

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DatabaseFile", "DuckdbFile", "SqliteFile", "copied"]

_COUNTER = itertools.count()
_ROWS = 50_000
_CELL = 16_777_216
_MEMORY = "1GB"
_HELD = (
    "SET TimeZone = 'UTC'",
    "SET temp_directory = ''",
    f"SET memory_limit = '{_MEMORY}'",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET python_enable_replacements = false",
    "SET arrow_lossless_conversion = true",
)
_SEALED = ("SET enable_external_access = false", "SET lock_configuration = true")


class DatabaseFile(Protocol):
    """A database file: its tables, and the rows of one."""

    def tables(self) -> list[str]:
        """Return the names of the tables, and of the views that read only these."""
        ...

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a table.

        Raises:
            NotFoundError: there is none of this name.
            DataError: it cannot be read, or reads anything but the file.
        """
        ...


class DuckdbFile:
    """A DuckDB file in a connection of its own.

    Raises:
        DataError: it is no DuckDB file, or one of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            if file.read(12)[8:] != b"DUCK":
                raise DataError(f"{path}: not a database that can be read: no DuckDB file.")
        self._con = duckdb.connect()
        try:
            for statement in _HELD:
                self._con.execute(statement)
            self._con.execute(f"ATTACH {place_literal(path)} AS source (READ_ONLY, TYPE duckdb)")
            for statement in _SEALED:
                self._con.execute(statement)
        except duckdb.Error as error:
            self._con.close()
            raise DataError(
                f"{path}: not a database that can be read: {one_line(error)}"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._con.close()

    def _known(self) -> list[tuple[str, str, bool]]:
        """Return schema and name of the tables and views, and whether it is a view."""
        return self._con.execute(
            "SELECT schema_name, table_name, false FROM duckdb_tables() "
            "WHERE database_name = 'source' UNION ALL "
            "SELECT schema_name, view_name, true FROM duckdb_views() "
            "WHERE database_name = 'source' AND NOT internal"
        ).fetchall()

    def tables(self) -> list[str]:
        """Return the names of the tables, and of the views that read only these."""
        return [
            name if schema == "main" else f"{schema}.{name}"
            for schema, name, view in self._known()
            if not view or self._stays(schema, name)
        ]

    def _stays(self, schema: str, name: str) -> bool:
        try:
            self._con.execute(f"DESCRIBE SELECT * FROM {_relation(schema, name)}")
        except duckdb.Error:
            return False
        return True

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a table."""
        known = self._known()
        for schema, name, _ in known:
            if table in (name, f"{schema}.{name}"):
                break
        else:
            raise _missing(self.path, table, [name for _, name, _ in known])
        try:
            yield from self._con.execute(
                f"SELECT * FROM {_relation(schema, name)}"
            ).to_arrow_reader(_ROWS)
        except duckdb.PermissionException as error:
            raise DataError(
                f"{self.path}::{table}: a view that reads more than its own file, which is not "
                "allowed; give a table."
            ) from error
        except duckdb.Error as error:
            raise DataError(f"{self.path}::{table}: cannot be read: {one_line(error)}.") from error


def _relation(schema: str, name: str) -> str:
    return f"source.{identifier(schema)}.{identifier(name)}"


_ALLOWED = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
_TABLES = (
    "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
    "AND (type = 'view' OR (type = 'table' AND rootpage > 0))"
)


class SqliteFile:
    """A SQLite file in a connection of its own, which may only read tables.

    Virtual tables are no tables: a module outside of the file answers for them.

    Raises:
        DataError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._con = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            self._con.execute("PRAGMA trusted_schema = OFF")
            self._con.execute("PRAGMA cell_size_check = ON")
        except sqlite3.Error as error:
            raise DataError(f"{path}: cannot be opened: {error}.") from error
        self._con.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _CELL)
        self._con.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        self._con.set_authorizer(_judge)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._con.close()

    def tables(self) -> list[str]:
        """Return the names of the tables, and of the views that read only these."""
        with self._told():
            found = self._con.execute(_TABLES).fetchall()
        return [str(row[0]) for row in found]

    @contextlib.contextmanager
    def _told(self, table: str = "") -> Iterator[None]:
        where = f"{self.path}::{table}" if table else str(self.path)
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
            raise DataError(f"{where}: cannot be read: {error}.") from error

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a table as text."""
        import pyarrow as pa

        known = self.tables()
        if table not in known:
            raise _missing(self.path, table, known)
        with self._told(table):
            cursor = self._con.execute(f"SELECT * FROM {identifier(table)}")
            names = [d[0] for d in cursor.description]
            schema = pa.schema([(name, pa.string()) for name in names])
            for rows in _pieces(cursor):
                columns = [pa.array(c, pa.string()) for c in zip(*rows, strict=True)]
                yield pa.record_batch(
                    columns or [pa.array([], pa.string()) for _ in names], schema=schema
                )


def _judge(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION and str(second).lower() == "load_extension":
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _pieces(cursor: sqlite3.Cursor) -> Iterator[list[list[str | None]]]:
    """Yield rows of texts, in pieces of about the largest cell; at least one piece."""
    rows: list[list[str | None]] = []
    size = 0
    for row in cursor:
        rows.append([_text(value) for value in row])
        size += sum(len(value) for value in rows[-1] if value)
        if len(rows) >= _ROWS or size > _CELL:
            yield rows
            rows, size = [], 0
    yield rows


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def copied(con: duckdb.DuckDBPyConnection, batches: Iterator[pa.RecordBatch], path: Path) -> str:
    """Copy rows into a table of `con`; return its name.

    Raises:
        DataError: they take more than a file of its size may hold, or cannot be a table.
    """
    import pyarrow as pa

    target = f"copied_{next(_COUNTER)}"
    most, size, made = allowed(path.stat().st_size), 0, False
    for batch in batches:
        size += batch.nbytes
        if size > most:
            raise DataError(
                f"{path}: holds more than the {most / 1e6:,.0f} MB allowed for a file of its size; "
                "export the table and give the file."
            )
        con.register("batch_in", pa.Table.from_batches([batch]))
        try:
            if not made:
                con.execute(f"CREATE TABLE {target} AS FROM batch_in LIMIT 0")
                made = True
            con.execute(f"INSERT INTO {target} FROM batch_in")
        finally:
            con.unregister("batch_in")
    if not made:
        raise DataError(f"{path}: the table has no rows; give one with rows.")
    return target


def _missing(path: Path, table: str, tables: Sequence[str]) -> NotFoundError:
    return NotFoundError(f"{path}: no table {table!r}.{did_you_mean(table, tables)}")
