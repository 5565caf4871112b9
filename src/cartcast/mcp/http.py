"""Streamable HTTP behind keys: no request is read without one."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvicorn

from cartcast import system
from cartcast.access.keys import KeyFile, Keys
from cartcast.errors import UsageError
from cartcast.live.problems import CONTENT_TYPE, Problem
from cartcast.mcp.server import KEY, Door

__all__ = ["PATH", "Gate", "over_http"]

PATH = "/mcp"


class Gate:
    """Lets a request through to `app` that carries a living key with the scope `ask`.

    The key comes as `Authorization: Bearer KEY` or `X-Api-Key: KEY`.
    """

    def __init__(self, app: Any, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or run the lifespan."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        key = self._keys.find(_text_of(scope["headers"]))
        if key is not None and key.allows("ask"):
            await self._app({**scope, KEY: key}, receive, send)
            return
        problem = Problem(401, "a key that is known must be given", rule="key")
        if key is not None:
            problem = Problem(403, "the key must have the scope 'ask'", rule="scope ask")
        headers = [(b"content-type", CONTENT_TYPE.encode())]
        if key is None:
            headers.append((b"www-authenticate", b"Bearer"))
        status = HTTPStatus(problem.status)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": problem.encode()})


def _text_of(headers: list[tuple[bytes, bytes]]) -> str:
    told = dict(headers)
    kind, _, key = told.get(b"authorization", b"").decode("latin-1").partition(" ")
    if kind.lower() == "bearer":
        return key.strip()
    return told.get(b"x-api-key", b"").decode("latin-1")


async def over_http(
    door: Door, keys: Path, host: str, port: int, announce: Callable[[str], None]
) -> None:
    """Serve until stopped; `announce` is told the address.

    Raises:
        UsageError: there is no key, without which nobody could ask.
        StorageError: the port is taken.
    """
    file = KeyFile(keys)
    if not file.read():
        raise UsageError(
            f"{keys}: no keys; make one with `cartcast keys add NAME --scope ask`, or serve one "
            "client over standard input and output, without --http."
        )
    app = door.server.streamable_http_app(
        streamable_http_path=PATH, json_response=True, stateless_http=True, host=host
    )
    with system.listen(host, port) as listener:
        config = uvicorn.Config(
            Gate(app, Keys(file)), access_log=False, log_level="warning", server_header=False
        )
        shown = f"[{host}]" if ":" in host else host
        announce(f"serving MCP on http://{shown}:{listener.getsockname()[1]}{PATH}")
        await uvicorn.Server(config).serve(sockets=[listener])
