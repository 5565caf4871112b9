"""What a connection may cost, and that whoever is refused gets to read why: raw sockets, urllib, node."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from cartcast.access.keys import KeyFile, Keys
from cartcast.api.connection import MAX_HEAD
from cartcast.live.service import Live

VIEW = {"visitor_id": "v1", "event_type": "view_item"}
BODY = json.dumps(VIEW).encode()


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((str(address.hostname), address.port or 80), timeout=60)


def head(path: str = "/v1/events", length: int | None = len(BODY), **more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json"]
    lines += [f"Content-Length: {length}"] if length is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def answers(line: socket.socket, count: int = 1) -> list[tuple[int, dict[str, str], bytes]]:
    """Read whole answers from a connection; a connection that ends early ends the list."""
    found, seen = [], b""
    while len(found) < count:
        while b"\r\n\r\n" not in seen and (got := line.recv(65536)):
            seen += got
        if b"\r\n\r\n" not in seen:
            return found
        first, seen = seen.split(b"\r\n\r\n", 1)
        lines = first.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (one.split(": ", 1) for one in lines[1:])}
        size = int(headers.get("content-length", 0))
        while len(seen) < size and (got := line.recv(65536)):
            seen += got
        found.append((int(lines[0].split()[1]), headers, seen[:size]))
        seen = seen[size:]
    return found


def ends(line: socket.socket) -> bool:
    """Wait until the other side ends the connection."""
    try:
        while line.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


LARGE = [3_000_000, 20_000_000]


@pytest.mark.parametrize("size", LARGE)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_raw_client_that_sends_megabytes_reads_413(
    serve: Callable[..., str], size: int, chunked: bool
) -> None:
    url = serve(max_body=1_000_000)
    piece = b" " * 100_000
    for _ in range(5):
        with closing(connect(url)) as line:
            if chunked:
                line.sendall(head(length=None, Transfer_Encoding="chunked"))
            else:
                line.sendall(head(length=size))
            for _ in range(size // len(piece)):
                line.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            ((status, headers, body),) = answers(line)
            assert (status, json.loads(body)["field"]) == (413, "body")
            assert headers["connection"] == "close"
            assert ends(line)


def test_urllib_always_reads_413(serve: Callable[..., str]) -> None:
    url = serve(max_body=1_000_000) + "/v1/events"
    for _ in range(10):
        request = urllib.request.Request(url, b" " * 8_000_000)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=60)
        assert caught.value.code == 413
        caught.value.close()


@pytest.mark.parametrize(
    ("path", "key", "status"), [("/v1/events", "cc_no_no", 401), ("/nowhere", "", 401)]
)
def test_a_refusal_before_the_body_is_read_is_heard_too(
    serve: Callable[..., str], key_file: KeyFile, path: str, key: str, status: int
) -> None:
    key_file.add("shop", ["ingest"])
    url = serve(None, Keys(key_file), max_body=1_000_000)
    with closing(connect(url)) as line:
        line.sendall(head(path, 20_000_000, X_Api_Key=key))
        for _ in range(200):
            line.sendall(b" " * 100_000)
        assert answers(line)[0][0] == status
        assert ends(line)


NODE = """
const url = process.argv[1], body = "x".repeat(8e6), seen = [];
for (let i = 0; i < 10; i++) {
  try { seen.push((await fetch(url, {method: "POST", body, headers: {"content-type": "text/plain"}})).status); }
  catch (error) { seen.push(String(error.cause ?? error)); }
}
console.log(JSON.stringify(seen));
"""


def test_node_always_reads_413(serve: Callable[..., str]) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs the program node, which is not installed here")
    url = serve(max_body=1_000_000) + "/v1/events"
    words = [node, "--input-type=module", "-e", NODE, url]
    run = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(run.stdout) == [413] * 10


def test_one_who_never_stops_sending_is_cut_off(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cartcast.api.connection.LINGER_BYTES", 4_000_000)
    with closing(connect(serve(max_body=1000))) as line:
        line.sendall(head(length=10**12))
        with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, as the kernel says it
            while True:
                line.sendall(b" " * 100_000)


HEADS = {
    "one long header": lambda: b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 10_000_000,
    "many headers": lambda: b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 1_000_000,
    "a long path": lambda: b"GET /" + b"a" * 10_000_000,
    "one chunk": lambda: b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"a" * MAX_HEAD + b"\r\n\r\n",
    "101 headers": lambda: b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100 + b"\r\n",
    "a hot one": lambda: head(A="a" * 100_000),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_bounded(serve: Callable[..., str], name: str) -> None:
    with closing(connect(serve())) as line:
        line.sendall(HEADS[name]())
        ((status, _, body),) = answers(line)
        assert (status, json.loads(body)["status"]) == (431, 431)
        assert ends(line)


def test_endless_trailers_and_tiny_chunks_are_bounded(serve: Callable[..., str]) -> None:
    url = serve(max_body=100_000)
    for more in (b"0\r\nX: " + b"a" * 1_000_000, b"1\r\n \r\n" * 300_000):
        with closing(connect(url)) as line:
            line.sendall(head(length=None, Transfer_Encoding="chunked") + more)
            found = answers(line)
            assert [status for status, _, _ in found] in ([413], [400])
            assert ends(line)


def test_a_head_must_come_whole_in_time(serve: Callable[..., str]) -> None:
    url = serve(head_seconds=2.0)
    with (
        closing(connect(url)) as silent,
        closing(connect(url)) as slow,
        closing(connect(url)) as second,
    ):
        second.sendall(head() + BODY)
        slow.sendall(b"POST /v1/events HTTP/1.1\r\nHost:")
        assert answers(second)[0][0] == 200
        second.sendall(b"POST /v1/ev")
        for line in (slow, second):
            ((status, headers, _),) = answers(line)
            assert (status, headers["connection"]) == (408, "close")
            assert ends(line)
        assert silent.recv(100) == b""


@pytest.fixture
def lines() -> Iterator[list[socket.socket]]:
    found: list[socket.socket] = []
    yield found
    for line in found:
        line.close()


@pytest.mark.parametrize("limits", [{"max_each": 5}, {"max_connections": 5}])
def test_connections_are_counted(
    serve: Callable[..., str], lines: list[socket.socket], limits: dict[str, int]
) -> None:
    url = serve(**limits)
    for _ in range(5):
        lines.append(connect(url))
        lines[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answers(lines[-1])[0][0] == 200
    with closing(connect(url)) as one_too_many:
        one_too_many.sendall(head())
        ((status, headers, _),) = answers(one_too_many)
        assert (status, int(headers["retry-after"]) > 0) == (503, True)
        assert ends(one_too_many)
    lines.pop().close()
    while True:  # until the server has noticed
        with closing(connect(url)) as line:
            line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            if answers(line)[0][0] == 200:
                break


@pytest.mark.parametrize("path", ["/v1/events", "/v1/track"])
@pytest.mark.parametrize("cut", [0, 40, None])
def test_the_wish_for_http2_is_ignored(
    serve: Callable[..., str], live: Live, path: str, cut: int | None
) -> None:
    """As Java's default client asks; the connection goes on with HTTP/1.1, bodies and all."""
    message = {"type": "page", "anonymousId": "v1"} if path == "/v1/track" else VIEW
    body = json.dumps(message).encode()
    wish = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAMAAABk"}
    whole = head(path, len(body), **wish) + body
    with closing(connect(serve(live))) as line:
        for click in (1, 2, 3):
            if cut is None:
                line.sendall(whole + whole)
                assert [status for status, _, _ in answers(line, 2)] == [200, 200]
                continue
            for part in (whole[: cut or -len(body)], whole[cut or -len(body) :]):
                line.sendall(part)
            ((status, _, answer),) = answers(line)
            assert (status, json.loads(answer)["click"]) == (200, click)
    assert live.metrics.events == {"accepted": 6 if cut is None else 3}


def test_websockets_and_tunnels_are_not_for_us(serve: Callable[..., str]) -> None:
    url = serve()
    with closing(connect(url)) as line:
        line.sendall(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        assert answers(line)[0][0] == 200
    with closing(connect(url)) as line:
        line.sendall(b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n")
        assert answers(line)[0][0] == 405


def test_garbage_is_refused_with_a_problem(serve: Callable[..., str]) -> None:
    url = serve()
    for raw in (
        b"\x16\x03\x01\x02\x00\x01" * 9,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST \xff HTTP/1.1\r\n\r\n",
    ):
        with closing(connect(url)) as line:
            line.sendall(raw)
            ((status, headers, _),) = answers(line)
            assert (status, headers["content-type"]) == (400, "application/problem+json")
            assert ends(line)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v1/models", "/metrics"])
def test_head_is_answered_as_get_without_a_body(serve: Callable[..., str], path: str) -> None:
    url, seen = serve(), {}
    for method in ("GET", "HEAD"):
        with closing(connect(url)) as line, line.makefile("rb") as file:
            line.sendall(
                f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
            )
            seen[method] = file.read()
    assert all(one.startswith(b"HTTP/1.1 200") for one in seen.values())
    assert seen["HEAD"].endswith(b"\r\n\r\n")
    assert not seen["GET"].endswith(b"\r\n\r\n")
    with closing(connect(url)) as line:
        line.sendall(b"HEAD /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert line.recv(65536).startswith(b"HTTP/1.1 405")
