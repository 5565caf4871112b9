"""Streams: files, Redis Streams and Kafka, with poison, crashes and repeats."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cartcast.errors import DataError, NotFoundError, UsageError
from cartcast.live.event import Event
from cartcast.live.service import Live
from cartcast.live.session import Rules
from cartcast.live.sessions import Sessions
from cartcast.live.state import MemoryStore
from cartcast.live.stream import Report, pump, sink_of, source_of
from cartcast.live.streams import Row

T0 = 1_700_000_000_000_000
BAD = [b"{", b'{"event_type": "x"}', b'{"visitor_id": "v", "event_type": "x", "price": -1}']


def events(count: int) -> list[Event]:
    return [
        Event("view_item", T0 + n * 10**6, f"v{n % 9}", event_id=f"e{n}", price=1.0)
        for n in range(count)
    ]


def bodies(count: int) -> list[bytes]:
    return [msgspec.json.encode(event) for event in events(count)]


def truth(scorer: Any, count: int) -> dict[str, Any]:
    sessions = Sessions(scorer, Rules())
    for event in events(count):
        sessions.apply(event, T0)
    return {s.id: {"click": s.clicks, **scorer.values(s.state)} for s in sessions.index.values()}


def final(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The last row of each session; a row that is there twice is a mistake."""
    keys = [row["key"] for row in rows]
    assert len(keys) == len(set(keys))
    table: dict[str, Any] = {}
    for row in rows:
        if row["click"] >= table.get(row["session_id"], {"click": 0})["click"]:
            table[row["session_id"]] = {"click": row["click"], **row["features"]}
    return table


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Crash(Exception):
    pass


class Crashing:
    """A sink that fails before or after it has written, every so many times."""

    def __init__(self, inner: Any, after: bool, every: int = 3) -> None:
        self.inner, self.after, self.every, self.count = inner, after, every, 0

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def write(self, rows: Sequence[Row]) -> None:
        self.count += 1
        crash = self.count % self.every == 0
        if crash and not self.after:
            raise Crash
        await self.inner.write(rows)
        if crash and self.after:
            raise Crash


async def run_until_done(scorer: Any, state: Path, make: Any, **more: Any) -> Report:
    """Run the pump; after each crash start anew with what is on disk."""
    while True:
        store = MemoryStore(scorer, Rules(), state, clock=lambda: T0)
        await store.open()
        source, sink, dead = make()
        try:
            return await pump(Live(scorer, store), source, sink, dead, batch=20, **more)
        except Crash:
            continue
        finally:
            await store.abandon()


@pytest.mark.parametrize("after", [False, True])
def test_a_file_is_scored_once_through_crashes(scorer: Any, tmp_path: Path, after: bool) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"\n".join([*bodies(100), *BAD, *bodies(200)]) + b"\n")
    out, dead = tmp_path / "out.jsonl", tmp_path / "dead.jsonl"
    state = tmp_path / "state"

    def make() -> Any:
        sink = Crashing(sink_of(str(out)), after)
        return source_of(str(source), "g", "c", state), sink, sink_of(str(dead))

    asyncio.run(run_until_done(scorer, state, make, event_clock=True))
    assert final(lines(out)) == truth(scorer, 200)
    assert [row["reason"]["status"] for row in lines(dead)] == [400, 422, 422]
    again = asyncio.run(run_until_done(scorer, state, make, event_clock=True))
    assert again.messages == 0


def test_a_message_without_an_id_counts_once_by_its_place(scorer: Any, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(
        b'{"visitor_id": "v", "event_type": "view_item", "event_time": 1700000000000000}\n' * 3
    )

    async def main(place: Path | None) -> MemoryStore:
        store = MemoryStore(scorer, Rules(), tmp_path / "state", clock=lambda: T0)
        await store.open()
        for _ in range(2):
            parts = (
                source_of(str(source), "g", "c", place),
                *(sink_of(str(tmp_path / n)) for n in "ab"),
            )
            await pump(Live(scorer, store), *parts)
        await store.abandon()
        return store

    store = asyncio.run(main(None))
    assert store.sessions.index["vv"].clicks == 3


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    async def start(path: str) -> None:
        await source_of(path, "g", "c", tmp_path).open()

    with pytest.raises(NotFoundError):
        asyncio.run(start(str(tmp_path / "none.jsonl")))
    (tmp_path / "a.jsonl").write_text("{}\n")
    (tmp_path / "a.jsonl.place").write_text("100")
    with pytest.raises(DataError, match="shorter than the place"):
        asyncio.run(start(str(tmp_path / "a.jsonl")))
    for wrong in ("kafka://host", "redis://host/0", "ftp://x/y"):
        with pytest.raises(UsageError):
            source_of(wrong, "g", "c", None)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Any]:
    path = Path(__file__).with_name("test_redis.py")
    spec = importlib.util.spec_from_file_location("cartcast_test_redis", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "redis").mkdir()
    server = module.RedisServer(tmp_path / "redis")
    yield server
    server.kill()


@pytest.mark.redis
@pytest.mark.parametrize("after", [False, True])
def test_a_redis_stream_through_crashes(
    scorer: Any, tmp_path: Path, redis_server: Any, after: bool
) -> None:
    from redis import Redis

    url = redis_server.url
    with Redis.from_url(url) as client:
        for body in [*bodies(100), *BAD, *bodies(200)]:
            client.xadd("events", {"body": body})

        def make() -> Any:
            source = source_of(f"{url}?stream=events", "g", "c", None)
            sink = Crashing(sink_of(f"{url}?stream=scores"), after)
            return source, sink, sink_of(f"{url}?stream=dead")

        asyncio.run(run_until_done(scorer, tmp_path / "state", make, idle_seconds=1.0))
        rows = [json.loads(fields[b"body"]) for _, fields in client.xrange("scores")]
        assert final(rows) == truth(scorer, 200)
        assert client.xlen("dead") == 3
        assert client.xpending("events", "g")["pending"] == 0


@pytest.mark.slow
def test_kafka_on_the_mock_cluster_of_librdkafka(scorer: Any, tmp_path: Path) -> None:
    kafka = pytest.importorskip("confluent_kafka")
    from cartcast.live.streams.kafka import KafkaSink, KafkaSource

    host = kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})
    brokers = host.list_topics(timeout=10).brokers.values()
    servers = ",".join(f"{b.host}:{b.port}" for b in brokers)
    sender = kafka.Producer({"bootstrap.servers": servers, "log_level": 0})
    for body in [*bodies(60), *BAD, *bodies(120)]:
        sender.produce("events", body, "one")
    assert sender.flush(20) == 0
    quiet = {"log_level": 0, "session.timeout.ms": 6000}

    def make() -> Any:
        source = KafkaSource(servers, "events", "g", quiet)
        sinks = [KafkaSink(servers, name, {"log_level": 0}) for name in ("scores", "dead")]
        return source, Crashing(sinks[0], after=True, every=5), sinks[1]

    asyncio.run(run_until_done(scorer, tmp_path / "state", make, idle_seconds=8.0))
    reader = kafka.Consumer(
        {"bootstrap.servers": servers, "group.id": "r", "auto.offset.reset": "earliest",
         "log_level": 0}
    )  # fmt: skip
    reader.subscribe(["scores"])
    found: dict[bytes, Any] = {}
    for _ in range(40):
        for message in reader.consume(500, 0.5):
            found[message.key()] = json.loads(message.value())
        if len(found) >= 30 and not reader.consume(1, 1.0):
            break
    reader.close()
    assert final(list(found.values())) == truth(scorer, 120)
