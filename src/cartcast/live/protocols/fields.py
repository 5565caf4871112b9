"""Reading one tracker's loosely typed object: every value is taken by name, type and rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from cartcast.events.ids import plain
from cartcast.events.times import moment_of
from cartcast.live.event import MAX_TEXT, Event, check
from cartcast.live.problems import Problem, from_decoding
from cartcast.live.protocols import Context, Parsed
from cartcast.live.protocols.tolerant import read_json, require_bounded, unfit

__all__ = ["Fields", "collect", "corrected_time", "decode", "decode_list"]

CLOCK_TOLERANCE = 60_000_000
"""Microseconds that a client's clock may be off before its times are shifted."""


class Fields:
    """An object of a tracker's body, read by name; problems name the whole path.

    >>> Fields({"name": 3}, "events[0].").text("name")
    '3'
    """

    __slots__ = ("_doubtful", "data", "where")

    def __init__(self, data: dict[str, Any], where: str = "", doubtful: bool = False) -> None:
        self.data = data
        self.where = where
        self._doubtful = doubtful

    def refuse(self, name: str, rule: str, got: object = None) -> Problem:
        """Return the problem of one field."""
        path = self.where + name
        seen = "" if got is None else f", got {str(got)[:80]!r}"
        return Problem(422, f"{path} {rule}{seen}", field=path, rule=rule)

    def text(self, *names: str, longest: int = MAX_TEXT) -> str | None:
        """Return the first of `names` that holds a text (numbers are written out)."""
        for name in names:
            value = self.data.get(name)
            if value is None or value == "":
                continue
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise self.refuse(name, "must be a text", type(value).__name__)
            if isinstance(value, float) and not math.isfinite(value):
                raise self.refuse(name, "must be a text", value)
            value = str(value)
            if len(value) > longest:
                raise self.refuse(name, f"must have at most {longest} characters", len(value))
            return value
        return None

    def nested(self, name: str) -> Fields:
        """Return the object under `name`; empty when it is absent."""
        value = self.data.get(name)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.refuse(name, "must be an object", type(value).__name__)
        return Fields(value, f"{self.where}{name}.")

    def items(self, name: str, most: int, doubtful: bool = False) -> list[Fields | Problem]:
        """Return the objects of the list under `name`, with a problem for what is none."""
        value = self.data.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.refuse(name, "must be a list", type(value).__name__)
        if len(value) > most:
            raise self.refuse(name, f"must hold at most {most} entries", len(value))
        found: list[Fields | Problem] = []
        for index, item in enumerate(value):
            if isinstance(item, dict):
                where = f"{self.where}{name}[{index}]."
                found.append(Fields(item, where, doubtful or self._doubtful))
            else:
                kind = type(item).__name__
                found.append(self.refuse(f"{name}[{index}]", "must be an object", kind))
        return found

    def require_fit(self) -> None:
        """Refuse an object with a value that JSON cannot carry.

        Raises:
            Problem: 422, naming the value's place.
        """
        if self._doubtful and (problem := unfit(self.data, self.where.rstrip("."))) is not None:
            raise problem

    def moment(self, *names: str) -> int | None:
        """Return the first of `names` that holds a time, in microseconds since 1970."""
        texts = (plain(self.data.get(name)) for name in names)
        moments = (moment_of(text.strip()) for text in texts if text is not None)
        return next((moment for moment in moments if moment is not None), None)

    def has(self, *names: str) -> bool:
        """Tell whether one of `names` is there and not null."""
        return any(self.data.get(name) is not None for name in names)


def decode(body: bytes) -> Fields:
    """Return the body's JSON object; one with broken values is read so that the rest is kept.

    Raises:
        Problem: 400 when it is not JSON, 413 when it is too much, 422 when it is not an object.
    """
    require_bounded(body)
    try:
        return Fields(msgspec.json.decode(body, type=dict[str, Any]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            data = read_json(body)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise from_decoding(error) from error
        return Fields(data, doubtful=True)


def decode_list(body: bytes, name: str) -> Fields:
    """Return a body that is a JSON list as an object that holds it under a name.

    Raises:
        Problem: as `decode`.
    """
    return decode(b'{"%s":%s}' % (name.encode(), body))


def corrected_time(time: int | None, sent: int | None, received: int) -> int | None:
    """Return an event's time by our clock, when the client's clock is off by more than a minute.

    The client's own difference between event and sending is kept, as Segment and Snowplow do.

    >>> corrected_time(1_000_000, 2_000_000, 90_000_000_000)
    89999000000
    """
    if time is None or sent is None or abs(received - sent) <= CLOCK_TOLERANCE:
        return time
    return received - max(sent - time, 0)


def collect(
    items: Iterable[Fields | Problem],
    read: Callable[[Fields], Iterable[Event | Problem]],
    context: Context,
    name: str,
    single: bool = False,
) -> Parsed:
    """Read every item of a batch; those that break a rule are set aside with it.

    Raises:
        Problem: 413 when the items become too many events; when the only item, or all of them,
            were refused, the first one's problem.
    """
    events: list[Event] = []
    problems: list[tuple[int, Problem]] = []
    count = ignored = 0
    for index, item in enumerate(items):
        count += 1
        where = "" if single else f"{name}[{index}]."
        before = len(events), len(problems)
        try:
            if isinstance(item, Problem):
                raise item
            item.require_fit()
            for found in read(item):
                try:
                    if isinstance(found, Problem):
                        raise found
                    events.append(check(found, context.received, context.max_ahead, where))
                except Problem as problem:
                    problems.append((index, problem))
                if len(events) + len(problems) > context.max_events:
                    raise _too_many(name, context)
        except Problem as problem:
            if problem.status == 413:
                raise
            problems.append((index, problem))
        ignored += before == (len(events), len(problems))
    if count == 0:
        raise Problem(422, f"{name} must hold at least one event, got 0", field=name)
    if problems and not events and not ignored:
        raise problems[0][1]
    return Parsed(events, problems, single and len(events) == 1, ignored)


def _too_many(name: str, context: Context) -> Problem:
    rule = f"must become at most {context.max_events} events, one per product of an order"
    return Problem(413, f"{name} {rule}", field=name, rule=rule)
