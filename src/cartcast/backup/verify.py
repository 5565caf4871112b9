"""Verify a backup: every chunk is read, and a project restored from it answers as the first did."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartcast.backup.answers import answers
from cartcast.backup.manifest import Manifest
from cartcast.backup.restore import build, moved
from cartcast.backup.store import Store
from cartcast.config import STATE_FOLDER
from cartcast.errors import CartcastError, NotTrustedError
from cartcast.live.log import Damage, read_segment, segments
from cartcast.live.snapshot import newest_snapshot, read_snapshot
from cartcast.progress import Progress
from cartcast.runs.registry import Registry
from cartcast.runs.write import versions
from cartcast.statefile import reading

__all__ = ["Verified", "verify"]

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Verified:
    """What was compared, and what differs.

    Attributes:
        id: of the backup.
        files: restored and compared byte for byte.
        runs: whose models were checked against their manifests.
        answers: runs that were asked again, and said the same to the last bit.
        records: of live logs, read one by one.
        sessions: of live snapshots, read one by one.
        problems: a line for each thing that is not as it was.
        notes: what could not be compared.
    """

    id: str
    files: int
    runs: int
    answers: int
    records: int
    sessions: int
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return what `cartcast backup verify --json` prints."""
        return {**vars(self), "problems": list(self.problems), "notes": list(self.notes)}

    def require(self) -> None:
        """Stop when something differs.

        Raises:
            NotTrustedError: with the first problem.
        """
        if self.problems:
            more = f" ({len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
            raise NotTrustedError(f"backup {self.id}: {self.problems[0]}{more}")


def verify(store: Store, backup: str | None = None, progress: Progress | None = None) -> Verified:
    """Restore a backup into a temporary place and compare what can be compared.

    A damaged chunk is set aside, so that the next backup writes it again.

    Raises:
        NotFoundError, NotTrustedError: no such backup, or its manifest is damaged.
        StorageError: there is no room for the temporary place.
    """
    manifest = store.read(backup)
    problems = list(_damaged(store, manifest, progress))
    if problems:
        return Verified(manifest.id, 0, 0, 0, 0, 0, tuple(problems))
    with tempfile.TemporaryDirectory(prefix="cartcast-") as work:
        place = Path(work) / "project"
        place.mkdir()
        built = build(store, manifest, place, place)
        check = _Check(manifest, place)
        return check.run(built.notes)


def _damaged(store: Store, manifest: Manifest, progress: Progress | None) -> Iterator[str]:
    chunks = sorted(manifest.chunks)
    for place, (name, sealed) in enumerate(chunks):
        if progress:
            progress("reading chunks", place / len(chunks))
        if sealed and store.vault is None:
            continue
        try:
            store.chunk(name, sealed=sealed)
        except NotTrustedError as error:
            held = next(f.name for f in manifest.files if name in f.chunks)
            store.set_aside(name)
            yield f"{held}: {error}"


class _Check:
    """A restored project beside what its manifest says."""

    def __init__(self, manifest: Manifest, place: Path) -> None:
        self.manifest, self.place = manifest, place
        self.problems: list[str] = []
        self.notes: list[str] = []

    def run(self, notes: tuple[str, ...]) -> Verified:
        files = sum(map(self._file, self.manifest.files))
        runs, asked = self._runs()
        records, sessions = self._live()
        if Registry(self.place).copy() != moved(self.manifest, self.place):
            self.problems.append("the catalogue is not the one that was kept")
        told = (*notes, *self.notes)
        return Verified(
            self.manifest.id, files, runs, asked, records, sessions, tuple(self.problems), told
        )

    def _file(self, entry: Any) -> int:
        path = self.place / entry.name
        if path.name in ("log.json", "request.json"):
            return 0  # names of files in it were made those of the new place
        if not path.is_file():
            if not entry.sealed:
                self.problems.append(f"{entry.name} was not restored")
            return 0
        whole = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                whole.update(block)
        if whole.hexdigest() != entry.sha256:
            self.problems.append(f"{entry.name} is not the file that was kept")
        if path.suffix == ".db":
            self._database(path, entry.name)
        return 1

    def _database(self, path: Path, name: str) -> None:
        try:
            with reading(path) as con:
                said = con.execute("PRAGMA integrity_check").fetchone()[0]
        except sqlite3.Error as error:
            said = str(error)
        if said != "ok":
            self.problems.append(f"{name}: {said}")

    def _runs(self) -> tuple[int, int]:
        registry, checked, asked = Registry(self.place), 0, 0
        same = versions() == self.manifest.versions
        if not same:
            self.notes.append("answers were not compared: other versions of libraries said them")
        for entry in registry.runs():
            if not entry.path.is_relative_to(self.place / STATE_FOLDER) or not entry.path.is_dir():
                continue  # it was not there when the backup was made, which the manifest says
            try:
                registry.verify(entry)
                checked += 1
                if same and entry.run_id in self.manifest.answers:
                    said = answers(entry.path)
                    if said != self.manifest.answers[entry.run_id]:
                        self.problems.append(f"run {entry.run_id} answers differently than before")
                    asked += 1
            except CartcastError as error:
                told = any(entry.run_id in note for note in self.manifest.notes)
                (self.notes if told else self.problems).append(f"run {entry.run_id}: {error}")
        return checked, asked

    def _live(self) -> tuple[int, int]:
        records, sessions = 0, 0
        for entry in self.manifest.live:
            folder, found = self.place / entry.name, 0
            for path in segments(folder).values():
                for one in read_segment(path, last=False):
                    if isinstance(one, Damage):
                        self.notes.append(f"{entry.name}/{path.name}: damaged before the backup")
                    else:
                        found += 1
            if found != entry.records:
                self.problems.append(f"{entry.name}: {found} events, {entry.records} were kept")
            newest = newest_snapshot(folder)
            try:
                if newest is not None:
                    sessions += sum(
                        row[0] == "s" for row in read_snapshot(newest[1], entry.fingerprint)
                    )
            except CartcastError as error:
                self.problems.append(f"{entry.name}: {error}")
            records += found
        return records, sessions
