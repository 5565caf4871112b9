"""JSON lines as source and sink."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from cartcast import atomic
from cartcast.errors import DataError, NotFoundError, StorageError
from cartcast.live.streams import Message, Row

__all__ = ["FileSink", "FileSource"]


class FileSource:
    """Lines of a file; the place reached is kept beside the state, so a run can be taken up.

    Args:
        path: JSON lines, one event each.
        place: file that holds the byte reached, or None to begin again every time.
    """

    def __init__(self, path: Path, place: Path | None) -> None:
        self.path = path
        self.ended = False
        self._place_file = place
        self._file: BinaryIO | None = None
        self._read = 0

    async def open(self) -> None:
        """Open the file at the place reached.

        Raises:
            NotFoundError: it is not there.
            DataError: it is shorter than the place reached, so it is another file.
        """
        if not self.path.is_file():
            raise NotFoundError(f"{self.path}: no such file.")
        if self._place_file is not None and self._place_file.is_file():
            self._read = int(self._place_file.read_text(encoding="ascii"))
            if self._read > self.path.stat().st_size:
                raise DataError(
                    f"{self.path}: shorter than the place reached ({self._read} bytes); it is "
                    f"another file. Remove {self._place_file} to start over."
                )
        self._file = self.path.open("rb")
        self._file.seek(self._read)

    async def read(self, most: int, seconds: float) -> list[Message]:
        """Return the next lines; `ended` is set at the end of the file."""
        assert self._file is not None
        messages: list[Message] = []
        while len(messages) < most:
            line = self._file.readline()
            if not line:
                self.ended = True
                break
            self._read += len(line)
            if line.strip():
                messages.append(Message(f"{self.path.name}:{self._read}", line))
        return messages

    async def commit(self, messages: Sequence[Message]) -> None:
        """Keep the place after these lines."""
        if self._place_file is not None and messages:
            place = messages[-1].id.rpartition(":")[2]
            atomic.write_text(self._place_file, place)

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class FileSink:
    """JSON lines, appended; rows whose key is in the file already are left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._keys: set[str] = set()
        self._file: BinaryIO | None = None

    async def open(self) -> None:
        """Read the keys that are there, and cut a line that was torn by a crash."""
        try:
            own = atomic.opener(self.path)
            self._file = open(self.path, "a+b", opener=own)  # noqa: SIM115
        except OSError as error:
            raise StorageError(f"{self.path}: cannot be written ({error.strerror}).") from error
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            self._keys.add(json.loads(line)["key"])
        self._file.truncate(whole)

    async def write(self, rows: Sequence[Row]) -> None:
        """Append the rows and sync the file."""
        assert self._file is not None
        fresh = []
        for row in rows:
            if row.key not in self._keys:
                self._keys.add(row.key)
                fresh.append(msgspec.json.encode({"key": row.key, **row.value}) + b"\n")
        if fresh:
            self._file.write(b"".join(fresh))
            self._file.flush()
            await asyncio.get_running_loop().run_in_executor(None, os.fsync, self._file.fileno())

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
