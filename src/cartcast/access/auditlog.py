"""The audit log of a project: who did what, and who was refused; in `.cartcast/app.db`."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cartcast import statefile
from cartcast.config import STATE_FOLDER
from cartcast.errors import StorageError

__all__ = ["AuditLine", "AuditLog", "open_database"]

_TABLE = (
    "CREATE TABLE IF NOT EXISTS audit (number INTEGER PRIMARY KEY, at TEXT NOT NULL, "
    "issuer TEXT NOT NULL, subject TEXT NOT NULL, name TEXT NOT NULL, action TEXT NOT NULL, "
    "detail TEXT NOT NULL, allowed INTEGER NOT NULL)"
)
LONGEST = 500
"""Characters of a detail that are kept."""


@dataclass(frozen=True)
class AuditLine:
    """One line of the audit log; refused attempts are kept too.

    `issuer` says who vouches for `subject`: the URL of a sign-in service, `local` for the owner of
    the machine's account, or `key` for a key of that id.
    """

    at: str
    issuer: str
    subject: str
    name: str
    action: str
    detail: str
    allowed: bool


class AuditLog:
    """The audit log of the project in `folder`.

    >>> import tempfile
    >>> log = AuditLog(Path(tempfile.mkdtemp()))
    >>> log.note("local", "ada", "Ada", "promote", "run-1", allowed=True)
    >>> [(line.name, line.action, line.allowed) for line in log.lines()]
    [('Ada', 'promote', True)]
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def note(
        self, issuer: str, subject: str, name: str, action: str, detail: str, *, allowed: bool
    ) -> None:
        """Add a line with the present time.

        Raises:
            StorageError: the database refuses.
        """
        at = datetime.now(UTC).isoformat(timespec="seconds")
        with open_database(self.folder, "BEGIN IMMEDIATE") as sql:
            sql(
                "INSERT INTO audit (at, issuer, subject, name, action, detail, allowed) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (at, issuer, subject, name, action, detail[:LONGEST], allowed),
            )

    def lines(self, limit: int = 500) -> list[AuditLine]:
        """Return the newest lines, the last one first."""
        with open_database(self.folder) as sql:
            rows = sql(
                "SELECT at, issuer, subject, name, action, detail, allowed FROM audit "
                "ORDER BY number DESC LIMIT ?",
                (limit,),
            )
        return [AuditLine(a, i, s, n, w, d, bool(ok)) for a, i, s, n, w, d, ok in rows]


@contextlib.contextmanager
def open_database(
    folder: Path, begin: str = "BEGIN", tables: tuple[str, ...] = ()
) -> Iterator[Any]:
    """Yield `run(sql, values) -> rows` inside one transaction of `.cartcast/app.db`.

    Raises:
        StorageError: it cannot be opened or written.
    """
    path = folder / STATE_FOLDER / "app.db"
    con = statefile.connect(path)
    try:
        for statement in (_TABLE, *tables):
            con.execute(statement)
        con.execute(begin)
        yield lambda sql, values=(): con.execute(sql, values).fetchall()
        con.execute("COMMIT")
    except sqlite3.Error as error:
        raise StorageError(f"{path}: refused ({error}).") from error
    finally:
        con.close()
