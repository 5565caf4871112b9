"""What is read of a request before anything else: headers, key, query, body within limits."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from secrets import token_hex
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

from cartcast.live.problems import Problem

__all__ = [
    "GZIP",
    "Headers",
    "Receive",
    "Scope",
    "Send",
    "key_of",
    "query_of",
    "read_body",
    "read_headers",
    "whole_body",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch
_PREFIX = token_hex(4)
_NUMBERS = count(1)
_TYPES = (
    b"application/json",
    b"text/plain",
    b"application/x-ndjson",
    b"application/jsonl",
    b"application/x-www-form-urlencoded",
    b"application/octet-stream",
)
"""Types that trackers give to JSON; what a body is, its bytes say."""
GZIP = b"\x1f\x8b"
MAX_MEMBERS: Final = 64
"""Members of one gzip body; each costs a decompressor."""
_SIGNATURES = frozenset(
    {b"x-shopify-hmac-sha256", b"x-wc-webhook-signature", b"x-hub-signature-256"}
)
"""Headers with the signature of a webhook's body: Shopify's, WooCommerce's, WebSub's."""
_READ = _SIGNATURES | {
    b"content-length", b"content-encoding", b"content-type", b"authorization", b"x-api-key",
    b"x-request-id", b"origin", b"access-control-request-headers",
}  # fmt: skip
"""A browser sends a dozen others."""
_TOKENS = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,2048}").fullmatch


class Headers(NamedTuple):
    """The headers that matter here; `wanted` are those that a preflight asks for.

    `signature` is that of a webhook's body.
    """

    request_id: str
    length: int | None
    gzip: bool
    authorization: bytes | None
    api_key: bytes | None
    origin: bytes | None
    wanted: bytes | None = None
    signature: bytes | None = None


def read_headers(scope: Scope) -> Headers:
    """Return the headers that matter.

    Raises:
        Problem: 400 for a malformed length, 415 for a type or encoding that is not read.
    """
    request_id = length = authorization = api_key = origin = wanted = signature = None
    gzip = False
    for name, value in scope["headers"]:
        if name not in _READ:
            continue
        if name == b"content-length":
            if not value.isdigit():
                raise Problem(400, "content-length must be a whole number", field="content-length")
            length = int(value)
        elif name == b"content-encoding":
            if value.lower() not in (b"gzip", b"x-gzip", b"identity", b""):
                raise Problem(415, "content-encoding must be gzip", field="content-encoding")
            gzip = value.lower() in (b"gzip", b"x-gzip")
        elif name == b"content-type":
            if scope["method"] == "POST" and value and not value.lower().startswith(_TYPES):
                raise Problem(415, "content-type must be application/json", field="content-type")
        elif name == b"authorization":
            authorization = value
        elif name == b"x-api-key":
            api_key = value
        elif name == b"x-request-id":
            request_id = value.decode() if _REQUEST_ID(value) else None
        elif name == b"origin":
            origin = value
        elif name == b"access-control-request-headers":
            wanted = value if _TOKENS(value) else None
        else:
            signature = value
    if request_id is None:
        request_id = f"{_PREFIX}-{next(_NUMBERS):x}"
    return Headers(request_id, length, gzip, authorization, api_key, origin, wanted, signature)


def key_of(headers: Headers, query: dict[str, str]) -> str | None:
    """Return the key that the headers or the query carry; the body may carry another.

    `Authorization: Bearer KEY`, or Basic with the key as the user (Segment), `X-Api-Key`, or
    `?api_secret=` (GA4), `?writeKey=` (RudderStack's beacon) or `?key=` in the query.
    """
    if headers.api_key is not None:
        return headers.api_key.decode("latin-1")
    if headers.authorization is not None:
        kind, _, rest = headers.authorization.decode("latin-1").partition(" ")
        if kind.lower() == "bearer":
            return rest.strip()
        if kind.lower() == "basic":
            try:
                plain = base64.b64decode(rest.strip(), validate=True).decode("latin-1")
            except binascii.Error:
                return None
            return plain.partition(":")[0]
        return None
    return query.get("api_secret") or query.get("writeKey") or query.get("key")


def query_of(scope: Scope) -> dict[str, str]:
    """Return the query's last value of each name."""
    raw = scope["query_string"]
    if not raw:
        return {}
    text = raw.decode("latin-1")
    if len(text) > 4096:
        raise Problem(400, f"the query must have at most 4096 characters, got {len(text)}")
    try:
        return {name: values[-1] for name, values in parse_qs(text, max_num_fields=50).items()}
    except ValueError:
        raise Problem(400, "the query must have at most 50 fields") from None


async def read_body(receive: Receive, headers: Headers, most: int, seconds: float) -> bytes:
    """Return the whole body as it was sent.

    Raises:
        Problem: 408 when it comes too slowly, 413 when it is too large.
    """
    if headers.length is not None and headers.length > most:
        raise _too_large(headers.length, most)
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
            body: bytes = message.get("body", b"")
            if message.get("more_body"):
                body = await _read_more(receive, body, most)
    except TimeoutError:
        raise Problem(
            408,
            f"the body must come within {seconds:g} s",
            rule=f"time <= {seconds:g} s",
            headers={"Connection": "close"},
        ) from None
    if message["type"] == "http.disconnect":
        raise Problem(400, "the client went away")
    return body


def whole_body(body: bytes, headers: Headers, most: int) -> bytes:
    """Return a body that has come in, decompressed; gzip is told by its first bytes, too.

    Raises:
        Problem: 413 when it is too large, 400 for broken gzip.
    """
    if len(body) > most:
        raise _too_large(len(body), most)
    return _inflate(body, most) if headers.gzip or body.startswith(GZIP) else body


async def _read_more(receive: Receive, body: bytes, most: int) -> bytes:
    parts, size = [body], len(body)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "the client went away")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise _too_large(size, most)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _too_large(size: int, most: int) -> Problem:
    rule = f"at most {most} bytes"
    return Problem(
        413,
        f"the body must have {rule}, got {size} or more",
        field="body",
        rule=rule,
        headers={"Connection": "close"},
    )


def _inflate(body: bytes, most: int) -> bytes:
    """Return all members of a gzip body (RFC 1952, section 2.2), never unpacking more than `most`.

    >>> import gzip
    >>> _inflate(gzip.compress(b"[1,") + gzip.compress(b"2]"), 100)
    b'[1,2]'
    """
    plain, members = b"", 0
    while body:
        engine = zlib.decompressobj(31)
        try:
            plain += engine.decompress(body, most + 1 - len(plain))
        except zlib.error as error:
            raise Problem(400, f"the body must be gzip: {error}", field="body") from error
        if len(plain) > most:
            raise _too_large(len(plain), most)
        if not engine.eof:
            raise Problem(400, "the body must be whole gzip, it ends too early", field="body")
        members += 1
        if members > MAX_MEMBERS:
            rule = f"at most {MAX_MEMBERS} members"
            raise Problem(413, f"the gzip body must have {rule}", field="body", rule=rule)
        body = engine.unused_data.lstrip(b"\0")
    return plain
