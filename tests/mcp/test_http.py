"""Streamable HTTP behind keys, by the official client and by hand."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.streamable_http import streamable_http_client

from cartcast.access.auditlog import AuditLog
from cartcast.access.keys import KeyFile
from cartcast.cli import main

from .conftest import Caller, served

LISTED = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


@pytest.fixture(scope="module")
def keys(alarmed: Path) -> dict[str, str]:
    file = KeyFile(alarmed / ".cartcast" / "keys.json")
    return {s: file.add(f"the {s} key", [s]) for s in ("ask", "ingest", "score", "admin")}


@pytest.fixture(scope="module")
def url(alarmed: Path, keys: dict[str, str]) -> Iterator[str]:
    with served(alarmed, "--allow-write") as address:
        yield address


def caller(url: str, key: str, mode: str = "auto") -> Caller:
    @asynccontextmanager
    async def transport() -> AsyncIterator[Any]:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as client,
            streamable_http_client(url, http_client=client) as streams,
        ):
            yield streams

    return Caller(transport(), mode)


def post(url: str, **headers: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        url, json.dumps(LISTED).encode(), method="POST",
        headers={"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
                 **headers},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
            told = json.loads(body) if body.startswith(b"{") else {"detail": body.decode()}
            return error.code, told


def test_an_agent_with_a_key_asks(url: str, keys: dict[str, str]) -> None:
    for mode in ("legacy", "auto"):
        with caller(url, keys["ask"], mode) as call:
            assert "Log: " in call("describe").text
    with caller(url, keys["ask"]) as call:
        assert "promote" in call.tools()
        answer = call("ask", what="funnel")
        assert call("check_text", text=answer.text).data["accepted"]
        assert call("run", name="stand_in").text.startswith("Run «stand_in»: a PROXY")


def test_who_may_ask_may_not_write(url: str, keys: dict[str, str], alarmed: Path) -> None:
    asked = {"run": "run", "alias": "challenger", "reason": "as an agent likes it"}
    with caller(url, keys["ask"]) as call:
        answer = call("promote", **asked)
    assert answer.refused
    assert "needs a key with the scope admin" in answer.text
    with caller(url, keys["admin"]) as call:
        assert not call("promote", **asked).refused
    last, first = AuditLog(alarmed).lines()[:2]
    assert (first.issuer, first.name, first.action, first.allowed) == (
        "key", "the ask key", "promote", False,
    )  # fmt: skip
    assert (last.issuer, last.name, last.allowed) == ("key", "the admin key", True)


def test_without_the_right_key_nothing_is_read(url: str, keys: dict[str, str]) -> None:
    broken = keys["ask"][:-1] + ("a" if keys["ask"][-1] != "a" else "b")
    for headers in (
        {}, {"Authorization": f"Bearer {broken}"}, {"Authorization": f"Basic {keys['ask']}"},
        {"X-Api-Key": "cc_00000000_x"}, {"Authorization": "Bearer "},
    ):  # fmt: skip
        status, told = post(url, **headers)
        assert (status, told["rule"]) == (401, "key")
    for scope in ("ingest", "score"):
        status, told = post(url, Authorization=f"Bearer {keys[scope]}")
        assert (status, told["rule"]) == (403, "scope ask")
    status, told = post(f"{url}/other", Authorization=f"Bearer {broken}")
    assert status == 401
    assert post(url, **{"X-Api-Key": keys["ask"]})[0] == 200


def test_another_name_of_this_machine_is_refused(url: str, keys: dict[str, str]) -> None:
    key = {"Authorization": f"Bearer {keys['ask']}"}
    assert post(url, **key, Host="evil.example:80")[0] == 421
    assert post(url, **key, Origin="http://evil.example")[0] == 403


def test_a_key_that_is_revoked_ends(url: str, alarmed: Path) -> None:
    file = KeyFile(alarmed / ".cartcast" / "keys.json")
    key = {"Authorization": f"Bearer {file.add('short', ['ask'])}"}

    def becomes(status: int) -> bool:
        for _ in range(600):  # The server looks at the file once a second.
            if post(url, **key)[0] == status:
                return True
            time.sleep(0.05)
        return False

    assert becomes(200)
    file.revoke("short")
    assert becomes(401)


def test_without_any_key_it_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cartcast.yaml").write_text("sources: []\n")
    with pytest.raises(SystemExit) as stopped:
        main(["mcp", "--project", str(tmp_path), "--http", "--port", "0"])
    assert stopped.value.code == 2
    assert "cartcast keys add NAME --scope ask" in capsys.readouterr().err
