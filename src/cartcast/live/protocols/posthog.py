"""PostHog: `POST /batch`, `/capture`, `/e` and `/i/v0/e`; JSON, gzip, base64 or a form's `data`.

https://posthog.com/docs/api/capture. Events are read by the batch layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cartcast.events.builtin import LAYOUTS
from cartcast.live.event import Event
from cartcast.live.problems import Problem
from cartcast.live.protocols import Context, Parsed
from cartcast.live.protocols.fields import Fields, collect, decode, decode_list
from cartcast.live.protocols.forms import json_in
from cartcast.live.protocols.mapped import Mapping

__all__ = ["key_in", "parse"]

_MAPPING = Mapping(LAYOUTS["posthog"])
_KEY = re.compile(rb'"(?:api_key|token)"\s*:\s*"([^"\\]{1,256})"').search


def key_in(body: bytes) -> str | None:
    """Return the project's key without decoding the body.

    >>> key_in(b'{"batch": [], "api_key": "k"}'), key_in(b'[{"properties": {"token": "t"}}]')
    ('k', 't')
    """
    found = _KEY(json_in(body))
    return found[1].decode("latin-1") if found else None


def parse(body: bytes, context: Context) -> Parsed:
    """Return the events of a batch, a list or one event.

    Raises:
        Problem: 400 for a broken body, 413 for too many, 422 when nothing in it is usable.
    """
    body = json_in(body)
    whole = decode_list(body, "batch") if body.lstrip()[:1] == b"[" else decode(body)
    sent = whole.moment("sent_at")
    single = not whole.has("batch")
    items = [whole] if single else whole.items("batch", context.max_events)

    def read(item: Fields) -> Iterator[Event | Problem]:
        told = item.data.get("properties")
        told = told if isinstance(told, dict) else {}
        record: dict[str, Any] = {**item.data}
        record["distinct_id"] = item.data.get("distinct_id") or told.get("distinct_id")
        offset = item.data.get("offset")
        if isinstance(offset, int | float) and "timestamp" not in record:
            # The browser library says how long ago it was, in milliseconds.
            record["timestamp"] = (context.received - int(max(offset, 0) * 1000)) / 1e6
        return _MAPPING.events(record, item.where, sent, context.received)

    return collect(items, read, context, "batch", single)
