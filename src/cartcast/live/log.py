"""The write-ahead log: every accepted event on disk before it is acknowledged.

Records are appended to numbered segments, each with a mark, its length and CRC-32. Writers of one
moment share one write and one `fdatasync` (group commit). Reading gives every whole record, and
what is damaged between them: nothing is passed over in silence.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal, NamedTuple

from cartcast import system
from cartcast.live.problems import Problem

__all__ = ["Damage", "Durability", "Log", "read_records", "read_segment", "record", "segments"]

logger = logging.getLogger(__name__)

Durability = Literal["fsync", "write", "none"]
"""`fsync`: acknowledged events survive a power cut; `write`: a killed process; `none`: neither."""

MARK: Final = b"\xc3\x28CCL\xff"
"""Begins a record; no UTF-8 text of an event holds it."""
_HEAD = struct.Struct("<IIq")
_NAME = re.compile(r"log-(\d{10})\.bin")
RETRY_SECONDS = 1.0
CLOSE_SECONDS: Final = 2.0
"""Time that a stopping server gives a disk that refuses."""


def segments(folder: Path) -> dict[int, Path]:
    """Return the segments in `folder` by number, oldest first."""
    found = {int(m[1]): p for p in folder.iterdir() if (m := _NAME.fullmatch(p.name))}
    return dict(sorted(found.items()))


def record(now: int, data: bytes) -> bytes:
    """Return one record: its mark, length, the CRC-32 of what follows, the time, the event."""
    stamp = now.to_bytes(8, "little", signed=True)
    return MARK + _HEAD.pack(len(data), zlib.crc32(data, zlib.crc32(stamp)), now) + data


class Damage(NamedTuple):
    """Bytes of a segment that are no record.

    Attributes:
        path: the segment.
        place: where they begin.
        data: the bytes.
        torn: nothing whole follows, and the segment is the last one: a write that was cut off,
            which was never acknowledged, or room that the disk had given and not filled.
    """

    path: Path
    place: int
    data: bytes
    torn: bool


def read_segment(path: Path, last: bool) -> Iterator[tuple[int, bytes] | Damage]:
    """Yield (time, event) of every whole record, and the damage in between; changes nothing.

    After damage, reading continues at the next mark with a whole record behind it. Segments of
    before the marks are read, too, up to the first damage.
    """
    return read_records(path, path.read_bytes(), last)


def read_records(path: Path, content: bytes, last: bool) -> Iterator[tuple[int, bytes] | Damage]:
    """Yield what `read_segment` does of bytes that were read from `path`."""
    place, size = 0, len(content)
    while place < size:
        found = _record_at(content, place)
        if found is None:
            begin = place
            place = content.find(MARK, place + 1)
            while place >= 0 and _record_at(content, place) is None:
                place = content.find(MARK, place + 1)
            if place < 0:
                place = size
            yield Damage(path, begin, content[begin:place], torn=last and place == size)
            continue
        now, data, place = found
        yield now, data


def _record_at(content: bytes, place: int) -> tuple[int, bytes, int] | None:
    """Return time, event and end of the whole record at `place`, or None."""
    if content.startswith(MARK, place):
        place += len(MARK)
    begin = place + _HEAD.size
    if begin > len(content):
        return None
    length, crc, now = _HEAD.unpack_from(content, place)
    end = begin + length
    if end > len(content):
        return None
    stamp = now.to_bytes(8, "little", signed=True)
    data = content[begin:end]
    return (now, data, end) if zlib.crc32(data, zlib.crc32(stamp)) == crc else None


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
        self._waiting: list[asyncio.Future[None]] = []
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
        if self.failure is not None:
            raise _refused(self.failure)
        loop = asyncio.get_running_loop()
        # One for each: the end of a request ends nobody else's wait, and a shield costs more.
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append(done)
        if self._flusher is None:
            self._flusher = loop.create_task(self._flush())
        await done

    def rotate(self) -> int:
        """Start a new segment from the next record on; return its number."""
        self._sealed.append((self.number, b"".join(self._buffer)))
        self._buffer.clear()
        self.number += 1
        return self.number

    async def close(self) -> None:
        """Write what is left and close the segment; give up on a disk that keeps refusing."""
        if self._flusher is None and (self._buffer or self._sealed):
            self._flusher = asyncio.get_running_loop().create_task(self._flush())
        if self._flusher is not None:
            await asyncio.wait([self._flusher], timeout=CLOSE_SECONDS)
        if self._flusher is not None:
            logger.warning("the log could not be finished: events that nobody was told were taken")
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
        if self._open is not None:
            os.close(self._open[1])
            self._open = None
        self._threads.shutdown(wait=False)

    async def _flush(self) -> None:
        try:
            while self._waiting or self._buffer or self._sealed:
                parts = [*self._sealed, (self.number, b"".join(self._buffer))]
                done, self._waiting = self._waiting, []
                self._sealed.clear()
                self._buffer.clear()
                await self._write_all(parts, done)
        finally:
            self._flusher = None
            self._answer_all(OSError(errno.EIO, "the log is closed"))

    async def _write_all(
        self, parts: list[tuple[int, bytes]], done: list[asyncio.Future[None]]
    ) -> None:
        loop = asyncio.get_running_loop()
        while parts:
            try:
                if self._sync:
                    await loop.run_in_executor(self._threads, self._write, *parts[0])
                else:
                    self._write(*parts[0])
            except OSError as error:
                # Those who wait for this write and for the next hear of it now: only the repeats
                # below go on.
                self.failure = error
                _answer(done, error)
                self._answer_all(error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except asyncio.CancelledError:
                _answer(done, OSError(errno.EIO, "the log is closed"))
                raise
            parts.pop(0)
        self.failure = None
        _answer(done, None)

    def _answer_all(self, error: OSError) -> None:
        waiting, self._waiting = self._waiting, []
        _answer(waiting, error)

    def _write(self, number: int, data: bytes) -> None:
        if self._open is None or self._open[0] != number:
            if self._open is not None:
                os.close(self._open[1])
                self._open = None
            path = self._folder / f"log-{number:010d}.bin"
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._open = (number, handle, os.fstat(handle).st_size)
            if self._sync:
                system.sync_folder(self._folder)
        _, handle, size = self._open
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(handle, view) :]
            if self._sync:
                system.sync_data(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
        self._open = (number, handle, size + len(data))
        self.bytes_written += len(data)


def _answer(waiting: list[asyncio.Future[None]], error: OSError | None) -> None:
    for one in waiting:
        if one.done():
            continue
        if error is None:
            one.set_result(None)
        else:
            one.set_exception(_refused(error))
            one.exception()  # nobody may be left to read it


def _refused(error: OSError) -> Problem:
    return Problem(
        503,
        f"the state cannot be written ({error.strerror}); send the events again",
        rule="every acknowledged event is on disk",
        headers={"Retry-After": "2"},
    )
