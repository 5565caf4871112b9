"""Cartcast's own format: one event, a list of events, or `{"events": [...]}`."""

from __future__ import annotations

import re

import msgspec

from cartcast.live.event import Event, check
from cartcast.live.problems import Problem, from_decoding
from cartcast.live.protocols import Context, Parsed

__all__ = ["Batch", "parse"]


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Several events in one body."""

    events: list[Event]


_ONE = msgspec.json.Decoder(Event)
_LIST = msgspec.json.Decoder(list[Event])
_BATCH = msgspec.json.Decoder(Batch)
_IS_LIST = re.compile(rb"\s*\[").match
_IS_BATCH = re.compile(rb'\s*\{\s*"events"\s*:').match


def parse(body: bytes, context: Context) -> Parsed:
    """Return the events of a body; all or nothing.

    Raises:
        Problem: 400 for a broken body, 413 for too many events, 422 naming field and rule.

    >>> body = b'{"visitor_id": "v1", "event_type": "view_item", "price": 5}'
    >>> parse(body, Context(received=1_600_000_000_000_000)).events[0].price
    5.0
    """
    single = False
    prefix = ""
    try:
        if _IS_LIST(body):
            prefix = "events"
            events = _LIST.decode(body)
        elif _IS_BATCH(body):
            events = _BATCH.decode(body).events
        else:
            single, events = True, [_ONE.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise from_decoding(error, prefix) from error
    if not events:
        raise Problem(422, "events must hold at least one event, got 0", field="events")
    if len(events) > context.max_events:
        rule = f"must hold at most {context.max_events} events"
        raise Problem(413, f"events {rule}, got {len(events)}", field="events", rule=rule)
    received, ahead = context.received, context.max_ahead
    if single:
        check(events[0], received, ahead)
    else:
        for index, event in enumerate(events):
            check(event, received, ahead, f"events[{index}].")
    return Parsed(events, [], single)
