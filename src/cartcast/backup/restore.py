"""Restore a backup: built beside its place, checked, and put there in one step."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cartcast.atomic import atomic_folder, opener, write_text
from cartcast.backup.contents import KEYS
from cartcast.backup.exchange import exchange
from cartcast.backup.livelog import cut_at
from cartcast.backup.manifest import FileEntry, LiveEntry, Manifest
from cartcast.backup.store import Store
from cartcast.config import PROJECT_FILE, STATE_FOLDER, read_settings
from cartcast.errors import NotFoundError, StorageError, UsageError
from cartcast.forget import Marks, Person, apply
from cartcast.lock import alone
from cartcast.runs.registry import Registry

__all__ = ["ASIDE", "CATALOGUE_WAYS", "Restored", "build", "restore"]

Catalogue = Literal["auto", "leave", "replace"]
"""What happens to a catalogue in PostgreSQL: filled when it is empty, left alone, replaced."""
CATALOGUE_WAYS: tuple[Catalogue, ...] = ("auto", "leave", "replace")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_EVER = 2**63 - 1
ASIDE = f"{STATE_FOLDER}-before-"
"""Begins the name of the state that a restore has taken the place of."""


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    Attributes:
        manifest: of the backup.
        place: the project's folder.
        live: the live states as they are now.
        forgotten: records left out, of people forgotten since.
        aside: where the state of before lies, if there was one.
        notes: what to know or do.
    """

    manifest: Manifest
    place: Path
    live: tuple[LiveEntry, ...]
    forgotten: int
    aside: Path | None
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return what `cartcast restore --json` prints."""
        return {
            "id": self.manifest.id,
            "created": self.manifest.created,
            "place": str(self.place),
            "files": len(self.manifest.files),
            "live": [vars(entry) for entry in self.live],
            "forgotten": self.forgotten,
            "aside": None if self.aside is None else str(self.aside),
            "notes": list(self.notes),
        }


def restore(
    store: Store,
    place: Path,
    *,
    backup: str | None = None,
    until: datetime | None = None,
    swap: bool = False,
    catalogue: Catalogue = "auto",
) -> Restored:
    """Put a backup where it belongs; before the last step nothing of the place is changed.

    Args:
        store: where the backups are.
        place: folder of the project: a new or empty one, or with `swap` one with a state.
        backup: name of the backup; the newest by default, or the one that `until` needs.
        until: leave events out of live states that arrived later.
        swap: take the place of the state that is there, which is put aside.
        catalogue: what happens to a catalogue in PostgreSQL.

    Raises:
        UsageError: the place is not empty, or the catalogue is not.
        StorageError: the project is in use, or the disk is full.
        NotFoundError, NotTrustedError: no such backup, or it is damaged.
    """
    manifest = choose(store, until) if until and backup is None else store.read(backup)
    if until is not None:
        _require_moment(manifest, until)
    place = place.absolute()
    filled = place.is_dir() and any(place.iterdir())
    if (place.exists() and not place.is_dir()) or (filled and not swap):
        raise UsageError(
            f"{place}: is not empty; name a new folder, or give --replace to put its state aside."
        )
    marks = Marks.read(store.folder).union(Marks.of(place))
    aside, here = None, Path.cwd()
    if not filled:
        with atomic_folder(place) as temporary:
            built = build(store, manifest, temporary, place, marks, until)
            _fill_database(manifest, temporary, place, catalogue)
        if here == place:
            built = replace(
                built, notes=(*built.notes, "this folder was replaced: cd into it again")
            )
    else:
        with unused(place):
            with _in_place(place) as temporary:
                built = build(store, manifest, temporary, place, marks, until)
                _fill_database(manifest, temporary, place, catalogue)
                notes = [*_settings(temporary, place), *_keys(temporary, place)]
            aside = _put(temporary, place)
            built = replace(built, notes=(*built.notes, *notes))
    return replace(built, place=place, aside=aside)


def build(
    store: Store,
    manifest: Manifest,
    folder: Path,
    place: Path,
    marks: Marks | None = None,
    until: datetime | None = None,
) -> Restored:
    """Write a backup into an empty folder as the project that will lie at `place`.

    Raises:
        NotTrustedError: something is not what was kept.
        StorageError: the disk is full.
    """
    notes = []
    # Settings first: they say who may read the rest.
    for entry in sorted(manifest.files, key=lambda e: e.name != PROJECT_FILE):
        if entry.sealed and store.vault is None:
            notes.append(f"{entry.name} is sealed and was left out: set the passphrase to have it")
            continue
        _write(store, entry, folder / entry.name)
    _relocate(folder, Path(manifest.project), place)
    rows = moved(manifest, place)
    Registry(folder).replace(rows)
    live = manifest.live
    if until is not None:
        micros = int(until.timestamp() * 1_000_000)
        live = tuple(cut_at(folder / entry.name, entry, micros) for entry in live)
    since = (marks or Marks()).after(manifest.created)
    gone = 0
    if since.entries:
        # What a server of this folder would do is done here: nobody else has it yet.
        gone = sum(p.count for p in apply(folder, Person(since.hold)))
        live = tuple(cut_at(folder / entry.name, entry, _EVER) for entry in live)
    if marks is not None and marks.entries:
        marks.union(Marks.of(folder)).finished().write(folder / STATE_FOLDER)
    return Restored(manifest, place, live, gone, None, tuple(notes))


def choose(store: Store, until: datetime) -> Manifest:
    """Return the first backup after a moment whose live states can be cut at it.

    Raises:
        NotFoundError: none can.
    """
    spans = []
    for manifest in reversed(list(store.readable())):
        if not manifest.live:
            continue
        begin, end = _span(manifest)
        if begin <= until <= end:
            return manifest
        spans.append(f"{begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S}")
    raise NotFoundError(
        f"{store.folder}: no backup can show the live state at {until:%Y-%m-%d %H:%M:%S} UTC; "
        f"known are: {'; '.join(spans) or 'none'} (UTC)."
    )


def _span(manifest: Manifest) -> tuple[datetime, datetime]:
    begin = max(entry.first for entry in manifest.live)
    return datetime.fromtimestamp(begin / 1e6, UTC), datetime.fromisoformat(manifest.created)


def _require_moment(manifest: Manifest, until: datetime) -> None:
    if not manifest.live:
        raise NotFoundError(f"backup {manifest.id} holds no live state to be cut at a time.")
    begin, end = _span(manifest)
    if not begin <= until <= end:
        raise NotFoundError(
            f"backup {manifest.id} shows the live state from {begin:%Y-%m-%d %H:%M:%S} to "
            f"{end:%Y-%m-%d %H:%M:%S} UTC only; leave --backup out to have the right one chosen."
        )


def moved(manifest: Manifest, place: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the catalogue's rows with the paths that runs have at `place`."""
    old, rows = (
        Path(manifest.project),
        {k: [dict(r) for r in v] for k, v in manifest.catalogue.items()},
    )
    held = {f.name for f in manifest.files}
    for run in rows["runs"]:
        run.setdefault("stored", "")  # of a backup from before there were stores
        path = Path(run["path"])
        if path.is_relative_to(old):
            run["path"] = str(place / path.relative_to(old))
        elif f"{STATE_FOLDER}/runs/{run['run_id']}/run.json" in held:
            run["path"] = str(place / STATE_FOLDER / "runs" / run["run_id"])
    return rows


def _write(store: Store, entry: FileEntry, path: Path) -> None:
    with open(path, "wb", opener=opener(path, secret=path.name == KEYS)) as stream:
        store.read_into(entry, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.utime(path, ns=(entry.modified, entry.modified))


def _relocate(folder: Path, old: Path, new: Path) -> None:
    """Let what the app wrote down of its files name them where they are now."""
    for path in (folder / STATE_FOLDER / "app").glob("*/*/*.json"):
        if path.name in ("log.json", "request.json"):
            told = json.loads(path.read_text(encoding="utf-8"))
            now = _moved(told, str(old), str(new))
            if now != told:
                write_text(path, json.dumps(now, indent=1))


def _moved(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return new + value[len(old) :] if value == old or value.startswith(old + os.sep) else value
    if isinstance(value, list):
        return [_moved(v, old, new) for v in value]
    if isinstance(value, Mapping):
        return {k: _moved(v, old, new) for k, v in value.items()}
    return value


def _fill_database(manifest: Manifest, folder: Path, place: Path, how: Catalogue) -> None:
    """Put the catalogue's rows into PostgreSQL, where the settings name one."""
    url = read_settings(folder).catalogue if (folder / PROJECT_FILE).is_file() else None
    if url is None or how == "leave":
        return
    registry, rows = Registry(place, url), moved(manifest, place)
    there = registry.copy()
    if there != rows:
        if any(there.values()) and how != "replace":
            raise UsageError(
                "the catalogue database that the settings name is not empty; give --catalogue "
                "leave (to use it as it is) or --catalogue replace."
            )
        registry.replace(rows)
    (folder / STATE_FOLDER / "catalogue.db").unlink(missing_ok=True)


@contextlib.contextmanager
def _in_place(place: Path) -> Iterator[Path]:
    """Yield a new folder in the project, on the same file system as its state.

    It is removed when what is made in it fails, and only then: later it may hold the old state.
    """
    temporary = place / f".cartcast-restoring-{secrets.token_hex(3)}"
    try:
        temporary.mkdir(mode=0o700)
        yield temporary
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        reason = "the disk is full" if error.errno in _FULL else (error.strerror or str(error))
        raise StorageError(f"{place}: {reason}; nothing was changed.") from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextlib.contextmanager
def unused(place: Path) -> Iterator[None]:
    """Hold every lock of a project's state.

    Raises:
        StorageError: somebody has one: the project is in use.
    """
    with contextlib.ExitStack() as stack:
        state = place / STATE_FOLDER
        locks = [p for p in state.rglob("*") if p.name == "lock" or p.suffix == ".lock"]
        for path in locks:
            refusal = StorageError(
                f"{place}: is in use ({path.relative_to(place)} is held); stop the service."
            )
            stack.enter_context(alone(path, refusal, secret=True))
        for path in state.glob("app/jobs/*/process.json"):
            told = json.loads(path.read_text(encoding="utf-8"))
            if _runs(told.get("pid")):
                raise StorageError(
                    f"{place}: is in use (a training runs, {path.parent.name}); wait."
                )
        yield


def _runs(pid: Any) -> bool:
    command = Path(f"/proc/{pid}/cmdline")
    with contextlib.suppress(OSError):
        return b"cartcast.app.worker" in command.read_bytes()
    return False


def _settings(folder: Path, place: Path) -> list[str]:
    """Bring in settings that are missing; those that are there are the owner's and stay."""
    notes = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        inner = path.relative_to(folder)
        if inner.parts[0] == STATE_FOLDER:
            continue
        there = place / inner
        if not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            path.rename(there)
        elif there.read_bytes() != path.read_bytes():
            kept = folder / STATE_FOLDER / "restored-settings" / inner
            kept.parent.mkdir(parents=True, exist_ok=True)
            path.rename(kept)
            notes.append(
                f"{inner} was kept as it is; the backup's lies in "
                f"{STATE_FOLDER}/restored-settings/{inner}"
            )
    return notes


def _keys(folder: Path, place: Path) -> list[str]:
    """Keep the keys that are there when the backup has none: without any, a service is open."""
    new, old = folder / STATE_FOLDER / KEYS, place / STATE_FOLDER / KEYS
    if new.exists() or not old.is_file():
        return []
    with open(new, "wb", opener=opener(new, secret=True)) as stream:
        stream.write(old.read_bytes())
    return [f"{STATE_FOLDER}/{KEYS} was kept as it is"]


def _put(folder: Path, place: Path) -> Path | None:
    """Let the new state and the one that is there change places; return where the old one is."""
    new, state = folder / STATE_FOLDER, place / STATE_FOLDER
    if not state.exists():
        new.rename(state)
        shutil.rmtree(folder, ignore_errors=True)
        return None
    try:
        exchange(new, state)
    except StorageError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # From here on `new` is the old state: it is given a name of its own, and never removed.
    aside = place / f"{ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    try:
        new.rename(aside)
    except OSError:
        return new
    shutil.rmtree(folder, ignore_errors=True)
    return aside
