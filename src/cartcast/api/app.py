"""The application: FastAPI for what people read, plain ASGI inside it for what trackers send.

Every request passes one gate: request id, method, key and scope, rate, body within limits. What
goes wrong is a problem document; what was not foreseen is logged and answered with 500.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI

from cartcast.access.keys import Key, Keys
from cartcast.api import routes
from cartcast.api.connection import Connections
from cartcast.api.hot import (
    Request,
    answer_assign,
    answer_decide,
    answer_events,
    answer_scores,
)
from cartcast.api.lane import in_turn
from cartcast.api.limits import Buckets
from cartcast.api.openapi import describe
from cartcast.api.requests import (
    GZIP,
    Headers,
    Receive,
    Scope,
    Send,
    key_of,
    query_of,
    read_body,
    read_headers,
    whole_body,
)
from cartcast.api.settings import Served
from cartcast.api.trackers import GIF, HOT, SNOWPLOW, Hot, is_snowplow, webhooks
from cartcast.live.problems import CONTENT_TYPE, Problem
from cartcast.live.protocols.webhook import PING, is_signed
from cartcast.live.service import Live

if TYPE_CHECKING:
    from cartcast.activation.decisions import Decisions

__all__ = ["Service"]

logger = logging.getLogger(__name__)
FAILED_PER_SECOND: Final = 10.0
"""Wrong keys per second and address that are still answered with 401; then it is 429."""
_OK: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json"
_NO_HEADERS = Headers("", None, False, None, None, None)
_ASKABLE: Final = b"authorization, content-type, x-api-key, x-request-id"


class Service(FastAPI):
    """The HTTP service of one `Live`.

    Args:
        live: takes events and scores.
        keys: API keys; empty (false) means that none are asked for.
        served: limits and what is shown.
        background: coroutine functions run while the service runs.
        opens: whether the service opens and closes the state itself.
        decisions: the activations that are decided, or None.
    """

    def __init__(
        self,
        live: Live,
        keys: Keys | None = None,
        served: Served | None = None,
        background: Sequence[routes.Background] = (),
        opens: bool = True,
        decisions: Decisions | None = None,
    ) -> None:
        self.live = live
        self.decisions = decisions
        self.keys = keys or Keys(None)
        self.served = served or Served()
        self.hot = {**HOT, **webhooks(dict(self.served.webhooks), os.environ)}
        self._rate = Buckets(self.served.rate) if self.served.rate else None
        self._failures = Buckets(FAILED_PER_SECOND)
        self.connections = Connections(self.served.max_connections, self.served.max_each)
        self._background = tuple(background)
        self._opens = opens
        super().__init__(
            title="Cartcast live",
            description=routes.DESCRIPTION,
            version="1",
            docs_url="/docs" if self.served.docs else None,
            redoc_url=None,
            openapi_url="/openapi.json" if self.served.docs else None,
            lifespan=self._life,
        )
        routes.add(self, live, self.served)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, the hot routes included."""
        if self.openapi_schema is None:
            described = describe(super().openapi(), self.hot, secured=bool(self.keys))
            self.openapi_schema = described
        return self.openapi_schema

    @asynccontextmanager
    async def _life(self, _: FastAPI) -> AsyncIterator[None]:
        if self._opens:
            await self.live.store.open()
        plans = (self.live.experiments, self.decisions)
        watching = [one.watch for one in plans if one is not None]
        try:
            async with routes.running((*self._background, self.live.recent.watch, *watching)):
                yield
        finally:
            if self.decisions is not None:
                await self.decisions.keeper.close()
            if self._opens:
                await self.live.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or run the lifespan."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        started = perf_counter()
        path: str = scope["path"]
        headers, answered = _NO_HEADERS, None
        hot, label = self.hot.get(path), path
        if hot is None and is_snowplow(path):
            label = SNOWPLOW
            hot = self.hot[label]
        elif hot is None and path not in routes.PATHS:
            label = "other"
        try:
            headers = read_headers(scope)
            if scope["method"] == "OPTIONS" and headers.origin is not None:
                status, body, extra = 204, b"", self._preflight(headers)
            elif hot is not None:
                body = await self._hot(hot, scope, headers, receive, b"")
                kind = b"image/gif" if body is GIF else b"application/json"
                status, extra = 200, [(b"content-type", kind)]
            else:
                answered = await self._cold(path, scope, headers, receive, send)
        except Problem as problem:
            status, body, extra = self._refused(problem, headers.request_id, label)
        except asyncio.CancelledError:
            status, body, extra = self._refused(_stopping(), headers.request_id, label)
        except Exception:
            # Never the cause in the answer: it may hold data. The log has it, by request id.
            logger.exception("unexpected error", extra={"request_id": headers.request_id})
            status, body, extra = self._refused(_unforeseen(), headers.request_id, label)
        if answered is None:
            await self._respond(send, status, body, extra, headers)
        else:
            status = answered
        self._note(label, status, started, headers)

    async def fast(self, hot: Hot, scope: Scope, body: bytes) -> bytes:
        """Return the whole HTTP/1.1 answer to a request whose body is there (`api.fast`)."""
        started = perf_counter()
        headers, status = _NO_HEADERS, 200
        extra: list[tuple[bytes, bytes]] = []
        try:
            headers = read_headers(scope)
            body = await self._hot(hot, scope, headers, None, body)
        except Problem as problem:
            status, body, extra = self._refused(problem, headers.request_id, scope["path"])
        except asyncio.CancelledError:
            status, body, extra = self._refused(_stopping(), headers.request_id, scope["path"])
        except Exception:
            logger.exception("unexpected error", extra={"request_id": headers.request_id})
            status, body, extra = self._refused(_unforeseen(), headers.request_id, scope["path"])
        if headers.origin is not None:
            extra += self._origin(headers)
        self._note(scope["path"], status, started, headers)
        return _whole_answer(status, body, extra, headers.request_id)

    def refusal(self, problem: Problem) -> bytes:
        """Return the whole HTTP/1.1 answer to what is refused before it is a request."""
        problem.headers.setdefault("Connection", "close")
        name = read_headers({"headers": (), "method": ""}).request_id
        return _whole_answer(*self._refused(problem, name, "other"), name)

    def _note(self, label: str, status: int, started: float, headers: Headers) -> None:
        seconds = perf_counter() - started
        self.live.metrics.observe(label, status, seconds)
        self.live.recent.answered(label, status, seconds)
        if status >= 400:
            logger.info(
                "refused",
                extra={"request_id": headers.request_id, "path": label, "status": status},
            )

    def _refused(
        self, problem: Problem, request_id: str, label: str
    ) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        """Return status, body and headers of a refusal, and count it."""
        self.live.metrics.refused[str(problem.status)] += 1
        rule = problem.rule or problem.title
        self.live.recent.failed(label, problem.status, problem.field, rule, request_id)
        return _as_response(problem, request_id)

    async def _body(self, headers: Headers, receive: Receive | None, body: bytes) -> bytes:
        most = self.served.max_body
        if receive is not None:
            body = await read_body(receive, headers, most, self.served.body_seconds)
        elif len(body) <= most and not headers.gzip and not body.startswith(GZIP):
            return body
        return await in_turn(body, whole_body, headers, most)

    async def _hot(
        self, hot: Hot, scope: Scope, headers: Headers, receive: Receive | None, body: bytes
    ) -> bytes:
        """Check key and rate, read the body unless it is there, answer."""
        _require_method(hot, scope["method"])
        pixel = scope["method"] != "POST"
        query = {} if pixel else query_of(scope)
        if pixel:
            # The query is what others have in the body; a head is bounded as it is.
            body, receive = scope["query_string"], None
        scores, own = True, False
        if hot.secret is not None:
            body = await self._signed(hot.secret, scope, headers, receive, body)
            scores = False
        elif self.keys:
            text = key_of(headers, query)
            if text is None and hot.key_in is not None:
                self._failures.take(_address(scope), 0)
                body = await self._body(headers, receive, body)
                text = await in_turn(body, hot.key_in)
                key = self._require(text, hot.scope, scope)
            else:
                key = self._require(text, hot.scope, scope)
                body = await self._body(headers, receive, body)
            scores, own = key.allows("score"), key.allows("page")
        else:
            if self._rate is not None:
                self._rate.take(_address(scope))
            body = await self._body(headers, receive, body)
        request = Request(body, query, scores, pixel, own)
        if hot.scope == "score":
            return await answer_scores(self.live, request, self.served)
        if hot.assigns:
            return await answer_assign(self.live, request)
        if hot.decides:
            return await answer_decide(self.decisions, request)
        return await answer_events(self.live, request, hot, self.served, self.decisions)

    async def _signed(
        self, secret: str, scope: Scope, headers: Headers, receive: Receive | None, body: bytes
    ) -> bytes:
        """Return the body of a webhook when its signature is right.

        Raises:
            Problem: 401 when it is not, 429 after too many of those or beyond the rate.
        """
        self._failures.take(_address(scope), 0)
        if self._rate is not None:
            self._rate.take(_address(scope))
        body = await self._body(headers, receive, body)
        given = (headers.signature or b"").decode("latin-1")
        if not PING(body) and not await in_turn(body, is_signed, given, secret):
            self._failures.take(_address(scope))
            raise Problem(401, "the signature of the body is not right", rule="signature")
        return body

    async def _cold(
        self, path: str, scope: Scope, headers: Headers, receive: Receive, send: Send
    ) -> int:
        if self.keys and not routes.is_open(path):
            needed = "score" if path.startswith("/v1/") else "admin"
            needed = "page" if path == routes.OWN else needed
            text = key_of(headers, query_of(scope))
            # What asks for a path without any key guesses none; libraries of trackers do.
            self._require(text, needed, scope, counted=text is not None)
        elif self._rate is not None and path not in routes.OPEN:
            self._rate.take(_address(scope))
        status = 500
        added = [(b"x-request-id", headers.request_id.encode()), *self._origin(headers)]

        async def sending(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *added]
            await send(message)

        if scope["method"] == "HEAD":
            # uvicorn sends no body to a HEAD; all else is as for a GET (RFC 9110, section 9.3.2).
            scope = {**scope, "method": "GET"}
        await super().__call__(scope, receive, sending)
        return status

    def _require(self, text: str | None, needed: str, scope: Scope, counted: bool = True) -> Key:
        """Return the key when it lives and allows `needed`; a failure is `counted` by address.

        Raises:
            Problem: 401 without a living key, 403 without the scope, 429 beyond the rate.
        """
        key = self.keys.find(text) if text else None
        if key is None:
            if counted:
                self._failures.take(_address(scope))
            missing = "a key must be given" if not text else "the key is not known or has ended"
            raise Problem(401, missing, rule="key", headers={"WWW-Authenticate": "Bearer"})
        if self._rate is not None:
            self._rate.take(key.id)
        if not key.allows(needed):
            rule = f"scope {needed}"
            raise Problem(403, f"the key must have the scope {needed!r}", rule=rule)
        return key

    def _origin(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """Return what a page of the request's origin needs to see the answer."""
        origins = self.served.origins
        if headers.origin is None or not origins:
            return []
        exposed = (b"access-control-expose-headers", b"retry-after, x-request-id")
        if "*" in origins:
            return [(b"access-control-allow-origin", b"*"), exposed]
        if headers.origin.decode("latin-1") not in origins:
            return [(b"vary", b"origin")]
        allowed = [(b"access-control-allow-origin", headers.origin), (b"vary", b"origin"), exposed]
        if self.served.credentials:
            allowed.append((b"access-control-allow-credentials", b"true"))
        return allowed

    def _preflight(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """Allow what the browser asks for; whether the origin may call, `_origin` says."""
        return [
            (b"access-control-allow-methods", b"GET, HEAD, POST, OPTIONS"),
            (b"access-control-allow-headers", headers.wanted or _ASKABLE),
            (b"access-control-max-age", b"600"),
        ]

    async def _respond(
        self,
        send: Send,
        status: int,
        body: bytes,
        extra: list[tuple[bytes, bytes]],
        headers: Headers,
    ) -> None:
        extra.append((b"content-length", str(len(body)).encode()))
        extra.append((b"x-request-id", headers.request_id.encode()))
        if headers.origin is not None:
            extra += self._origin(headers)
        await send({"type": "http.response.start", "status": status, "headers": extra})
        await send({"type": "http.response.body", "body": body})


def _require_method(hot: Hot, method: str) -> None:
    """Raise 405 unless the method is one of the route's."""
    if method == "POST" and hot.protocol is not None:
        return
    allowed = [m for m, has in (("GET", hot.pixel), ("POST", hot.protocol or not hot.pixel)) if has]
    if method not in allowed:
        said = " or ".join(allowed)
        raise Problem(405, f"the method must be {said}", headers={"Allow": ", ".join(allowed)})


def _as_response(problem: Problem, request_id: str) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    extra = [(b"content-type", CONTENT_TYPE.encode())]
    extra += [(n.lower().encode(), v.encode()) for n, v in problem.headers.items()]
    return problem.status, problem.encode(request_id), extra


def _whole_answer(
    status: int, body: bytes, extra: list[tuple[bytes, bytes]], request_id: str
) -> bytes:
    first = _OK
    if status != 200:
        first = b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode())
    more = b"".join([b"\r\n%s: %s" % pair for pair in extra]) if extra else b""
    name = request_id.encode()
    return b"%s%s\r\ncontent-length: %d\r\nx-request-id: %s\r\n\r\n%s" % (
        first, more, len(body), name, body,
    )  # fmt: skip


def _stopping() -> Problem:
    detail = "the server stops; send the request again"
    return Problem(503, detail, headers={"Retry-After": "2", "Connection": "close"})


def _unforeseen() -> Problem:
    return Problem(500, "unexpected error; the log has it under this request id")


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "local"
