"""What was acknowledged comes back: after a kill, a torn write, a full disk, a snapshot."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cartcast.errors import NotTrustedError, StorageError
from cartcast.live.event import Event
from cartcast.live.log import Log, segments
from cartcast.live.problems import Problem
from cartcast.live.service import Live
from cartcast.live.session import Rules
from cartcast.live.snapshot import Snapshot
from cartcast.live.state import MemoryStore

T0 = 1_700_000_000_000_000


def event(number: int, visitor: str = "v", seconds: float | None = None) -> Event:
    time = T0 + int((number if seconds is None else seconds) * 1e6)
    return Event("view_item", event_time=time, visitor_id=visitor, event_id=f"e{number}", price=1.0)


def table(store: MemoryStore, scorer: Any) -> dict[str, Any]:
    return {k: (s.id, s.clicks, scorer.values(s.state)) for k, s in store.sessions.index.items()}


async def start(scorer: Any, folder: Path, **more: Any) -> tuple[Live, MemoryStore]:
    store = MemoryStore(scorer, Rules(), folder, clock=lambda: T0, **more)
    await store.open()
    return Live(scorer, store), store


async def drop(store: MemoryStore) -> None:
    """End as a killed process does: nothing is written, the lock goes with the process."""
    await store.abandon()


@pytest.mark.parametrize("durability", ["fsync", "write"])
def test_a_killed_store_comes_back_with_every_event(
    scorer: Any, tmp_path: Path, durability: str
) -> None:
    async def main() -> None:
        live, store = await start(scorer, tmp_path, durability=durability)
        await asyncio.gather(
            *(live.ingest([event(n, f"v{n % 7}")], now=T0 + n) for n in range(200))
        )
        before = table(store, scorer)
        await drop(store)
        _, again = await start(scorer, tmp_path)
        assert (again.recovered, table(again, scorer)) == (200, before)
        answers = await Live(scorer, again).ingest([event(n, f"v{n % 7}") for n in range(200)])
        assert {a.status for a in answers} == {"duplicate"}
        await again.close()

    asyncio.run(main())


def test_a_clean_stop_leaves_a_snapshot_and_no_log(scorer: Any, tmp_path: Path) -> None:
    async def main() -> None:
        live, store = await start(scorer, tmp_path)
        await live.ingest([event(n, f"v{n % 3}") for n in range(30)], now=T0)
        before, history = table(store, scorer), store.sessions.visitors["v0"].dump()
        await store.close()
        assert segments(tmp_path) == {}
        _, again = await start(scorer, tmp_path)
        assert (again.recovered, table(again, scorer)) == (0, before)
        assert again.sessions.visitors["v0"].dump() == history
        await again.close()

    asyncio.run(main())


def test_a_snapshot_is_of_one_moment_while_events_go_on(scorer: Any, tmp_path: Path) -> None:
    async def main() -> None:
        live, store = await start(scorer, tmp_path)
        await live.ingest([event(n, f"v{n % 400}") for n in range(2000)], now=T0)
        moment = table(store, scorer)
        assert store._log is not None
        number = store._log.rotate()
        snapshot = asyncio.create_task(Snapshot(store.sessions, tmp_path, number).run())
        await asyncio.sleep(0)
        for n in range(2000, 2400):
            await live.ingest([event(n, f"v{(n * 7) % 450}")], now=T0)
        await snapshot
        final, history = table(store, scorer), store.sessions.visitors["v7"].dump()
        await drop(store)
        kept = {n: p.rename(p.with_suffix(".kept")) for n, p in segments(tmp_path).items()}
        _, then = await start(scorer, tmp_path)
        assert table(then, scorer) == moment
        await drop(then)
        for n, path in kept.items():
            if n >= number:
                path.rename(path.with_suffix(".bin"))
        _, again = await start(scorer, tmp_path)
        assert table(again, scorer) == final
        assert again.sessions.visitors["v7"].dump() == history
        await again.close()

    asyncio.run(main())


def test_a_full_disk_refuses_and_loses_nothing(
    scorer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        live, store = await start(scorer, tmp_path)
        await live.ingest([event(1)], now=T0)
        real = os.write

        def full(handle: int, data: Any) -> int:
            if len(data) > 20:
                real(handle, data[:20])
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("cartcast.live.log.os.write", full)
        for number in (2, 3):
            with pytest.raises(Problem) as caught:
                await live.ingest([event(number)], now=T0)
            assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "2")
        monkeypatch.setattr("cartcast.live.log.os.write", real)
        for _ in range(60):
            await asyncio.sleep(0.05)
            if store._log is not None and store._log.failure is None:
                break
        statuses = [(await live.ingest([event(n)], now=T0))[0].status for n in (2, 3)]
        assert statuses == ["duplicate", "accepted"]
        before = table(store, scorer)
        await drop(store)
        _, again = await start(scorer, tmp_path)
        assert (again.recovered, table(again, scorer)) == (3, before)
        await again.close()

    asyncio.run(main())


def test_two_servers_cannot_share_a_folder(scorer: Any, tmp_path: Path) -> None:
    async def main() -> None:
        _, store = await start(scorer, tmp_path)
        with pytest.raises(StorageError, match="another server"):
            await start(scorer, tmp_path)
        await store.close()

    asyncio.run(main())


def test_states_of_another_feature_set_are_refused(stand_in: Any, tmp_path: Path) -> None:
    async def main() -> None:
        live, store = await start(stand_in(), tmp_path)
        await live.ingest([event(1)], now=T0)
        live.take(stand_in("stand-in-2"))
        answer = (await live.ingest([event(2)], now=T0))[0]
        assert (answer.model, answer.click) == ("stand-in-2", 2)
        with pytest.raises(NotTrustedError, match="feature set is"):
            live.take(stand_in("other", "0" * 64))
        assert live.scorer.version == "stand-in-2"
        await store.close()
        with pytest.raises(NotTrustedError, match="belong to the feature set"):
            await start(stand_in("other", "0" * 64), tmp_path)

    asyncio.run(main())


def test_sessions_expire_and_settle(scorer: Any) -> None:
    now = [T0]
    store = MemoryStore(scorer, Rules(), durability="none", clock=lambda: now[0])
    for number in range(20):
        store.sessions.apply(event(number, f"v{number}"), T0)
    store.sessions.apply(msgspec.structs.replace(event(50), session_id="own"), T0)
    now[0] = T0 + 130_000_000
    store.sweep(list(store.sessions.index))
    assert all(isinstance(s, bytes) for s in store.sessions.index.values())
    now[0] = T0 + int(1930e6)
    store.sweep(list(store.sessions.index))
    assert list(store.sessions.index) == ["sown"]
    assert store.sessions.apply(event(51, seconds=1940), now[0]).session.clicks == 1


def test_records_of_one_moment_share_a_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = [0]
    real = os.fdatasync

    def counting(handle: int) -> None:
        count[0] += 1
        real(handle)

    monkeypatch.setattr("cartcast.live.log.os.fdatasync", counting)

    async def main() -> None:
        log = Log(tmp_path, 1, "fsync")

        async def one(n: int) -> None:
            log.append(n, b"x" * 100)
            await log.commit()

        await asyncio.gather(*(one(n) for n in range(500)))
        await log.close()

    asyncio.run(main())
    assert count[0] <= 5


def test_sessions_and_visitors_at_rest_are_found_changed_and_stored(
    scorer: Any, tmp_path: Path
) -> None:
    async def main() -> None:
        now = [T0]
        store = MemoryStore(
            scorer, Rules(), tmp_path, clock=lambda: now[0], durability="write", sweeps=False
        )
        await store.open()
        live = Live(scorer, store)
        for n in range(600):
            await live.ingest([event(n, f"v{n % 100}", 1.0)], now=T0)
        login = msgspec.structs.replace(event(1000, "v3", 2.0), user_id="ann")
        names = [a.session_id for a in await live.ingest([login], now=T0)]
        before = {k: (s.clicks, scorer.values(s.state)) for k, s in store.sessions.index.items()}  # type: ignore[union-attr]
        now[0] = T0 + 130_000_000
        store.sweep(list(store.sessions.index))
        store.sweep_visitors(list(store.sessions.visitors))
        assert {type(v) for v in store.sessions.visitors.values()} == {bytes}
        found = await store.find(str(names[0]))
        assert found is not None
        assert found.clicks == 7
        repeat, later = event(599, "v99", 1.0), event(2000, "v99", 140.0)
        answers = await live.ingest([repeat, later], now=T0 + 140_000_000)
        assert [a.status for a in answers] == ["duplicate", "accepted"]
        await store.close()
        again = MemoryStore(scorer, Rules(), tmp_path, clock=lambda: now[0], sweeps=False)
        await again.open()
        for key, (clicks, values) in before.items():
            session = again.sessions.find((key,))
            assert session is not None
            if key != "vv99":
                assert (session.clicks, scorer.values(session.state)) == (clicks, values)
        assert again.sessions.find(("uann",)) is again.sessions.find(("vv3",))
        assert again.sessions.visitor("v99").sessions == 1
        await again.close()

    asyncio.run(main())
