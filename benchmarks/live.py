"""The live service side by side with a bare endpoint that only parses the same body and answers.

    python benchmarks/live.py --run RUN [--seconds 4] [--json OUT]

One server process, clients on the same machine: on two cores they share, so ratios mean more
than rates. The bare echo is the same ASGI server and decoder without Cartcast; the naive app is
FastAPI with pydantic models, a data frame of one row and the Python model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()


def event(n: int, visitors: int = 2000) -> dict[str, Any]:
    return {
        "event_id": f"b{os.getpid()}-{n}",
        "visitor_id": f"visitor-{n % visitors}",
        "event_type": ("view_item", "view_item", "view_item_list", "search", "add_to_cart")[n % 5],
        "item_id": f"sku-{n % 997}",
        "category": f"cat-{n % 23}",
        "price": 5.0 + n % 90,
        "quantity": 1.0,
        "device": "mobile",
        "country": "PL",
    }


# Servers ----------------------------------------------------------------------------------------


def echo_app() -> Any:
    import msgspec

    from cartcast.live.event import Event

    decoder, encode = msgspec.json.Decoder(Event), msgspec.json.Encoder().encode

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        message = await receive()
        body = encode({"event_id": decoder.decode(message["body"]).event_id})
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    return app


def fastapi_app() -> Any:
    from fastapi import FastAPI
    from pydantic import BaseModel, ConfigDict

    class One(BaseModel):
        model_config = ConfigDict(extra="forbid")
        event_id: str
        visitor_id: str
        event_type: str
        item_id: str | None = None
        category: str | None = None
        price: float | None = None
        quantity: float | None = None
        device: str | None = None
        country: str | None = None

    app = FastAPI()

    @app.post("/v1/events")
    async def take(one: One) -> dict[str, str]:
        return {"event_id": one.event_id}

    take.__annotations__["one"] = One
    app.router.routes.pop()
    app.post("/v1/events")(take)
    return app


def naive_app(run: Path) -> Any:
    import pandas as pd
    from fastapi import FastAPI, Request

    from cartcast.features import load_set
    from cartcast.models.persist import load_all

    facts = json.loads((run / "run.json").read_text())
    model = load_all(run / "model", facts["model_manifest"])["champion"]
    features = load_set("default")
    states: dict[str, Any] = {}
    app = FastAPI()

    @app.post("/v1/events")
    async def take(request: Request) -> dict[str, float]:
        one = await request.json()
        one["event_time"] = time.time_ns() // 1000
        state = states.get(one["visitor_id"]) or features.start()
        states[one["visitor_id"]] = state = features.step(state, one)
        row = pd.DataFrame([features.value(state)])
        for name in features.names:
            if name in features.categorical:
                row[name] = row[name].astype(object)
            else:
                row[name] = row[name].astype(float)
        return {"p_buy": float(model.predict_proba(row)[0, 1])}

    take.__annotations__["request"] = Request
    app.router.routes.pop()
    app.post("/v1/events")(take)
    return app


def serve_child(kind: str, run: Path, port: int) -> None:
    import uvicorn

    app = {"echo": echo_app, "fastapi": fastapi_app, "naive": lambda: naive_app(run)}[kind]()
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="warning")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(words: list[str], port: int) -> tuple[subprocess.Popen[bytes], float]:
    began = time.perf_counter()
    server = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    while True:
        if server.poll() is not None:
            raise RuntimeError(f"{words} ended with {server.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.1).close()
            return server, time.perf_counter() - began
        except OSError:
            time.sleep(0.02)


# Client -----------------------------------------------------------------------------------------


class Client(asyncio.Protocol):
    """One connection that sends the next prepared request as soon as the answer has come."""

    def __init__(self, requests: list[bytes], until: float, seen: list[float]) -> None:
        self.requests, self.until, self.seen, self.at = requests, until, seen, 0
        self.buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        now = time.perf_counter()
        if now > self.until or self.at == len(self.requests):
            self.transport.close()
            return
        self.began = now
        self.transport.write(self.requests[self.at])
        self.at += 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        lower = self.buffer[:head].lower()
        place = lower.index(b"content-length:") + 15
        length = int(lower[place : place + 12].split(b"\r")[0])
        if len(self.buffer) < head + 4 + length:
            return
        if not self.buffer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(self.buffer[:300].decode())
        self.buffer = b""
        self.seen.append(time.perf_counter() - self.began)
        self.send()

    def connection_lost(self, _: Any) -> None:
        if not self.done.done():
            self.done.set_result(None)


def request(body: bytes) -> bytes:
    head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def prepared(clients: int, each: int, batch: int) -> list[list[bytes]]:
    made, n = [], 0
    for _ in range(clients):
        own = []
        for _ in range(each):
            if batch == 1:
                body: Any = event(n)
            else:
                body = {"events": [event(n + k, 200) for k in range(batch)]}
            n += batch
            own.append(request(json.dumps(body, separators=(",", ":")).encode()))
        made.append(own)
    return made


def load(port: int, seconds: float, clients: int = 16, batch: int = 1) -> dict[str, float]:
    each = int(seconds * (1500 if batch == 1 else 60)) + 10
    bodies = prepared(clients, each, batch)

    async def main() -> dict[str, float]:
        loop = asyncio.get_running_loop()
        seen: list[float] = []
        began = time.perf_counter()
        made = [
            await loop.create_connection(
                lambda own=own: Client(own, began + seconds, seen), "127.0.0.1", port
            )
            for own in bodies
        ]
        await asyncio.gather(*(client.done for _, client in made))
        taken = time.perf_counter() - began
        seen.sort()
        return {
            "per_second": len(seen) * batch / taken,
            "p50_ms": seen[len(seen) // 2] * 1e3,
            "p99_ms": seen[int(len(seen) * 0.99)] * 1e3,
        }

    try:
        import uvloop
    except ImportError:
        return asyncio.run(main())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


# In process -------------------------------------------------------------------------------------


def in_process(run: Path) -> dict[str, Any]:
    from cartcast.live.event import Event
    from cartcast.live.model import load_scorer

    scorer = load_scorer(run)
    moments = [
        Event(**{**event(n), "event_time": 1_700_000_000_000_000 + n * 10**6}) for n in range(8000)
    ]
    states = [scorer.start() for _ in range(500)]
    for n, one in enumerate(moments[:1000]):
        scorer.step(states[n % 500], one)
        scorer.score(states[n % 500])

    def timed(what: Callable[[int], Any]) -> dict[str, float]:
        taken = []
        for n in range(1000, 8000):
            began = time.perf_counter()
            what(n)
            taken.append((time.perf_counter() - began) * 1e6)
        taken.sort()
        return {"p50_us": statistics.median(taken), "p99_us": taken[int(len(taken) * 0.99)]}

    def both(n: int) -> None:
        rows = scorer._queue.row(scorer.step(states[n % 500], moments[n]))
        scorer._champion.probability(rows[0])

    def whole(n: int) -> None:
        scorer.score(scorer.step(states[n % 500], moments[n]))

    trees = scorer._champion.trees
    return {
        "features": len(scorer.features),
        "trees": trees,
        "step": timed(lambda n: scorer.step(states[n % 500], moments[n]).fold()),
        "step_and_probability": timed(both),
        "with_revenue_and_segment": timed(whole),
    }


def memory(run: Path, sessions: int = 20_000) -> dict[str, float]:
    """Bytes per live session in its late window and after it, 8 clicks each, history counted.

    The scorer's desks, whose number is fixed, are taken before.
    """
    from cartcast.live.event import Event
    from cartcast.live.model import load_scorer
    from cartcast.live.session import Rules
    from cartcast.live.state import MemoryStore

    scorer = load_scorer(run)
    state = scorer.step(scorer.start(), Event("search", 1_700_000_000_000_000, "w"))
    scorer.score(scorer.copy(state))
    clock = [1_700_000_000_000_000]

    def filled(sessions: int) -> MemoryStore:
        store = MemoryStore(scorer, Rules(), durability="none", clock=lambda: clock[0])
        for n in range(sessions):
            for k in range(8):
                moment = clock[0] + k * 10**6
                made = {**event(k * 7 + n), "visitor_id": f"visitor-{n}", "event_id": f"{n}-{k}"}
                store.sessions.apply(Event(**made, event_time=moment), clock[0])
        return store

    filled(2_100)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    store = filled(sessions)
    hot = tracemalloc.get_traced_memory()[0] - before
    clock[0] += 200 * 10**6
    store.sweep(list(store.sessions.index))
    store.sweep_visitors(list(store.sessions.visitors))
    settled = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return {"within_late_window": hot / sessions, "after_it": settled / sessions}


# The table --------------------------------------------------------------------------------------


def tell(name: str, value: Any) -> None:
    print(name, json.dumps(value), f"load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used; clearer than rates where others share the machine."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def loaded(server: subprocess.Popen[bytes], port: int, seconds: float, batch: int = 1) -> Any:
    """Warm up, then load; adds the server's CPU time per event."""
    load(port, 1.0, batch=batch)
    before = cpu_seconds(server.pid)
    found = load(port, seconds, 16 if batch == 1 else 4, batch)
    used = cpu_seconds(server.pid) - before
    found["cpu_us_per_event"] = used / (found["per_second"] * seconds) * 1e6
    return found


def with_redis(run: Path, seconds: float) -> dict[str, float] | None:
    """Sessions in a Redis that syncs its log before it answers; None where there is no Redis."""
    program = shutil.which("redis-server")
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        redis_port, port = free_port(), free_port()
        words = [program, "--port", str(redis_port), "--dir", folder, "--save", "",
                 "--appendonly", "yes", "--appendfsync", "always", "--bind", "127.0.0.1",
                 "--logfile", f"{folder}/log"]  # fmt: skip
        store, _ = start(words, redis_port)
        words = [sys.executable, "-m", "cartcast", "serve", "--model", str(run), "--port",
                 str(port), "--state", f"redis://127.0.0.1:{redis_port}/0"]  # fmt: skip
        try:
            server, _ = start(words, port)
            try:
                found: dict[str, float] = loaded(server, port, seconds)
                return found
            finally:
                server.terminate()
                server.wait()
        finally:
            store.terminate()
            store.wait()


def measure(run: Path, seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, what in (("in_process", in_process), ("memory_bytes", memory)):
        found[name] = what(run)
        tell(name, found[name])
    for kind in ("echo", "fastapi", "naive"):
        port = free_port()
        words = [sys.executable, str(HERE), "--child", kind, "--run", str(run), "--port", str(port)]
        server, _ = start(words, port)
        try:
            found[kind] = loaded(server, port, seconds)
            tell(kind, found[kind])
        finally:
            server.terminate()
            server.wait()
    for name, durability, batch in (
        ("events_in_memory", "none", 1),
        ("events_durable", "fsync", 1),
        ("batches_of_500_in_memory", "none", 500),
        ("batches_of_500_durable", "fsync", 500),
    ):
        with tempfile.TemporaryDirectory() as folder:
            port = free_port()
            words = [
                sys.executable, "-m", "cartcast", "serve", "--model", str(run), "--port", str(port),
                "--state-dir", f"{folder}/state", "--durability", durability,
            ]  # fmt: skip
            server, ready = start(words, port)
            try:
                found[name] = loaded(server, port, seconds, batch)
                found[name]["start_seconds"] = ready
                tell(name, found[name])
            finally:
                server.terminate()
                server.wait()
    if (redis := with_redis(run, seconds)) is not None:
        found["events_in_redis"] = redis
        tell("events_in_redis", redis)
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--run", type=Path, required=True)
    words.add_argument("--seconds", type=float, default=4.0)
    words.add_argument("--json", type=Path)
    words.add_argument("--child")
    words.add_argument("--port", type=int, default=0)
    given = words.parse_args()
    if given.child:
        serve_child(given.child, given.run, given.port)
        return
    found = measure(given.run.resolve(), given.seconds)
    text = json.dumps(found, indent=1)
    if given.json:
        given.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
