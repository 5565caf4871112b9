"""Wire formats: each module turns one tracker's body into canonical events.

A protocol is a function `parse(body, context) -> Parsed`. Trackers send what they can, so one
bad event in a batch is set aside with its reason and the others are kept. When nothing in a body
is usable, it is refused with the first reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cartcast.live.event import Event
from cartcast.live.problems import Problem

__all__ = ["Context", "Parsed", "Protocol", "acknowledge"]


class Context(NamedTuple):
    """What a protocol may need beside the body.

    Attributes:
        received: microseconds since 1970 when the body came in.
        max_ahead: microseconds that an event may lie in the future.
        max_events: largest number of events that one body may become.
    """

    received: int
    max_ahead: int = 300_000_000
    max_events: int = 5_000


class Parsed(NamedTuple):
    """The events of a body, and the problems of those that were set aside.

    Attributes:
        events: canonical events, in the order of the body.
        problems: (position in the body, problem) of each event set aside.
        single: the body was one event, so the answer is one object.
        ignored: events of kinds that carry no behaviour (identify, alias, group).
    """

    events: list[Event]
    problems: list[tuple[int, Problem]]
    single: bool = False
    ignored: int = 0


Protocol = Callable[[bytes, Context], Parsed]


def acknowledge(_: bytes, __: Context) -> Parsed:
    """Take what is no behaviour, such as profiles and questions for flags; nothing is kept."""
    return Parsed([], [], ignored=1)
