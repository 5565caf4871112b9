"""One process at a time: a lock file that ends with the process that holds it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from cartcast.atomic import file_mode, make_folder
from cartcast.errors import CartcastError

__all__ = ["alone"]


@contextlib.contextmanager
def alone(
    path: Path, refusal: CartcastError, *, wait: float = 0.0, secret: bool = False
) -> Iterator[None]:
    """Hold the lock of a file for a `with`; the file stays.

    Args:
        path: the lock file, made with the mode of its place.
        refusal: raised when another holds it.
        wait: seconds to wait for it.
        secret: make the file for its owner alone, wherever it is.

    Raises:
        OSError: the file cannot be made.
    """
    from filelock import FileLock, Timeout

    make_folder(path.parent)
    lock = FileLock(path, mode=file_mode(path, secret=secret))
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        raise refusal from None
    try:
        yield
    finally:
        lock.release()
