"""A small shop with a run on its first months and a log of the later ones."""

from __future__ import annotations

import base64
import socketserver
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from cartcast.datasets import simulate
from cartcast.train import train


class Watched(NamedTuple):
    run: Path
    first: pd.DataFrame
    later: pd.DataFrame


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    folder = tmp_path_factory.mktemp("watched")
    made = simulate(9_000, seed=5, start=date(2025, 3, 3), days=120)
    assert made.events is not None
    table = made.events.to_pandas()
    cut = pd.Timestamp("2025-05-05")
    first, later = table[table["event_time"] < cut], table[table["event_time"] >= cut]
    first.to_parquet(folder / "first.parquet")
    run = train(
        folder / "first.parquet", models=("click_count",), run_dir=folder / "run", threads=1,
        segments=3, backtest=False,
    )  # fmt: skip
    return Watched(run.dir, first, later.reset_index(drop=True))


class Receiver(BaseHTTPRequestHandler):
    answers: list[int]
    seen: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((dict(self.headers.items()), body))
        self.send_response(self.answers.pop(0) if self.answers else 204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Smtp(socketserver.StreamRequestHandler):
    mails: list[tuple[str, list[str], str]]
    refuse: list[bool]

    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self) -> None:
        self.say("220 here")
        sender, to = "", []
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            word = line.upper()
            if word.startswith("EHLO"):
                self.say("250 here")
            elif word.startswith("MAIL"):
                sender = line
                self.say("250 ok")
            elif word.startswith("RCPT"):
                to.append(line)
                self.say("550 no such box" if self.refuse else "250 ok")
            elif word == "DATA":
                self.say("354 go on")
                text = ""
                while (part := self.rfile.readline().decode()) != ".\r\n":
                    text += part
                self.mails.append((sender, to, text))
                self.say("250 taken")
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")


@pytest.fixture
def receiver() -> Iterator[tuple[dict[str, object], type[Receiver]]]:
    handler = type("Own", (Receiver,), {"answers": [], "seen": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        settings = {
            "url": f"http://127.0.0.1:{server.server_port}/in?k=1",
            "secret": "whsec_"
            + base64.b64encode(b"a secret of tests only, of thirty-two bytes").decode(),
            "allow_private": True,
        }
        yield settings, handler
        server.shutdown()
        thread.join()


@pytest.fixture
def smtp() -> Iterator[tuple[dict[str, object], type[Smtp]]]:
    handler = type("Own", (Smtp,), {"mails": [], "refuse": []})
    with socketserver.TCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield {"host": "127.0.0.1", "port": server.server_address[1], "tls": "none",
               "sender": "cartcast@shop.example", "to": ["a@shop.example", "b@shop.example"]}, handler  # fmt: skip
        server.shutdown()
        thread.join()
