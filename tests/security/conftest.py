"""A real server of the app with access on, a small shop log, and the command line as a function."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cartcast.cli import main

ISSUER = "https://id.example"
COOKIE_SECRET = "a-secret-of-the-tests-only-0123456789"
LIMIT = 8
"""Megabytes of an upload."""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass
class Served:
    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    secret: str = COOKIE_SECRET
    names: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    def cookie(
        self, subject: str | None, *, expires: float = 9e9, secret: str | None = None
    ) -> str:
        """The cookie of somebody who signed in, as the framework signs it."""
        if subject is None:
            return ""
        from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

        told = {"iss": ISSUER, "sub": subject, "exp": expires, "name": subject,
                "is_logged_in": True, "origin": self.origin, "provider": "default"}  # fmt: skip
        made = create_signed_value(secret or self.secret, "_streamlit_user", json.dumps(told))
        return f"_streamlit_user={made.decode()}"

    def ask(self, method: str, path: str, subject: str | None = None, **headers: str):
        """Send a request; return status, headers, body."""
        con = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        sent = {"Host": f"localhost:{self.port}", "Cookie": self.cookie(subject), **headers}
        con.request(method, path, headers={k.replace("_", "-"): v for k, v in sent.items() if v})
        answer = con.getresponse()
        body = answer.read()
        con.close()
        return answer.status, dict(answer.getheaders()), body

    def xsrf(self) -> str:
        status, headers, _ = self.ask("GET", "/_stcore/health")
        assert status == 200
        found = [v for k, v in headers.items() if k.lower() == "set-cookie"]
        return next(v for v in found if "_streamlit_xsrf" in v).split("=", 1)[1].split(";")[0]

    def connect(self, subject: str | None, *, cookie: str | None = None, origin: str | None = None):
        """Open the socket of a page, as a browser does."""
        from websockets.sync.client import connect

        token = self.xsrf()
        cookies = cookie if cookie is not None else self.cookie(subject)
        return connect(
            f"ws://localhost:{self.port}/_stcore/stream",
            additional_headers={"Cookie": f"_streamlit_xsrf={token}; {cookies}"},
            subprotocols=["streamlit", token],
            origin=origin or self.origin,
            open_timeout=120, max_size=None,
        )  # fmt: skip

    def page(self, socket, path: str = "", query: str = "", most: float = 240) -> tuple[str, bytes]:
        """Run a page over a socket; return the session's id and every byte that was sent."""
        from streamlit.proto.BackMsg_pb2 import BackMsg
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        asked = BackMsg()
        asked.rerun_script.page_name = path
        asked.rerun_script.query_string = query
        socket.send(asked.SerializeToString())
        session, seen, end = "", b"", time.monotonic() + most
        while time.monotonic() < end:
            data = socket.recv(timeout=most)
            seen += data
            message = ForwardMsg()
            message.ParseFromString(data)
            if message.WhichOneof("type") == "new_session":
                session = message.new_session.initialize.session_id or session
            if message.WhichOneof("type") == "script_finished" and session:
                return session, seen
        raise AssertionError("the page did not end")

    def memory(self) -> int:
        """Resident bytes of the server, its children included."""
        total = 0
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
                told = (status.parent / "statm").read_text().split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid or status.parent.name == str(self.process.pid):
                total += int(told[1]) * os.sysconf("SC_PAGE_SIZE")
        return total

    def upload(
        self,
        session: str,
        size: int,
        subject: str | None,
        *,
        file: str = "f",
        told: int | None = None,
    ) -> tuple[int, int]:
        """PUT a form that holds a file; return the status and how many bytes were taken."""
        token, mark = self.xsrf(), "frontier"
        head = (f'--{mark}\r\nContent-Disposition: form-data; name="a"; filename="a.csv"\r\n'
                "Content-Type: text/csv\r\n\r\n").encode()  # fmt: skip
        tail = f"\r\n--{mark}--\r\n".encode()
        length = len(head) + size + len(tail) if told is None else told
        lines = [
            f"PUT /_stcore/upload_file/{session}/{file} HTTP/1.1",
            f"Host: localhost:{self.port}",
            f"Cookie: _streamlit_xsrf={token}; {self.cookie(subject)}",
            f"X-Xsrftoken: {token}",
            f"Content-Type: multipart/form-data; boundary={mark}",
            f"Content-Length: {length}" if length >= 0 else "Transfer-Encoding: chunked",
        ]
        with socket.create_connection(("127.0.0.1", self.port), timeout=120) as to:
            to.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            sent, block = 0, b"x" * (1 << 16)
            to.settimeout(0.3)
            try:
                # What refuses does so at once: the body waits for it.
                early = to.recv(4096)
            except TimeoutError:
                early = b""
            to.settimeout(30)
            if not early:
                for piece in [head, *[block] * (size >> 16), b"x" * (size & 0xFFFF), tail]:
                    try:
                        to.sendall(piece)
                    except OSError:
                        break
                    sent += len(piece)
                early = to.recv(4096)
        return int(early.split()[1]), sent


def write_project(folder: Path) -> None:
    folder.mkdir()
    for name in ("secret-shop.csv", "secret-other.csv"):
        (folder / name).write_text(
            "visitor_id,session_id,event_time,event_type,item_id,price\n"
            + "".join(f"v{s},s{s},2024-03-01T10:00:{s:02d},view_item,i1,1\n" for s in range(30))
        )


@contextmanager
def serve(folder: Path, settings: str, **environment: str) -> Iterator[Served]:
    port = free_port()
    (folder / "cartcast.yaml").write_text(settings.replace("PORT", str(port)))
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "cartcast", "app", "--project", str(folder), "--port", str(port)],
        stdout=log, stderr=subprocess.STDOUT,
        env={**os.environ, "CARTCAST_CLIENT_SECRET": "s", "CARTCAST_COOKIE_SECRET": COOKIE_SECRET,
             **environment},
    )  # fmt: skip
    made = Served(folder, port, process)
    try:
        for _ in range(900):
            try:
                if made.ask("GET", "/_stcore/health")[0] == 200:
                    break
            except OSError:
                assert process.poll() is None, (folder / "server.log").read_text()
            time.sleep(0.2)
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
        log.close()


AUTH = f"""sources: [secret-shop.csv]
upload_megabytes: {LIMIT}
auth:
  metadata_url: http://127.0.0.1:9/.well-known/openid-configuration
  client_id: app
  redirect_uri: http://localhost:PORT/oauth2callback
  admins: [{{issuer: '{ISSUER}', subject: boss}}]
"""


@pytest.fixture(scope="session")
def guarded(tmp_path_factory) -> Iterator[Served]:
    """The app of a project with a log, access on: boss is admin, ann analyst, eve viewer."""
    pytest.importorskip("streamlit")
    pytest.importorskip("websockets")
    from cartcast.app.access import Access, Person
    from cartcast.app.state import Project

    folder = tmp_path_factory.mktemp("guarded") / "shop"
    write_project(folder)
    project = Project(folder)
    for name in ("secret-shop.csv", "secret-other.csv"):
        project.read([str(folder / name)])
    access = Access(folder, {"admins": [{"issuer": ISSUER, "subject": "boss"}]})
    boss = Person(ISSUER, "boss", "Boss", "admin")
    access.set_role(boss, ISSUER, "ann", "analyst", "Ann")
    access.set_role(boss, ISSUER, "eve", "viewer", "Eve")
    with serve(folder, AUTH) as made:
        yield made


def shop_rows(mark: str = "u", count: int = 60) -> list[dict[str, Any]]:
    start = dt.datetime(2024, 3, 1)
    return [
        {
            "user_id": f"{mark}{i // 6}",
            "session_id": f"{mark}s{i // 3}",
            "event_time": str(start + dt.timedelta(minutes=i)),
            "event_type": "purchase" if i % 10 == 9 else "view",
            "product_id": f"p{i % 7}",
            "price": "9.5",
        }
        for i in range(count)
    ]


def shop_csv(mark: str = "u", count: int = 60) -> str:
    rows = shop_rows(mark, count)
    return "\n".join([",".join(rows[0]), *(",".join(r.values()) for r in rows)]) + "\n"


@pytest.fixture
def text():
    return shop_csv


@pytest.fixture
def shop():
    return shop_rows


@pytest.fixture
def call(capsys):
    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([*map(str, words)])
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    return run


def files_in(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*")}
