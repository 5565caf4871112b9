"""The registry: which runs exist, which is champion, and who said so.

Names and facts are in the catalogue (`catalogue`), the runs in folders. A team shares both: the
catalogue in PostgreSQL (`catalogue: postgresql://...`, extra `postgres`), the runs by a store
(`store: s3://...`), from which each host pulls what it does not have.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartcast.config import PROJECT_FILE, find_project, read_settings
from cartcast.errors import (
    NotFoundError,
    NotTrustedError,
    StorageError,
    UsageError,
    did_you_mean,
)
from cartcast.runs.catalogue import COLUMNS, Database, Sql, dump, fill, insert, next_number, now
from cartcast.runs.copies import Copies, manifest
from cartcast.runs.members import Members

if TYPE_CHECKING:
    from cartcast.runs.run import Run

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


@dataclass(frozen=True)
class Entry:
    """One run in the catalogue.

    `path` is where it lies on this host, or will when it is pulled; `manifest` is the SHA-256 of
    its model manifest, `stored` that of its archive in the store, or empty.
    """

    run_id: str
    path: Path
    created: str
    target: str
    target_kind: str
    champion: str
    metrics: dict[str, Any]
    manifest: str
    stored: str = ""


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
    """The registry of one project, or of a team.

    Args:
        folder: the project folder; the catalogue is `.cartcast/catalogue.db` in it.
        url: a PostgreSQL URL to use instead, or `$NAME` of a variable that holds one.
        store: URL of the store of runs, or None.
    """

    def __init__(self, folder: Path, url: str | None = None, store: str | None = None) -> None:
        self.folder = folder
        self.url = url
        self.copies = Copies(folder, store)
        self._database = Database(folder, url)
        self.members = Members(self._database)

    @classmethod
    def of(cls, folder: Path) -> Registry:
        """Return the registry that the settings of a project name; its own file without any.

        Raises:
            UsageError: the settings are wrong.
        """
        if not (folder / PROJECT_FILE).is_file():
            return cls(folder)
        settings = read_settings(folder)
        return cls(folder, settings.catalogue, settings.store)

    def require_free(self, run_dir: Path) -> None:
        """Refuse a folder whose name is the id of another run here.

        Raises:
            UsageError: saying where that one is.
            RefusedError: the role of the database's user does not cover a new run.
        """
        with self._database.open() as sql:
            self.members.require(sql, "train")
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
        """Register a finished run; the first run of a target becomes its champion.

        Its archive is in the store before its row is in the catalogue.

        Raises:
            RefusedError: the role of the database's user does not cover it.
            StorageError: store or catalogue refuse; the run's folder stays, see `push`.
        """
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
            stored=self.copies.put(run_dir),
        )
        values = {**vars(entry), "path": str(entry.path), "metrics": json.dumps(entry.metrics)}
        with self._database.open() as sql:
            self.members.require(sql, "train")
            sql("DELETE FROM runs WHERE run_id = ?", (entry.run_id,))
            insert(sql, "runs", values)
            held = sql(
                "SELECT 1 FROM promotions WHERE target = ? AND alias = 'champion'", (entry.target,)
            )
            alias = "challenger" if held else "champion"
            self._give(sql, entry, alias, reason)
        return entry

    def push(self, name: str | None = None) -> list[Entry]:
        """Bring runs of this host into the store: one, as it is now, or all that are not there.

        `name` is a run id, an alias, or the folder of a run that is not registered yet.

        Raises:
            UsageError: the project names no store.
            NotFoundError: there is no such run, or it does not lie here.
            NotTrustedError: the folder holds other models than the run that is registered.
        """
        if self.copies.store is None:
            raise UsageError(f"{PROJECT_FILE} names no store; add `store: s3://BUCKET/PREFIX`.")
        if name is not None and (Path(name) / "run.json").is_file():
            run_id = Path(name).resolve().name
            if run_id not in {e.run_id for e in self.runs()}:
                return [self.add(Path(name))]
            return [self._pushed(self.get(run_id), Path(name))]
        left = [e for e in self.runs() if not e.stored and (e.path / "run.json").is_file()]
        asked = [self.get(name)] if name else left
        return [self._pushed(e, e.path) for e in asked]

    def _pushed(self, entry: Entry, run_dir: Path) -> Entry:
        told = manifest(run_dir)
        if told is not None and told != entry.manifest:
            raise NotTrustedError(
                f"{run_dir}: holds another run than the registered {entry.run_id}; nothing was "
                "pushed."
            )
        return self._renewed(entry, self.copies.put(run_dir))

    @contextlib.contextmanager
    def rewritten(self) -> Iterator[None]:
        """Bring every run of the store here for a `with` that changes runs; push what it changed.

        A folder of this host that is not as the store has it gives way: another host was first.

        Raises:
            RefusedError: the role of the database's user does not cover it; nothing was changed.
            StorageError: store or catalogue do not answer; repeat.
        """
        held = [e for e in self.runs() if e.stored] if self.copies.url else []
        if held:
            with self._database.open() as sql:
                self.members.require(sql, "train")
        paths = {e.run_id: self.copies.refresh(e.path, e.stored) for e in held}
        yield
        for entry in held:
            path = paths[entry.run_id]
            if path is not None and not self.copies.same(path, entry.stored):
                self._renewed(entry, self.copies.put(path))

    def _renewed(self, entry: Entry, stored: str) -> Entry:
        """Let the catalogue name another archive of a run, unless somebody else has done so."""
        with self._database.open() as sql:
            self.members.require(sql, "train")
            row = sql("SELECT stored FROM runs WHERE run_id = ?", (entry.run_id,))
            if not row or row[0][0] not in (entry.stored, stored):
                raise StorageError(
                    f"{entry.run_id}: another host has pushed or deleted it meanwhile; repeat."
                )
            sql("UPDATE runs SET stored = ? WHERE run_id = ?", (stored, entry.run_id))
        if entry.stored != stored:
            self.copies.drop(entry.stored)
        return replace(entry, stored=stored)

    def fetch(self, entry: Entry) -> Path:
        """Return the folder of a run on this host, pulled from the store if it is not here.

        Raises:
            NotFoundError, NotTrustedError: the store does not have it, or not as registered.
            StorageError: the store does not answer.
        """
        self.copies.fetch(entry.path, entry.stored)
        return entry.path

    def run(self, name: str) -> Run:
        """Return a run by its id or alias, never by a path; pulled if it is not here.

        Raises:
            NotFoundError, NotTrustedError, StorageError: as `get` and `fetch`.
        """
        from cartcast.runs.run import Run

        return Run.open(self.fetch(self.get(name)))

    def runs(self) -> list[Entry]:
        """Return all runs, newest first."""
        with self._database.open() as sql:
            rows = sql(
                f"SELECT {', '.join(COLUMNS['runs'])} FROM runs ORDER BY created DESC, run_id"
            )
        return [self._entry(row) for row in rows]

    def promotions(self) -> list[Promotion]:
        """Return every change of an alias, newest first."""
        with self._database.open() as sql:
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
        instead_of: str | None = None, action: str = "promote",
    ) -> Entry:  # fmt: skip
        """Give an alias to a run, after checking that its model is the recorded one.

        Of two who do so at the same time one succeeds, and the other is told. With `instead_of`, a
        run id, it is given only if that run holds it.

        Raises:
            UsageError: unknown alias, or another run was given it meanwhile.
            RefusedError: the role of the database's user does not cover it.
            NotFoundError, NotTrustedError: the run is not there, or not as recorded.
        """
        if alias not in ALIASES:
            raise UsageError(f"unknown alias {alias!r}.{did_you_mean(alias, ALIASES)}")
        entry = self.get(name)
        with self._database.open() as sql:
            self.members.require(sql, action)
            seen = _held(sql, entry.target, alias)
        self.verify(entry)
        with self._database.open() as sql:
            self.members.require(sql, action)
            held = _held(sql, entry.target, alias)
            if held != seen or (instead_of is not None and held and held[1] != instead_of):
                _, run_id, by = held or (0, "nobody", "a restore")
                raise UsageError(
                    f"{entry.target}/{alias} was given to {run_id} meanwhile, by {by}; nothing is "
                    "changed."
                )
            if not sql("SELECT 1 FROM runs WHERE run_id = ?", (entry.run_id,)):
                raise NotFoundError(f"{entry.run_id}: was deleted meanwhile; nothing is changed.")
            self._give(sql, entry, alias, reason, who)
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
        reason = f"{ROLLED_BACK}{current.run_id}"
        return self.promote(earlier[0], alias, reason, who, current.run_id, "rollback")

    def delete(self, name: str, reason: str = "", who: str | None = None) -> Entry:
        """Remove a run for good: its row, its archive and its folder, if that is the project's own.

        Raises:
            UsageError: it holds an alias.
            RefusedError: the role of the database's user does not cover it.
        """
        entry = self.get(name)
        with self._database.open() as sql:
            self.members.require(sql, "delete")
            for alias in ALIASES:
                held = _held(sql, entry.target, alias)
                if held and held[1] == entry.run_id:
                    raise UsageError(
                        f"{entry.run_id} is {entry.target}/{alias}; give the alias to another "
                        "run first."
                    )
            sql("DELETE FROM runs WHERE run_id = ?", (entry.run_id,))
            self.members.note(sql, "delete", f"{entry.run_id} {reason}".strip(), who)
        # Nothing names them any more (a run's files hold its id): what is left when this fails is
        # only room.
        self.copies.drop(entry.stored)
        self.copies.remove(entry.path, entry.run_id)
        return entry

    def migrate(self) -> None:
        """Bring the catalogue to the version that this Cartcast works with.

        Raises:
            StorageError: the database refuses, or is of a later version.
        """
        with self._database.open(migrate=True):
            pass

    def copy(self) -> dict[str, list[dict[str, Any]]]:
        """Return every row of every table by column, as they are at one moment."""
        with self._database.open() as sql:
            return dump(sql)

    def replace(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Make the catalogue what `copy` returned, all of it or nothing.

        Raises:
            RefusedError: the role of the database's user does not cover it.
            NotTrustedError: a table or column is not of this version.
            StorageError: the database refuses.
        """
        with self._database.open() as sql:
            self.members.require(sql, "restore")
            fill(sql, rows)
            self.members.note(sql, "restore", f"{len(rows.get('runs', ()))} runs")

    def verify(self, entry: Entry) -> None:
        """Check that a run's model files are those that were recorded.

        Raises:
            NotFoundError: the folder is gone.
            NotTrustedError: a hash differs.
        """
        from cartcast.runs.run import Run

        run = Run.open(self.fetch(entry))
        if (run.data.get("model_manifest") or "") != entry.manifest:
            raise NotTrustedError(
                f"{entry.path}: run.json is not the registered one; train again or restore it."
            )
        _ = run.verified
        self.copies.require_same(entry.path, entry.stored)

    def _entry(self, row: Sequence[Any]) -> Entry:
        told = dict(zip(COLUMNS["runs"], row, strict=True))
        path = self.copies.place(
            told["run_id"], Path(told["path"]), told["stored"], told["manifest"]
        )
        return Entry(**{**told, "path": path, "metrics": json.loads(told["metrics"])})

    def _give(
        self, sql: Sql, entry: Entry, alias: str, reason: str, who: str | None = None
    ) -> None:
        told = (entry.target, alias, entry.run_id, now(), self._database.who(sql, who), reason)
        number = next_number(sql, "promotions")
        sql("INSERT INTO promotions VALUES (?, ?, ?, ?, ?, ?, ?)", (number, *told))


def resolve_run(name: str | Path, project: Path | None = None) -> Path:
    """Return the run folder that a path, a run id or an alias names, pulled if it is not here.

    Ids and aliases are looked up in `project`, or in the one here or above.

    Raises:
        NotFoundError: neither a folder nor known in the registry.
        StorageError: catalogue or store do not answer.
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
    registry = Registry.of(project)
    try:
        return registry.fetch(registry.get(str(name)))
    except NotFoundError as error:
        if path.is_dir():
            raise NotFoundError(f"{path}: not a run (no run.json); train one.") from error
        raise


def _held(sql: Sql, target: str, alias: str) -> Any:
    """Return number, run and author of the promotion that an alias stands on, or None."""
    rows = sql(
        "SELECT number, run_id, who FROM promotions WHERE target = ? AND alias = ? "
        "ORDER BY number DESC LIMIT 1",
        (target, alias),
    )
    return rows[0] if rows else None
