"""A live state as of one moment, while its server keeps writing.

A server removes segments of its log only after a newer snapshot lies in its place. So the newest
snapshot and every segment from its number on are a whole state, if that snapshot is still the
newest one once all of them are open: what is open stays readable when it is removed. Sizes are
asked from the last segment back, so that no segment ends before the one behind it begins. The
last write may be half there; the copy ends with its last whole record.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

from cartcast.backup.manifest import LiveEntry
from cartcast.errors import StorageError
from cartcast.live.log import Damage, read_records, record, segments
from cartcast.live.snapshot import newest_snapshot

__all__ = ["STATE_FILE", "Cut", "cut", "cut_at", "is_live"]

STATE_FILE = re.compile(r"(log|snapshot)-\d{10}\.bin")
"""Names of the files that a cut takes; the others in the folder are copied as they are."""
_ATTEMPTS = 20


class Cut(NamedTuple):
    """The open files of a live state, oldest first, and what is known of it.

    Attributes:
        files: path, stream from the start, and bytes that belong to the state.
        entry: span and number of its records.
    """

    files: tuple[tuple[Path, BinaryIO, int], ...]
    entry: LiveEntry


def is_live(folder: Path) -> bool:
    """Return whether a folder holds a live state."""
    return any(STATE_FILE.fullmatch(p.name) for p in folder.iterdir())


@contextlib.contextmanager
def cut(folder: Path, name: str) -> Iterator[Cut]:
    """Yield the state in `folder` as it is now.

    Raises:
        StorageError: snapshots follow each other faster than they can be opened.
    """
    for _ in range(_ATTEMPTS):
        with contextlib.ExitStack() as stack:
            try:
                snapshot, found = _open(folder, stack)
            except FileNotFoundError:
                continue
            if newest_snapshot(folder) == snapshot:
                yield _measured(folder, name, snapshot, found)
                return
    raise StorageError(f"{folder}: changes too fast to be copied; try again.")


def _open(
    folder: Path, stack: contextlib.ExitStack
) -> tuple[tuple[int, Path] | None, list[tuple[Path, BinaryIO]]]:
    snapshot = newest_snapshot(folder)
    first = snapshot[0] if snapshot else 0
    paths = [p for number, p in segments(folder).items() if number >= first]
    if snapshot:
        paths.insert(0, snapshot[1])
    return snapshot, [(p, stack.enter_context(p.open("rb"))) for p in paths]


def _measured(
    folder: Path,
    name: str,
    snapshot: tuple[int, Path] | None,
    found: list[tuple[Path, BinaryIO]],
) -> Cut:
    sizes = [os.fstat(stream.fileno()).st_size for _, stream in reversed(found)][::-1]
    files: list[tuple[Path, BinaryIO, int]] = []
    begin, end, count = None, None, 0
    for place, ((path, stream), size) in enumerate(zip(found, sizes, strict=True)):
        if snapshot is None or path != snapshot[1]:
            last = place == len(found) - 1
            content = stream.read(size)
            stream.seek(0)
            for one in read_records(path, content, last):
                if not isinstance(one, Damage):
                    begin, end, count = begin or one[0], one[0], count + 1
                elif one.torn:
                    size = one.place
        files.append((path, stream, size))
    features = folder / "features"
    fingerprint = features.read_text(encoding="utf-8").strip() if features.is_file() else ""
    if snapshot is None:
        begin = 0
    elif begin is None:
        begin = os.fstat(found[0][1].fileno()).st_mtime_ns // 1000
    return Cut(tuple(files), LiveEntry(name, begin, end, count, fingerprint))


def cut_at(folder: Path, entry: LiveEntry, until: int) -> LiveEntry:
    """Take the records that arrived after `until` (microseconds) out of a restored state."""
    kept, last = 0, None
    for path in segments(folder).values():
        parts = []
        for one in read_records(path, path.read_bytes(), last=False):
            if not isinstance(one, Damage) and one[0] <= until:
                parts.append(record(*one))
                kept, last = kept + 1, one[0]
        path.write_bytes(b"".join(parts))
    return replace(entry, records=kept, last=last)
