"""The write-ahead log: every accepted event on disk before it is acknowledged.

Records are appended to numbered segments, each with its length and CRC-32. Writers of one moment
share one write and one `fdatasync` (group commit). A segment torn by a crash is cut at its last
whole record; a damaged record before the end is an error, not a silent loss.
"""

from __future__ import annotations

import asyncio
import os
import re
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from cartcast.errors import StorageError
from cartcast.live.problems import Problem

__all__ = ["Durability", "Log", "read_segment", "segments"]

Durability = Literal["fsync", "write", "none"]
"""`fsync`: acknowledged events survive a power cut; `write`: a killed process; `none`: neither."""

_HEAD = struct.Struct("<IIq")
_NAME = re.compile(r"log-(\d{10})\.bin")
RETRY_SECONDS = 1.0


def segments(folder: Path) -> dict[int, Path]:
    """Return the segments in `folder` by number, oldest first."""
    found = {int(m[1]): p for p in folder.iterdir() if (m := _NAME.fullmatch(p.name))}
    return dict(sorted(found.items()))


def record(now: int, data: bytes) -> bytes:
    """Return one record: its length, the CRC-32 of what follows, the time, the event."""
    stamp = now.to_bytes(8, "little", signed=True)
    return _HEAD.pack(len(data), zlib.crc32(data, zlib.crc32(stamp)), now) + data


def read_segment(path: Path, last: bool) -> Iterator[tuple[int, bytes]]:
    """Yield (time, event) of every record; in the `last` segment a torn end is cut off.

    Raises:
        StorageError: a record before the end is damaged.
    """
    content = path.read_bytes()
    place, size = 0, len(content)
    while place < size:
        end = place + _HEAD.size
        if end <= size:
            length, crc, now = _HEAD.unpack_from(content, place)
            data = content[end : end + length]
            stamp = now.to_bytes(8, "little", signed=True)
            if len(data) == length and zlib.crc32(data, zlib.crc32(stamp)) == crc:
                yield now, data
                place = end + length
                continue
            torn = end + length >= size
        else:
            torn = True
        if not (last and torn):
            raise StorageError(
                f"{path}: damaged at byte {place}; restore the file from a backup, or start with "
                "an empty --state-dir."
            )
        os.truncate(path, place)
        return


class Log:
    """Appends records; `commit` returns when all that was appended before it is on disk.

    While the disk refuses, nothing is lost: what was appended is kept and tried again every
    second, and `check` refuses new events with 503.
    """

    def __init__(self, folder: Path, number: int, durability: Durability) -> None:
        self.number = number
        self.bytes_written = 0
        self.failure: OSError | None = None
        self._folder = folder
        self._sync = durability == "fsync"
        self._buffer: list[bytes] = []
        self._sealed: list[tuple[int, bytes]] = []
        self._waiting: asyncio.Future[None] | None = None
        self._flusher: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="cartcast-log")
        self._open: tuple[int, int, int] | None = None

    def append(self, now: int, data: bytes) -> None:
        """Add one event to the next write."""
        self._buffer.append(record(now, data))

    def check(self) -> None:
        """Refuse new events while the disk refuses.

        Raises:
            Problem: 503 with Retry-After.
        """
        if self.failure is not None:
            raise Problem(
                503,
                f"the state cannot be written ({self.failure.strerror}); nothing was taken",
                rule="every acknowledged event is on disk",
                headers={"Retry-After": "2"},
            )

    async def commit(self) -> None:
        """Wait until everything appended so far is on disk.

        Raises:
            Problem: 503, when the disk refuses; the events stay queued and repeats are harmless.
        """
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
            if self._flusher is None:
                self._flusher = asyncio.get_running_loop().create_task(self._flush())
        await asyncio.shield(self._waiting)

    def rotate(self) -> int:
        """Start a new segment from the next record on; return its number."""
        self._sealed.append((self.number, b"".join(self._buffer)))
        self._buffer.clear()
        self.number += 1
        return self.number

    async def close(self) -> None:
        """Write what is left and close the segment."""
        while self._buffer or self._sealed or self._flusher is not None:
            await self.commit()
        if self._open is not None:
            os.close(self._open[1])
            self._open = None
        self._threads.shutdown()

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting is not None:
                done, self._waiting = self._waiting, None
                parts = [*self._sealed, (self.number, b"".join(self._buffer))]
                self._sealed.clear()
                self._buffer.clear()
                await self._write_all(parts, done, loop)
        finally:
            self._flusher = None

    async def _write_all(
        self,
        parts: list[tuple[int, bytes]],
        done: asyncio.Future[None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        while parts:
            try:
                if self._sync:
                    await loop.run_in_executor(self._threads, self._write, *parts[0])
                else:
                    self._write(*parts[0])
            except OSError as error:
                self.failure = error
                if not done.done():
                    done.set_exception(_refused(error))
                    done.exception()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            parts.pop(0)
        self.failure = None
        if not done.done():
            done.set_result(None)

    def _write(self, number: int, data: bytes) -> None:
        if self._open is None or self._open[0] != number:
            if self._open is not None:
                os.close(self._open[1])
                self._open = None
            path = self._folder / f"log-{number:010d}.bin"
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._open = (number, handle, os.fstat(handle).st_size)
            if self._sync:
                _sync_folder(self._folder)
        _, handle, size = self._open
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(handle, view) :]
            if self._sync:
                os.fdatasync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
        self._open = (number, handle, size + len(data))
        self.bytes_written += len(data)


def _refused(error: OSError) -> Problem:
    return Problem(
        503,
        f"the state cannot be written ({error.strerror}); send the events again",
        rule="every acknowledged event is on disk",
        headers={"Retry-After": "2"},
    )


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
