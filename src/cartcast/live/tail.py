"""The events that a session keeps for putting late ones right, as one array of bytes.

A record is the event's arrival and its fields in their order, without their names, the nulls at the
end, and the visitor where it is the first event's; place and mark are read from the fields. That is
less than half of what the log's record takes, and no object of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from struct import Struct
from typing import Any, Final, NamedTuple

import msgspec
import xxhash

from cartcast.live.event import Event

__all__ = ["LAST", "Kept", "Tail", "mark_of"]

LAST: Final = 2**62
"""Order of an event that has none: after its peers of the same time, then by arrival."""
_HEAD: Final = Struct("<II")
"""Arrival; size of the fields, and 2**31 without the visitor, 2**24 for each null left out."""
_WHO: Final = 2**31
_NULL: Final = b"\xc0"
_SIZE: Final = 2**24 - 1
_fields = msgspec.structs.astuple
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode
_named = msgspec.msgpack.Decoder(Event).decode


def mark_of(event_id: str | None) -> int:
    """Return the hash by which an event that comes twice is told."""
    return xxhash.xxh3_64_intdigest((event_id or "").encode())


class Kept(NamedTuple):
    """An event kept for folding again, and its place: time, order, arrival."""

    time: int
    order: int
    arrival: int
    event: Event

    @property
    def mark(self) -> int:
        """The hash of its id."""
        return mark_of(self.event.event_id)


class Tail:
    """Events in the order in which they are folded.

    >>> tail = Tail()
    >>> tail.append(Event("search", 5, "v"), arrival=1)
    >>> [(kept.time, kept.event.event_type) for kept in tail], len(Tail.load(tail.dump()))
    ([(5, 'search')], 1)
    """

    __slots__ = ("_count", "_data", "_who")

    def __init__(self) -> None:
        self._data = bytearray()
        self._count = 0
        self._who: str | None = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Kept]:
        data, place = bytes(self._data), 0
        while place < len(data):
            arrival, size = _HEAD.unpack_from(data, place)
            end = place + _HEAD.size + (size & _SIZE)
            fields = data[place + _HEAD.size : end] + _NULL * (size >> 24 & 127)
            event = Event(*_decode(fields))
            if size & _WHO:
                event.visitor_id = self._who
            yield kept_of(event, arrival)
            place = end

    def append(self, event: Event, arrival: int) -> None:
        """Keep one more event."""
        who, size = event.visitor_id, 0
        if who is not None:
            if self._who is None:
                self._who = who
            if who == self._who:
                event.visitor_id, size = None, _WHO
        fields = _encode(_fields(event))
        event.visitor_id = who
        data = fields.rstrip(_NULL)
        size |= len(data) | (len(fields) - len(data)) << 24
        self._data += _HEAD.pack(arrival, size)
        self._data += data
        self._count += 1

    def first(self, count: int = 1) -> list[Kept]:
        """Return the first `count`."""
        return list(islice(self, count))

    def drop(self, count: int) -> None:
        """Keep the first `count` no longer."""
        data, place = self._data, 0
        for _ in range(count):
            place += _HEAD.size + (_HEAD.unpack_from(data, place)[1] & _SIZE)
        self._data = bytearray(memoryview(data)[place:])
        self._count -= count

    def weight(self) -> int:
        """Return how many bytes it takes."""
        return self._data.__sizeof__()

    def dump(self) -> tuple[str | None, bytes]:
        """Return plain data."""
        return self._who, bytes(self._data)

    @classmethod
    def load(cls, data: Any) -> Tail:
        """Read back what `dump` returned, or the bytes or the list of older snapshots."""
        tail = cls()
        if isinstance(data, bytes):
            # Whole fields, and so no bits beside the size.
            data = [None, data]
        if len(data) == 2 and isinstance(data[1], bytes):
            tail._who, tail._data = data[0], bytearray(data[1])
            tail._count = sum(1 for _ in tail)
        else:
            for _, _, arrival, _, named in data:
                tail.append(_named(named), arrival)
        return tail


def kept_of(event: Event, arrival: int) -> Kept:
    """Return an event with its place."""
    time: int = event.event_time or 0  # type: ignore[assignment]
    return Kept(time, event.event_order or LAST, arrival, event)
