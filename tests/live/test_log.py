"""The log after damage: every whole record comes back, the rest is set aside and said."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from cartcast.live.event import Event
from cartcast.live.log import MARK, Damage, Log, read_segment, record, segments
from cartcast.live.metrics import exposition
from cartcast.live.problems import Problem
from cartcast.live.service import Live
from cartcast.live.session import Rules
from cartcast.live.state import MemoryStore

T0 = 1_700_000_000_000_000


def _events(count: int) -> list[bytes]:
    return [record(T0 + n, b"event %d " % n + bytes(range(n % 200))) for n in range(count)]


def _read(path: Path, last: bool = True) -> tuple[list[bytes], list[Damage]]:
    found = list(read_segment(path, last))
    return (
        [one[1] for one in found if not isinstance(one, Damage)],
        [one for one in found if isinstance(one, Damage)],
    )


@pytest.mark.parametrize("seed", range(40))
def test_any_damage_costs_only_the_records_that_it_touches(tmp_path: Path, seed: int) -> None:
    """Overwrite, cut out or insert bytes anywhere: all records that are still whole are read."""
    draw = random.Random(seed)
    records = _events(21)
    content = bytearray(b"".join(records))
    starts = [sum(map(len, records[:n])) for n in range(len(records))]
    touched = set()
    for _ in range(draw.randint(1, 3)):
        at, size = draw.randrange(len(content)), draw.choice([1, 4, 60])
        size = min(size, len(content) - at)
        content[at : at + size] = draw.choice([b"\0", b"\xff", MARK[:1]]) * size
        touched |= {n for n, s in enumerate(starts) if s < at + size and at < s + len(records[n])}
    path = tmp_path / "log-0000000001.bin"
    path.write_bytes(content)
    read, damages = _read(path)
    whole = [r[len(MARK) + 16 :] for n, r in enumerate(records) if n not in touched]
    # Bytes may have been overwritten by themselves: such a record is whole, too.
    assert [one for one in read if one in whole] == whole
    assert set(read) <= {r[len(MARK) + 16 :] for r in records}
    missing = len(content) - sum(len(MARK) + 16 + len(one) for one in read)
    assert sum(len(d.data) for d in damages) == missing
    assert all(content[d.place : d.place + len(d.data)] == d.data for d in damages)


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**32 - 1])
def test_a_false_length_in_the_first_record_costs_that_record(tmp_path: Path, length: int) -> None:
    records = _events(21)
    first = bytearray(records[0])
    first[len(MARK) : len(MARK) + 4] = struct.pack("<I", length)
    path = tmp_path / "log-0000000001.bin"
    path.write_bytes(bytes(first) + b"".join(records[1:]))
    read, damages = _read(path)
    assert len(read) == 20
    assert [(d.place, len(d.data), d.torn) for d in damages] == [(0, len(first), False)]


def test_segments_of_before_the_marks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log-0000000001.bin"
    old = b""
    for n in range(5):
        stamp, data = (T0 + n).to_bytes(8, "little"), b"old %d" % n
        old += struct.pack("<IIq", len(data), zlib.crc32(stamp + data), T0 + n) + data
    path.write_bytes(old)
    assert _read(path) == ([b"old %d" % n for n in range(5)], [])


def test_no_event_can_hold_a_mark() -> None:
    with pytest.raises(UnicodeDecodeError):
        MARK.decode()


def _event(number: int) -> Event:
    return Event(
        "view_item", event_time=T0 + number, visitor_id=f"v{number}", event_id=f"e{number}"
    )


async def _start(scorer: Any, folder: Path) -> tuple[Live, MemoryStore]:
    store = MemoryStore(scorer, Rules(), folder, "write", clock=lambda: T0, sweeps=False)
    await store.open()
    return Live(scorer, store), store


@pytest.mark.parametrize(
    ("tail", "kept"), [(b"\0" * 4096, False), (record(T0, b"half")[:-2], True), (b"\7" * 9, True)]
)
def test_a_torn_tail_is_cut_and_said(scorer: Any, tmp_path: Path, tail: bytes, kept: bool) -> None:
    async def main() -> None:
        live, store = await _start(scorer, tmp_path)
        await live.ingest([_event(n) for n in range(21)], now=T0)
        await store.abandon()
        (path,) = segments(tmp_path).values()
        size = path.stat().st_size
        with path.open("ab") as file:
            file.write(tail)
        _, again = await _start(scorer, tmp_path)
        assert (again.recovered, [f.code for f in again.findings]) == (21, ["LV202"])
        assert path.stat().st_size == size
        aside = list(tmp_path.glob("quarantine-*"))
        assert [p.read_bytes() for p in aside] == ([tail] if kept else [])
        await again.abandon()
        _, third = await _start(scorer, tmp_path)
        assert (third.recovered, third.findings) == (21, [])
        await third.close()

    asyncio.run(main())


def test_damage_is_quarantined_and_the_server_starts(scorer: Any, tmp_path: Path) -> None:
    async def main() -> None:
        live, store = await _start(scorer, tmp_path)
        await live.ingest([_event(n) for n in range(21)], now=T0)
        await store.abandon()
        (path,) = segments(tmp_path).values()
        whole = path.read_bytes()
        path.write_bytes(whole[:8] + b"\xff\xff\xff\x7f" + whole[12:])
        _, again = await _start(scorer, tmp_path)
        assert (again.recovered, [f.code for f in again.findings]) == (20, ["LV201"])
        (aside,) = tmp_path.glob("quarantine-*")
        assert aside.read_bytes() == path.read_bytes()[: aside.stat().st_size]
        assert "vv0" not in again.sessions.index
        assert "cartcast_log_findings_total 1.0\n" in exposition(again.collect())
        await again.close()

    asyncio.run(main())


def test_everyone_who_waits_for_a_full_disk_is_refused_and_closing_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those whose write failed, those queued behind it, and those who come while it is retried."""
    monkeypatch.setattr("cartcast.live.log.CLOSE_SECONDS", 0.05)
    monkeypatch.setattr("cartcast.live.log.RETRY_SECONDS", 0.01)
    real = os.write

    def full(handle: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def main() -> None:
        log = Log(tmp_path, 1, "fsync")

        async def one(n: int) -> int:
            log.append(T0, b"%d" % n)
            if n % 3:
                await asyncio.sleep(0)
            try:
                await log.commit()
            except Problem as problem:
                return problem.status if problem.headers["Retry-After"] else 0
            return 200

        monkeypatch.setattr("cartcast.live.log.os.write", full)
        assert set(await asyncio.gather(*(one(n) for n in range(50)))) == {503}
        assert await one(50) == 503
        monkeypatch.setattr("cartcast.live.log.os.write", real)
        while log.failure is not None:
            await asyncio.sleep(0.01)
        assert await one(51) == 200
        monkeypatch.setattr("cartcast.live.log.os.write", full)
        assert await one(52) == 503
        await log.close()
        (path,) = segments(tmp_path).values()
        assert _read(path)[0] == [b"%d" % n for n in range(52)]

    asyncio.run(main())
