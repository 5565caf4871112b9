"""The runs of a team on this host: its own, and those that it has pulled from the store."""

from __future__ import annotations

import json
import shutil
from functools import cached_property
from pathlib import Path

from cartcast.config import STATE_FOLDER
from cartcast.errors import NotFoundError, NotTrustedError, StorageError
from cartcast.lock import alone
from cartcast.runs.store import RunStore, address

__all__ = ["Copies", "manifest"]

PULLED = "pulled"
"""Folder of the state; a run in it lies below the address of its archive."""
WAIT = 600
"""Seconds to wait for another process that pulls the same run."""


class Copies:
    """The folders of runs on this host.

    Args:
        folder: the project folder.
        url: of the store, or None: then runs lie where they were trained.
    """

    def __init__(self, folder: Path, url: str | None) -> None:
        self._state = folder.absolute() / STATE_FOLDER
        self._folder, self.url = folder, url

    @cached_property
    def store(self) -> RunStore | None:
        """Where the team keeps its runs."""
        return RunStore(self.url, self._folder) if self.url else None

    def place(self, run_id: str, recorded: Path, stored: str, registered: str = "") -> Path:
        """Return where a run lies on this host, or will.

        `recorded` may be another host's: it counts in the project, where a run with the manifest
        that is `registered` lies there.
        """
        own = self._state / "runs" / run_id
        if not self.url or not stored:
            return recorded
        if (own / "run.json").is_file():
            return own
        inside = recorded.is_relative_to(self._folder.resolve())
        if inside and registered and manifest(recorded) == registered:
            return recorded
        return self._pulled(run_id, stored)

    def fetch(self, path: Path, stored: str) -> None:
        """Pull a run to its `place`, if it is not there.

        Raises:
            NotFoundError, NotTrustedError: the store does not have it, or not as registered.
            StorageError: the store does not answer.
        """
        if self.store is None or not stored or (path / "run.json").is_file():
            return
        pulled = self._state / PULLED
        refusal = StorageError(f"{path}: another process pulls this run; wait for it.")
        with alone(pulled / f".{path.name}.lock", refusal, wait=WAIT):
            if not path.is_dir():
                self.store.pull(stored, path)
            for older in pulled.glob(f"*/{path.name}"):
                if older != path:
                    shutil.rmtree(older.parent, ignore_errors=True)

    def refresh(self, path: Path, stored: str) -> Path | None:
        """Return the folder of a run exactly as the store has it; None where it has none.

        What lies here gives way only once the store's own is here: it may be the last copy.
        """
        for own in (path, self._state / "runs" / path.name):
            if (left := _aside(own)).is_dir():
                # By a process that was killed.
                if own.exists():
                    shutil.rmtree(left)
                else:
                    left.replace(own)
                    path = own
        aside = _aside(path)
        if path.is_dir() and self.same(path, stored):
            return path
        if held := path.is_dir():
            path.replace(aside)
        try:
            found = self.place(path.name, path, stored)
            self.fetch(found, stored)
        except BaseException as error:
            if held:
                aside.replace(path)
            if isinstance(error, NotFoundError):
                return None
            raise
        shutil.rmtree(aside, ignore_errors=True)
        return found

    def same(self, path: Path, stored: str) -> bool:
        """Tell whether the files of a folder are those of an archive."""
        return address(path) == stored

    def put(self, path: Path) -> str:
        """Bring a run into the store; return its address, or nothing where there is no store."""
        return self.store.put(path) if self.store else ""

    def drop(self, stored: str) -> None:
        """Remove an archive that the catalogue does not name any more."""
        if self.store and stored:
            self.store.delete(stored)

    def remove(self, path: Path, run_id: str) -> None:
        """Remove the folder of a run; only in the project, whatever the catalogue says of paths."""
        if path.name == run_id and path.is_relative_to(self._state):
            shutil.rmtree(path, ignore_errors=True)

    def require_same(self, path: Path, stored: str) -> None:
        """Refuse a folder whose files are not those of its archive.

        Raises:
            NotTrustedError: saying what to do.
        """
        if self.url and stored and not self.same(path, stored):
            raise NotTrustedError(
                f"{path}: is not what the store has; remove it to have it pulled again, or keep "
                f"it by `cartcast models push {path.name}`."
            )

    def _pulled(self, run_id: str, stored: str) -> Path:
        return self._state / PULLED / stored / run_id


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.aside")


def manifest(path: Path) -> str | None:
    """Return the model manifest of a run's folder, "" without one; None where it is no run."""
    try:
        told = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(told.get("model_manifest") or "") if isinstance(told, dict) else None
