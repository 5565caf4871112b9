"""What one connection may cost: heads, idle time, slow readers, and a close that is heard.

uvicorn bounds neither the size of a head nor the time in which it comes, nor the number of
connections. And a server that closes with bytes unread makes the kernel reset the connection, so
that the client never sees why: here a close in the middle of a request says its answer, ends its
own side and reads on for a bounded while (RFC 9112, section 9.6).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cartcast.live.problems import Problem

__all__ = ["Connections", "GuardedProtocol"]

MAX_HEAD: Final = 32_768
"""Bytes of a request line and its headers."""
MAX_HEADERS: Final = 100
LINGER_BYTES: Final = 64 * 2**20
"""Bytes that are read and dropped after a refusal, so that the client gets to its answer."""
LINGER_SECONDS: Final = 5.0
_WISH: Final = frozenset({b"upgrade", b"http2-settings"})
_SPARE: Final = 64
"""Refused connections that may wait for their 503 to be read; beyond these they are reset."""


class Connections:
    """Counts open connections, by address and in all.

    >>> counts = Connections(most=3, most_each=2)
    >>> [counts.enter("a") for _ in range(3)], counts.enter("b")
    ([True, True, False], False)
    """

    def __init__(self, most: int, most_each: int) -> None:
        self.most = most
        self.most_each = most_each
        self.total = 0
        self._each: dict[str, int] = {}

    def enter(self, address: str) -> bool:
        """Count one connection; return whether it lies within the limits."""
        self.total += 1
        count = self._each[address] = self._each.get(address, 0) + 1
        return self.total <= self.most and count <= self.most_each

    def leave(self, address: str) -> None:
        """Take one connection off the count."""
        self.total -= 1
        if self._each[address] == 1:
            del self._each[address]
        else:
            self._each[address] -= 1


class _Transport:
    """A transport whose `close` is the protocol's own."""

    def __init__(self, protocol: GuardedProtocol, wire: Any) -> None:
        self._protocol = protocol
        self._wire = wire
        self.write = wire.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)

    def is_closing(self) -> bool:
        return self._protocol.lingers or self._wire.is_closing()

    def close(self) -> None:
        self._protocol.close()


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 within limits; the application is a `Service`."""

    lingers = False
    _wire: Any = None
    _problem: Problem | None = None
    _head_since: float | None = None
    _timer: asyncio.TimerHandle | None = None
    _answered = 0.0
    _raw = 0
    _chunk = 0
    _in_head = _in_message = _stuck = _wishes = False

    def connection_made(self, transport: Any) -> None:
        """Let a connection in, or refuse it with 503."""
        self._wire = transport
        super().connection_made(_Transport(self, transport))  # type: ignore[arg-type]
        self._answered = self._head_since = self.loop.time()
        served = self.config.app.served  # type: ignore[union-attr]
        self._arm(self._head_since + served.head_seconds)
        counts: Connections = self.config.app.connections  # type: ignore[union-attr]
        self._address = self.client[0] if self.client else "local"
        if not counts.enter(self._address):
            if counts.total > counts.most + _SPARE:
                transport.abort()
                return
            rule = f"at most {counts.most_each} connections per address, {counts.most} in all"
            retry = {"Retry-After": "2"}
            self.refuse(Problem(503, "too many connections", rule=rule, headers=retry))

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection."""
        self.config.app.connections.leave(self._address)  # type: ignore[union-attr]
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse within the limits; drop what comes after a refusal."""
        self._raw += len(data)
        if self.lingers:
            if self._raw > LINGER_BYTES:
                self._wire.abort()
            return
        self._chunk = len(data)
        self._feed(memoryview(data))
        if not self._in_message:
            return
        if self._in_head:
            if self._raw > MAX_HEAD:
                self.refuse(_too_long())
            elif self._head_since is None:
                self._head_since = self.loop.time()
                self._arm(self._head_since + self.config.app.served.head_seconds)  # type: ignore[union-attr]
        elif self._raw > 2 * (self.config.app.served.max_body + MAX_HEAD):  # type: ignore[union-attr]
            # Chunks of one byte, endless trailers, or a body that nobody reads any more.
            self.refuse(Problem(413, "the body, as it is sent, is too long", field="body"))

    def _feed(self, data: memoryview) -> None:
        """Parse; a wish for another protocol is ignored, as RFC 9110 (section 7.8) allows."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except HttpParserUpgrade as wish:
                # The parser leaves the body to the other protocol: begin again without the wish.
                data = data[wish.args[0] :]
                self.parser = HttpRequestParser(self)
                head = self._plain_head()
            except HttpParserError:
                self.send_400_response("the request must be HTTP/1.1")
                return
            self._wishes = False
            self._feed(memoryview(head))
            if self.lingers:
                return

    def _plain_head(self) -> bytes:
        """Return the head just parsed, without its wish for another protocol."""
        lines = [b"%s %s HTTP/1.1" % (self.scope["method"].encode(), self.url)]
        for name, value in self.headers:
            if name == b"connection":
                words = [word.strip() for word in value.split(b",")]
                value = b", ".join(w for w in words if w.lower() not in _WISH)
            if name not in _WISH:
                lines.append(b"%s: %s" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        """Start counting a request."""
        self._in_head = self._in_message = True
        self._raw = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Check the head, and hand the request on."""
        self.check_head()
        if not self._wishes:
            super().on_headers_complete()

    def check_head(self) -> None:
        """Note that a head is whole; refuse one that is too long."""
        self._in_head, self._head_since = False, None
        headers = self.headers
        if len(headers) > MAX_HEADERS or (
            self._chunk > MAX_HEAD
            and sum(len(n) + len(v) for n, v in headers) + len(self.url) > MAX_HEAD
        ):
            self._problem = _too_long()
            raise self._problem
        self._wishes = self.parser.should_upgrade()
        if not self._wishes:
            return
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._problem = Problem(405, "this is no proxy", headers={"Allow": "GET, POST"})
            raise self._problem
        self.scope["method"] = method.decode()

    def on_message_complete(self) -> None:
        """Note that a request is whole."""
        if not self._wishes:
            self._in_message = False
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser refused."""
        if not self.lingers:
            self.refuse(self._problem or Problem(400, msg))

    def refuse(self, problem: Problem) -> None:
        """Answer a request that is not handed on, and close; the client gets to read it."""
        cycle = self.cycle
        self._in_message = True
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if cycle is None or not cycle.response_started or cycle.response_complete:
            self._wire.write(self.config.app.refusal(problem))  # type: ignore[union-attr]
        self.close()

    def close(self) -> None:
        """Close at once after a whole request; else end this side, and drain for a while."""
        if self.lingers or self._wire.is_closing():
            return
        if not self._in_message:
            self._wire.close()
            return
        self.lingers = True
        self._raw = 0
        self._arm(self.loop.time() + LINGER_SECONDS)
        if self._wire.can_write_eof():
            self._wire.write_eof()
        self._wire.resume_reading()

    def shutdown(self) -> None:
        """Close what is idle or has no whole head yet; let the others finish."""
        if self._head_since is not None:
            self._wire.close()
        else:
            super().shutdown()

    def on_response_complete(self) -> None:
        """Continue as uvicorn does, without a second timer."""
        self._answered = self.loop.time()
        self.server_state.total_requests += 1
        if self.lingers or self._wire.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def _unset_keepalive_if_required(self) -> None:
        """Leave the timer: moving it for every request costs more than looking at it once."""

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(when, self._look)

    def _look(self) -> None:
        """Close a connection whose time is up; look again later at the others."""
        if self._wire.is_closing():
            return
        if self.lingers:
            self._wire.abort()
            return
        now, served = self.loop.time(), self.config.app.served  # type: ignore[union-attr]
        busy = self.cycle is not None and not self.cycle.response_complete
        if self._head_since is not None:
            due = self._head_since + served.head_seconds
        elif busy:
            due = now + self.timeout_keep_alive
            if self.flow.write_paused and self._stuck:
                self._wire.abort()  # a client that does not read its answers
                return
            self._stuck = self.flow.write_paused
        else:
            due = self._answered + self.timeout_keep_alive
        if now < due:
            self._arm(due)
        elif self._head_since is not None and self._in_head:
            seconds = f"{served.head_seconds:g} s"
            detail = f"the head of the request must come within {seconds}"
            self.refuse(Problem(408, detail, rule=f"time <= {seconds}"))
        else:
            self._wire.close()


def _too_long() -> Problem:
    rule = f"at most {MAX_HEAD} bytes and {MAX_HEADERS} headers"
    return Problem(431, f"the head of the request must have {rule}", rule=rule)
