"""Door: links to files that a page offered. A link alone opens nothing."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

st = pytest.importorskip("streamlit")
from streamlit.runtime.media_file_storage import MediaFileKind  # noqa: E402
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage  # noqa: E402

from cartcast.app import framework, gate  # noqa: E402
from cartcast.app.access import Access, Person  # noqa: E402

from .conftest import ISSUER  # noqa: E402

AUTH = {"client_id": "x", "admins": [{"issuer": ISSUER, "subject": "boss"}]}


@pytest.fixture
def door(tmp_path, monkeypatch):
    """A gate before an application that serves everything, and two files of the framework's."""
    storage = MemoryMediaFileStorage("/media")
    paths = {
        "export": storage.load_and_get_id(b"a,b", "text/csv", MediaFileKind.DOWNLOADABLE, "t.csv"),
        "image": storage.load_and_get_id(b"png", "image/png", MediaFileKind.MEDIA),
    }
    urls = {k: storage.get_url(v) for k, v in paths.items()}
    runtime = SimpleNamespace(media_file_mgr=SimpleNamespace(_storage=storage))
    monkeypatch.setattr("streamlit.runtime.get_instance", lambda: runtime)
    monkeypatch.setattr(framework, "claims", lambda sent: dict(sent) or None)
    monkeypatch.setattr(gate, "_standing", [])
    (tmp_path / "cartcast.yaml").write_text(
        f"auth: {{client_id: x, admins: [{{issuer: '{ISSUER}', subject: boss}}]}}\n"
    )
    access = Access(tmp_path, AUTH)
    boss = Person(ISSUER, "boss", "Boss", "admin")
    access.set_role(boss, ISSUER, "ann", "analyst", "")
    access.set_role(boss, ISSUER, "eve", "viewer", "")

    async def everything(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"served"})

    made = gate.Gate(everything, str(tmp_path))

    def ask(path: str, subject: str | None, method: str = "GET") -> int:
        told = [] if subject is None else [
            (b"cookie", f"iss={ISSUER}; sub={subject}; exp={time.time() + 99}".encode())
        ]  # fmt: skip
        sent: list[dict] = []

        async def send(message):
            sent.append(message)

        async def receive():
            raise AssertionError("the body was read")

        scope = {"type": "http", "method": method, "path": path, "headers": told}
        asyncio.run(made(scope, receive, send))
        return sent[0]["status"]

    real = framework.claims
    monkeypatch.setattr(
        framework, "claims",
        lambda sent: {**told, "exp": float(told["exp"])} if (told := real(sent)) else None,
    )  # fmt: skip
    return ask, urls


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("subject", "image", "export"),
    [(None, 401, 401), ("nobody", 403, 403), ("eve", 200, 403), ("ann", 200, 200)],
)
def test_an_export_needs_the_role_that_may_export(door, subject, image, export, method):
    ask, urls = door
    assert ask(urls["image"], subject, method) == image
    assert ask(urls["export"], subject, method) == export
    # Its ending is the link's own business: the file is known by what is before it.
    assert ask(urls["export"].removesuffix(".csv") + ".png", subject, method) == export
    assert ask("/media/gone.csv", subject, method) == export
