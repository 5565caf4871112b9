"""A soak: events at a steady rate for minutes; memory must stay flat and no answer may fail.

    python benchmarks/soak.py --run RUN [--rate 3000] [--minutes 10] [--json OUT]

One server with every event durable, visitors that come and go, sessions of about eight events. The
memory of the server is read every second; its slope over the second half is told in MB per hour,
where sessions that open and expire have long been in balance (the gap is set to 20 seconds).
"""

from __future__ import annotations

import argparse
import asyncio
import json
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

    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts
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


async def drive(port: int, pid: int, rate: int, minutes: float) -> dict[str, Any]:
    counts = {"ok": 0, "failed": 0, "lost": 0, "skipped": 0}
    loop = asyncio.get_running_loop()
    lines = []
    for _ in range(16):
        _, line = await loop.create_connection(lambda: Line(counts), "127.0.0.1", port)
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
    return {
        **counts,
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
        try:
            found = asyncio.run(drive(port, server.pid, given.rate, given.minutes))
        finally:
            server.terminate()
            server.wait()
    text = json.dumps(found, indent=1)
    if given.json:
        given.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
