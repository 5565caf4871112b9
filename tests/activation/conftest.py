"""A real receiver of webhooks, and an activation that posts to it."""

from __future__ import annotations

import base64
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cartcast.activation import Activation, Outbox, activation_from
from cartcast.experiments import read_exposures

SECRET = "whsec_" + base64.b64encode(b"a secret of tests only, thirty-two bytes or more").decode()
AT = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
EXPERIMENT = {
    "unit": "visitor_id", "arms": {"held": 0.3, "mailed": 0.7},
    "quantities": {"bought": {"kind": "any", "event": "purchase"}},
    "metrics": {"conversion": {"proportion": "bought"}},
}  # fmt: skip


class Receiver:
    """A receiver: `answers` are (status, headers) to give, by order; then 204. `seen` is in order."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.before: Callable[[], None] = lambda: None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.seen.append((dict(self.headers.items()), body))
                receiver.before()
                status, headers = receiver.answers.pop(0) if receiver.answers else (204, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/in?k=1"

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.seen]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("SHOP_WEBHOOK", SECRET)
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def plan(url: str = "https://shop.example/in", **change: Any) -> dict[str, Any]:
    """Return the plain data of an activation; a word of None is left out."""
    told: dict[str, Any] = {
        "experiment": "rescue", "when": "probability < 0.4 and carts > 0", "consent": "agreed",
        "at_most": {"times": 1, "within": "7d"}, "send": ["probability"],
        "webhook": {"url": url, "secret": "$SHOP_WEBHOOK", "allow_private": True}, **change,
    }  # fmt: skip
    return {k: v for k, v in told.items() if v is not None}


@pytest.fixture
def make(receiver: Receiver) -> Callable[..., Activation]:
    def made(key: str = "rescue", **change: Any) -> Activation:
        return activation_from(key, plan(receiver.url, **change), {"rescue": EXPERIMENT})

    return made


@pytest.fixture
def outbox(tmp_path: Any) -> Outbox:
    return Outbox(tmp_path / "outbox.db")


def score(number: int = 0, **change: Any) -> dict[str, Any]:
    return {"visitor_id": f"v-{number}", "probability": 0.2, "carts": 1.0, "agreed": True,
            "as_of": AT.replace(tzinfo=None), **change}  # fmt: skip


def exposed(outbox: Outbox, key: str = "rescue") -> list[dict[str, Any]]:
    """Return the exposures that an outbox holds, as the analysis reads them."""
    found: list[dict[str, Any]] = read_exposures([outbox.path], key).to_pylist()
    return found


class Clock:
    """A clock that only sleeping moves, from the present on, so that signatures are of now."""

    def __init__(self) -> None:
        self.now, self.rests = time.time(), []  # type: float, list[float]

    def sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now
