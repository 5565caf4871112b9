"""Tables of databases: DuckDB and SQLite files, and PostgreSQL by URL. Passwords are not shown."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import duckdb

from cartcast.errors import CartcastError, DataError, NotFoundError, UsageError
from cartcast.events.csvfile import open_csv
from cartcast.events.engine import one_line
from cartcast.events.foreign import DuckdbFile, SqliteFile, copied
from cartcast.events.read import Source
from cartcast.events.tables import table_source

__all__ = ["open_table", "tables_in"]

_COUNTER = itertools.count()
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
    reader = (SqliteFile if _is_sqlite(path) else DuckdbFile)(path)
    with reader as file:
        target = copied(con, file.batches(found.table), path)
    return table_source(con, target, f"{path}::{found.table}")


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

    Views of a file that read anything but the file are left out. Names outside the usual schema
    are `SCHEMA.NAME`.

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
    with (SqliteFile if _is_sqlite(path) else DuckdbFile)(path) as file:
        return sorted(file.tables())


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(15) == b"SQLite format 3"


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
