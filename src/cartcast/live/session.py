"""One session and one visitor as plain storable state, and the rules that bound them."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from cartcast.errors import UsageError
from cartcast.live.scorer import Past, State
from cartcast.live.tail import Tail
from cartcast.sessions import USUAL, SessionRules

__all__ = ["Base", "Rules", "Session", "Visitor", "dump_session", "load_session"]


@dataclass(frozen=True)
class Rules:
    """When a session ends, and what is bounded.

    Attributes:
        sessions: where sessions end.
        zone: the shop's clock, for midnights; None is UTC.
        late_window: seconds that an event may lie behind its session's newest and still count.
        max_events: events that one session may hold.
        max_kept: events kept per session for putting late ones right.
        session_ttl: seconds after its last event that a session with its own id is kept.
        visitor_ttl: seconds after the last event that a visitor's history is kept.
    """

    sessions: SessionRules = USUAL
    zone: str | None = None
    late_window: float = 120.0
    max_events: int = 10_000
    max_kept: int = 256
    session_ttl: float = 14_400.0
    visitor_ttl: float = 15_552_000.0

    def __post_init__(self) -> None:
        gap = self.sessions.gap
        if not 0 <= self.late_window < gap:
            raise UsageError(
                f"late_window must fulfil 0 <= late_window < session_gap ({gap:g} s), got "
                f"{self.late_window:g}."
            )


class Base(NamedTuple):
    """The session before its kept events."""

    state: State
    clicks: int
    first: int
    last_time: int
    last_order: int
    campaign: str | None
    bought: str | None


_NEVER: Final = Past(0, {}, None)
_counts: dict[tuple[tuple[str, int], ...], dict[str, int]] = {}
_MOST_COUNTS: Final = 10_000


class Visitor:
    """What a visitor has done so far: sessions begun, events by type, time of the newest.

    `counts` is replaced, never changed: visitors with the same share it, and pasts hold it.
    """

    __slots__ = ("counts", "epoch", "last", "sessions", "touched")

    def __init__(self) -> None:
        self.sessions = 0
        self.counts = _NEVER.counts
        self.last: int | None = None
        self.touched = 0
        self.epoch = 0

    def past(self) -> Past:
        """Return the history as it stands, for a session that begins now."""
        past = Past(self.sessions, self.counts, self.last)
        return _NEVER if past == _NEVER else past

    def count(self, kind: str, by: int) -> None:
        """Count events of a type."""
        made = {**self.counts, kind: self.counts.get(kind, 0) + by}
        if len(_counts) >= _MOST_COUNTS:
            _counts.clear()
        self.counts = _counts.setdefault(tuple(made.items()), made)

    def dump(self) -> tuple[Any, ...]:
        """Return plain data."""
        return self.sessions, self.counts, self.last, self.touched

    @classmethod
    def load(cls, data: Any) -> Visitor:
        """Read back what `dump` returned."""
        visitor = cls()
        visitor.sessions, visitor.counts, visitor.last, visitor.touched = data
        return visitor


class Session:
    """One session: its keys, its counts, its feature state and its kept events.

    `ahead` holds, by the number of kept events that it has folded, what `base` will be.
    """

    __slots__ = (
        "ahead",
        "arrivals",
        "base",
        "bought",
        "campaign",
        "clicks",
        "epoch",
        "first",
        "id",
        "keys",
        "last_order",
        "last_time",
        "past",
        "previous",
        "seen",
        "settled",
        "state",
        "tail",
        "touched",
    )

    def __init__(self, identity: str, keys: tuple[str, ...], state: State) -> None:
        self.id = identity
        self.keys = keys
        self.state = state
        self.past: Past | None = None
        self.clicks = 0
        self.first = 0
        self.last_time = -1
        self.last_order = -1
        self.campaign: str | None = None
        self.bought: str | None = None
        self.base: Base | None = None
        self.ahead: tuple[tuple[int, Base], ...] = ()
        self.tail = Tail()
        self.seen: array[int] | set[int] = array("Q")
        self.previous: Session | None = None
        self.settled = False
        self.touched = 0
        self.arrivals = 0
        self.epoch = 0

    def remember(self, mark: int) -> None:
        """Note that an event id has been counted."""
        seen = self.seen
        if isinstance(seen, set):
            seen.add(mark)
        else:
            seen.append(mark)
            if len(seen) > 64:
                self.seen = set(seen)

    @property
    def edge(self) -> tuple[int, int]:
        """Time and order of the last event that is folded for good."""
        if self.settled:
            return self.last_time, self.last_order
        if self.base is None:
            return -1, -1
        return self.base.last_time, self.base.last_order


_KINDS = {"v": "visitor_id", "u": "user_id", "s": "session_id"}


def ids_in(session: Session) -> dict[str, str]:
    """Return the ids of an open session by the name of their column."""
    return {"session_id": session.id, **{_KINDS[key[0]]: key[1:] for key in session.keys}}


Dump = Callable[[State], bytes]
Load = Callable[[bytes], State]


def dump_session(session: Session, dump: Dump) -> list[Any]:
    """Return the session, and the one before it, as plain data."""
    base = session.base
    return [
        session.id,
        session.keys,
        dump(session.state),
        session.past,
        session.clicks,
        session.first,
        session.last_time,
        session.last_order,
        session.campaign,
        session.bought,
        None if base is None else (dump(base.state), *base[1:]),
        session.tail.dump(),
        array("Q", session.seen).tobytes(),
        None if session.previous is None else dump_session(session.previous, dump),
        session.settled,
        session.touched,
        session.arrivals,
    ]


def load_session(data: Any, load: Load) -> Session:
    """Read back what `dump_session` returned."""
    session = Session(data[0], tuple(data[1]), load(data[2]))
    session.past = None if data[3] is None else Past(*data[3])
    session.clicks, session.first, session.last_time, session.last_order = data[4:8]
    session.campaign, session.bought = data[8:10]
    base = data[10]
    session.base = None if base is None else Base(load(base[0]), *base[1:])
    session.tail = Tail.load(data[11])
    seen = array("Q")
    seen.frombytes(data[12])
    session.seen = seen if len(seen) <= 64 else set(seen)
    session.previous = None if data[13] is None else load_session(data[13], load)
    session.settled, session.touched, session.arrivals = data[14:17]
    return session


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode
