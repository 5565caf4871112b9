"""A soak: events at a steady rate for minutes; memory must stay flat and no answer may fail.

    python benchmarks/soak.py --run RUN [--rate 3000] [--minutes 10] [--hostile] [--json OUT]

`--hostile` lets sixteen clients send the worst bodies we know, one after another and as fast as they
are answered, beside the honest events, whose waits are told. One server with every event durable, visitors that come and go, sessions of about eight events. The
memory of the server is read every second; its slope over the second half is told in MB per hour,
where sessions that open and expire have long been in balance (the gap is set to 20 seconds).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import itertools
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from live import event, free_port, request, start

VISITORS = 2_000
"""They come again: a visitor's history is kept for half a year, and new ones add to it for ever.

Few enough to have all come within a minute, so that what grows after it is no visitor.
"""


class Line(asyncio.Protocol):
    """One connection: sends when told, counts what comes back."""

    def __init__(self, counts: dict[str, int], waits: list[float]) -> None:
        self.counts, self.waits = counts, waits
        self.free = True
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self, data: bytes) -> None:
        self.free = False
        self.began = time.perf_counter()
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        place = self.buffer.lower().index(b"content-length:") + 15
        length = int(self.buffer[place : place + 12].split(b"\r")[0])
        if len(self.buffer) < head + 4 + length:
            return
        self.counts["ok" if self.buffer.startswith(b"HTTP/1.1 200") else "failed"] += 1
        self.waits.append(time.perf_counter() - self.began)
        self.buffer = b""
        self.free = True

    def connection_lost(self, error: Exception | None) -> None:
        self.counts["lost"] += 1


def resident(pid: int) -> float:
    """Resident memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def slope(seconds: list[float], sizes: list[float]) -> float:
    """MB per hour, by least squares."""
    n = len(seconds)
    mean_s, mean_m = sum(seconds) / n, sum(sizes) / n
    top = sum((s - mean_s) * (m - mean_m) for s, m in zip(seconds, sizes, strict=True))
    return top / sum((s - mean_s) ** 2 for s in seconds) * 3600


def worst_bodies() -> dict[str, bytes]:
    """Return requests that cost much more to answer than to send, by name."""
    products = [{"product_id": f"p{k}"} for k in range(200)]

    def calls(count: int, name: str, told: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"type": "track", "event": name, "anonymousId": f"a{k}", "properties": told}
                for k in range(count)]  # fmt: skip

    orders = {"batch": calls(280, "Order Completed", {"order_id": "o", "products": products})}
    views = {"batch": calls(237, "Product List Viewed", {"products": products})}
    sessions = [{"visitor_id": f"w{k}", "event_type": "view_item"} for k in range(5000)]
    told = {
        "orders": ("/v1/batch", json.dumps(orders)),
        "views": ("/v1/batch", json.dumps(views)),
        "sessions": ("/v1/events", json.dumps({"events": sessions})),
        "lists": ("/v1/events", "[" + ",".join(["[]"] * 49_000) + "]"),
        "NaN": ("/v1/events", "[" + ",".join(["NaN"] * 20_000) + "]"),
    }
    made = {}
    for name, (path, text) in told.items():
        body = gzip.compress(text.encode())
        made[name] = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body
    return made


async def attack(port: int, seconds: float) -> dict[str, int]:
    """Send the worst bodies on sixteen connections; return how often each status came."""
    found: dict[str, int] = {}
    until = time.perf_counter() + seconds

    async def client(first: int) -> None:
        bodies = list(worst_bodies().values())
        for number in itertools.count(first):
            if time.perf_counter() > until:
                return
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(bodies[number % len(bodies)])
                head = await reader.readuntil(b"\r\n\r\n")
                found[head.split()[1].decode()] = found.get(head.split()[1].decode(), 0) + 1
                writer.close()

    await asyncio.gather(*(client(k) for k in range(16)))
    return found


def attacked(port: int, seconds: float, out: Any) -> None:
    out.put(asyncio.run(attack(port, seconds)))


async def drive(port: int, pid: int, rate: int, minutes: float) -> dict[str, Any]:
    counts = {"ok": 0, "failed": 0, "lost": 0, "skipped": 0}
    waits: list[float] = []
    loop = asyncio.get_running_loop()
    lines = []
    for _ in range(16):
        _, line = await loop.create_connection(lambda: Line(counts, waits), "127.0.0.1", port)
        lines.append(line)
    began, number, random_state = time.perf_counter(), 0, random.Random(1)
    samples: list[tuple[float, float]] = []
    until, next_sample = began + minutes * 60, began
    while (now := time.perf_counter()) < until:
        due = int((now - began) * rate)
        for line in lines:
            if number < due and line.free:
                made = event(number)
                visitor = (number // 400 * 50 + random_state.randrange(50)) % VISITORS
                made |= {"visitor_id": f"v{visitor}", "event_id": f"s{number}"}
                line.send(request(json.dumps(made, separators=(",", ":")).encode()))
                number += 1
        if now >= next_sample:
            samples.append((now - began, resident(pid)))
            next_sample += 1.0
        await asyncio.sleep(0.001)
    counts["skipped"] = max(int(minutes * 60 * rate) - number, 0)
    for line in lines:
        line.connection_lost = lambda error: None  # type: ignore[method-assign]
        line.transport.close()
    half = [s for s in samples if s[0] > minutes * 30]
    last = [s for s in samples if s[0] > minutes * 45]
    waits.sort()
    return {
        **counts,
        "wait_ms_p50": round(waits[len(waits) // 2] * 1000, 1),
        "wait_ms_p99": round(waits[int(len(waits) * 0.99)] * 1000, 1),
        "wait_ms_most": round(waits[-1] * 1000, 1),
        "events_per_second": round(number / (minutes * 60), 1),
        "mb_at_start": round(samples[0][1], 1),
        "mb_at_half": round(half[0][1], 1),
        "mb_at_end": round(samples[-1][1], 1),
        "mb_per_hour_last_quarter": round(slope(*map(list, zip(*last, strict=True))), 1),
        "mb_per_hour_second_half": round(slope(*map(list, zip(*half, strict=True))), 1),
    }


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--run", type=Path, required=True)
    words.add_argument("--rate", type=int, default=3000)
    words.add_argument("--minutes", type=float, default=10.0)
    words.add_argument("--hostile", action="store_true")
    words.add_argument("--json", type=Path)
    given = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        # A copy of the run whose sessions end after 20 seconds, so that they expire in the soak.
        subprocess.run(["cp", "-r", str(given.run.resolve()), str(run)], check=True)
        facts = json.loads((run / "run.json").read_text())
        facts["reading"]["session_gap"] = 20.0
        (run / "run.json").write_text(json.dumps(facts))
        port = free_port()
        command = [
            sys.executable, "-m", "cartcast", "serve", "--model", str(run), "--port", str(port),
            "--state-dir", f"{folder}/state", "--late-window", "5s",
        ]  # fmt: skip
        server, _ = start(command, port)
        answers: Any = multiprocessing.Queue()
        foe = multiprocessing.Process(target=attacked, args=(port, given.minutes * 60, answers))
        try:
            if given.hostile:
                foe.start()
            found = asyncio.run(drive(port, server.pid, given.rate, given.minutes))
            if given.hostile:
                found["hostile answers"] = answers.get(timeout=60)
        finally:
            server.terminate()
            server.wait()
    text = json.dumps(found, indent=1)
    if given.json:
        given.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
