"""The events that a session keeps for putting late ones right, as one array of bytes.

Most of a live service's memory were these. A record is the event's arrival and its fields in their
order, without their names; place and mark are read from the fields. That is half of what the log's
record takes, and no object of its own.
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

    __slots__ = ("_count", "_data")

    def __init__(self) -> None:
        self._data = bytearray()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Kept]:
        data, place = bytes(self._data), 0
        while place < len(data):
            arrival, size = _HEAD.unpack_from(data, place)
            place += _HEAD.size + size
            yield kept_of(Event(*_decode(data[place - size : place])), arrival)

    def append(self, event: Event, arrival: int) -> None:
        """Keep one more event."""
        data = _encode(_fields(event))
        self._data += _HEAD.pack(arrival, len(data)) + data
        self._count += 1

    def first(self, count: int = 1) -> list[Kept]:
        """Return the first `count`."""
        return list(islice(self, count))

    def drop(self, count: int) -> None:
        """Keep the first `count` no longer."""
        data, place = self._data, 0
        for _ in range(count):
            place += _HEAD.size + _HEAD.unpack_from(data, place)[1]
        self._data = bytearray(memoryview(data)[place:])
        self._count -= count

    def weight(self) -> int:
        """Return how many bytes it takes."""
        return self._data.__sizeof__()

    def dump(self) -> bytes:
        """Return plain bytes."""
        return bytes(self._data)

    @classmethod
    def load(cls, data: Any) -> Tail:
        """Read back what `dump` returned, or the list of an older snapshot."""
        tail = cls()
        if isinstance(data, bytes):
            tail._data = bytearray(data)
            tail._count = sum(1 for _ in tail)
        else:
            for _, _, arrival, _, named in data:
                tail.append(_named(named), arrival)
        return tail


def kept_of(event: Event, arrival: int) -> Kept:
    """Return an event with its place."""
    time: int = event.event_time or 0  # type: ignore[assignment]
    return Kept(time, event.event_order or LAST, arrival, event)
