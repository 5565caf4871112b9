"""The state of a watch in one SQLite file: days, feed, alarms, silences; one writer at a time.

While an alarm is not resolved, the same finding of the same run joins it instead of making a new
one; after that, only what happens on later days opens another. Every change of state is kept with
its time and who made it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
import weakref
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from cartcast import statefile
from cartcast.config import STATE_FOLDER
from cartcast.errors import NotFoundError, UsageError
from cartcast.findings import CATALOGUE
from cartcast.live.watched import STATE_FILE
from cartcast.monitoring.alarms import Alarm, Notice, Silence, State
from cartcast.plaindata import plain
from cartcast.system import account

__all__ = ["Store", "open_store"]

Kept = Literal["days", "feed", "shifts", "pairs"]
_KEPT: dict[Kept, str] = {"days": "sums", "feed": "told", "shifts": "counts", "pairs": "sums"}

_SCHEMA = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS days (run TEXT, day TEXT, sums TEXT, PRIMARY KEY (run, day));
CREATE TABLE IF NOT EXISTS feed (run TEXT, day TEXT, told TEXT, PRIMARY KEY (run, day));
CREATE TABLE IF NOT EXISTS hours (run TEXT, hour TEXT, events REAL, PRIMARY KEY (run, hour));
CREATE TABLE IF NOT EXISTS bins (run TEXT PRIMARY KEY, bins TEXT);
CREATE TABLE IF NOT EXISTS shifts (run TEXT, day TEXT, counts TEXT, PRIMARY KEY (run, day));
CREATE TABLE IF NOT EXISTS pairs (run TEXT, day TEXT, sums TEXT, PRIMARY KEY (run, day));
CREATE TABLE IF NOT EXISTS alarms (number INTEGER PRIMARY KEY, run TEXT, code TEXT, subject TEXT,
    severity TEXT, state TEXT, opened TEXT, since TEXT, through TEXT, times INTEGER, money REAL,
    currency TEXT, message TEXT, look TEXT, silenced INTEGER, sent TEXT);
CREATE TABLE IF NOT EXISTS silences (number INTEGER PRIMARY KEY, code TEXT, begin TEXT,
    until TEXT, who TEXT, why TEXT);
CREATE TABLE IF NOT EXISTS changes (id TEXT PRIMARY KEY, told TEXT, sent TEXT);
CREATE TABLE IF NOT EXISTS looks (run TEXT PRIMARY KEY, at TEXT, told TEXT);
CREATE TABLE IF NOT EXISTS history (at TEXT, who TEXT, alarm INTEGER, what TEXT, why TEXT);
"""


def _now() -> datetime:
    return datetime.now(UTC)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


class Store:
    """What a watch keeps: days, feed, alarms, silences; one writer at a time.

    Args:
        path: the SQLite file, or None to keep nothing beyond this process.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._memory: sqlite3.Connection | None = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection inside one transaction, whole or not at all.

        Raises:
            StorageError: the file cannot be opened or written, or is of a later version.
        """
        con = statefile.connect(self.path) if self.path is not None else self._in_memory()
        try:
            with statefile.transaction(con, self.path, _TABLES, _SCHEMA):
                yield con
        finally:
            if con is not self._memory:
                con.close()

    def _in_memory(self) -> sqlite3.Connection:
        if self._memory is None:
            self._memory = sqlite3.connect(
                ":memory:", isolation_level=None, check_same_thread=False
            )
            weakref.finalize(self, self._memory.close)
        return self._memory

    def notice(
        self, run: str, notices: Sequence[Notice], currency: str | None, at: datetime | None = None
    ) -> list[Alarm]:
        """Keep what was found; return the alarms that it opened, each once."""
        now = at or _now()
        opened = []
        with self.transaction() as con:
            for n in sorted(notices, key=lambda n: (n.through, n.code, n.subject)):
                number = _keep(con, run, n, currency, now)
                if number is not None:
                    opened.append(number)
            held = {a.number: a for a in _read(con)}
        return [held[number] for number in dict.fromkeys(opened)]

    def alarms(self, state: str | None = None) -> list[Alarm]:
        """Return the alarms, newest first, of one state or of all."""
        with self.transaction() as con:
            return [a for a in _read(con) if state in (None, a.state)]

    def change(self, number: int, state: State, why: str = "", who: str | None = None) -> Alarm:
        """Acknowledge or resolve an alarm.

        Raises:
            NotFoundError: no such alarm.
            UsageError: it is resolved already.
        """
        with self.transaction() as con:
            held = {a.number: a for a in _read(con)}
            if number not in held:
                known = ", ".join(map(str, sorted(held))) or "none"
                raise NotFoundError(f"no alarm {number} here; there are {known}.")
            if held[number].state == "resolved":
                raise UsageError(f"alarm {number} is resolved; a new one opens when it returns.")
            con.execute("UPDATE alarms SET state = ? WHERE number = ?", (state, number))
            _record(con, number, state, why, who)
            return next(a for a in _read(con) if a.number == number)

    def sent(self, numbers: Sequence[int], how: str) -> None:
        """Record that alarms were sent."""
        with self.transaction() as con:
            for number in numbers:
                con.execute("UPDATE alarms SET sent = ? WHERE number = ?", (_text(_now()), number))
                _record(con, number, f"sent: {how}", "", None)

    def silence(
        self, code: str, until: datetime, why: str, who: str | None = None,
        at: datetime | None = None,
    ) -> Silence:  # fmt: skip
        """Hold back the sending of a code, or of all with `*`; with a reason, which is kept.

        Raises:
            UsageError: no reason, no such code, or an end in the past.
        """
        now = at or _now()
        if not why.strip():
            raise UsageError("a silence needs a reason, which is kept.")
        if code != "*" and code not in CATALOGUE:
            known = ", ".join(c for c in sorted(CATALOGUE) if c.startswith("MO"))
            raise UsageError(f"unknown finding code {code!r}. Known: {known}, or * for all.")
        if until <= now:
            raise UsageError(f"a silence must end later than now, got {_text(until)}.")
        row = (code, _text(now), _text(until), who or account(), why)
        with self.transaction() as con:
            done = con.execute(
                "INSERT INTO silences (code, begin, until, who, why) VALUES (?, ?, ?, ?, ?)", row
            )
            return Silence(int(done.lastrowid or 0), *row)

    def silences(self) -> list[Silence]:
        """Return all silences, also those that are over."""
        with self.transaction() as con:
            rows = con.execute("SELECT number, code, begin, until, who, why FROM silences")
            return [Silence(*row) for row in rows.fetchall()]

    def history(self, number: int) -> list[tuple[str, str, str, str]]:
        """Return what was done with an alarm: time, who, what, why."""
        with self.transaction() as con:
            return con.execute(
                "SELECT at, who, what, why FROM history WHERE alarm = ? ORDER BY rowid", (number,)
            ).fetchall()

    def keep_rows(self, table: Kept, run: str, rows: Mapping[str, Any]) -> None:
        """Keep what days told; a day that is known stays as it was first told."""
        column = _KEPT[table]
        with self.transaction() as con:
            con.executemany(
                f"INSERT OR IGNORE INTO {table} (run, day, {column}) VALUES (?, ?, ?)",
                [(run, day, json.dumps(value)) for day, value in rows.items()],
            )

    def rows(self, table: Kept, run: str) -> dict[str, Any]:
        """Return what is kept of each day, in order."""
        column = _KEPT[table]
        with self.transaction() as con:
            found = con.execute(
                f"SELECT day, {column} FROM {table} WHERE run = ? ORDER BY day", (run,)
            ).fetchall()
        return {day: json.loads(text) for day, text in found}

    def keep_look(self, run: str, told: Mapping[str, Any], at: datetime | None = None) -> None:
        """Keep what the newest look at a run said, in place of the one before."""
        with self.transaction() as con:
            con.execute(
                "INSERT OR REPLACE INTO looks VALUES (?, ?, ?)",
                (run, _text(at or _now()), json.dumps(plain(told), allow_nan=False)),
            )

    def newest_look(self, run: str) -> tuple[str, dict[str, Any]] | None:
        """Return when a run was looked at last, and what the look said; None if it never was."""
        with self.transaction() as con:
            row = con.execute("SELECT at, told FROM looks WHERE run = ?", (run,)).fetchone()
        return None if row is None else (row[0], json.loads(row[1]))

    def hours(self, run: str) -> dict[str, float]:
        """Return the events of each hour that is kept."""
        with self.transaction() as con:
            found = con.execute(
                "SELECT hour, events FROM hours WHERE run = ? ORDER BY hour", (run,)
            )
            return dict(found.fetchall())

    def keep_hours(self, run: str, hours: Mapping[str, float]) -> dict[str, float]:
        """Keep the events of each hour, the larger count of two; return all that are kept."""
        with self.transaction() as con:
            con.executemany(
                "INSERT INTO hours VALUES (?, ?, ?) ON CONFLICT (run, hour) DO UPDATE SET "
                "events = max(events, excluded.events)",
                [(run, hour, count) for hour, count in hours.items()],
            )
        return self.hours(run)

    def bins(self, run: str, made: Any) -> Any:
        """Return the bins of a run's features; those `made` now, when there are none yet."""
        with self.transaction() as con:
            con.execute("INSERT OR IGNORE INTO bins VALUES (?, ?)", (run, json.dumps(made)))
            row = con.execute("SELECT bins FROM bins WHERE run = ?", (run,)).fetchone()
        return json.loads(row[0])


def open_store(project: Path | None) -> Store:
    """Return the state of a project; without one, a state that ends with the process."""
    return Store(None if project is None else project / STATE_FOLDER / STATE_FILE)


def _keep(
    con: sqlite3.Connection, run: str, n: Notice, currency: str | None, now: datetime
) -> int | None:
    """Join a notice to its alarm, or open one; return its number when it was opened."""
    held = con.execute(
        "SELECT number, state, through FROM alarms WHERE run = ? AND code = ? AND subject = ? "
        "ORDER BY number DESC LIMIT 1",
        (run, n.code, n.subject),
    ).fetchone()
    if held and datetime.fromisoformat(held[2]) >= n.through:
        return None
    another = n.apart and held and n.since > datetime.fromisoformat(held[2]) + timedelta(days=1)
    if held and held[1] != "resolved" and not another:
        con.execute(
            "UPDATE alarms SET through = ?, times = times + 1, money = ?, message = ?, look = ? "
            "WHERE number = ?",
            (_text(n.through), n.money, n.message, json.dumps(n.look), held[0]),
        )
        return None
    silence = con.execute(
        "SELECT number FROM silences WHERE code IN (?, '*') AND begin <= ? AND until > ? "
        "ORDER BY until DESC LIMIT 1",
        (n.code, _text(now), _text(now)),
    ).fetchone()
    done = con.execute(
        "INSERT INTO alarms (run, code, subject, severity, state, opened, since, through, times, "
        "money, currency, message, look, silenced) "
        "VALUES (?, ?, ?, ?, 'open', ?, ?, ?, 1, ?, ?, ?, ?, ?)",
        (run, n.code, n.subject, n.severity, _text(now), _text(n.since), _text(n.through), n.money,
         currency, n.message, json.dumps(n.look), silence[0] if silence else None),
    )  # fmt: skip
    number = int(done.lastrowid or 0)
    _record(con, number, "opened" + (f", silenced by {silence[0]}" if silence else ""), "", None)
    return number


def _record(con: sqlite3.Connection, number: int, what: str, why: str, who: str | None) -> None:
    con.execute(
        "INSERT INTO history VALUES (?, ?, ?, ?, ?)",
        (_text(_now()), who or account(), number, what, why),
    )


def _read(con: sqlite3.Connection) -> list[Alarm]:
    names = ", ".join(f.name for f in dataclasses.fields(Alarm))
    cursor = con.execute(f"SELECT {names} FROM alarms ORDER BY number DESC")
    rows = [dict(zip(names.split(", "), row, strict=True)) for row in cursor.fetchall()]
    return [Alarm(**{**row, "look": tuple(json.loads(row["look"]))}) for row in rows]
