"""The canonical event on the wire: strict types, limits, and one meaning per field.

The names are those of `cartcast.events.schema`; `event_id` and `user_id` exist only live: the
first makes sending twice harmless, the second is a login that becomes known inside a session.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cartcast.events.kinds import EVENT_KINDS, plain
from cartcast.events.schema import EVENT_TYPES
from cartcast.live.problems import Problem

__all__ = ["MAX_EXTRA", "MAX_ID", "MAX_TEXT", "Event", "check", "micros", "moment", "now_micros"]

MAX_ID = 256
MAX_TEXT = 8192
"""Characters of a text; the address of a page may be long."""
MAX_EXTRA = 32
MIN_MICROS: Final = 10**14
"""Smallest time accepted as an integer (March 1973): seconds and milliseconds fall below."""
MAX_MICROS: Final = 253_402_300_799_999_999

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Amount = Annotated[float, Meta(ge=0, le=1e12)]
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-z_][a-z0-9_]*$")]

_TYPES = frozenset(EVENT_TYPES)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Event(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One event. A visitor, a user or a session must be named; `event_time` defaults to now.

    `event_time` is RFC 3339 with a zone, or whole microseconds since 1970; after `check` it is
    microseconds. `extra` holds the source's other columns, for features that read them.
    """

    event_type: Text
    event_time: datetime | int | None = None
    visitor_id: Id | None = None
    session_id: Id | None = None
    user_id: Id | None = None
    event_id: Id | None = None
    event_order: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    source_event: Text | None = None
    item_id: Text | None = None
    category: Text | None = None
    brand: Text | None = None
    price: Amount | None = None
    quantity: Amount | None = None
    line_value: Amount | None = None
    order_value: Amount | None = None
    tax: Amount | None = None
    shipping: Amount | None = None
    discount: Amount | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None
    order_id: Id | None = None
    session_seconds: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    country: Text | None = None
    device: Text | None = None
    channel: Text | None = None
    campaign: Text | None = None
    page: Text | None = None
    color: Text | None = None
    location: Text | None = None
    photo: Text | None = None
    extra: Annotated[dict[Name, float | Text | None], Meta(max_length=MAX_EXTRA)] | None = None
    # At the end: snapshots hold events as lists of their fields.
    experiment: Text | None = None
    arm: Text | None = None


def now_micros() -> int:
    """Return the present as microseconds since 1970 (UTC)."""
    import time

    return time.time_ns() // 1000


def micros(moment: datetime) -> int:
    """Return microseconds since 1970 of a moment with a zone.

    >>> micros(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def check(event: Event, received: int, max_ahead: int, where: str = "") -> Event:
    """Return the event with its time in microseconds and its type canonical.

    Args:
        event: as decoded.
        received: microseconds since 1970 when the body came in.
        max_ahead: microseconds that an event may lie in the future.
        where: prefix of field names in problems, such as `events[3].`.

    Raises:
        Problem: 422, naming the field and the rule.
    """
    time = event.event_time
    if time is None:
        if event.session_id is None or event.event_order is None:
            event.event_time = received
    else:
        event.event_time = moment(time, received, max_ahead, f"{where}event_time")
    if event.visitor_id is None and event.session_id is None and event.user_id is None:
        raise Problem(
            422,
            f"{where}visitor_id: one of visitor_id, user_id and session_id must be given",
            field=f"{where}visitor_id",
            rule="must name who it is",
        )
    if event.event_type not in _TYPES:
        event.source_event = event.source_event or event.event_type
        event.event_type = EVENT_KINDS.get(plain(event.event_type.strip()), "other")
    if event.extra:
        for name, value in event.extra.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise _rule(f"{where}extra.{name}", "must be a finite number", value)
    return event


def moment(time: datetime | int, received: int, max_ahead: int, field: str) -> int:
    """Return a time that a request names, in microseconds since 1970; arguments as for `check`.

    Raises:
        Problem: 422, naming the field and the rule.
    """
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise _rule(field, "must have a time zone (end it with Z)", time)
        time = micros(time)
    if not MIN_MICROS <= time <= MAX_MICROS:
        raise _rule(field, "must be whole microseconds since 1970", time)
    if time > received + max_ahead:
        ahead = (time - received) / 1e6
        rule = f"must lie at most {max_ahead / 1e6:g} s in the future"
        raise _rule(field, rule, f"{ahead:g} s")
    return time


def _rule(field: str, rule: str, value: object) -> Problem:
    return Problem(422, f"{field} {rule}, got {str(value)[:80]}", field=field, rule=rule)
