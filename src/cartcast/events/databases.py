"""Tables of databases: DuckDB and SQLite files, and PostgreSQL by URL. Passwords are not shown."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import duckdb

from cartcast.errors import DataError, NotFoundError, UsageError
from cartcast.events.csvfile import open_csv
from cartcast.events.engine import one_line
from cartcast.events.foreign import DuckdbFile, SqliteFile, copied
from cartcast.events.read import Source
from cartcast.events.sql import identifier
from cartcast.events.tables import table_source

if TYPE_CHECKING:
    import psycopg

__all__ = ["from_environment", "open_table", "postgres", "server_url", "shown_server", "tables_in"]

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
    shown = f"{shown_server(found.place)}?table={found.table}"
    target = work / f"postgres-{next(_COUNTER)}.csv"
    name = ".".join(identifier(p) for p in found.table.split("."))
    query = f"COPY (SELECT * FROM {name}) TO STDOUT (FORMAT csv, HEADER)"
    with postgres(found.place, shown) as server:
        server.execute("SET TRANSACTION READ ONLY")
        with (
            server.cursor() as cursor,
            cursor.copy(query.encode()) as rows,
            target.open("wb") as out,
        ):
            for block in rows:
                out.write(block)
    return open_csv(con, target, shown, work, ",", ())


def _postgres_tables(url: str) -> list[str]:
    with postgres(url, shown_server(url)) as server:
        server.execute("SET TRANSACTION READ ONLY")
        found = server.execute(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
        ).fetchall()
    return [f"{schema}.{name}" for schema, name in found]


def from_environment(text: str, environment: Mapping[str, str], where: str) -> str:
    """Return `text`, or what the variable `$NAME` holds.

    Raises:
        UsageError: the variable is not set; `where` begins the line.
    """
    if not text.startswith("$"):
        return text
    if found := environment.get(text[1:]):
        return found
    raise UsageError(f"{where}: the environment variable {text[1:]} is not set.")


def server_url(text: str, environment: Mapping[str, str], where: str) -> str:
    """Return the URL of a PostgreSQL server: `text`, or what the variable `$NAME` holds.

    Raises:
        UsageError: the variable is not set, or it is no such URL; `where` begins the line.
    """
    url = from_environment(text, environment, where)
    if urlsplit(url).scheme.split("+")[0] not in ("postgresql", "postgres"):
        named = text if text.startswith("$") else "the URL"
        raise UsageError(f"{where}: {named} must hold postgresql://USER@HOST/DATABASE.")
    return url


def shown_server(url: str) -> str:
    """Return host and database of a PostgreSQL URL: what may be shown of it."""
    parts = urlsplit(url)
    return f"postgresql://{parts.hostname or 'localhost'}{parts.path}"


@contextlib.contextmanager
def postgres(url: str, shown: str, doing: str = "read") -> Iterator[psycopg.Connection]:
    """Yield a connection to a server that speaks UTC, ISO and UTF-8; commit at the end.

    `shown` stands for the place in messages, which never hold the password.

    Raises:
        UsageError: the driver is missing.
        NotFoundError: there is no such server or table.
        DataError: the server refused what was asked, in what `doing` names.
    """
    try:
        import psycopg
    except ImportError as error:
        raise UsageError(
            "PostgreSQL needs the driver psycopg: pip install 'cartcast[postgres]'."
        ) from error
    password = urlsplit(url).password
    try:
        with psycopg.connect(url, connect_timeout=10) as server:
            server.execute("SET TimeZone = 'UTC'")
            server.execute("SET DateStyle = 'ISO'")
            server.execute("SET client_encoding = 'UTF8'")
            yield server
    except psycopg.errors.UndefinedTable as error:
        raise NotFoundError(f"{shown}: no such table; check its schema and name.") from error
    except psycopg.OperationalError as error:
        raise NotFoundError(f"{shown}: no connection: {_safe(error, password)}") from error
    except psycopg.Error as error:
        raise DataError(f"{shown}: cannot be {doing}: {_safe(error, password)}") from error


def _safe(error: Exception, password: str | None) -> str:
    text = one_line(error)
    return text.replace(password, "***") if password else text
