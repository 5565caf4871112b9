"""Exposures: who saw which arm and when, each once, in an SQLite file beside the live state.

A unit keeps the arm that it has seen, so the record of exposures is also what makes arms sticky.
The outbox of activations holds a table of the same form, since there an exposure and its message
are one transaction.
The same file is backed up, checked, and cleaned of a person as the other databases of a project.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from cartcast.atomic import make_folder, touch
from cartcast.errors import NotFoundError, StorageError
from cartcast.events.ids import ID_COLUMNS, id_sql
from cartcast.experiments.allocation import Kept
from cartcast.experiments.units import open_units
from cartcast.statefile import reading

__all__ = [
    "FILE",
    "TABLE",
    "Exposure",
    "ExposureFile",
    "add_exposures",
    "kept_arms",
    "kept_units",
    "read_exposures",
]

FILE = "exposures.db"
"""Name of the file in the folder of a live state."""
TABLE = (
    "CREATE TABLE IF NOT EXISTS exposures (unit TEXT NOT NULL, experiment TEXT NOT NULL, "
    "version INTEGER NOT NULL, arm TEXT NOT NULL, exposed INTEGER NOT NULL, "
    "PRIMARY KEY (unit, experiment, version))"
)
_KINDS = {"unit": "VARCHAR", "arm": "VARCHAR", "exposed": "TIMESTAMP"}
_SYNCS = {"fsync": "FULL", "write": "NORMAL"}
"""Durability of the live service -> when SQLite syncs its write-ahead log."""


class Exposure(NamedTuple):
    """A unit saw an arm.

    Attributes:
        unit: the id that was hashed.
        experiment: its key.
        version: of the allocation that gave the arm.
        arm: its name.
        exposed: microseconds since 1970 (UTC).
    """

    unit: str
    experiment: str
    version: int
    arm: str
    exposed: int


class ExposureFile:
    """The record of exposures; several processes may write to one file.

    Args:
        path: the file; None keeps the record in memory only.
        durability: what a written exposure survives, see `cartcast.live.log`.

    Raises:
        StorageError: the file cannot be opened.

    >>> file = ExposureFile(None)
    >>> file.add([Exposure("v-1", "free", 0, "free", 5), Exposure("v-1", "free", 0, "paid", 6)])
    1
    >>> file.kept("v-1")
    {'free': Kept(arm='free', version=0)}
    """

    def __init__(self, path: Path | None, durability: str = "fsync") -> None:
        self.path = path
        try:
            if path is not None:
                make_folder(path.parent)
                touch(path, secret=True)
            self._writer = self._connect(durability)
            self._writer.execute(TABLE)
            # A second connection, so that nobody waits for a write to learn what is known.
            self._reader = self._writer if path is None else self._connect(durability)
        except (OSError, sqlite3.Error) as error:
            raise StorageError(f"{path}: cannot be opened ({error}).") from error

    def _connect(self, durability: str) -> sqlite3.Connection:
        con = sqlite3.connect(
            self.path or ":memory:", timeout=30, isolation_level=None, check_same_thread=False
        )
        con.execute("PRAGMA journal_mode = WAL")
        con.execute(f"PRAGMA synchronous = {_SYNCS.get(durability, 'OFF')}")
        return con

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()
        self._writer.close()

    def add(self, rows: Iterable[Exposure]) -> int:
        """Write what is not there yet, in one transaction; return how many were new.

        Raises:
            sqlite3.Error: the disk refuses; nothing is written.
        """
        con, before = self._writer, self._writer.total_changes
        con.execute("BEGIN IMMEDIATE")
        try:
            add_exposures(con, rows)
            con.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                con.execute("ROLLBACK")
            raise
        return con.total_changes - before

    def kept(self, unit: str) -> dict[str, Kept]:
        """Return the arms that a unit has seen, the newest version of each experiment."""
        return kept_arms(self._reader, unit)


def add_exposures(con: sqlite3.Connection, rows: Iterable[Exposure]) -> None:
    """Write the exposures that are not there yet; the first one of a unit stands."""
    con.executemany("INSERT OR IGNORE INTO exposures VALUES (?, ?, ?, ?, ?)", rows)


def kept_arms(con: sqlite3.Connection, unit: str) -> dict[str, Kept]:
    """Return the arms that a unit has seen, the newest version of each experiment."""
    rows = con.execute(
        "SELECT experiment, arm, version FROM exposures WHERE unit = ? ORDER BY version", (unit,)
    )
    return {experiment: Kept(arm, version) for experiment, arm, version in rows}


def kept_units(con: sqlite3.Connection, experiment: str) -> dict[str, Kept]:
    """Return the arm that each unit of an experiment has seen, of its newest version."""
    rows = con.execute(
        "SELECT unit, arm, version FROM exposures WHERE experiment = ? ORDER BY version",
        (experiment,),
    )
    return {unit: Kept(arm, version) for unit, arm, version in rows}


def read_exposures(
    paths: Sequence[Path | str],
    experiment: str,
    version: int | None = None,
    unit: str | None = None,
) -> pa.Table:
    """Return the exposures of one experiment as `unit, arm, exposed`.

    Args:
        paths: folders of live states, files of theirs, or tables (CSV, Parquet) with these
            columns, and `experiment` where they hold several.
        experiment: its key.
        version: of the allocation; others are left out where the record tells versions.
        unit: column of the log that holds the ids; those of tables are then read as there: words
            for nothing are none, and 1001.0 is 1001.

    Raises:
        NotFoundError: a folder has no record of exposures.
        StorageError, DataError, UsageError: one cannot be read.
    """
    return pa.concat_tables([_read(Path(path), experiment, version, unit) for path in paths])


def _read(path: Path, experiment: str, version: int | None, unit: str | None) -> pa.Table:
    if path.is_dir():
        if not (path / FILE).is_file():
            raise NotFoundError(f"{path}: no {FILE} here; give the --state-dir of the service.")
        path = path / FILE
    if path.suffix != ".db":
        with open_units(path, texts=["unit", "arm", "experiment"]) as table:
            table.require(list(_KINDS))
            made = {c: f"CAST({c} AS {kind})" for c, kind in _KINDS.items()}
            if unit in ID_COLUMNS:
                kind = table.rows(f"SELECT typeof(unit) FROM {table.relation} LIMIT 1")
                made["unit"] = id_sql("unit", kind[0][0] if kind else "VARCHAR", unit)
            wanted = ", ".join(f"{value} AS {c}" for c, value in made.items())
            own = "CAST(experiment AS VARCHAR) = ?" if "experiment" in table.columns else "? <> ''"
            return table.connection.execute(
                f"SELECT {wanted} FROM {table.relation} WHERE {own}", [experiment]
            ).to_arrow_table()
    rows = list(_rows(path, experiment, version))
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    kinds = (pa.string(), pa.string(), pa.timestamp("us"))
    arrays = [pa.array(v, k) for v, k in zip(columns, kinds, strict=True)]
    return pa.table(arrays, names=list(_KINDS))


def _rows(path: Path, experiment: str, version: int | None) -> Iterator[Any]:
    if not path.is_file():
        raise NotFoundError(f"{path}: no such record of exposures.")
    try:
        with reading(path) as con:
            yield from con.execute(
                "SELECT unit, arm, exposed FROM exposures WHERE experiment = ? "
                "AND version = coalesce(?, version) ORDER BY exposed, unit",
                (experiment, version),
            )
    except sqlite3.Error as error:
        raise StorageError(f"{path}: cannot be read ({error}).") from error
