"""Snapshots of all sessions at one moment, taken while events keep arriving.

A session that is about to change is written first as it was (copy on write), so the snapshot
is the state at the moment the log was rotated: snapshot plus later segments is everything.
"""

from __future__ import annotations

import asyncio
import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cartcast import system
from cartcast.atomic import atomic_path
from cartcast.errors import NotTrustedError, StorageError
from cartcast.live.resting import unpack_visitor
from cartcast.live.session import Session, Visitor, decode, dump_session, encode
from cartcast.live.sessions import Sessions

__all__ = ["Snapshot", "newest_snapshot", "read_snapshot", "write_snapshot"]

_NAME = re.compile(r"snapshot-(\d{10})\.bin")
_HEAD = struct.Struct("<II")
_SLICE = 50
FORMAT = 1


def newest_snapshot(folder: Path) -> tuple[int, Path] | None:
    """Return number and path of the newest snapshot; its number is the first segment after it."""
    found = [(int(m[1]), p) for p in folder.iterdir() if (m := _NAME.fullmatch(p.name))]
    return max(found, default=None)


def read_snapshot(path: Path, fingerprint: str) -> Iterator[Any]:
    """Yield `["s", session]` and `["v", visitor_id, visitor]` records.

    Raises:
        NotTrustedError: it belongs to another feature set.
        StorageError: it is damaged.
    """
    content = path.read_bytes()
    place, head, ended = 0, None, False
    while place + _HEAD.size <= len(content):
        length, crc = _HEAD.unpack_from(content, place)
        data = content[place + _HEAD.size : place + _HEAD.size + length]
        if len(data) != length or zlib.crc32(data) != crc:
            break
        place += _HEAD.size + length
        row = decode(data)
        if head is None:
            head = row
            _check_head(path, head, fingerprint)
        elif row[0] == "end":
            ended = True
        else:
            yield row
    if not ended:
        raise StorageError(
            f"{path}: damaged at byte {place}; restore the file from a backup, or start with an "
            "empty --state-dir."
        )


def write_snapshot(path: Path, fingerprint: str, rows: Iterable[Any]) -> None:
    """Write the records that `read_snapshot` yields, whole or not at all.

    Raises:
        StorageError: the disk is full.
    """
    counts = {"s": 0, "v": 0}
    with atomic_path(path, secret=True) as temporary, temporary.open("wb") as stream:
        stream.write(_framed({"format": FORMAT, "fingerprint": fingerprint}))
        for row in rows:
            counts[row[0]] += 1
            stream.write(_framed(row))
        stream.write(_framed(["end", *counts.values()]))


def _framed(row: Any) -> bytes:
    data = encode(row)
    return _HEAD.pack(len(data), zlib.crc32(data)) + data


def _check_head(path: Path, head: Any, fingerprint: str) -> None:
    if head.get("format") != FORMAT:
        raise NotTrustedError(f"{path}: format must be {FORMAT}, got {head.get('format')!r}.")
    if head.get("fingerprint") != fingerprint:
        raise NotTrustedError(
            f"{path}: its states belong to the feature set {str(head.get('fingerprint'))[:12]}, "
            f"the model's is {fingerprint[:12]}; serve a model of that set, or start with an "
            "empty --state-dir."
        )


class Snapshot:
    """One snapshot in the making; sessions are written once, as they were when it began."""

    def __init__(self, sessions: Sessions, folder: Path, number: int) -> None:
        self._sessions = sessions
        self._folder = folder
        self._number = number
        self._rows: list[bytes] = []
        self._dump = sessions.scorer.dump
        self._names: dict[int, str] = {}
        self.size = 0

    async def run(self) -> int:
        """Write the snapshot, rename it into place; return its size in bytes.

        Raises:
            OSError: the disk refuses; the unfinished file is removed.
        """
        sessions = self._sessions
        sessions.epoch += 1
        pending = list({id(s): s for s in sessions.index.values()}.values())
        visitors = list(sessions.visitors.items())
        self._names = {id(visitor): who for who, visitor in visitors}
        sessions.before_change = self._write_first
        path = self._folder / f".snapshot-{self._number:010d}.part"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                await self._write_everything(pending, visitors, handle)
            finally:
                os.close(handle)
            path.replace(self._folder / f"snapshot-{self._number:010d}.bin")
            system.sync_folder(self._folder)
        finally:
            sessions.before_change = None
            path.unlink(missing_ok=True)
        return self.size

    async def _write_everything(
        self,
        pending: list[Session | bytes],
        visitors: list[tuple[str, Visitor | bytes]],
        handle: int,
    ) -> None:
        epoch = self._sessions.epoch
        fingerprint = self._sessions.scorer.fingerprint
        self._add({"format": FORMAT, "fingerprint": fingerprint})
        for place, session in enumerate(pending):
            if isinstance(session, bytes):
                self._add(["s", dump_session(self._sessions.unpack(session), self._dump)])
            elif session.epoch != epoch:
                self._write_first(session)
            if place % _SLICE == _SLICE - 1:
                await self._drain(handle)
        for place, (who, visitor) in enumerate(visitors):
            if isinstance(visitor, bytes):
                self._add(["v", who, unpack_visitor(visitor).dump()])
            elif visitor.epoch != epoch:
                self._write_first(visitor)
            if place % (_SLICE * 4) == 0:
                await self._drain(handle)
        self._add(["end", len(pending), len(visitors)])
        await self._drain(handle)
        await asyncio.get_running_loop().run_in_executor(None, os.fsync, handle)

    def _write_first(self, subject: Session | Visitor) -> None:
        subject.epoch = self._sessions.epoch
        if isinstance(subject, Session):
            self._add(["s", dump_session(subject, self._dump)])
        elif (who := self._names.get(id(subject))) is not None:
            self._add(["v", who, subject.dump()])

    def _add(self, row: Any) -> None:
        self._rows.append(_framed(row))

    async def _drain(self, handle: int) -> None:
        data = b"".join(self._rows)
        self._rows.clear()
        self.size += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        await asyncio.sleep(0)
