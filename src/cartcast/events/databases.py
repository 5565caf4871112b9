"""Tables of databases: DuckDB and SQLite files, and PostgreSQL by URL. Passwords are not shown."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import duckdb

from cartcast.errors import CartcastError, DataError, NotFoundError, UsageError, did_you_mean
from cartcast.events.csvfile import open_csv
from cartcast.events.engine import one_line
from cartcast.events.read import Source
from cartcast.events.sql import identifier, literal
from cartcast.events.tables import table_source

__all__ = ["open_table", "tables_in"]

_COUNTER = itertools.count()
_ROWS = 50_000
_FORMS = (
    "duckdb:///FILE?table=NAME, sqlite:///FILE?table=NAME, FILE::NAME or "
    "postgresql://USER@HOST/DATABASE?table=SCHEMA.NAME"
)


class _Table(NamedTuple):
    kind: str
    place: str
    table: str


def open_table(con: duckdb.DuckDBPyConnection, text: str, work: Path) -> Source:
    """Return a source over a table named by URL or by `FILE::TABLE`.

    Raises:
        UsageError: the URL has another form, or names no table.
        NotFoundError: the file, server or table is not there.
    """
    found = _parse(text)
    if found.kind == "postgresql":
        return _postgres(con, found, work)
    path = Path(found.place)
    if not path.is_file():
        raise NotFoundError(f"{path}: no such database file; check the path.")
    return (_sqlite if _is_sqlite(path) else _duckdb)(con, path, found.table)


def _parse(text: str) -> _Table:
    if "://" not in text:
        place, _, table = text.rpartition("::")
        if not place or not table:
            raise UsageError(f"a table is named as FILE::TABLE, got {text!r}.")
        return _Table("file", place, table)
    parts = urlsplit(text)
    scheme = parts.scheme.lower().split("+")[0]
    query = parse_qs(parts.query)
    table = query.pop("table", [""])[0]
    if scheme not in ("duckdb", "sqlite", "postgresql", "postgres"):
        raise UsageError(f"unknown kind of table {parts.scheme!r}; use {_FORMS}.")
    if not table:
        raise UsageError(f"{scheme}: the URL names no table; use {_FORMS}.")
    if scheme in ("duckdb", "sqlite"):
        # Three slashes are a path from here, four an absolute one, as SQLAlchemy has it.
        return _Table(scheme, parts.path[1:] if parts.path.startswith("/") else parts.path, table)
    rest = urlencode(query, doseq=True)
    return _Table("postgresql", urlunsplit(("postgresql", *parts[1:3], rest, "")), table)


def tables_in(place: str) -> list[str]:
    """Return the tables and views of a database: a DuckDB or SQLite file, or a PostgreSQL URL.

    Names outside the usual schema are `SCHEMA.NAME`.

    Raises:
        NotFoundError: the file or the server is not there.
        DataError: it is no database that can be read.
        UsageError: the driver of PostgreSQL is missing.
    """
    if "://" in place:
        return _postgres_tables(place)
    path = Path(place)
    if not path.is_file():
        raise NotFoundError(f"{path}: no such database file; check the path.")
    if _is_sqlite(path):
        lite = _open_sqlite(path)
        try:
            return sorted(_sqlite_tables(lite))
        except sqlite3.Error as error:
            raise DataError(f"{path}: cannot be read: {error}.") from error
        finally:
            lite.close()
    with duckdb.connect() as con:
        known = _duckdb_tables(con, path, "source")
    return sorted(name if schema == "main" else f"{schema}.{name}" for schema, name in known)


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(15) == b"SQLite format 3"


def _missing(shown: str, table: str, tables: Sequence[str]) -> NotFoundError:
    return NotFoundError(f"{shown}: no table {table!r}.{did_you_mean(table, tables)}")


def _duckdb(con: duckdb.DuckDBPyConnection, path: Path, table: str) -> Source:
    alias = f"source_{next(_COUNTER)}"
    known = _duckdb_tables(con, path, alias)
    for schema, name in known:
        if table in (name, f"{schema}.{name}"):
            relation = f"{alias}.{identifier(schema)}.{identifier(name)}"
            return table_source(con, relation, f"{path}::{table}")
    raise _missing(str(path), table, [name for _, name in known])


def _duckdb_tables(con: duckdb.DuckDBPyConnection, path: Path, alias: str) -> list[tuple[str, str]]:
    """Attach a DuckDB file and return its tables and views, each with its schema."""
    try:
        con.execute(f"ATTACH {literal(str(path))} AS {alias} (READ_ONLY)")
    except duckdb.Error as error:
        raise DataError(f"{path}: not a database that can be read: {one_line(error)}") from error
    return con.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ? UNION ALL "
        "SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = ? "
        "AND NOT internal", [alias, alias],
    ).fetchall()  # fmt: skip


def _open_sqlite(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise DataError(f"{path}: cannot be opened: {error}.") from error


def _sqlite_tables(lite: sqlite3.Connection) -> list[str]:
    found = lite.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
    return [row[0] for row in found]


def _sqlite(con: duckdb.DuckDBPyConnection, path: Path, table: str) -> Source:
    """Copy a SQLite table as text into the work database, batch by batch."""
    import pyarrow as pa

    lite = _open_sqlite(path)
    try:
        known = _sqlite_tables(lite)
        if table not in known:
            raise _missing(str(path), table, known)
        cursor = lite.execute(f"SELECT * FROM {identifier(table)}")
        names = [d[0] for d in cursor.description]
        target = f"copied_{next(_COUNTER)}"
        columns = ", ".join(f"{identifier(n)} VARCHAR" for n in names)
        con.execute(f"CREATE TABLE {target} ({columns})")
        while rows := cursor.fetchmany(_ROWS):
            batch = pa.table(
                {n: pa.array([_text(r[i]) for r in rows], pa.string()) for i, n in enumerate(names)}
            )
            con.register("batch_in", batch)
            con.execute(f"INSERT INTO {target} SELECT * FROM batch_in")
            con.unregister("batch_in")
    except sqlite3.Error as error:
        raise DataError(f"{path}::{table}: cannot be read: {error}.") from error
    finally:
        lite.close()
    return table_source(con, target, f"{path}::{table}")


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _postgres(con: duckdb.DuckDBPyConnection, found: _Table, work: Path) -> Source:
    """Stream a PostgreSQL table into a CSV file in `work` by COPY, which needs no memory."""
    try:
        import psycopg
        from psycopg import sql
    except ImportError as error:
        raise UsageError(
            "PostgreSQL needs the driver psycopg: pip install 'cartcast[postgres]'."
        ) from error
    parts = urlsplit(found.place)
    shown = f"postgresql://{parts.hostname or 'localhost'}{parts.path}?table={found.table}"
    target = work / f"postgres-{next(_COUNTER)}.csv"
    name = sql.SQL(".").join(sql.Identifier(p) for p in found.table.split("."))
    query = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT (FORMAT csv, HEADER)").format(name)
    try:
        with psycopg.connect(found.place, connect_timeout=10, autocommit=False) as server:
            server.read_only = True
            server.execute("SET TimeZone = 'UTC'")
            server.execute("SET DateStyle = 'ISO'")
            server.execute("SET client_encoding = 'UTF8'")
            with server.cursor() as cursor, cursor.copy(query) as rows, target.open("wb") as out:
                for block in rows:
                    out.write(block)
    except psycopg.errors.UndefinedTable as error:
        raise NotFoundError(f"{shown}: no such table; check its schema and name.") from error
    except psycopg.OperationalError as error:
        raise NotFoundError(f"{shown}: no connection: {_safe(error, parts.password)}") from error
    except psycopg.Error as error:
        raise _refused(shown, error, parts.password) from error
    return open_csv(con, target, shown, work, ",", ())


def _postgres_tables(url: str) -> list[str]:
    try:
        import psycopg
    except ImportError as error:
        raise UsageError(
            "PostgreSQL needs the driver psycopg: pip install 'cartcast[postgres]'."
        ) from error
    parts = urlsplit(url)
    shown = f"postgresql://{parts.hostname or 'localhost'}{parts.path}"
    try:
        with psycopg.connect(url, connect_timeout=10) as server:
            server.read_only = True
            found = server.execute(
                "SELECT table_schema, table_name FROM information_schema.tables "
                "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
            ).fetchall()
    except psycopg.OperationalError as error:
        raise NotFoundError(f"{shown}: no connection: {_safe(error, parts.password)}") from error
    except psycopg.Error as error:
        raise _refused(shown, error, parts.password) from error
    return [f"{schema}.{name}" for schema, name in found]


def _refused(shown: str, error: Exception, password: str | None) -> CartcastError:
    return DataError(f"{shown}: cannot be read: {_safe(error, password)}")


def _safe(error: Exception, password: str | None) -> str:
    text = one_line(error)
    return text.replace(password, "***") if password else text
