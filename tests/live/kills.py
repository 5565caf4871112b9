"""Kill -9 of the server, of a stream consumer and of Redis, many times, in the middle of a replay.

    python tests/live/kills.py RUN SHOP.parquet [--times 20] [--what server,consumer,redis]

Prints, for each: events acknowledged, lost, counted twice, and the cells of the final feature
table that differ from the batch table. All must be 0 but the first.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def log_of(shop: Path, folder: Path) -> Any:
    from cartcast.events import load

    return load(shop, folder=folder)


def wire(run: Path, log: Any) -> list[dict[str, Any]]:
    """The events as a tracker sends them, in the order of the log."""
    import msgspec

    from cartcast.live.model import load_scorer
    from cartcast.live.parity import _rows

    events = [event for _, event in _rows(log, load_scorer(run))]
    names = log.table(["session_id"]).column("session_id").to_pylist()
    for event, name in zip(events, names, strict=True):
        event.session_id = name
    return [json.loads(msgspec.json.encode(event)) for event in events]


def truth(run: Path, log: Any) -> dict[str, tuple[int, dict[str, Any]]]:
    """Batch: last click and features of each session, by the id of its last event."""
    from cartcast.live.model import load_scorer

    scorer = load_scorer(run)
    table = scorer.features.replay(log, at="every click").to_pandas()
    last = table.sort_values("click").groupby("session_id").tail(1)
    rows = {}
    for row in last.to_dict("records"):
        features = {
            n: None if row[n] is None or row[n] != row[n] else row[n] for n in scorer.features.names
        }
        rows[row["session_id"]] = (int(row["click"]), features)
    return rows


def compare(found: dict[str, tuple[int, Any]], true: dict[str, tuple[int, Any]]) -> dict[str, int]:
    lost = twice = cells = 0
    for session, (click, features) in true.items():
        if session not in found:
            lost += click
            continue
        lost += max(click - found[session][0], 0)
        twice += max(found[session][0] - click, 0)
        for name, value in features.items():
            live = found[session][1][name]
            if isinstance(value, float) and isinstance(live, float):
                cells += abs(live - value) > 1e-9 * max(1.0, abs(value))
            else:
                cells += live != value
    return {"lost": lost, "twice": twice, "cells": cells}


class Server:
    """`cartcast serve`, started again whenever it is killed."""

    def __init__(self, run: Path, folder: Path, *words: str) -> None:
        self.port = free_port()
        self.words = [
            sys.executable, "-m", "cartcast", "serve", "--model", str(run), "--port",
            str(self.port), "--state-dir", str(folder / "state"), "--session-ttl", "30d", *words,
        ]  # fmt: skip
        self.process: Any = None
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.words, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Sender(threading.Thread):
    """Sends events in small batches, again and again until each is acknowledged."""

    def __init__(self, url: str, events: list[dict[str, Any]]) -> None:
        super().__init__(daemon=True)
        self.url, self.events = url, events
        self.acknowledged = self.refused = self.broken = 0
        self.last: dict[str, tuple[int, Any]] = {}

    def run(self) -> None:
        at = 0
        with httpx.Client(base_url=self.url, timeout=60.0) as http:
            while at < len(self.events):
                batch = self.events[at : at + 20]
                try:
                    answer = http.post("/v1/events", json={"events": batch})
                except httpx.TransportError:
                    self.broken += 1
                    time.sleep(0.05)
                    continue
                if answer.status_code == 503:
                    self.refused += 1
                    time.sleep(0.05)
                    continue
                if answer.status_code != 200:
                    raise RuntimeError(answer.text)
                statuses = {a["status"] for a in answer.json()["answers"]}
                if not statuses <= {"accepted", "duplicate", "late_accepted"}:
                    raise RuntimeError(statuses)
                self.acknowledged += len(batch)
                at += len(batch)


def sessions_of(url: str, events: list[dict[str, Any]]) -> dict[str, tuple[int, Any]]:
    found = {}
    with httpx.Client(base_url=url, timeout=60.0) as http:
        for session in dict.fromkeys(e["session_id"] for e in events):
            answer = http.get(f"/v1/sessions/{session}")
            if answer.status_code == 200:
                found[session] = (answer.json()["clicks"], answer.json()["features"])
    return found


def kill_while_sending(
    sender: Sender, victim: Any, times: int, wait: tuple[float, float]
) -> dict[str, Any]:
    sender.start()
    kills = 0
    while kills < times and sender.is_alive():
        seen = sender.acknowledged
        # Only kill what is at work again, so that every kill falls into the replay.
        while sender.acknowledged == seen and sender.is_alive():
            time.sleep(0.01)
        time.sleep(random.uniform(*wait))
        if not sender.is_alive():
            break
        victim.kill()
        kills += 1
        victim.start()
    sender.join(600)
    return {
        "kills": kills, "acknowledged": sender.acknowledged, "broken": sender.broken,
        "refused_503": sender.refused,
    }  # fmt: skip


def server(run: Path, log: Any, times: int, folder: Path) -> dict[str, Any]:
    events, true = wire(run, log), truth(run, log)
    one = Server(run, folder)
    try:
        sender = Sender(f"http://127.0.0.1:{one.port}", events)
        told = kill_while_sending(sender, one, times, (0.0, 0.15))
        return told | compare(sessions_of(sender.url, events), true)
    finally:
        one.kill()


class Redis:
    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.process = folder, free_port(), None
        folder.mkdir()
        self.start()

    def start(self) -> None:
        words = [
            str(shutil.which("redis-server")), "--port", str(self.port), "--dir", str(self.folder),
            "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--bind", "127.0.0.1",
        ]  # fmt: skip
        self.process: Any = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 0.2) as line:
                    line.sendall(b"PING\r\n")
                    if line.recv(64).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def redis(run: Path, log: Any, times: int, folder: Path) -> dict[str, Any]:
    events, true = wire(run, log), truth(run, log)
    store = Redis(folder / "redis")
    one = Server(run, folder, "--state", f"redis://127.0.0.1:{store.port}/0")
    try:
        sender = Sender(f"http://127.0.0.1:{one.port}", events)
        told = kill_while_sending(sender, store, times, (0.0, 0.15))
        return told | compare(sessions_of(sender.url, events), true)
    finally:
        one.kill()
        store.kill()


def consumer(run: Path, log: Any, times: int, folder: Path) -> dict[str, Any]:
    events, true = wire(run, log), truth(run, log)
    source, out = folder / "in.jsonl", folder / "out.jsonl"
    source.write_text("".join(json.dumps(e) + "\n" for e in events))
    words = [
        sys.executable, "-m", "cartcast", "stream", "--from", str(source), "--to", str(out),
        "--model", str(run), "--state-dir", str(folder / "state"), "--batch", "20",
    ]  # fmt: skip
    kills = 0
    while True:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        size = out.stat().st_size if out.exists() else 0
        while process.poll() is None and (not out.exists() or out.stat().st_size == size):
            time.sleep(0.005)
        if kills >= times:
            process.wait()
        time.sleep(random.uniform(0.0, 0.05))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    keys = [row["key"] for row in rows]
    found: dict[str, tuple[int, Any]] = {}
    for row in rows:
        if row["click"] >= found.get(row["session_id"], (0, None))[0]:
            found[row["session_id"]] = (row["click"], row["features"])
    repeated = len(keys) - len(set(keys))
    return {"kills": kills, "acknowledged": len(events), "rows_twice": repeated} | compare(
        found, true
    )


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("run", type=Path)
    words.add_argument("shop", type=Path)
    words.add_argument("--times", type=int, default=20)
    words.add_argument("--what", default="server,consumer,redis")
    given = words.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as base:
        log = log_of(given.shop, Path(base) / "log")
        for what in given.what.split(","):
            folder = Path(base) / what
            folder.mkdir()
            kind = {"server": server, "consumer": consumer, "redis": redis}[what]
            began = time.perf_counter()
            result = kind(given.run.resolve(), log, given.times, folder)
            result["seconds"] = round(time.perf_counter() - began, 1)
            print(what, json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
