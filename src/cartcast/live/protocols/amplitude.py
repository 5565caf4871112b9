"""Amplitude's HTTP V2 and batch API: `POST /2/httpapi`, `/batch`.

https://amplitude.com/docs/apis/analytics/http-v2. Events are read by the batch layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cartcast.events.builtin import LAYOUTS
from cartcast.live.event import Event
from cartcast.live.problems import Problem
from cartcast.live.protocols import Context, Parsed, posthog
from cartcast.live.protocols.fields import Fields, collect, decode
from cartcast.live.protocols.mapped import Mapping

__all__ = ["is_amplitude", "parse", "parse_either"]

_MAPPING = Mapping(LAYOUTS["amplitude"])
_EVENTS = re.compile(rb'"events"\s*:\s*\[').search


def parse(body: bytes, context: Context) -> Parsed:
    """Return the events of a body.

    Raises:
        Problem: 400 for a broken body, 413 for too many, 422 when nothing in it is usable.
    """
    whole = decode(body)
    items = whole.items("events", context.max_events)

    def read(item: Fields) -> Iterator[Event | Problem]:
        return _MAPPING.events(item.data, item.where)

    return collect(items, read, context, "events")


def is_amplitude(body: bytes) -> bool:
    """Tell Amplitude's batch from PostHog's, which has the same path.

    >>> is_amplitude(b'{"api_key": "k", "events": []}'), is_amplitude(b'{"batch": []}')
    (True, False)
    """
    return _EVENTS(body) is not None and b'"batch"' not in body[:4096]


def parse_either(body: bytes, context: Context) -> Parsed:
    """Return the events of a batch of Amplitude's, else of PostHog's.

    Raises:
        Problem: as `parse`.
    """
    return parse(body, context) if is_amplitude(body) else posthog.parse(body, context)
