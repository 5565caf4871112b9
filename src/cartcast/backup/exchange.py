"""Two folders change places in one step, so that there is never a moment with neither.

Source: renameat2(2), https://man7.org/linux/man-pages/man2/rename.2.html
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from pathlib import Path

from cartcast import system
from cartcast.errors import StorageError

__all__ = ["exchange"]

_HERE = -100
_EXCHANGE = 2


def exchange(new: Path, old: Path) -> None:
    """Let two folders of one file system change places.

    Where the system cannot do it in one step, it takes two renames, and what was `old` can lie
    beside it as `NAME-before` if the machine dies in between.

    Raises:
        StorageError: they cannot be renamed.
    """
    try:
        if not _at_once(new, old):
            aside = old.with_name(f"{old.name}-before")
            old.rename(aside)
            try:
                new.rename(old)
            except OSError:
                aside.rename(old)
                raise
            aside.rename(new)
        system.sync_folder(old.parent)
    except OSError as error:
        raise StorageError(f"{old}: cannot be replaced ({error.strerror}).") from error


def _at_once(new: Path, old: Path) -> bool:
    with contextlib.suppress(AttributeError, TypeError):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.renameat2(_HERE, os.fsencode(new), _HERE, os.fsencode(old), _EXCHANGE) == 0:
            return True
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EINVAL):
            raise OSError(number, os.strerror(number))
    return False
