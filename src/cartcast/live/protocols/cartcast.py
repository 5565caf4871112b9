"""Cartcast's own format: one event, a list, `{"events": [...]}`, or one event a line (NDJSON)."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from cartcast.live.event import Event, check
from cartcast.live.problems import Problem, from_decoding
from cartcast.live.protocols import Context, Parsed
from cartcast.live.protocols.fields import Fields, collect
from cartcast.live.protocols.tolerant import read_json, require_bounded

__all__ = ["Batch", "parse"]


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Several events in one body."""

    events: list[Event]


_ONE = msgspec.json.Decoder(Event)
_LIST = msgspec.json.Decoder(list[Event])
_BATCH = msgspec.json.Decoder(Batch)
_IS_LIST = re.compile(rb"\s*\[").match
_IS_BATCH = re.compile(rb'\s*\{\s*"events"\s*:').match
_IS_LINES = re.compile(rb"\s*\{[^\n]*\n[\r\n]*\{").match
_Broken = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse(body: bytes, context: Context) -> Parsed:
    """Return the events of a body; one alone must be right, of several the bad are set aside.

    Raises:
        Problem: 400 for a broken body, 413 for too many events, 422 naming field and rule.

    >>> body = b'{"visitor_id": "v1", "event_type": "view_item", "price": 5}'
    >>> parse(body, Context(received=1_600_000_000_000_000)).events[0].price
    5.0
    """
    require_bounded(body)
    try:
        if _IS_LIST(body):
            events = _LIST.decode(body)
        elif _IS_BATCH(body):
            events = _BATCH.decode(body).events
        elif b"\n" in body and _IS_LINES(body):
            events = _ONE.decode_lines(body)
        else:
            event = _ONE.decode(body)
            return Parsed([check(event, context.received, context.max_ahead)], [], True)
    except _Broken as error:
        return _one_by_one(body, context, error)
    if not events:
        raise Problem(422, "events must hold at least one event, got 0", field="events")
    _require_few(len(events), context)
    problems: list[tuple[int, Problem]] = []
    kept: list[Event] = []
    for index, event in enumerate(events):
        try:
            kept.append(check(event, context.received, context.max_ahead, f"events[{index}]."))
        except Problem as problem:
            problems.append((index, problem))
    if not kept:
        raise problems[0][1]
    return Parsed(kept, problems)


def _require_few(count: int, context: Context) -> None:
    if count > context.max_events:
        rule = f"must hold at most {context.max_events} events"
        raise Problem(413, f"events {rule}, got {count}", field="events", rule=rule)


def _one_by_one(body: bytes, context: Context, error: Exception) -> Parsed:
    """Read a batch of which something is broken, event by event."""
    whole: Any = None
    try:
        if _IS_LINES(body):
            whole = [_line(line) for line in body.split(b"\n") if line.strip()]
        elif _IS_LIST(body) or _IS_BATCH(body):
            whole = read_json(body)
    except (ValueError, RecursionError):
        raise from_decoding(error) from error
    if isinstance(whole, dict) and len(whole) == 1:
        whole = whole["events"]
    if not isinstance(whole, list):
        raise from_decoding(error, "events" if _IS_LIST(body) else "") from error
    _require_few(len(whole), context)
    items = Fields({"events": whole}, doubtful=True).items("events", context.max_events)
    return collect(items, _convert, context, "events")


def _line(line: bytes) -> Any:
    try:
        return read_json(line)
    except (ValueError, RecursionError):
        return None


def _convert(item: Fields) -> list[Event]:
    try:
        return [msgspec.convert(item.data, Event)]
    except msgspec.ValidationError as error:
        raise from_decoding(error, item.where) from error
