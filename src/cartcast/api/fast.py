"""Whole small requests to hot routes, answered without a task, a queue or two messages each.

uvicorn's protocol starts a task for every request and passes its body and answer as messages: more
work than folding and scoring the event. Where a request to a hot route has arrived whole, this
protocol calls the service at once and writes one answer. Everything else (bodies in parts, other
routes, proxies' headers, pipelines, clients that do not read) goes the usual way. What it gains is
measured in docs/decisions/0030-own-http-protocol.md.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any

from httptools import parse_url

from cartcast.api.connection import GuardedProtocol
from cartcast.api.trackers import HOT, Hot

__all__ = ["FastProtocol"]

_FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"transfer-encoding"})


class _Pending:
    """Stands for the request whose answer waits for the disk, where uvicorn looks for one."""

    def __init__(self) -> None:
        self.response_started = False
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = True
        self.message_event = self

    def set(self) -> None:
        """Tell nobody: the answer is written when it is there, or dropped."""


@coroutine
def _rest(begun: Coroutine[Any, Any, bytes], waits_for: Any) -> Generator[Any, Any, bytes]:
    """Continue with a coroutine that has been begun and waits, as `await` does (PEP 380)."""
    while True:
        failed: BaseException | None = None
        try:
            came = yield waits_for
        except GeneratorExit:
            begun.close()
            raise
        except BaseException as error:  # noqa: BLE001 - the coroutine is told
            failed = error
        try:
            waits_for = begun.send(came) if failed is None else begun.throw(failed)
        except StopIteration as done:
            answer: bytes = done.value
            return answer


class FastProtocol(GuardedProtocol):
    """HTTP/1.1 within limits, with a short way for hot routes; the application is a `Service`."""

    _hot: Hot | None = None
    _parts: bytes = b""

    def data_received(self, data: bytes) -> None:
        """Parse; a request that is not whole yet goes the usual way."""
        super().data_received(data)
        if self._hot is not None:
            self._hot = None
            if self.lingers:
                return
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
        self.check_head()
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
        self._hot, self._in_message = None, False
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
        task = self.loop.create_task(self._later(_rest(begun, waits_for), self.cycle))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

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

    async def _later(self, rest: Any, pending: _Pending) -> None:
        answer = await rest
        pending.response_complete = True
        if pending.disconnected or self.transport.is_closing():
            return
        self._finish(answer, pending.keep_alive)

    def _finish(self, answer: bytes, keep_alive: bool = True) -> None:
        self._wire.write(answer)
        if not keep_alive or (answer[9:12] != b"200" and b"\r\nconnection: close\r\n" in answer):
            self._wire.close()
        self.on_response_complete()
