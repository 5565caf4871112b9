"""The outbox: exposures and messages in one SQLite file, written before anything is sent.

A list is taken in by one transaction, whole or not at all. A message that a receiver took is never
sent again. One that was under way when the process was killed may have been taken: it is sent
again under the same id, by which a receiver knows it. Lists and the live service write to the same
file, so that caps and arms hold across both.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cartcast import statefile
from cartcast.activation.judge import Contact, Verdict
from cartcast.activation.plan import Activation
from cartcast.atomic import touch, write_text
from cartcast.errors import DataError, StorageError
from cartcast.experiments.exposures import TABLE, Exposure, add_exposures
from cartcast.lock import alone
from cartcast.webhook import LARGEST

__all__ = ["Letter", "Outbox"]

State = Literal["due", "sent", "dead", "written", "withdrawn"]
_VERSION = 2
_TABLES = f"""
{TABLE};
CREATE TABLE IF NOT EXISTS messages (id TEXT PRIMARY KEY, activation TEXT, unit TEXT, arm TEXT,
    at REAL, state TEXT, body TEXT, tries INTEGER DEFAULT 0, next REAL DEFAULT 0, said TEXT);
CREATE INDEX IF NOT EXISTS of_unit ON messages (unit);
CREATE INDEX IF NOT EXISTS by_state ON messages (activation, state, next);
CREATE TABLE IF NOT EXISTS endpoints (url TEXT PRIMARY KEY, off REAL);
CREATE TABLE IF NOT EXISTS reasons (activation TEXT, day TEXT, reason TEXT, times INTEGER,
    PRIMARY KEY (activation, day, reason));
"""


@dataclass(frozen=True)
class Letter:
    """A message that waits.

    Attributes:
        identity: its id.
        unit: to whom it is.
        body: JSON text.
        tries: how often it was posted.
        due: moment of the next try, seconds since 1970.
    """

    identity: str
    unit: str
    body: str
    tries: int
    due: float


class Outbox:
    """Exposures, messages and switched-off endpoints of a project.

    Args:
        path: the SQLite file; made when it is not there.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection inside one transaction, whole or not at all.

        Raises:
            StorageError: the file cannot be opened or written, or is of a later version.
        """
        with self.held() as con, statefile.transaction(con, self.path, _TABLES, _VERSION):
            yield con

    @contextlib.contextmanager
    def held(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection; while one is open, the others' transactions need one sync each.

        Raises:
            StorageError: the file cannot be opened.
        """
        with contextlib.closing(statefile.connect(self.path)) as con:
            try:
                con.execute("PRAGMA journal_mode = WAL")
                con.execute("SELECT 1 FROM sqlite_master").fetchone()  # opens it: SQLite is lazy
            except sqlite3.Error as error:
                raise StorageError(f"{self.path}: the state refused ({error}).") from error
            yield con

    @contextlib.contextmanager
    def looking(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that reads only; one without rows where there is no outbox yet.

        Raises:
            StorageError: the file cannot be read.
        """
        try:
            if self.path.is_file() and self.path.stat().st_size:
                with statefile.reading(self.path) as con:
                    yield con
                return
            with contextlib.closing(sqlite3.connect(":memory:")) as con:
                con.executescript(_TABLES)
                yield con
        except sqlite3.Error as error:
            raise StorageError(f"{self.path}: the state cannot be read ({error}).") from error

    @contextlib.contextmanager
    def only_sender(self) -> Iterator[None]:
        """Hold the right to send: two senders would post each message twice.

        Raises:
            StorageError: another process has it.
        """
        refusal = StorageError(f"{self.path}: another process is sending; let it end.")
        touch(self.path)
        with alone(self.path.with_name(f"{self.path.name}.lock"), refusal):
            yield

    def contacts(
        self, con: sqlite3.Connection, at: dt.datetime, within: float, unit: str | None = None
    ) -> dict[str, list[Contact]]:
        """Return the contacts within seconds before a moment, of one unit or of all, by unit.

        A message that was not delivered counts: it may still be sent again.
        """
        sql = "SELECT unit, id, activation, at FROM messages WHERE at > ? AND state <> 'withdrawn'"
        found: dict[str, list[Contact]] = {}
        parameters = [_seconds(at) - within, *([unit] if unit is not None else [])]
        for of, identity, activation, made in con.execute(
            sql + (" AND unit = ?" if unit is not None else ""), parameters
        ):
            found.setdefault(of, []).append(Contact(identity, activation, _moment(made)))
        return found

    def keep(
        self, con: sqlite3.Connection, activation: Activation, verdict: Verdict, at: dt.datetime,
        body: Any = None,
    ) -> bool:  # fmt: skip
        """Keep a verdict: its exposure once, and its message unless it is kept; tell whether new.

        Without a `body` the message counts as a contact and is not sent: it is in a file, or shown.
        """
        if verdict.arm is None:
            return False
        allocation, moment = activation.experiment.allocation, round(_seconds(at) * 1e6)
        add_exposures(
            con,
            [Exposure(verdict.unit, allocation.key, allocation.version, verdict.arm, moment)],
        )
        if verdict.reason != "contact":
            return False
        text = None if body is None else json.dumps(body, separators=(",", ":"), allow_nan=False)
        if text is not None and len(text) > LARGEST:
            raise DataError(
                f"{verdict.unit}: a message has at most {LARGEST:,} bytes, got {len(text):,}; "
                "send fewer columns."
            )
        done = con.execute(
            "INSERT OR IGNORE INTO messages (id, activation, unit, arm, at, state, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (verdict.identity, activation.key, verdict.unit, verdict.arm, _seconds(at),
             "written" if text is None else "due", text),
        )  # fmt: skip
        return done.rowcount == 1

    def count(
        self, con: sqlite3.Connection, activation: str, at: dt.datetime, reasons: Mapping[str, int]
    ) -> None:
        """Count what was decided, by day (UTC) and reason."""
        day = dt.datetime.fromtimestamp(_seconds(at), dt.UTC).date().isoformat()
        con.executemany(
            "INSERT INTO reasons VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "times = times + excluded.times",
            [(activation, day, reason, n) for reason, n in reasons.items() if n],
        )

    def next_letter(self, activation: str) -> Letter | None:
        """Return the message that is due first, now or later; None when none waits."""
        with self.transaction() as con:
            row = con.execute(
                "SELECT id, unit, body, tries, next FROM messages WHERE activation = ? AND "
                "state = 'due' ORDER BY next, at, id LIMIT 1", (activation,)
            ).fetchone()  # fmt: skip
        return None if row is None else Letter(*row)

    def settle(self, letter: Letter, state: State, said: str, due: float = 0.0) -> None:
        """Keep what came of a try; the text of a message that was taken is not kept."""
        with self.transaction() as con:
            con.execute(
                "UPDATE messages SET state = ?, said = ?, next = ?, tries = tries + 1, "
                "body = CASE WHEN ? = 'sent' THEN NULL ELSE body END WHERE id = ?",
                (state, said, due, state, letter.identity),
            )

    def hold(self, activation: str, until: float) -> None:
        """Let no message of an activation be tried before a moment."""
        with self.transaction() as con:
            con.execute(
                "UPDATE messages SET next = max(next, ?) WHERE activation = ? AND state = 'due'",
                (until, activation),
            )

    def withdraw(self, activation: str, units: Collection[str]) -> int:
        """Take back what waits for units that have opted out since; return how many."""
        with self.transaction() as con:
            waiting = con.execute(
                "SELECT id, unit FROM messages WHERE activation = ? AND state IN ('due', 'dead')",
                (activation,),
            ).fetchall()
            gone = [(identity,) for identity, unit in waiting if unit in units]
            con.executemany(
                "UPDATE messages SET state = 'withdrawn', body = NULL WHERE id = ?", gone
            )
        return len(gone)

    def revive(self, activation: str) -> int:
        """Make dead letters due again; return how many."""
        with self.transaction() as con:
            return con.execute(
                "UPDATE messages SET state = 'due', tries = 0, next = 0 WHERE activation = ? "
                "AND state = 'dead'", (activation,),
            ).rowcount  # fmt: skip

    def states(self, activation: str) -> dict[str, int]:
        """Return the number of messages by state."""
        with self.transaction() as con:
            found = con.execute(
                "SELECT state, count(*) FROM messages WHERE activation = ? GROUP BY 1",
                (activation,),
            ).fetchall()
        return {str(state): int(n) for state, n in found}

    def switch(self, url: str, off: float | None) -> None:
        """Switch an endpoint off since a moment, or on with None; its URL is kept as a hash."""
        with self.transaction() as con:
            con.execute("DELETE FROM endpoints WHERE url = ?", (_name(url),))
            if off is not None:
                con.execute("INSERT INTO endpoints VALUES (?, ?)", (_name(url), off))

    def off_since(self, url: str) -> dt.datetime | None:
        """Return since when an endpoint is switched off; None while it is on."""
        with self.transaction() as con:
            row = con.execute("SELECT off FROM endpoints WHERE url = ?", (_name(url),)).fetchone()
        return None if row is None else _moment(row[0])

    def write_dead(self, activation: str, path: Path) -> int:
        """Write the dead letters as JSON lines; return how many."""
        with self.transaction() as con:
            rows = con.execute(
                "SELECT id, unit, arm, tries, said, body FROM messages WHERE activation = ? AND "
                "state = 'dead' ORDER BY at, id", (activation,)
            ).fetchall()  # fmt: skip
        names = ("id", "unit", "arm", "tries", "said")
        lines = [{**dict(zip(names, r, strict=False)), "body": json.loads(r[5])} for r in rows]
        if lines or path.is_file():
            write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
        return len(lines)


def _name(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:32]


def _seconds(moment: dt.datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).replace(tzinfo=None)
