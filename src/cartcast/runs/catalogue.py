"""The database of the catalogue: an SQLite file in `.cartcast/`, or PostgreSQL for a team.

Both have one schema, made and changed by the same statements. An SQLite file is changed when it is
opened; a database that others use is changed by `cartcast models migrate` alone.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cartcast import statefile
from cartcast.config import STATE_FOLDER
from cartcast.errors import NotTrustedError, StorageError, UsageError
from cartcast.system import account

__all__ = ["COLUMNS", "VERSION", "Database", "Sql", "dump", "fill", "insert", "next_number", "now"]

Sql = Callable[..., list[Any]]
"""`sql(statement, values) -> rows`, inside one transaction."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE IF NOT EXISTS runs (run_id TEXT PRIMARY KEY, path TEXT NOT NULL, "
        "created TEXT NOT NULL, target TEXT NOT NULL, target_kind TEXT NOT NULL, "
        "champion TEXT NOT NULL, metrics TEXT NOT NULL, manifest TEXT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS promotions (number INTEGER PRIMARY KEY, target TEXT NOT NULL, "
        "alias TEXT NOT NULL, run_id TEXT NOT NULL, at TEXT NOT NULL, who TEXT NOT NULL, "
        "reason TEXT NOT NULL)",
    ),
    (
        "ALTER TABLE runs ADD COLUMN stored TEXT NOT NULL DEFAULT ''",
        "CREATE TABLE members (name TEXT PRIMARY KEY, role TEXT NOT NULL)",
        "CREATE TABLE acts (number INTEGER PRIMARY KEY, at TEXT NOT NULL, who TEXT NOT NULL, "
        "action TEXT NOT NULL, detail TEXT NOT NULL)",
        "CREATE TABLE catalogue_version (version INTEGER NOT NULL)",
        "INSERT INTO catalogue_version VALUES (2)",
    ),
)
"""The n-th leads from version n-1 to n; what no table tells a version of is 1, or empty."""
VERSION = len(MIGRATIONS)

COLUMNS = {
    "runs": ("run_id", "path", "created", "target", "target_kind", "champion", "metrics",
             "manifest", "stored"),
    "promotions": ("number", "target", "alias", "run_id", "at", "who", "reason"),
}  # fmt: skip
"""What a backup keeps. Members and acts are the database's own, and stay when it is restored."""
_LOCK = 1128353108
_PATIENCE = 10
"""Seconds to wait for a server, and for others who write."""


class Database:
    """One catalogue.

    Args:
        folder: the project folder; the file is `.cartcast/catalogue.db` in it.
        url: a PostgreSQL URL to use instead, or `$NAME` of an environment variable that holds
            one, or what libpq takes (`host=... dbname=...`).
    """

    def __init__(self, folder: Path, url: str | None) -> None:
        self.path = folder / STATE_FOLDER / "catalogue.db"
        self.url = url

    @contextlib.contextmanager
    def open(self, *, migrate: bool = False) -> Iterator[Sql]:
        """Yield `sql` inside one transaction, whole or not at all, of the schema that is known.

        Raises:
            StorageError: the database cannot be used, or is of a later version.
            UsageError: it is of an earlier version, and others use it.
        """
        with self._postgres() if self.url else self._sqlite() as sql:
            found = self._version(sql)
            if found > VERSION:
                raise StorageError(
                    f"{self}: the catalogue is of version {found}, and this Cartcast knows "
                    f"{VERSION}; update Cartcast. Nothing was changed."
                )
            if 0 < found < VERSION and self.url and not migrate:
                raise UsageError(
                    f"{self}: the catalogue is of version {found}, and this Cartcast needs "
                    f"{VERSION}; `cartcast models migrate` changes it, once for all hosts."
                )
            for statement in (s for step in MIGRATIONS[found:] for s in step):
                sql(statement)
            yield sql

    def who(self, sql: Sql, name: str | None = None) -> str:
        """Return who is to be recorded; PostgreSQL vouches for the name of its user."""
        own = name or account()
        if not self.url:
            return own
        return f"{own if name else f'{own}@{socket.gethostname()}'} as {self.user(sql)}"

    def user(self, sql: Sql) -> str:
        """Return the name of the database's user."""
        return str(sql("SELECT session_user")[0][0])

    def __str__(self) -> str:
        return "the catalogue database" if self.url else str(self.path)

    def _version(self, sql: Sql) -> int:
        known = (
            "SELECT tablename FROM pg_tables WHERE schemaname = ANY(current_schemas(false))"
            if self.url
            else "SELECT name FROM sqlite_master WHERE type = 'table'"
        )
        tables = {row[0] for row in sql(known)}
        if "catalogue_version" in tables:
            return int(sql("SELECT max(version) FROM catalogue_version")[0][0])
        return int("runs" in tables)

    @contextlib.contextmanager
    def _sqlite(self) -> Iterator[Sql]:
        path = self.path
        con = statefile.connect(path)
        try:
            con.execute("BEGIN IMMEDIATE")
            yield lambda sql, values=(): con.execute(sql, values).fetchall()
            con.execute("COMMIT")
        except sqlite3.Error as error:
            raise StorageError(f"{path}: the catalogue refused ({error}).") from error
        finally:
            con.close()

    @contextlib.contextmanager
    def _postgres(self) -> Iterator[Sql]:
        try:
            import psycopg
        except ImportError as error:
            raise UsageError(
                "a PostgreSQL catalogue needs the extra 'postgres': "
                "pip install 'cartcast[postgres]'."
            ) from error
        # Here, as it brings the engine, which a catalogue in a file does without.
        from cartcast.events.databases import from_environment

        # What the variable holds may also be as libpq has it: host=... dbname=...
        url = from_environment(str(self.url), os.environ, "catalogue")
        try:
            with psycopg.connect(url, **_limits(url)) as con, con.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}s'")
                # One at a time, as with the embedded file.
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))

                def run(sql: str, values: Sequence[Any] = ()) -> list[Any]:
                    cursor.execute(sql.replace("?", "%s"), values)
                    return cursor.fetchall() if cursor.description else []

                yield run
        except psycopg.errors.InsufficientPrivilege as error:
            raise StorageError(
                "the catalogue database does not let its user do this; use another, or ask who "
                "owns it for the right."
            ) from error
        except psycopg.Error as error:
            raise StorageError(
                f"the catalogue database refused ({type(error).__name__}); check its URL and "
                "that the server runs."
            ) from error


def insert(sql: Sql, table: str, row: Mapping[str, Any]) -> None:
    """Add a row; columns that it lacks have their defaults."""
    held = [c for c in COLUMNS[table] if c in row]
    marks = ", ".join("?" for _ in held)
    sql(f"INSERT INTO {table} ({', '.join(held)}) VALUES ({marks})", tuple(row[c] for c in held))


def dump(sql: Sql) -> dict[str, list[dict[str, Any]]]:
    """Return every row that a backup keeps, by table and column."""
    return {
        table: [
            dict(zip(columns, row, strict=True))
            for row in sql(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1")
        ]
        for table, columns in COLUMNS.items()
    }


def fill(sql: Sql, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Put the rows of a backup in the place of those that are there.

    Raises:
        NotTrustedError: a table or column is not of this version.
    """
    for table, columns in COLUMNS.items():
        if any(not set(row) <= set(columns) for row in rows.get(table, ())):
            raise NotTrustedError(f"the catalogue's {table} are of another version of Cartcast.")
    for table in COLUMNS:
        sql(f"DELETE FROM {table}")
        for row in rows.get(table, ()):
            insert(sql, table, row)


def _limits(url: str) -> dict[str, Any]:
    """Return what bounds the wait for a server that does not answer."""
    found: dict[str, Any] = {"tcp_user_timeout": 1000 * _PATIENCE}
    return found if "connect_timeout" in url else {**found, "connect_timeout": _PATIENCE}


def next_number(sql: Sql, table: str) -> int:
    """Return the number of the next row of a table of the catalogue."""
    return int(sql(f"SELECT coalesce(max(number), 0) + 1 FROM {table}")[0][0])


def now() -> str:
    """Return the present time as the catalogue keeps it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
