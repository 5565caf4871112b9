"""Writes that are whole or not there (temporary file, fsync, rename), and who may read them.

What a project keeps in `.cartcast` is its owner's alone: folders 0700, files 0600, from the moment
they exist. With `access: shared_group` the folder's group has it too (2770, 0660). Files that
somebody names elsewhere follow the umask, but for secrets.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from cartcast import system
from cartcast.config import PROJECT_FILE, STATE_FOLDER, read_settings
from cartcast.errors import CartcastError, StorageError

__all__ = [
    "atomic_folder",
    "atomic_path",
    "file_mode",
    "make_folder",
    "opener",
    "process_umask",
    "touch",
    "write_bytes",
    "write_text",
]


# What the place itself can be blamed for; any other OSError of the writer is passed on as it is.
_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST}
_PLACE |= {errno.ENOTEMPTY, errno.EFBIG, errno.EIO, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
_PLACE |= {errno.EBUSY, errno.ELOOP}


@contextlib.contextmanager
def _blame(path: Path) -> Iterator[None]:
    """Turn what the place refuses into one line; pass other errors of the writer on."""
    try:
        yield
    except OSError as error:
        # A folder that cannot be made, as below /proc, says that it is not there.
        nowhere = error.errno == errno.ENOENT and not path.parent.is_dir()
        if error.errno not in _PLACE and not nowhere:
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"{path}: the disk is full; nothing was written. Free space and retry."
            ) from error
        reason = error.strerror or str(error)
        raise StorageError(f"{path}: cannot be written ({reason}); nothing was changed.") from error


def file_mode(path: Path | str, *, secret: bool = False) -> int:
    """Return the mode that a file at `path` gets; `secret` is the owner's alone wherever it is."""
    root = _state_root(Path(path))
    if secret or root is not None:
        return 0o660 if root is not None and not secret and _shared(root) else 0o600
    return 0o666 & ~_umask()


def process_umask(project: Path) -> int:
    """Return the umask of a process that writes for a project only, such as the app's server."""
    return 0o007 if _shared(project.absolute() / STATE_FOLDER) else 0o077


def make_folder(path: Path | str) -> None:
    """Make a folder and those above it; in `.cartcast` for those only who may read it.

    Raises:
        OSError: it cannot be made.
    """
    path = Path(path).absolute()
    root = _state_root(path / "file")
    if root is None:
        path.mkdir(parents=True, exist_ok=True)
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o2770 if _shared(root) else 0o700
    below = [p for p in (path, *path.parents) if p == root or root in p.parents]
    for folder in reversed(below):
        # The parent is closed before anything is made in it; also one of an earlier version.
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        if folder == root or mode != 0o700:
            _set_mode(folder, mode)


def opener(path: Path | str, *, secret: bool = False) -> Callable[[str, int], int]:
    """Return the `opener` of `open` with which a new file at `path` has its mode from the start.

    Its folder is made.
    """
    mode = file_mode(path, secret=secret)
    make_folder(Path(path).parent)

    def opened(name: str, flags: int) -> int:
        handle = os.open(name, flags, mode & ~0o060)
        if mode & 0o060 and stat.S_IMODE(os.fstat(handle).st_mode) != mode:
            with contextlib.suppress(PermissionError):
                system.set_mode(handle, mode)
        return handle

    return opened


def touch(path: Path | str, *, secret: bool = False) -> None:
    """Make an empty file for a library that would make it with its own mode, such as SQLite."""
    with open(path, "ab", opener=opener(path, secret=secret)):
        pass


def _state_root(path: Path) -> Path | None:
    """Return the `.cartcast` that holds a path; None when none does."""
    return next((p for p in path.absolute().parents if p.name == STATE_FOLDER), None)


def _shared(root: Path) -> bool:
    """Return whether the project of a `.cartcast` shares it with its group."""
    file = root.parent / PROJECT_FILE
    try:
        told = file.stat()
    except OSError:
        return False
    return _asks_to_share(file.parent, told.st_mtime_ns, told.st_size)


@lru_cache(maxsize=64)
def _asks_to_share(folder: Path, _changed: int, _size: int) -> bool:
    try:
        return read_settings(folder).access == "shared_group"
    except (CartcastError, TypeError, ValueError):
        # Settings that cannot be read open nothing; who needs them says what is wrong.
        return False


def _set_mode(path: Path, mode: int) -> None:
    if stat.S_IMODE(path.stat().st_mode) != mode:
        # In a shared folder another member owns what that member made.
        with contextlib.suppress(PermissionError):
            os.chmod(path, mode)


@contextlib.contextmanager
def atomic_path(path: Path | str, *, secret: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`.

    On any error, an interrupt included, the temporary file is removed and `path` stays as it was.
    The temporary name keeps the suffix, for writers that choose the format by it.

    Raises:
        StorageError: the disk is full or the folder is not writable.
    """
    path = Path(path)
    temporary = _beside(path, path.stem, "".join(path.suffixes))
    try:
        with _blame(path):
            make_folder(path.parent)
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            yield temporary
            system.sync_file(temporary)
            os.chmod(temporary, file_mode(path, secret=secret))
            os.replace(temporary, path)
            system.sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it is renamed to `path`.

    `path` must not exist yet. On any error the temporary folder is removed.

    Raises:
        StorageError: the disk is full, the place is not writable, or `path` exists.
    """
    path = Path(path)
    temporary = _beside(path, path.name)
    root = _state_root(path)
    modes = (0o2770, 0o660) if root is not None and _shared(root) else (0o700, 0o600)
    try:
        with _blame(path):
            make_folder(path.parent)
            temporary.mkdir(mode=0o700)
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    system.sync_file(file)
                if root is not None and not file.is_symlink():
                    os.chmod(file, modes[file.is_file()])
            os.chmod(temporary, 0o777 & ~_umask() if root is None else modes[0])
            temporary.rename(path)
            system.sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _beside(path: Path, stem: str, suffix: str = "") -> Path:
    """Return a hidden name beside a path that nobody has.

    It is known before anything is made, so that an interrupt at any moment leaves nothing.
    """
    return path.parent.absolute() / f".{stem}-{secrets.token_hex(4)}{suffix}"


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def _umask() -> int:
    """Return the umask, asked of the kernel: to set it would change the files of other threads."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(x for x in lines if x.startswith("Umask:")).split()[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
