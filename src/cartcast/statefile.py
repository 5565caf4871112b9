"""State in an SQLite file: transactions that are whole or not there, in the form that is known."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from cartcast.atomic import touch
from cartcast.errors import StorageError

__all__ = ["connect", "reading", "transaction"]


def connect(path: Path) -> sqlite3.Connection:
    """Open a state file, made with the mode of its place when it is not there.

    Raises:
        StorageError: it cannot be opened.
    """
    try:
        touch(path)
        con = sqlite3.connect(path, timeout=30, isolation_level=None)
        try:
            con.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error:
            con.close()
            raise
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"{path}: the state cannot be opened ({error}).") from error
    return con


def reading(path: Path, timeout: float = 5.0) -> contextlib.closing[sqlite3.Connection]:
    """Open an SQLite file to read only, for a `with`; nothing is locked, made or written.

    Raises:
        sqlite3.Error: it is not there, or no database.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return contextlib.closing(sqlite3.connect(uri, uri=True, timeout=timeout))


@contextlib.contextmanager
def transaction(
    con: sqlite3.Connection, path: Path | None, tables: str, version: int
) -> Iterator[None]:
    """Hold one transaction, whole or not at all; `tables` are made when they are not there.

    Raises:
        StorageError: the file cannot be written, or is of a later version.
    """
    try:
        con.execute("BEGIN IMMEDIATE")
        found = con.execute("PRAGMA user_version").fetchone()[0]
        if found > version:
            raise StorageError(
                f"{path}: written by a later version of Cartcast (state {found}, this "
                f"knows {version}); update Cartcast."
            )
        for statement in tables.split(";"):
            con.execute(statement)
        if found < version:  # a transaction that only reads then writes nothing to the disk
            con.execute(f"PRAGMA user_version = {version}")
        yield
        con.execute("COMMIT")
    except sqlite3.Error as error:
        raise StorageError(f"{path}: the state refused ({error}).") from error
    finally:
        if con.in_transaction:
            con.execute("ROLLBACK")
