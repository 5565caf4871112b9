"""Whole small requests to hot routes, answered without a task, a queue or two messages each.

uvicorn's protocol starts a task for every request and passes its body and answer as messages: more
work than folding and scoring the event. Where a request to a hot route has arrived whole, this
protocol calls the service at once and writes one answer. Everything else (bodies in parts, other
routes, proxies' headers, pipelines, clients that do not read) goes the usual way.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any

from httptools import parse_url
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cartcast.api.hot import HOT, Hot

__all__ = ["FastProtocol"]

_FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"transfer-encoding"})


class _Pending:
    """Stands for the request whose answer waits for the disk, where uvicorn looks for one."""

    def __init__(self) -> None:
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = True
        self.message_event = self

    def set(self) -> None:
        """Tell nobody: the answer is written when it is there, or dropped."""


class _Rest:
    """What is left of a coroutine that waits for a future, for a task to go on with."""

    def __init__(self, begun: Coroutine[Any, Any, bytes], waits_for: Any) -> None:
        self._begun = begun
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, bytes]:
        try:
            yield self._waits_for
        except BaseException as error:  # a cancelled task: the coroutine must hear of it
            self._begun.throw(error)
            raise
        return (yield from self._begun.__await__())


class FastProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with a short way for hot routes; the application is a `Service`."""

    _hot: Hot | None = None
    _parts: bytes = b""
    _answered = 0.0

    def data_received(self, data: bytes) -> None:
        """Parse; a request that is not whole yet goes the usual way."""
        super().data_received(data)
        if self._hot is not None:
            self._hot = None
            super().on_headers_complete()
            if self._parts:
                super().on_body(self._parts)

    def on_headers_complete(self) -> None:
        """Hold a request that may be answered at once; hand the others on."""
        url = self.url
        hot = HOT.get(url.partition(b"?")[0].decode("latin-1"))
        if hot is None or not self._is_plain():
            super().on_headers_complete()
            return
        self._hot, self._parts = hot, b""

    def on_body(self, body: bytes) -> None:
        """Collect the body of a held request."""
        if self._hot is None:
            super().on_body(body)
        else:
            self._parts += body

    def on_message_complete(self) -> None:
        """Answer a held request."""
        hot = self._hot
        if hot is None:
            super().on_message_complete()
            return
        self._hot = None
        scope: Any = self.scope
        scope["method"] = "POST"
        url = parse_url(self.url) if b"?" in self.url else None
        scope["path"] = (self.url if url is None else url.path).decode("latin-1")
        scope["query_string"] = b"" if url is None else url.query or b""
        begun = self.config.app.fast(hot, scope, self._parts)  # type: ignore[union-attr]
        try:
            waits_for = begun.send(None)
        except StopIteration as done:
            self._finish(done.value)
            return
        self.cycle: Any = _Pending()
        task = self.loop.create_task(self._later(_Rest(begun, waits_for), self.cycle))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; one that was answered meanwhile is looked at again."""
        idle = self.loop.time() - self._answered
        busy = self.cycle is not None and not self.cycle.response_complete
        if not busy and idle >= self.timeout_keep_alive:
            super().timeout_keep_alive_handler()
            return
        wait = self.timeout_keep_alive - (0.0 if busy else idle)
        self.timeout_keep_alive_task = self.loop.call_later(wait, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        """Leave the timer: moving it for every request costs more than looking at it once."""
        if self.transport.is_closing():
            super()._unset_keepalive_if_required()

    def on_response_complete(self) -> None:
        """Go on as uvicorn does, without a second timer."""
        self._answered = self.loop.time()
        if not self.pipeline and not self.transport.is_closing():
            self.server_state.total_requests += 1
            self.flow.resume_reading()
            self._arm()
            return
        super().on_response_complete()

    def _is_plain(self) -> bool:
        parser, cycle = self.parser, self.cycle
        if self.limit_concurrency is not None or self.root_path or self.expect_100_continue:
            return False
        if not (cycle is None or cycle.response_complete) or self.flow.write_paused:
            return False
        if parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
            return False
        if parser.should_upgrade() or not parser.should_keep_alive():
            return False
        return all(name not in _FORWARDED for name, _ in self.headers)

    async def _later(self, rest: _Rest, pending: _Pending) -> None:
        answer = await rest
        pending.response_complete = True
        if pending.disconnected or self.transport.is_closing():
            return
        self.transport.write(answer)
        if not pending.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _finish(self, answer: bytes) -> None:
        self.transport.write(answer)
        if answer[9:12] != b"200" and b"\r\nconnection: close\r\n" in answer:
            self.transport.close()
        self.server_state.total_requests += 1
        self._answered = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._arm()

    def _arm(self) -> None:
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
