"""Rows of SQLite databases: a person's own rows go, and mentions elsewhere are struck out."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

from cartcast.errors import StorageError
from cartcast.events.sql import identifier
from cartcast.forget.person import PEOPLE, Person

__all__ = ["STRUCK", "clean_database", "is_database", "mentions"]

STRUCK = "[forgotten]"
_HEADER = b"SQLite format 3\0"
LEAST = 4
"""A shorter id is looked for only where it is the whole cell: "17" is in every text."""


def is_database(path: Path) -> bool:
    """Return whether a file is an SQLite database."""
    with path.open("rb") as stream:
        return stream.read(len(_HEADER)) == _HEADER


def mentions(person: Person) -> re.Pattern[str] | None:
    """Return what finds the person's ids as words in a text; None when all are too short."""
    words = sorted((re.escape(n) for n in person.names if len(n) >= LEAST), key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(words)})(?![\w])") if words else None


def clean_database(path: Path, person: Person) -> int:
    """Delete a person's rows and strike mentions out, in one transaction; return how many cells.

    Raises:
        StorageError: the database refuses.
    """
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as con:
            con.execute("PRAGMA secure_delete = ON")
            con.execute("BEGIN IMMEDIATE")
            tables = con.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
            sessions = person.sessions_in(path.parent)
            gone = sum(_clean_table(con, str(name), person, sessions) for (name,) in tables)
            con.execute("COMMIT")
            if gone:
                con.execute("VACUUM")
                # A log of pages that a running service leaves beside the file holds them, too.
                con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone
    except sqlite3.Error as error:
        raise StorageError(f"{path}: the database refused ({error}); repeat.") from error


def _clean_table(con: sqlite3.Connection, table: str, person: Person, sessions: set[str]) -> int:
    quoted = identifier(table)
    columns = [str(row[1]) for row in con.execute(f"PRAGMA table_info({quoted})")]
    pattern, gone = mentions(person), 0
    listed = ", ".join(map(identifier, columns))
    for row in con.execute(f"SELECT rowid, {listed} FROM {quoted}").fetchall():
        cells = dict(zip(columns, row[1:], strict=True))
        own = any(person.holds(cells.get(c)) for c in PEOPLE)
        if own or cells.get("session_id") in sessions:
            con.execute(f"DELETE FROM {quoted} WHERE rowid = ?", (row[0],))
            gone += 1
            continue
        for column, cell in cells.items():
            if not isinstance(cell, str):
                continue
            struck = STRUCK if person.holds(cell) else cell
            struck = pattern.sub(STRUCK, struck) if pattern else struck
            if struck != cell:
                con.execute(
                    f"UPDATE {quoted} SET {identifier(column)} = ? WHERE rowid = ?",
                    (struck, row[0]),
                )
                gone += 1
    return gone
