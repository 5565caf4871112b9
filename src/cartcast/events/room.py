"""The room that reading may take: columnar and nested files can hold far more than their size.

A Parquet file names a value once and repeats it by number; a record of JSON is written again for
each element of its list. No header tells what that comes to, so the work folder is watched.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb

from cartcast.errors import DataError

__all__ = ["within"]

EVERY = 0.2
"""Seconds between two looks."""


@contextlib.contextmanager
def within(
    con: duckdb.DuckDBPyConnection, folder: Path, most: int | None, where: str
) -> Iterator[None]:
    """Stop the engine's work when a folder holds more than `most` bytes; None means no bound.

    Raises:
        DataError: it did.
    """
    if most is None:
        yield
        return
    over, done = threading.Event(), threading.Event()

    def watch() -> None:
        while not done.wait(EVERY):
            if _taken(folder) > most:
                over.set()
                # Again at every look: between two statements there is nothing to interrupt.
                con.interrupt()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except Exception as error:
        if not over.is_set():
            raise
        raise DataError(
            f"{where}: takes more than the {most / 1e6:,.0f} MB allowed for files of this size "
            "while it is read; look at what is in it, and give it in parts."
        ) from error
    finally:
        done.set()
        watcher.join()


def _taken(folder: Path) -> int:
    total = 0
    for top, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += (Path(top) / name).stat().st_size
    return total
