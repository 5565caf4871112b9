"""Sessions and visitors at rest, as few bytes: most of a live service's sessions only wait.

A session at rest is `touched, hash of its id, flags` followed by its deflated state. The states of
one shop are alike (the same categories, devices, null values), so the first sessions that come to
rest become the dictionary of all later ones. These bytes never leave the process: log, snapshots
and Redis have their own form.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from typing import Any, Final

import msgspec
import xxhash

from cartcast.live.session import Session, Visitor

__all__ = [
    "Resting",
    "hash_at_rest",
    "id_hash",
    "is_named",
    "keys_at_rest",
    "pack_visitor",
    "touched_at",
    "unpack_visitor",
]

_HEAD: Final = struct.Struct("<qQB")
_NAMED: Final = 1
_LEARNED: Final = 2
_KEYS: Final = 2
"""Bits before the number of keys, which is 63 at most."""
_DICTIONARY_BYTES: Final = 16_384
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def id_hash(identity: str) -> int:
    """Return the hash by which a session at rest is found."""
    return xxhash.xxh3_64_intdigest(identity.encode())


def touched_at(data: bytes) -> int:
    """Return when a session or visitor at rest was last touched (microseconds)."""
    return int.from_bytes(data[:8], "little", signed=True)


def is_named(data: bytes) -> bool:
    """Tell whether a session at rest has its source's own id."""
    return bool(data[16] & _NAMED)


def keys_at_rest(data: bytes) -> int:
    """Return under how many keys a session at rest can be found."""
    return data[16] >> _KEYS or 1


class Resting:
    """Packs and unpacks sessions; learns its dictionary from the first of them."""

    def __init__(self) -> None:
        self._dictionary = b""
        self._learning: list[bytes] = []

    def pack(self, session: Session, state: bytes) -> bytes:
        """Return the session; kept events are dropped. `state` is the scorer's own form."""
        plain = state + _encode(
            (
                session.id,
                session.keys,
                session.clicks,
                session.first,
                session.last_time,
                session.last_order,
                session.campaign,
                session.bought,
                session.arrivals,
                array("Q", session.seen).tobytes(),
            )
        )
        # The length of the state stands at the end, where it is found without reading the rest.
        plain += len(state).to_bytes(4, "little")
        flags = _NAMED if session.keys[0][0] == "s" else 0
        flags |= min(len(session.keys), 63) << _KEYS
        if self._dictionary:
            flags |= _LEARNED
        else:
            self._learning.append(state)
            if sum(map(len, self._learning)) >= _DICTIONARY_BYTES:
                self._dictionary = b"".join(self._learning)[-_DICTIONARY_BYTES:]
                self._learning.clear()
        learned = self._dictionary if flags & _LEARNED else b""
        engine = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, learned)
        packed = engine.compress(plain) + engine.flush()
        return _HEAD.pack(session.touched, id_hash(session.id), flags) + packed

    def unpack(self, data: bytes) -> tuple[Session, bytes]:
        """Return the session without its state, and the state."""
        touched, _, flags = _HEAD.unpack_from(data)
        learned = self._dictionary if flags & _LEARNED else b""
        engine = zlib.decompressobj(-15, learned)
        plain = engine.decompress(data[_HEAD.size :]) + engine.flush()
        size = int.from_bytes(plain[-4:], "little")
        facts: Any = _decode(plain[size:-4])
        session = Session(facts[0], tuple(facts[1]), None)
        session.clicks, session.first, session.last_time, session.last_order = facts[2:6]
        session.campaign, session.bought, session.arrivals = facts[6:9]
        seen = array("Q")
        seen.frombytes(facts[9])
        session.seen = seen if len(seen) <= 64 else set(seen)
        session.touched = touched
        session.settled = True
        return session, plain[:size]


def hash_at_rest(data: bytes) -> int:
    """Return the hash of the id of a session at rest."""
    return int.from_bytes(data[8:16], "little")


def pack_visitor(visitor: Visitor) -> bytes:
    """Return a visitor's history as bytes, `touched` in front."""
    facts = (visitor.sessions, visitor.counts, visitor.last)
    return visitor.touched.to_bytes(8, "little", signed=True) + _encode(facts)


def unpack_visitor(data: bytes) -> Visitor:
    """Return the visitor of what `pack_visitor` returned."""
    visitor = Visitor()
    visitor.sessions, visitor.counts, visitor.last = _decode(data[8:])
    visitor.touched = touched_at(data)
    return visitor
