"""Mixpanel: `/track` (JSON, or a form's `data` as JSON or base64; POST and GET) and `/import`.

https://developer.mixpanel.com/reference/track-event. Events are read by the batch layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cartcast.events.builtin import LAYOUTS
from cartcast.live.event import Event
from cartcast.live.problems import Problem
from cartcast.live.protocols import Context, Parsed
from cartcast.live.protocols.fields import Fields, collect, decode, decode_list
from cartcast.live.protocols.forms import json_in
from cartcast.live.protocols.mapped import Mapping

__all__ = ["key_in", "parse"]

_MAPPING = Mapping(LAYOUTS["mixpanel"])
_LINES = re.compile(rb"\}\s*\n\s*\{").search
_KEY = re.compile(rb'"\$?token"\s*:\s*"([^"\\]{1,256})"').search


def key_in(body: bytes) -> str | None:
    """Return the project's token of the first event without decoding the body.

    >>> key_in(b'[{"event": "x", "properties": {"token": "k"}}]')
    'k'
    """
    found = _KEY(json_in(body))
    return found[1].decode("latin-1") if found else None


def parse(body: bytes, context: Context) -> Parsed:
    """Return the events of a list, of lines, or one event.

    Raises:
        Problem: 400 for a broken body, 413 for too many, 422 when nothing in it is usable.
    """
    body = json_in(body).strip()
    if body.startswith(b"{") and _LINES(body):
        body = b"[" + b",".join(line for line in body.split(b"\n") if line.strip()) + b"]"
    single = not body.startswith(b"[")
    whole = decode(body) if single else decode_list(body, "events")
    items = [whole] if single else whole.items("events", context.max_events)

    def read(item: Fields) -> Iterator[Event | Problem]:
        return _MAPPING.events(item.data, item.where)

    return collect(items, read, context, "events", single)
