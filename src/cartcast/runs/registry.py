"""The registry: which runs exist, which is champion, and who said so.

The catalogue is one embedded SQLite database in `.cartcast/`, or a PostgreSQL database that a team
shares (`catalogue: postgresql://...`, extra `postgres`). It holds names and facts; the runs
themselves stay folders.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cartcast.atomic import touch
from cartcast.config import PROJECT_FILE, STATE_FOLDER, find_project, read_settings
from cartcast.errors import (
    NotFoundError,
    NotTrustedError,
    StorageError,
    UsageError,
    did_you_mean,
)

__all__ = [
    "ALIASES",
    "REGISTERED",
    "ROLLED_BACK",
    "Entry",
    "Promotion",
    "Registry",
    "resolve_run",
]

ALIASES = ("champion", "challenger")
REGISTERED = "registered after training"
ROLLED_BACK = "rolled back from "

_TABLES = (
    "CREATE TABLE IF NOT EXISTS runs (run_id TEXT PRIMARY KEY, path TEXT NOT NULL, "
    "created TEXT NOT NULL, target TEXT NOT NULL, target_kind TEXT NOT NULL, "
    "champion TEXT NOT NULL, metrics TEXT NOT NULL, manifest TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS promotions (number INTEGER PRIMARY KEY, target TEXT NOT NULL, "
    "alias TEXT NOT NULL, run_id TEXT NOT NULL, at TEXT NOT NULL, who TEXT NOT NULL, "
    "reason TEXT NOT NULL)",
)

_COLUMNS = {
    "runs": ("run_id", "path", "created", "target", "target_kind", "champion", "metrics",
             "manifest"),
    "promotions": ("number", "target", "alias", "run_id", "at", "who", "reason"),
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One run in the catalogue; `manifest` is the SHA-256 of its model manifest."""

    run_id: str
    path: Path
    created: str
    target: str
    target_kind: str
    champion: str
    metrics: dict[str, Any]
    manifest: str


@dataclass(frozen=True)
class Promotion:
    """One change of an alias: which run took it, when, by whom, and why."""

    target: str
    alias: str
    run_id: str
    at: str
    who: str
    reason: str


class Registry:
    """The catalogue of one project, or of a team.

    Args:
        folder: the project folder; the catalogue is `.cartcast/catalogue.db` in it.
        url: a PostgreSQL URL to use instead.
    """

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        self.url = url

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        """Yield a function `run(sql, values) -> rows` inside one transaction."""
        with self._postgres() if self.url else self._sqlite() as run:
            for statement in _TABLES:
                run(statement, ())
            yield run

    @contextlib.contextmanager
    def _sqlite(self) -> Iterator[Any]:
        path = self.folder / STATE_FOLDER / "catalogue.db"
        try:
            touch(path)
            con = sqlite3.connect(path, timeout=30, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise StorageError(f"{path}: the catalogue cannot be opened ({error}).") from error
        try:
            con.execute("PRAGMA synchronous = FULL")
            con.execute("BEGIN IMMEDIATE")
            yield lambda sql, values=(): con.execute(sql, values).fetchall()
            con.execute("COMMIT")
        except sqlite3.Error as error:
            raise StorageError(f"{path}: the catalogue refused ({error}).") from error
        finally:
            con.close()

    @contextlib.contextmanager
    def _postgres(self) -> Iterator[Any]:
        try:
            import psycopg
        except ImportError as error:
            raise UsageError(
                "a PostgreSQL catalogue needs the extra 'postgres': "
                "pip install 'cartcast[postgres]'."
            ) from error
        try:
            with psycopg.connect(str(self.url)) as con, con.cursor() as cursor:
                # One writer at a time, as with the embedded file.
                cursor.execute("SELECT pg_advisory_xact_lock(1128353108)")

                def run(sql: str, values: Sequence[Any] = ()) -> list[Any]:
                    cursor.execute(sql.replace("?", "%s"), values)
                    return cursor.fetchall() if cursor.description else []

                yield run
        except psycopg.Error as error:
            raise StorageError(
                f"the catalogue database refused ({type(error).__name__}); check its URL and "
                "that the server runs."
            ) from error

    def require_free(self, run_dir: Path) -> None:
        """Refuse a folder whose name is the id of another run here.

        Raises:
            UsageError: saying where that one is.
        """
        place = run_dir.resolve()
        for held in self.runs():
            # In a team's catalogue a folder that is not here lies on somebody else's machine.
            there = self.url is not None or held.path.exists()
            if held.run_id == place.name and held.path != place and there:
                raise UsageError(
                    f"{run_dir}: the registry knows a run {place.name!r} in {held.path}, and a "
                    "run's id is the name of its folder; give another --run-dir."
                )

    def add(self, run_dir: Path, reason: str = REGISTERED) -> Entry:
        """Register a finished run; the first run of a target becomes its champion."""
        from cartcast.runs.run import Run

        self.require_free(run_dir)
        run = Run.open(run_dir)
        entry = Entry(
            run_id=run.id,
            path=run_dir.resolve(),
            created=run.data["created"],
            target=run.target,
            target_kind=run.data["target"]["kind"],
            champion=run.champion,
            metrics=run.metrics,
            manifest=run.data.get("model_manifest") or "",
        )
        with self._open() as sql:
            sql("DELETE FROM runs WHERE run_id = ?", (entry.run_id,))
            sql(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    entry.run_id,
                    str(entry.path),
                    entry.created,
                    entry.target,
                    entry.target_kind,
                    entry.champion,
                    json.dumps(entry.metrics),
                    entry.manifest,
                ),
            )
            held = sql(
                "SELECT 1 FROM promotions WHERE target = ? AND alias = 'champion'", (entry.target,)
            )
            alias = "challenger" if held else "champion"
            _promote(sql, entry, alias, reason, _who())
        return entry

    def runs(self) -> list[Entry]:
        """Return all runs, newest first."""
        with self._open() as sql:
            rows = sql("SELECT * FROM runs ORDER BY created DESC, run_id")
        return [_entry(row) for row in rows]

    def promotions(self) -> list[Promotion]:
        """Return every change of an alias, newest first."""
        with self._open() as sql:
            rows = sql(
                "SELECT target, alias, run_id, at, who, reason FROM promotions ORDER BY number DESC"
            )
        return [Promotion(*row) for row in rows]

    def aliases(self) -> dict[tuple[str, str], str]:
        """Return the run id that holds each (target, alias)."""
        held: dict[tuple[str, str], str] = {}
        for promotion in self.promotions():
            held.setdefault((promotion.target, promotion.alias), promotion.run_id)
        return held

    def get(self, name: str) -> Entry:
        """Return the run that a run id, an alias or `target/alias` names.

        Raises:
            NotFoundError: no such run or alias.
            UsageError: the alias is held for several targets.
        """
        runs = {e.run_id: e for e in self.runs()}
        if name in runs:
            return runs[name]
        target, _, alias = name.rpartition("/")
        held = {
            t: run_id
            for (t, a), run_id in self.aliases().items()
            if a == alias and target in ("", t)
        }
        if not held:
            known = [*runs, *(f"{t}/{a}" for t, a in self.aliases())]
            raise NotFoundError(f"no run or alias {name!r} here.{did_you_mean(name, known)}")
        if len(held) > 1:
            options = ", ".join(f"{t}/{alias}" for t in sorted(held))
            raise UsageError(f"alias {alias!r} is held for several targets; say one of {options}.")
        run_id = next(iter(held.values()))
        if run_id not in runs:
            raise NotFoundError(f"alias {name!r} names run {run_id}, which is not in the registry.")
        return runs[run_id]

    def promote(
        self, name: str, alias: str = "champion", reason: str = "", who: str | None = None,
        instead_of: str | None = None,
    ) -> Entry:  # fmt: skip
        """Give an alias to a run, after checking that its model is the recorded one.

        With `instead_of`, a run id, only if that run holds the alias at this moment.

        Raises:
            UsageError: unknown alias, or another run holds it.
            NotFoundError, NotTrustedError: the run is not there, or not as recorded.
        """
        if alias not in ALIASES:
            raise UsageError(f"unknown alias {alias!r}.{did_you_mean(alias, ALIASES)}")
        entry = self.get(name)
        self.verify(entry)
        with self._open() as sql:
            held = sql(
                "SELECT run_id FROM promotions WHERE target = ? AND alias = ? "
                "ORDER BY number DESC LIMIT 1",
                (entry.target, alias),
            )
            if instead_of is not None and held and held[0][0] != instead_of:
                raise UsageError(
                    f"{entry.target}/{alias} was given to {held[0][0]} meanwhile, by somebody "
                    "else; nothing is changed."
                )
            _promote(sql, entry, alias, reason, who or _who())
        return entry

    def rollback(
        self, alias: str = "champion", target: str | None = None, who: str | None = None
    ) -> Entry:
        """Give an alias back to the run that held it before.

        Raises:
            NotFoundError: no earlier run held it.
            UsageError: several targets have this alias and none was named.
        """
        current = self.get(f"{target}/{alias}" if target else alias)
        known = {e.run_id for e in self.runs()}
        earlier = [
            p.run_id
            for p in self.promotions()
            if p.target == current.target and p.alias == alias and p.run_id != current.run_id
        ]
        earlier = [run_id for run_id in earlier if run_id in known]
        if not earlier:
            raise NotFoundError(
                f"{current.target}/{alias}: no earlier run held this alias; nothing to roll back."
            )
        return self.promote(earlier[0], alias, f"{ROLLED_BACK}{current.run_id}", who)

    def copy(self) -> dict[str, list[dict[str, Any]]]:
        """Return every row of every table by column, as they are at one moment."""
        with self._open() as sql:
            return {
                table: [
                    dict(zip(columns, row, strict=True))
                    for row in sql(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1")
                ]
                for table, columns in _COLUMNS.items()
            }

    def replace(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Make the catalogue what `copy` returned, all of it or nothing.

        Raises:
            NotTrustedError: a table or column is not of this version.
            StorageError: the database refuses.
        """
        for table, columns in _COLUMNS.items():
            if any(not set(row) <= set(columns) for row in rows.get(table, ())):
                raise NotTrustedError(
                    f"the catalogue's {table} are of another version of Cartcast."
                )
        with self._open() as sql:
            for table, columns in _COLUMNS.items():
                sql(f"DELETE FROM {table}")
                for row in rows.get(table, ()):
                    held, marks = [c for c in columns if c in row], ", ".join("?" for _ in row)
                    sql(
                        f"INSERT INTO {table} ({', '.join(held)}) VALUES ({marks})",
                        tuple(row[c] for c in held),
                    )

    def verify(self, entry: Entry) -> None:
        """Check that a run's model files are those that were recorded.

        Raises:
            NotFoundError: the folder is gone.
            NotTrustedError: a hash differs.
        """
        from cartcast.runs.run import Run

        run = Run.open(entry.path)
        if (run.data.get("model_manifest") or "") != entry.manifest:
            raise NotTrustedError(
                f"{entry.path}: run.json is not the registered one; train again or restore it."
            )
        _ = run.verified


def resolve_run(name: str | Path, project: Path | None = None, url: str | None = None) -> Path:
    """Return the run folder that a path, a run id or an alias names.

    Ids and aliases are looked up in `project`, or in the one here or above; `url` is that of its
    catalogue, where the project does not say.

    Raises:
        NotFoundError: neither a folder nor known in the registry.
    """
    path = Path(name)
    if (path / "run.json").is_file():
        return path
    project = project or find_project()
    if project is None and path.is_dir():
        raise NotFoundError(f"{path}: not a run (no run.json); train one.")
    if project is None:
        raise NotFoundError(
            f"{name}: no run folder, and no project here whose registry could know it; give the "
            "path of a run (`cartcast train` makes one), or work in a project (`cartcast init`)."
        )
    if url is None and (project / PROJECT_FILE).is_file():
        url = read_settings(project).catalogue
    try:
        return Registry(project, url).get(str(name)).path
    except NotFoundError as error:
        if path.is_dir():
            raise NotFoundError(f"{path}: not a run (no run.json); train one.") from error
        raise


def _promote(sql: Any, entry: Entry, alias: str, reason: str, who: str) -> None:
    number = sql("SELECT coalesce(max(number), 0) + 1 FROM promotions")[0][0]
    sql(
        "INSERT INTO promotions VALUES (?, ?, ?, ?, ?, ?, ?)",
        (number, entry.target, alias, entry.run_id, _now(), who, reason),
    )


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(row[0], Path(row[1]), row[2], row[3], row[4], row[5], json.loads(row[6]), row[7])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
