"""The door of the app's server: who may send what, decided before a body or a socket is read.

The framework's own endpoints know no roles: its uploads are kept in memory for anyone who opens a
socket, its downloads are served to anyone who has the link. So each request passes here first, and
what is not named here is refused. Without `auth:` everybody who reaches the server is its owner;
the bounds on what uploads may hold in memory are the same.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from cartcast.app import framework
from cartcast.app.access import Access, Person, RefusedError, check
from cartcast.app.gate_pages import page
from cartcast.app.state import Project
from cartcast.errors import CartcastError

__all__ = ["FILES_AT_ONCE", "Gate", "stands"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = {"/_stcore/health", "/auth/login", "/auth/logout", "/oauth2callback"}
"""What answers without a sign-in, beside the framework's own scripts under /static/."""

SIGN_IN = "/sign-in"
KNOWN_CORE = ("health", "host-config", "metrics", "stream", "upload_file", "bidi-components")

SESSION_UPLOADS, ALL_UPLOADS = 2, 4
"""Uploads held in memory, as multiples of `upload_megabytes`: by one session, and in all.

Two, because a file that replaces another arrives before the other is let go.
"""

FILES_AT_ONCE = 20
"""Uploaded files that one session may hold, however small."""

FRAME = 1 << 20
"""Bytes that a form may be larger than the file in it."""

PATIENCE = 60.0
"""Seconds without a byte after which an upload is given up: it holds a place."""

_standing: list[bool] = []


def stands() -> bool:
    """Return whether a gate guards this process."""
    return bool(_standing)


class _RefusalError(Exception):
    def __init__(self, status: int, why: str, person: Person | None = None) -> None:
        super().__init__(why)
        self.status, self.why, self.person = status, why, person


class Gate:
    """ASGI middleware in front of the framework.

    Args:
        app: what is guarded.
        folder: the project folder.
    """

    def __init__(self, app: App, folder: str) -> None:
        self.app = app
        self.folder = Path(folder)
        self.project = Project.open(self.folder)
        self.coming: Counter[str] = Counter()
        _standing.append(True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it without reading more of it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        try:
            action = self._action(scope)
            if scope["cartcast.path"] == SIGN_IN:
                await _redirect(framework.login_address(), send)
                return
            person = await self._admit(scope, action) if action else None
            session, size = self._upload(scope, person)
        except _RefusalError as refusal:
            await _refuse(scope, refusal, send)
            return
        if session is None:
            await self.app(scope, receive, send)
            return
        self.coming[session] += size
        try:
            await self.app(scope, _bounded(receive, size), send)
        finally:
            self.coming[session] -= size

    def _action(self, scope: Scope) -> str | None:
        """Return the action that a request is, as in `access.ACTIONS`; None when it is open."""
        if not framework.host_allowed(_header(scope, b"host")):
            raise _RefusalError(403, "this server does not go by that name.")
        path = framework.without_base(scope["path"])
        scope["cartcast.path"] = path
        if path.startswith("/_stcore/") and path.split("/")[2] not in KNOWN_CORE:
            raise _RefusalError(404, "not found.")
        if scope["type"] == "websocket":
            return "view"
        if path in OPEN or path == SIGN_IN or path.startswith("/static/"):
            return None
        if path.startswith("/_stcore/upload_file"):
            return "view" if scope["method"] == "OPTIONS" else "upload"
        if path.startswith("/_stcore/metrics"):
            return "people"
        if path.startswith("/media/"):
            return "export" if framework.is_download(path.removeprefix("/media/")) else "view"
        return "view"

    async def _admit(self, scope: Scope, action: str) -> Person | None:
        """Return the person, whose role covers the action; None when access is off."""
        access = await asyncio.to_thread(self._access)
        if not access.on:
            return None
        claims = framework.claims(framework.cookies(_header(scope, b"cookie")))
        if claims is None:
            raise _RefusalError(401, "Sign in to see this project.")
        try:
            person = await asyncio.to_thread(access.person, claims)
        except RefusedError as error:
            raise _RefusalError(401, str(error)) from error
        except CartcastError as error:
            framework.LOGGER.error("the role cannot be looked up: %s", error)
            raise _RefusalError(500, "your role cannot be looked up now; ask an admin.") from error
        if person.role is None:
            raise _RefusalError(403, "you have no role in this project yet.", person)
        try:
            check(person, action)
        except RefusedError as error:
            raise _RefusalError(403, str(error)) from error
        return person

    def _access(self) -> Access:
        """Return the roles as they are set now; access that was on is not lost with the file."""
        try:
            self.project = framework.reread(self.project)
        except CartcastError as error:
            framework.LOGGER.error("the settings cannot be read: %s", error)
        return self.project.access

    def _upload(self, scope: Scope, person: Person | None) -> tuple[str | None, int]:
        """Return the session and the size of an upload that has a place; no session for others."""
        path = str(scope["cartcast.path"])
        if scope["type"] != "http" or not path.startswith("/_stcore/upload_file"):
            return None, 0
        parts = path.split("/")
        session = parts[3] if len(parts) == 5 else ""
        theirs = framework.session_cookies(session)
        if theirs is None:
            raise _RefusalError(400, "there is no such session.")
        if person is not None and not _same(person, framework.claims(theirs)):
            raise _RefusalError(403, "this session is somebody else's.")
        if scope["method"] in ("OPTIONS", "DELETE"):
            return None, 0
        size = _size(scope)
        one = self.project.settings.upload_megabytes << 20
        if size > one + FRAME:
            raise _RefusalError(413, "the file is larger than upload_megabytes allows.")
        held = framework.held()
        files, held_here = len(held.get(session, ())), sum(held.get(session, ()))
        if files >= FILES_AT_ONCE or (
            held_here + self.coming[session] + size > SESSION_UPLOADS * (one + FRAME)
        ):
            raise _RefusalError(413, "this session holds too many uploads; read or remove some.")
        everything = sum(map(sum, held.values())) + self.coming.total()
        if everything + size > ALL_UPLOADS * (one + FRAME):
            raise _RefusalError(503, "too many uploads are held now; try again later.")
        return session, size


def _same(person: Person, claims: dict[str, Any] | None) -> bool:
    told = claims or {}
    return (str(told.get("iss")), str(told.get("sub"))) == (person.issuer, person.subject)


def _size(scope: Scope) -> int:
    told = _header(scope, b"content-length")
    if _header(scope, b"transfer-encoding") or told is None:
        raise _RefusalError(411, "say how long the file is.")
    if not told.isascii() or not told.isdigit() or len(told) > 18:
        raise _RefusalError(400, "the length is not a number.")
    return int(told)


def _header(scope: Scope, name: bytes) -> str | None:
    found = [v for k, v in scope["headers"] if k.lower() == name]
    # Browsers may send several cookie headers (HTTP/2); of others the first counts.
    if not found:
        return None
    return (b"; ".join(found) if name == b"cookie" else found[0]).decode("latin-1")


def _bounded(receive: Receive, size: int) -> Receive:
    """Return a `receive` that hangs up on what is longer than announced, or stalls."""
    left = size

    async def read() -> Message:
        nonlocal left
        try:
            message = await asyncio.wait_for(receive(), PATIENCE)
        except TimeoutError:
            return {"type": "http.disconnect"}
        left -= len(message.get("body", b""))
        return message if left >= 0 else {"type": "http.disconnect"}

    return read


async def _redirect(address: str, send: Send) -> None:
    headers = [(b"location", address.encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(scope: Scope, refusal: _RefusalError, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
        return
    asks_page = scope["method"] == "GET" and "text/html" in (_header(scope, b"accept") or "")
    if asks_page and refusal.status in (401, 403):
        kind, body = "text/html", page(refusal.why, refusal.person, framework.base())
    else:
        kind, body = "text/plain", refusal.why
    await send(
        {
            "type": "http.response.start",
            "status": refusal.status,
            # The body is not read, so the connection cannot go on.
            "headers": [
                (b"content-type", f"{kind}; charset=utf-8".encode()),
                (b"cache-control", b"no-store"),
                (b"connection", b"close"),
                (b"x-content-type-options", b"nosniff"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body.encode()})
