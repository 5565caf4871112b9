"""Writes that are whole or not there: temporary file, fsync, rename."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cartcast.errors import StorageError

__all__ = ["atomic_folder", "atomic_path", "write_bytes", "write_text"]


# What the place itself can be blamed for; any other OSError of the writer is passed on as it is.
_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST}
_PLACE |= {errno.ENOTEMPTY, errno.EFBIG, errno.EIO, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}


@contextlib.contextmanager
def _blame(path: Path) -> Iterator[None]:
    """Turn what the place refuses into one line; pass other errors of the writer on."""
    try:
        yield
    except OSError as error:
        if error.errno not in _PLACE:
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"{path}: the disk is full; nothing was written. Free space and retry."
            ) from error
        reason = error.strerror or str(error)
        raise StorageError(f"{path}: cannot be written ({reason}); nothing was changed.") from error


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`.

    On any error, an interrupt included, the temporary file is removed and `path` stays as it was.
    The temporary name keeps the suffix, for writers that choose the format by it.

    Raises:
        StorageError: the disk is full or the folder is not writable.
    """
    path = Path(path)
    with _blame(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}-", suffix="".join(path.suffixes), dir=path.parent.absolute()
        )
        os.close(handle)
    temporary = Path(name)
    try:
        with _blame(path):
            yield temporary
            _fsync(temporary)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
            _fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it is renamed to `path`.

    `path` must not exist yet. On any error the temporary folder is removed.

    Raises:
        StorageError: the disk is full, the place is not writable, or `path` exists.
    """
    path = Path(path)
    with _blame(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent.absolute()))
    try:
        with _blame(path):
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _fsync(file)
            os.chmod(temporary, 0o777 & ~_umask())
            temporary.rename(path)
            _fsync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
