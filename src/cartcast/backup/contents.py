"""What of a project a backup holds, and how each kind of file is copied while it is in use.

SQLite databases       by SQLite's online backup: as of one transaction
live states            snapshot and log up to one moment (`livelog`)
everything else        is replaced by renaming or only grows: an open file is whole
keys                   only sealed with a passphrase
locks, passing files   left out, and what belongs to a running app (`sign-in-*.toml`)
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cartcast.backup.livelog import STATE_FILE, is_live
from cartcast.config import PROJECT_FILE, STATE_FOLDER, Settings
from cartcast.errors import StorageError
from cartcast.statefile import reading

__all__ = ["CATALOGUE", "KEYS", "Item", "items", "sqlite_copy"]

KEYS = "keys.json"
CATALOGUE = "catalogue.db"
"""Left out as a file: its rows are in the manifest, where PostgreSQL's are, too."""
_LEFT_OUT = re.compile(r"\..*|lock|.*\.lock|.*-(wal|shm|journal)|sign-in-.*\.toml")
_SQLITE = b"SQLite format 3\0"
Kind = Literal["file", "sqlite", "live", "secret"]


@dataclass(frozen=True)
class Item:
    """Something to copy: a file, or the folder of a live state.

    Attributes:
        name: path in the restored project, with slashes.
        path: where it is now.
        kind: how it is copied.
    """

    name: str
    path: Path
    kind: Kind


def items(
    project: Path, settings: Settings, runs: dict[str, Path], states: tuple[Path, ...]
) -> Iterator[Item]:
    """Yield what of a project is copied.

    Args:
        project: its folder.
        settings: of the project; the files that they name are copied, sources and orders are not.
        runs: folders of registered runs outside of the project, by id.
        states: folders of live states outside of the project.
    """
    yield from _settings(project, settings)
    state = project / STATE_FOLDER
    if state.is_dir():
        yield from _walk(state, STATE_FOLDER, top=True)
    for run_id, folder in runs.items():
        if folder.is_dir():
            yield from _walk(folder, f"{STATE_FOLDER}/runs/{run_id}")
    for folder in states:
        yield from _walk(folder, f"{STATE_FOLDER}/{folder.name}")


def _settings(project: Path, settings: Settings) -> Iterator[Item]:
    named = (settings.layout, settings.features, settings.rates)
    plans = (str(p) for w in map(Path, settings.experiments) for p in (w, *w.glob("*.y*ml")))
    for word in (PROJECT_FILE, *(w for w in named if isinstance(w, str)), *plans):
        path = (project / word).resolve()
        if path.is_file() and path.is_relative_to(project.resolve()):
            yield Item(path.relative_to(project.resolve()).as_posix(), path, "file")


def _walk(folder: Path, name: str, *, top: bool = False) -> Iterator[Item]:
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    live = is_live(folder)
    if live:
        yield Item(name, folder, "live")
    for entry in found:
        path, inner = Path(entry.path), f"{name}/{entry.name}"
        if _LEFT_OUT.fullmatch(entry.name) or entry.is_symlink():
            continue
        if live and STATE_FILE.fullmatch(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(path, inner)
        elif top and entry.name == KEYS:
            yield Item(inner, path, "secret")
        elif not (top and entry.name == CATALOGUE) and entry.is_file():
            yield Item(inner, path, "sqlite" if _is_sqlite(path) else "file")


def _is_sqlite(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
        return stream.read(len(_SQLITE)) == _SQLITE
    return False


def sqlite_copy(path: Path, to: Path) -> None:
    """Copy a database that others may be writing to.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        with (
            reading(path) as con,
            contextlib.closing(sqlite3.connect(to)) as copy,
        ):
            con.backup(copy)
    except sqlite3.Error as error:
        raise StorageError(f"{path}: the database cannot be copied ({error}).") from error
