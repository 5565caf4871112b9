"""The routes that people and monitors read: health, metrics, models, sessions."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from cartcast.api.settings import Served
from cartcast.live.event import Event
from cartcast.live.metrics import exposition
from cartcast.live.own import is_own, is_secret
from cartcast.live.problems import CONTENT_TYPE, Problem
from cartcast.live.service import Live
from cartcast.live.session import Session, ids_in

__all__ = ["DESCRIPTION", "OWN", "PATHS", "Background", "add", "is_open", "running"]

Background = Callable[[], Awaitable[None]]
SNIPPET: Final = "/v1/cartcast.js"
OWN: Final = "/v1/own"
OPEN: Final = frozenset({"/healthz", "/readyz", SNIPPET})
"""Paths that need no key."""
_POSTHOG: Final = re.compile(r"/array/[^/]+/config(\.js)?").fullmatch
_POSTHOG_CONFIG: Final = {"supportedCompression": ["gzip", "gzip-js"], "hasFeatureFlags": False}
PATHS: Final = OPEN | {
    "/metrics", "/v1/models", "/v1/sessions", "/v1/status", OWN, "/docs", "/openapi.json",
}  # fmt: skip
DESCRIPTION: Final = (
    "Send events, get the probability that the visitor will buy, the expected revenue and the "
    "segment, while the visitor is still there. Errors are problem documents (RFC 9457). Events "
    "are counted once per `event_id`; late ones are put in their place within the late window."
)


def add(app: FastAPI, live: Live, served: Served) -> None:
    """Add the routes and the handlers of errors."""

    @app.get("/healthz", summary="The process runs", tags=["health"])
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Events can be taken", tags=["health"])
    async def ready() -> dict[str, Any]:
        await live.store.ready()
        return {"status": "ready", "model": live.scorer.version, **live.store.counts()}

    @app.get(
        "/array/{key}/config", summary="What PostHog's browser library asks", tags=["trackers"]
    )
    async def posthog_config(key: str) -> dict[str, Any]:
        return _POSTHOG_CONFIG

    @app.get("/array/{key}/config.js", include_in_schema=False)
    async def posthog_script(key: str) -> Response:
        return Response("/* asks for /config next */", media_type="text/javascript")

    if served.metrics:

        @app.get(
            "/metrics",
            summary="Counters for Prometheus",
            tags=["health"],
            response_class=PlainTextResponse,
        )
        async def metrics() -> PlainTextResponse:
            loop = asyncio.get_running_loop()
            own = live.experiments.collect() if live.experiments is not None else ()
            told = [*live.metrics.collect(), *live.store.collect(), *own]
            for gauge in live.gauges:
                told += await loop.run_in_executor(None, gauge)
            text = exposition(told)
            return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    @app.get("/v1/models", summary="The model in use", tags=["models"])
    async def models() -> dict[str, Any]:
        champion = live.scorer.describe()
        shadow = live.shadow and live.shadow.version
        return {"champion": champion, "refused": live.refused_model, "shadow": shadow}

    @app.get("/v1/status", summary="What the service did in the last ten minutes", tags=["health"])
    async def status() -> dict[str, Any]:
        return _status(live)

    script = Path(__file__).with_name("cartcast.js").read_bytes()

    @app.get(SNIPPET, summary="The browser snippet", tags=["sessions"], response_class=Response)
    async def snippet() -> Response:
        headers = {
            "Cache-Control": "public, max-age=3600",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(script, media_type="text/javascript", headers=headers)

    @app.get(OWN, summary="The score of a device's own session", tags=["sessions"])
    async def own(visitor_id: str = Query(min_length=1, max_length=256)) -> dict[str, Any]:
        event = Event("other", visitor_id=visitor_id)
        session = await live.store.find_visitor(event) if is_secret(visitor_id) else None
        if session is None or not is_own(session, event):
            # The same for all: whether there is such a session is nobody's business either.
            return {"click": None, "p_buy": None, "segment": None}
        score = live.scorer.score(session.state)
        return {"click": session.clicks, "p_buy": score.p_buy, "segment": score.segment}

    @app.get("/v1/sessions", summary="The open session of a visitor", tags=["sessions"])
    async def session_of(
        visitor_id: str | None = Query(None, min_length=1, max_length=256),
        user_id: str | None = Query(None, min_length=1, max_length=256),
        arms: bool = False,
    ) -> dict[str, Any]:
        if (visitor_id is None) == (user_id is None):
            raise Problem(422, "visitor_id: give visitor_id or user_id", field="visitor_id")
        event = Event("other", visitor_id=visitor_id, user_id=user_id)
        return _view(live, await live.store.find_visitor(event), arms)

    @app.get("/v1/sessions/{session_id}", summary="One open session", tags=["sessions"])
    async def session(session_id: str, arms: bool = False) -> dict[str, Any]:
        return _view(live, await live.store.find(session_id), arms)

    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)


def _status(live: Live) -> dict[str, Any]:
    count, model = live.metrics, live.scorer.describe()
    facts = ("version", "run_id", "model", "created", "target")
    return {
        "time": _iso(time.time_ns() // 1000),
        "started": _iso(int(live.started * 1e6)),
        "process": os.getpid(),
        "model": {
            **{name: model.get(name) for name in facts},
            "taken_up": _iso(int(live.taken_up * 1e6)),
            "refused": live.refused_model,
        },
        "sessions": live.store.status(),
        "events": dict(count.events),
        "set_aside": dict(count.set_aside.most_common(50)),
        "refused": dict(count.refused),
        **live.recent.document(),
    }


def _view(live: Live, session: Session | None, arms: bool) -> dict[str, Any]:
    if session is None:
        raise Problem(404, "no open session of this name; sessions are kept until they expire")
    ids = ids_in(session)
    score = live.scorer.score(session.state)
    return {
        "session_id": session.id,
        "clicks": session.clicks,
        "first_time": _iso(session.first),
        "last_time": _iso(session.last_time),
        "p_buy": score.p_buy,
        "revenue": score.revenue,
        "segment": score.segment,
        "why": score.why,
        "model": live.scorer.version,
        "features": live.scorer.values(session.state),
        **({"arms": live.running.look(ids)} if arms else {}),
    }


def _iso(micros: int) -> str | None:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat() if micros > 0 else None


def _problem_response(problem: Problem) -> Response:
    return Response(
        problem.encode(), problem.status, headers=problem.headers, media_type=CONTENT_TYPE
    )


async def _on_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _problem_response(error)


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    return _problem_response(Problem(error.status_code, str(error.detail), headers=headers))


async def _on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or "query"
    return _problem_response(
        Problem(422, f"{field}: {first['msg']}", field=field, rule=first["msg"])
    )


def is_open(path: str) -> bool:
    """Tell whether a path needs no key.

    >>> is_open("/healthz"), is_open("/array/k/config"), is_open("/metrics")
    (True, True, False)
    """
    return path in OPEN or _POSTHOG(path) is not None


@asynccontextmanager
async def running(background: Sequence[Background]) -> AsyncIterator[None]:
    """Run coroutine functions until the block ends."""
    tasks = [asyncio.ensure_future(function()) for function in background]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
