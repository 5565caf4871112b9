"""Sessions shared in a real Redis: two workers, repeats, Redis gone and back."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cartcast.errors import NotTrustedError, StorageError
from cartcast.live.event import Event
from cartcast.live.problems import Problem
from cartcast.live.redis import RedisStore
from cartcast.live.service import Live
from cartcast.live.session import Rules
from cartcast.live.sessions import Sessions

pytestmark = pytest.mark.redis
T0 = 1_700_000_000_000_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """A redis-server of our own, with an append-only file."""

    def __init__(self, folder: Path) -> None:
        self.program = shutil.which("redis-server")
        if self.program is None:
            pytest.skip("needs the program redis-server, which is not installed here")
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        assert self.program is not None
        self.process = subprocess.Popen(
            [self.program, "--port", str(self.port), "--dir", str(self.folder), "--save", "",
             "--appendonly", "yes", "--appendfsync", "always", "--bind", "127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(3000):
            try:
                with socket.create_connection(("127.0.0.1", self.port), 0.2) as line:
                    line.sendall(b"PING\r\n")
                    if line.recv(64).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError("redis-server did not start")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.kill()


def event(number: int, visitor: str = "v", **more: Any) -> Event:
    more.setdefault("event_time", T0 + number * 1_000_000)
    return Event("view_item", visitor_id=visitor, event_id=f"e{number}", price=1.0, **more)


def run(main: Callable[[], Any]) -> None:
    asyncio.run(main())


async def start(scorer: Any, server: RedisServer) -> tuple[Live, RedisStore]:
    store = RedisStore(scorer, Rules(), server.url)
    await store.open()
    return Live(scorer, store), store


def test_two_workers_share_sessions(scorer: Any, redis_server: RedisServer) -> None:
    async def main() -> None:
        first, one = await start(scorer, redis_server)
        second, two = await start(scorer, redis_server)
        oracle = Sessions(scorer, Rules())
        jobs = []
        for number in range(300):
            live = (first, second)[number % 2]
            when = T0 + number * 100_000
            jobs.append(live.ingest([event(number, f"v{number % 5}", event_time=when)], now=T0))
            oracle.apply(event(number, f"v{number % 5}", event_time=when), T0)
        await asyncio.gather(*jobs)
        for visitor in range(5):
            found = await one.find_visitor(event(0, f"v{visitor}"))
            assert found is not None
            truth = oracle.index[f"vv{visitor}"]
            assert found.clicks == truth.clicks == 60
            assert found.state[:2] == truth.state[:2]
            same = await two.find(found.id)
            assert same is not None
            assert same.clicks == 60
        again = await second.ingest([event(n, f"v{n % 5}") for n in range(300)], now=T0)
        assert {a.status for a in again} == {"duplicate"}
        await one.close()
        await two.close()

    run(main)


def test_logins_gaps_late_events_and_history_as_in_memory(
    scorer: Any, redis_server: RedisServer
) -> None:
    events = [
        event(0, "d"), event(1, "d", user_id="ann"), event(3, None, user_id="ann"), event(2, "d"),
        event(4000, "d"), event(4002, "d"), event(4001, "d"), event(4002, "d"), event(10, "d"),
        event(9000, "d", session_id="own"), event(9001, None, session_id="own"),
    ]  # fmt: skip

    async def main() -> None:
        live, store = await start(scorer, redis_server)
        oracle = Sessions(scorer, Rules())
        for one in events:
            answer = (await live.ingest([msgspec.structs.replace(one)], features=True, now=T0))[0]
            truth = oracle.apply(msgspec.structs.replace(one), T0)
            assert answer.status == truth.status
            assert answer.click == truth.session.clicks
            assert answer.features == scorer.values(truth.session.state)
        await store.close()

    run(main)


# The client library lets go of a killed server's socket in its own time.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_redis_gone_is_503_and_nothing_acknowledged_is_lost(
    scorer: Any, redis_server: RedisServer
) -> None:
    async def main() -> None:
        live, store = await start(scorer, redis_server)
        acknowledged, refused = 0, 0
        for round_ in range(3):
            for number in range(round_ * 50, round_ * 50 + 50):
                if number % 50 == 25:
                    redis_server.kill()
                    with pytest.raises(Problem) as caught:
                        await live.ingest([event(number)], now=T0)
                    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "2")
                    with pytest.raises(Problem):
                        await store.ready()
                    refused += 1
                    redis_server.start()
                acknowledged += (await live.ingest([event(number)], now=T0))[0].status == "accepted"
        found = await store.find_visitor(event(0))
        assert found is not None
        assert (found.clicks, acknowledged, refused) == (150, 150, 3)
        await store.close()

    run(main)


def test_states_of_another_feature_set_are_refused(
    stand_in: Any, redis_server: RedisServer
) -> None:
    async def main() -> None:
        _, store = await start(stand_in(), redis_server)
        await store.close()
        with pytest.raises(NotTrustedError, match="belong to the feature set"):
            await start(stand_in("x", "0" * 64), redis_server)
        missing = RedisStore(stand_in(), Rules(), f"redis://127.0.0.1:{free_port()}/0")
        with pytest.raises(StorageError, match="does not answer"):
            await missing.open()
        await missing.close()

    run(main)
