"""Take a backup of a project that is in use."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cartcast import __version__
from cartcast.backup.answers import answers
from cartcast.backup.contents import Item, items, sqlite_copy
from cartcast.backup.livelog import cut
from cartcast.backup.manifest import FileEntry, LiveEntry, Manifest, is_portable
from cartcast.backup.store import Store
from cartcast.config import PROJECT_FILE, STATE_FOLDER, read_settings
from cartcast.errors import CartcastError, UsageError
from cartcast.forget.marks import Marks
from cartcast.live.place import state_elsewhere
from cartcast.progress import Progress
from cartcast.runs.registry import Registry
from cartcast.runs.write import versions

__all__ = ["Backup", "back_up"]

_STAMP = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True)
class Backup:
    """What a backup did.

    Attributes:
        manifest: what it holds.
        written: bytes that were not in the store before.
        removed: names of older backups that went.
        freed: bytes that only they held.
    """

    manifest: Manifest
    written: int
    removed: tuple[str, ...] = ()
    freed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return what `cartcast backup --json` prints."""
        return {
            **summary(self.manifest),
            "written": self.written,
            "removed": list(self.removed),
            "freed": self.freed,
        }


def summary(manifest: Manifest) -> dict[str, Any]:
    """Return a backup in a few facts."""
    return {
        "id": manifest.id,
        "created": manifest.created,
        "project": manifest.project,
        "files": len(manifest.files),
        "bytes": manifest.size,
        "runs": len(manifest.catalogue["runs"]),
        "live": [vars(entry) for entry in manifest.live],
        "notes": list(manifest.notes),
    }


def back_up(
    project: Path,
    store: Store,
    *,
    keys: bool = False,
    states: Sequence[Path] = (),
    keep: int | None = None,
    since: datetime | None = None,
    progress: Progress | None = None,
) -> Backup:
    """Copy a project into a store; until the manifest is written, last, there is no backup.

    Args:
        project: folder with `cartcast.yaml`.
        store: where to.
        keys: take `keys.json` along, sealed; needs a passphrase.
        states: folders of live states that lie elsewhere (`--state-dir` of the server).
        keep: number of backups to keep.
        since: keep those that began then or later.
        progress: is told what is copied.

    Raises:
        UsageError: keys without a passphrase, the store lies in what is copied, or the live state
            is in Redis and the settings do not say that it is taken care of.
        StorageError: the disk is full, or another backup is being written.
    """
    project = project.resolve()
    if store.folder.resolve().is_relative_to(project / STATE_FOLDER):
        raise UsageError(f"{store.folder}: lies in what is to be copied; name a place outside.")
    if keys and store.vault is None:
        raise UsageError("--keys are only kept sealed: set CARTCAST_BACKUP_PASSPHRASE.")
    away = state_elsewhere(project)
    if away and "redis" not in read_settings(project).backup:
        raise UsageError(
            f"the live state of this project is in {away}, and a backup would lack it. Back up "
            "the append-only file of that Redis, and write `backup: {redis: elsewhere}` into "
            f"{PROJECT_FILE}."
        )
    with store.locked():
        store.tidy()
        taken = _Taking(project, store, keys, progress)
        manifest = taken.manifest(tuple(p.resolve() for p in states))
        Marks.of(project).merge(store.folder)
        store.write(manifest)
        removed = store.keep(keep, since)
        return Backup(manifest, store.written, tuple(removed), store.tidy() if removed else 0)


def _name(begin: datetime, known: Sequence[str]) -> str:
    """Return a name behind all others by the alphabet, also when the clock was put back."""
    newest = known[-1].partition("-")[0] if known else ""
    if newest:
        with contextlib.suppress(ValueError):
            last = datetime.strptime(newest, _STAMP).replace(tzinfo=UTC)
            begin = max(begin, last + timedelta(microseconds=1))
    return f"{begin:{_STAMP}}-{secrets.token_hex(2)}"


class _Taking:
    """One backup in the making."""

    def __init__(self, project: Path, store: Store, keys: bool, progress: Progress | None) -> None:
        self.project, self.store, self.keys, self.progress = project, store, keys, progress
        self.files: dict[str, FileEntry] = {}
        self.live: list[LiveEntry] = []
        self.notes: list[str] = []

    def manifest(self, states: tuple[Path, ...]) -> Manifest:
        begin = datetime.now(UTC)
        settings = read_settings(self.project)
        registry = Registry.of(self.project)
        # Before the runs: those that it names are whole, and are not changed any more.
        catalogue = registry.copy()
        # Where they lie here: a path in the catalogue may be another host's.
        paths = {e.run_id: e.path for e in registry.runs()}
        outside = self._outside(catalogue["runs"], paths)
        for item in items(self.project, settings, outside, states):
            self._take(item)
        said = self._answers(registry, paths)
        for word in (settings.layout, settings.features, settings.rates):
            if isinstance(word, str) and (self.project / word).is_file():
                named = (self.project / word).resolve()
                if not named.is_relative_to(self.project):
                    self.notes.append(
                        f"{word} lies outside of the project and is not in the backup"
                    )
        if away := state_elsewhere(self.project):
            self.notes.append(f"the live state is in {away} and not in the backup")
        if settings.sources:
            self.notes.append("sources of the log are not in the backup; they are the shop's own")
        return Manifest(
            id=_name(begin, self.store.ids()),
            created=begin.isoformat(timespec="microseconds"),
            cartcast=__version__,
            project=str(self.project),
            files=tuple(self.files.values()),
            catalogue=catalogue,
            live=tuple(self.live),
            answers=said,
            versions=versions(),
            notes=tuple(self.notes),
        )

    def _outside(
        self, runs: Sequence[Mapping[str, Any]], paths: Mapping[str, Path]
    ) -> dict[str, Path]:
        found = {}
        for run in runs:
            path = paths.get(run["run_id"], Path(run["path"]))
            if not (path / "run.json").is_file() and run["stored"]:
                self.notes.append(f"run {run['run_id']} lies in the team's store, not here")
            elif not (path / "run.json").is_file():
                self.notes.append(f"run {run['run_id']} is registered but not there ({path})")
            elif not path.is_relative_to(self.project / STATE_FOLDER):
                found[str(run["run_id"])] = path
        return found

    def _take(self, item: Item) -> None:
        if self.progress:
            self.progress(item.name, None)
        if not is_portable(item.name):
            self.notes.append(f"{item.name!r} is not in the backup: no plain name")
            return
        try:
            if item.kind == "live":
                self._take_live(item)
            elif item.kind == "sqlite":
                with tempfile.TemporaryDirectory(prefix="cartcast-") as work:
                    copy = Path(work) / item.path.name
                    sqlite_copy(item.path, copy)
                    self._put(item.name, copy, item.path.stat().st_mtime_ns)
            elif item.kind == "file" or self.keys:
                self._put(item.name, item.path, sealed=item.kind == "secret")
            else:
                self.notes.append(f"{item.name} is not in the backup: --keys keeps it, sealed")
        except FileNotFoundError:
            # Deleted since its folder was listed, as an admin deletes a run.
            self.notes.append(f"{item.name} was deleted while the backup ran")

    def _put(
        self, name: str, path: Path, modified: int | None = None, *, sealed: bool = False
    ) -> None:
        with path.open("rb") as stream:
            told = os.fstat(stream.fileno())
            when = told.st_mtime_ns if modified is None else modified
            self.files[name] = self.store.put(name, stream, told.st_size, when, sealed=sealed)

    def _take_live(self, item: Item) -> None:
        with cut(item.path, item.name) as found:
            for path, stream, size in found.files:
                modified = os.fstat(stream.fileno()).st_mtime_ns
                name = f"{item.name}/{path.name}"
                self.files[name] = self.store.put(name, stream, size, modified)
            self.live.append(found.entry)

    def _answers(
        self, registry: Registry, paths: Mapping[str, Path]
    ) -> dict[str, dict[str, list[str]]]:
        """Return what the runs that hold an alias say; a damaged run is no reason for no backup."""
        said = {}
        for run_id in sorted(set(registry.aliases().values()) & set(paths)):
            if not (paths[run_id] / "run.json").is_file():
                continue
            try:
                found = answers(paths[run_id])
            except CartcastError as error:
                self.notes.append(f"run {run_id} cannot be asked: {error}")
                continue
            if found is not None:
                said[run_id] = found
        return said
