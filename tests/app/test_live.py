"""The page Live: what a service answers is drawn; whatever else answers is one plain line."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import cartcast.app
from cartcast.app import service
from cartcast.app.launch import PROJECT_VARIABLE
from cartcast.app.parts import status
from cartcast.config import read_settings
from cartcast.errors import UsageError

st = pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest  # noqa: E402

VIEW = Path(cartcast.app.__file__).parent / "views" / "live.py"
ODD = "![x](http://evil.example/x.png)<b>"
TOLD: dict[str, Any] = {
    "time": "2026-05-04T12:00:00+00:00",
    "started": "2026-05-04T09:00:00+00:00",
    "process": 7,
    "model": {"version": "run-1", "run_id": "run-1", "model": "lightgbm", "target": "purchase",
              "created": "2026-05-01T12:00:00+00:00", "taken_up": "2026-05-04T11:00:00+00:00",
              "refused": None},
    "sessions": {"open": 1234, "memory_bytes": 500_000_000, "memory_limit_bytes": 2_000_000_000},
    "events": {"accepted": 900, "late_accepted": 100, "duplicate": 5, "too_late": 4},
    "set_aside": {ODD: 11},
    "refused": {"401": 2},
    "reasons": [{"status": 401, "rule": "key", "count": 2}],
    "per_second": [
        {"time": f"2026-05-04T11:59:{5 * k:02d}+00:00", "accepted": 10.0 + k, "set_aside": 1.0,
         "refused": 0.0} for k in range(12)
    ],
    "scores": {"since": "2026-05-04T11:50:00+00:00", "counts": [5] * 20},
    "trackers": [{"tool": "PostHog", "events": 1000, "set_aside": 11,
                  "last": "2026-05-04T11:59:58+00:00"}],
    "slowest": [{"time": "2026-05-04T11:58:00+00:00", "path": "/batch", "status": 200,
                 "seconds": 0.25}],
    "errors": [{"time": "2026-05-04T11:59:00+00:00", "path": "/batch", "status": 401,
                "field": None, "rule": ODD, "request_id": "a-1"}],
}  # fmt: skip


@contextmanager
def answering(code: int, body: Any, headers: dict[str, str] | None = None) -> Iterator[Any]:
    """Answer every request alike; yields the URL and what was asked."""
    asked: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(code)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Callable[[str], AppTest]:
    def run(url: str) -> AppTest:
        (folder / "cartcast.yaml").write_text(f"live: {url}\n")
        monkeypatch.setenv(PROJECT_VARIABLE, str(folder))
        monkeypatch.setenv(service.KEY_VARIABLE, "cc_key")
        st.cache_data.clear()
        return AppTest.from_file(str(VIEW), default_timeout=60).run()

    return run


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_the_service_says_is_drawn(open_page: Callable[[str], AppTest]) -> None:
    with answering(200, TOLD) as (url, asked):
        at = open_page(url + "/")
    assert not at.exception
    assert not at.error
    assert set(asked) == {("/v1/status", "Bearer cc_key")}
    title, about = (one[0].value.replace("\\", "") for one in (at.title, at.caption))
    assert title == "15.5 events a second; 1,234 sessions open now; 6.1 % of what came is refused."
    assert "run-1 (lightgbm), trained 3 days ago, taken up 1 hour ago." in about.casefold()
    assert {m.label: m.value for m in at.metric} == {
        "Events a second": "15.5", "Open sessions": "1,234", "Events taken": "1,000",
        "Events set aside": "11", "Requests refused": "2", "Slowest answer": "250 ms",
    }  # fmt: skip
    assert "25 % of 2.0 GB" in [m.delta.replace("\\", "") for m in at.metric]
    reasons = at.dataframe[1].value
    assert reasons.to_numpy().tolist() == [
        ["event", ODD, 11], ["event", "later than the late window", 4], ["request", "401: key", 2],
    ]  # fmt: skip
    assert at.dataframe[0].value["last"].tolist() == ["2 seconds ago"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_nobody_there_is_one_plain_line(open_page: Callable[[str], AppTest]) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://user:word@127.0.0.1:{bound.getsockname()[1]}"
        at = open_page(url)
    assert not at.exception
    assert not at.error
    said = at.title[0].value.replace("\\", "")
    assert said.startswith("No live service answers at http://127.0.0.1:")
    assert "word" not in said
    assert not at.metric


@pytest.mark.parametrize(
    ("code", "body", "said"),
    [(401, {}, "CARTCAST_LIVE_KEY"), (403, {}, "scope score"), (404, {}, "another program"),
     (500, {}, "status 500"), (200, [1], "another program"), (200, b"<html>", "not a live service"),
     (302, {}, "status 302"), (200, b"[" * 3_000_000, "not a live service")],
)  # fmt: skip
def test_what_answers_otherwise_is_said(code: int, body: Any, said: str) -> None:
    with (
        answering(200, TOLD) as (elsewhere, followed),
        answering(code, body, {"Location": elsewhere}) as (url, _),
        pytest.raises(service.ServiceError, match=said),
    ):
        service.status(url, None)
    assert followed == []


def test_only_an_address_of_http_is_asked(folder: Path) -> None:
    for url in ("ftp://shop.example", "file:///etc/passwd", "http://"):
        (folder / "cartcast.yaml").write_text(f"live: {url!r}\n")
        with pytest.raises(UsageError, match="live"):
            read_settings(folder)
        with pytest.raises(UsageError, match="live"):
            service.status(url, None)


def test_a_service_that_just_began_has_a_sentence() -> None:
    fresh = TOLD | {"per_second": [], "sessions": {}, "trackers": [], "errors": [], "slowest": []}
    assert status.headline(fresh) == "0 events a second; nothing is refused."
    for table in (status.rates, status.trackers, status.errors, status.slowest):
        assert len(table(fresh)) == 0
