"""Passing files: a folder with an owner, removed when it is done, and when its owner is gone.

Each folder holds a file that its process keeps locked. The kernel frees the lock however the
process ends, so a folder that is not locked belongs to nobody, and the next start removes it.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from cartcast import system

__all__ = ["ScratchFolder", "scratch", "sweep"]

_OWNER = ".cartcast-owner"
_PREFIXES = ("cartcast-", ".cartcast-work-")
_swept: set[Path] = set()


class ScratchFolder:
    """A folder that is made when it is first asked for, and removed with the object or process.

    Args:
        place: where it is made; None means the system's folder for passing files.
    """

    def __init__(self, place: Path | None = None) -> None:
        self._place = place
        self._made: Path | None = None
        self._remove: weakref.finalize[[Path, FileLock], ScratchFolder] | None = None

    @property
    def path(self) -> Path:
        """The folder."""
        while self._made is None:
            self._make()
        return self._made

    def close(self) -> None:
        """Remove the folder, if it was made."""
        if self._remove is not None:
            self._remove()

    def _make(self) -> None:
        """Make the folder and lock its owner's file; what others left there is removed first."""
        where = (Path(tempfile.gettempdir()) if self._place is None else self._place).absolute()
        if where not in _swept:
            _swept.add(where)
            sweep(where)
        prefix = _PREFIXES[0] if self._place is None else _PREFIXES[1]
        path = where / f"{prefix}{secrets.token_hex(8)}"
        lock = FileLock(path / _OWNER, thread_local=False)
        # Named before it is made: an interrupt may come between any two lines.
        self._remove = weakref.finalize(self, _drop, path, lock)
        path.mkdir(mode=0o700)
        # A sweep may just have taken the folder for one without an owner.
        with contextlib.suppress(Timeout, OSError):
            lock.acquire(timeout=0)
            if path.is_dir():
                self._made = path
                return
        self._remove()


@contextlib.contextmanager
def scratch(place: Path | None = None) -> Iterator[Path]:
    """Yield a folder for passing files; it is removed on the way out.

    >>> with scratch() as folder:
    ...     folder.is_dir()
    True
    >>> folder.exists()
    False
    """
    folder = ScratchFolder(place)
    try:
        yield folder.path
    finally:
        folder.close()


def sweep(place: Path | None = None) -> list[Path]:
    """Remove what ended processes of this user left in a place; return what was removed.

    Only folders that this package made are looked at, and never through a link.
    """
    place = Path(tempfile.gettempdir()) if place is None else place
    removed: list[Path] = []
    with contextlib.suppress(OSError):
        found = [p for p in sorted(place.iterdir()) if p.name.startswith(_PREFIXES)]
        removed += [p for p in found if _is_own(p) and _take(p)]
    return removed


def _drop(path: Path, lock: FileLock) -> None:
    try:
        shutil.rmtree(path, ignore_errors=True)
    finally:
        with contextlib.suppress(OSError):
            lock.release(force=True)
        # Where a file cannot be removed while it is open, it can be now.
        shutil.rmtree(path, ignore_errors=True)


def _is_own(path: Path) -> bool:
    """Return whether this is a folder of this user, with an owner's file, and not a link."""
    with contextlib.suppress(OSError):
        folder, file = path.lstat(), (path / _OWNER).lstat()
        real = stat.S_ISDIR(folder.st_mode) and stat.S_ISREG(file.st_mode)
        return real and system.own(folder, file)
    return False


def _take(path: Path) -> bool:
    """Remove a folder, if nobody holds its lock."""
    lock = FileLock(path / _OWNER, thread_local=False)
    with contextlib.suppress(Timeout, OSError):
        lock.acquire(timeout=0)
        _drop(path, lock)
        return not path.exists()
    return False
