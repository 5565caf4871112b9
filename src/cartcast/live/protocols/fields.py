"""Reading one tracker's loosely typed object: every value is taken by name, type and rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from cartcast.live.event import MAX_TEXT, Event, check, micros
from cartcast.live.problems import Problem, from_decoding
from cartcast.live.protocols import Context, Parsed
from cartcast.live.protocols.tolerant import read_json, require_bounded, unfit

__all__ = ["Fields", "collect", "corrected_time", "decode", "moment"]

CLOCK_TOLERANCE = 60_000_000
"""Microseconds that a client's clock may be off before its times are shifted."""


class Fields:
    """An object of a tracker's body, read by name; problems name the whole path.

    >>> Fields({"price": 3}, "events[0].").number("price")
    3.0
    """

    __slots__ = ("_doubtful", "data", "where")

    def __init__(self, data: Mapping[str, Any], where: str = "", doubtful: bool = False) -> None:
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

    def number(self, *names: str, least: float | None = 0.0, parse: bool = False) -> float | None:
        """Return the first of `names` that holds a finite number; texts only when `parse`."""
        for name in names:
            value = self.data.get(name)
            if value is None or (parse and value == ""):
                continue
            if isinstance(value, str) and parse:
                try:
                    value = float(value)
                except ValueError:
                    raise self.refuse(name, "must be a number", value) from None
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise self.refuse(name, "must be a number", type(value).__name__)
            if not abs(value) <= 1e17:  # a NaN fulfils nothing; a long integer is no float
                raise self.refuse(name, "must be a finite number", value)
            if least is not None and value < least:
                raise self.refuse(name, f"must be >= {least:g}", value)
            return float(value)
        return None

    def nested(self, name: str) -> Fields:
        """Return the object under `name`; empty when it is absent."""
        value = self.data.get(name)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise self.refuse(name, "must be an object", type(value).__name__)
        return Fields(value, f"{self.where}{name}.")

    def objects(self, name: str, most: int = 200, first: int | None = None) -> list[Fields]:
        """Return the objects of the list under `name`, at most the `first`; empty when absent."""
        found = []
        for item in self.items(name, most, first):
            if isinstance(item, Problem):
                raise item
            found.append(item)
        return found

    def items(self, name: str, most: int, first: int | None = None) -> list[Fields | Problem]:
        """Return the objects of the list under `name`, with a problem for what is none."""
        value = self.data.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.refuse(name, "must be a list", type(value).__name__)
        if len(value) > most:
            raise self.refuse(name, f"must hold at most {most} entries", len(value))
        found: list[Fields | Problem] = []
        for index, item in enumerate(value[:first]):
            if isinstance(item, Mapping):
                found.append(Fields(item, f"{self.where}{name}[{index}].", self._doubtful))
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


def moment(fields: Fields, *names: str) -> int | None:
    """Return the first of `names` that holds an RFC 3339 time with a zone, in microseconds."""
    text = fields.text(*names, longest=64)
    if text is None:
        return None
    name = next(n for n in names if fields.has(n))
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise fields.refuse(name, "must be a time like 2026-05-04T10:15:00Z", text) from None
    if when.tzinfo is None:
        raise fields.refuse(name, "must have a time zone", text)
    return micros(when)


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
    read: Callable[[Fields], list[Event]],
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
        try:
            if isinstance(item, Problem):
                raise item
            item.require_fit()
            found = read(item)
            where = "" if single else f"{name}[{index}]."
            for event in found:
                check(event, context.received, context.max_ahead, where)
        except Problem as problem:
            problems.append((index, problem))
            continue
        ignored += not found
        events.extend(found)
        if len(events) > context.max_events:
            rule = f"must become at most {context.max_events} events, one per product of an order"
            raise Problem(413, f"{name} {rule}", field=name, rule=rule)
    if count == 0:
        raise Problem(422, f"{name} must hold at least one event, got 0", field=name)
    if len(problems) == count:
        raise problems[0][1]
    return Parsed(events, problems, single and len(events) == 1, ignored)
