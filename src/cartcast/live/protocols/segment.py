"""Segment's tracking API (also RudderStack's): `/v1/batch`, `/v1/track`, `/v1/page`.

A call is read by the batch layouts of the same names; one that names a session is RudderStack's.
An identify, alias or group call is an event of the kind `other`, as in a file: it carries the
login, by which an order from the shop's server finds its visitor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from cartcast.events.builtin import LAYOUTS
from cartcast.live.event import Event
from cartcast.live.problems import Problem
from cartcast.live.protocols import Context, Parsed, Protocol
from cartcast.live.protocols.fields import Fields, collect, decode
from cartcast.live.protocols.forms import fields_of, json_in
from cartcast.live.protocols.mapped import Mapping

__all__ = ["key_in", "key_in_pixel", "parse", "pixel"]

_SEGMENT, _RUDDERSTACK = Mapping(LAYOUTS["segment"]), Mapping(LAYOUTS["rudderstack"])


class _Keyed(msgspec.Struct):
    writeKey: str | None = None  # noqa: N815 - the field's name


_KEYED = msgspec.json.Decoder(_Keyed)
_KEY = re.compile(rb'"writeKey"\s*:\s*"([^"\\]{1,256})"').search


def key_in(body: bytes) -> str | None:
    """Return the write key without reading the rest; nothing is spent on a body without one.

    >>> key_in(b'{"batch": [{"type": "page"}], "writeKey": "k"}')
    'k'
    """
    try:
        return _KEYED.decode(body).writeKey
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # One broken event must not cost the others their key.
        found = _KEY(body)
        return found[1].decode("latin-1") if found else None


def parse(body: bytes, context: Context) -> Parsed:
    """Return the events of one message or a batch.

    Raises:
        Problem: 400 for a broken body, 413 for too many, 422 when nothing in it is usable.
    """
    whole = decode(body)
    if whole.has("series"):
        # The browser library's metrics of itself.
        return Parsed([], [], ignored=1)
    sent = whole.moment("sentAt", "sent_at")
    single = not whole.has("batch")
    items = [whole] if single else whole.items("batch", context.max_events)

    def read(item: Fields) -> Iterator[Event | Problem]:
        return _events(item, sent, context.received)

    return collect(items, read, context, "batch", single)


def key_in_pixel(query: bytes) -> str | None:
    """Return the write key of a pixel's query.

    >>> key_in_pixel(b"writeKey=k&event=x"), key_in_pixel(b"data=eyJ3cml0ZUtleSI6ICJrIn0")
    ('k', 'k')
    """
    fields = fields_of(query)
    return fields.get("writeKey") or (key_in(json_in(query)) if "data" in fields else None)


def pixel(kind: str) -> Protocol:
    """Return what reads a pixel's query: a call as base64 in `data`, or its fields by name."""

    def parse_pixel(query: bytes, context: Context) -> Parsed:
        fields = fields_of(query)
        call = decode(json_in(query)) if "data" in fields else Fields(fields, doubtful=True)
        call.data.setdefault("type", kind)
        return collect([call], lambda c: _events(c, None, context.received), context, "call", True)

    return parse_pixel


def _events(item: Fields, sent: int | None, received: int) -> Iterator[Event | Problem]:
    call = item.data
    if isinstance(call.get("event"), dict):
        raise item.refuse("event", "must be a text", "an object")
    known = call.get("context")
    named = isinstance(known, dict) and known.get("sessionId") is not None
    mapping = _RUDDERSTACK if named else _SEGMENT
    if "sentAt" in call:
        sent = item.moment("sentAt") or sent
    return mapping.events(call, item.where, sent, received)
