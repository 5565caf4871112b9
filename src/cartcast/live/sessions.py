"""Sessionizing in the stream, equal to the batch: gaps, breaks, late events, repeats.

A session is found by its own id, or by the visitor's device, or by the login: a login that
becomes known inside a session joins it. An event that comes late, or out of order, within
`late_window` is put in its place and the session is folded again from its kept events; a later
one is refused. An event id counts once.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, MutableMapping
from random import getrandbits
from typing import Final, Literal, NamedTuple

import msgspec
import xxhash

from cartcast.live.event import Event
from cartcast.live.scorer import Scorer, State
from cartcast.live.session import Base, Kept, Rules, Session, Visitor

__all__ = ["Outcome", "Sessions", "Status", "Watch", "visitor_of"]

Status = Literal["accepted", "late_accepted", "duplicate", "too_late", "too_many"]
LAST: Final = 2**62
"""Order of an event that has none: after its peers of the same time, then by arrival."""
TRIM_AT: Final = 24
"""Kept events from which folding the oldest for good is considered."""

_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(Event).decode
_DAY = 86_400_000_000
_AT_REST: list[Kept] = []
"""The kept events of every session at rest: none; `wake` gives a session its own list."""


class Outcome(NamedTuple):
    """What became of one event.

    Attributes:
        status: `accepted`; `late_accepted` (put in its place, later clicks changed);
            `duplicate`; `too_late`; `too_many`.
        session: the session it belongs to, as it stands now.
        event: the event with its id.
        data: the event encoded, when it is to be logged.
    """

    status: Status
    session: Session
    event: Event
    data: bytes | None


Watch = Callable[[Session, int, Event, State], None]
"""Called after every step with session, click, event and state; again when clicks are redone."""


class Sessions:
    """Puts events into sessions and folds them.

    Plain and synchronous: who stores the indexes, and when they are durable, is not its concern.

    Attributes:
        index: open sessions by key.
        visitors: visitors' histories by id; kept only when the features read them.
        before_change: called with a session or visitor whose `epoch` is not `epoch`, before it
            is changed, so that a snapshot taken meanwhile sees it as it was.
    """

    def __init__(
        self,
        scorer: Scorer,
        rules: Rules | None = None,
        index: MutableMapping[str, Session] | None = None,
        visitors: MutableMapping[str, Visitor] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.scorer = scorer
        self.rules = rules = rules or Rules()
        self.index: MutableMapping[str, Session] = {} if index is None else index
        self.visitors: MutableMapping[str, Visitor] = {} if visitors is None else visitors
        self.watch = watch
        self.epoch = 0
        self.before_change: Callable[[Session | Visitor], None] | None = None
        self._history = scorer.reads_history
        self._counted_types = scorer.history_types
        self._gap = int(rules.session_gap * 1e6)
        self._window = int(rules.late_window * 1e6)
        self._midnight = "midnight" in rules.session_breaks
        self._campaign = "campaign" in rules.session_breaks
        self._purchase = "purchase" in rules.session_breaks

    @staticmethod
    def keys_of(event: Event) -> tuple[str, ...]:
        """Return the keys under which the event's session can be found, the surest first."""
        if event.session_id is not None:
            return ("s" + event.session_id,)
        if event.visitor_id is None:
            return ("u" + str(event.user_id),)
        if event.user_id is None:
            return ("v" + event.visitor_id,)
        return ("v" + event.visitor_id, "u" + event.user_id)

    def find(self, keys: tuple[str, ...]) -> Session | None:
        """Return the session under the first key that has one."""
        found = self.index.get(keys[0])
        if found is None and len(keys) > 1:
            found = self.index.get(keys[1])
        return found

    def apply(self, event: Event, now: int) -> Outcome:
        """Put one checked event into its session; `now` (microseconds) is when it arrived."""
        fresh = event.event_id is None
        if event.event_id is None:
            event.event_id = f"{getrandbits(96):024x}"
        mark = xxhash.xxh3_64_intdigest(event.event_id.encode())
        keys = self.keys_of(event)
        session = self.find(keys)
        when: int = event.event_time or 0  # type: ignore[assignment]
        order = event.event_order or LAST
        if session is not None:
            if session.epoch != self.epoch and self.before_change is not None:
                self.before_change(session)
            if type(session.state) is bytes:
                self.wake(session)
            if not fresh and _counted(session, mark):
                session.touched = now
                return Outcome("duplicate", session, event, None)
            last = session.last_time
            if when < last or (when == last and order < session.last_order):
                return self._late(session, Kept(when, order, 0, mark, b""), event, now)
            if session.clicks >= self.rules.max_events:
                return Outcome("too_many", session, event, None)
            if session.keys != keys:
                self._bind(session, keys)
            if self._breaks(session, event, when):
                session = self._follow(session, when, event)
            elif session.settled:
                self._rebase(session)
        else:
            session = self._open(keys, when, event)
        data = _ENCODE(event)
        session.arrivals = arrival = session.arrivals + 1
        session.tail.append(Kept(when, order, arrival, mark, data))
        session.remember(mark)
        session.touched = now
        self._step(session, event, when, order)
        if self._history:
            self._count(event, when, now)
        if len(session.tail) > TRIM_AT:
            self._trim(session)
        return Outcome("accepted", session, event, data)

    def settle(self, session: Session) -> None:
        """Drop what is kept only for late events; called when the late window has passed."""
        session.tail = _AT_REST
        session.base = None
        session.previous = None
        session.past = None
        session.settled = True
        if type(session.state) is not bytes:
            session.state = self.scorer.pack(session.state)
        if not isinstance(session.seen, set):
            session.seen = array("Q", session.seen)

    def wake(self, session: Session) -> Session:
        """Make a session at rest ready to be read or changed; return it."""
        if type(session.state) is bytes:
            session.state = self.scorer.unpack(session.state)
            session.tail = []
        return session

    def _rebase(self, session: Session) -> None:
        """Let a session that goes on after a rest take late events again, from here on."""
        place = (session.last_time, session.last_order, session.campaign, session.bought)
        state = self.scorer.copy(session.state)
        session.base = Base(state, session.clicks, session.first, *place)
        session.tail = []
        session.settled = False

    def dump_state(self, state: State) -> bytes:
        """Return a state as bytes, at rest or not."""
        return self.scorer.dump(self.scorer.unpack(state) if type(state) is bytes else state)

    def close(self, session: Session) -> None:
        """Forget a session."""
        for key in session.keys:
            if self.index.get(key) is session:
                del self.index[key]

    def expires(self, session: Session) -> int:
        """Return the time (microseconds) after which the session can get no more events."""
        rules = self.rules
        named = session.keys[0][0] == "s"
        kept = max(rules.session_ttl, rules.session_gap) if named else rules.session_gap
        return session.touched + int((kept + rules.late_window) * 1e6)

    def _open(self, keys: tuple[str, ...], when: int, event: Event) -> Session:
        name = event.session_id
        if name is None:
            seed = f"{keys[0]}|{when}|{event.event_id}".encode()
            name = f"{xxhash.xxh3_128_intdigest(seed):032x}"
        past = None
        if self._history and (who := visitor_of(event)) is not None:
            visitor = self._visitor(who)
            past = visitor.past()
            visitor.sessions += 1
        session = Session(name, keys, self.scorer.start(past))
        session.past = past
        session.first = when
        session.epoch = self.epoch
        for key in keys:
            self.index[key] = session
        return session

    def _follow(self, session: Session, when: int, event: Event) -> Session:
        """Open the session that follows a finished one."""
        following = self._open(session.keys, when, event)
        session.previous = None
        following.previous = session
        following.arrivals = session.arrivals
        following.campaign = session.campaign
        return following

    def _bind(self, session: Session, keys: tuple[str, ...]) -> None:
        for key in keys:
            if key not in session.keys:
                session.keys = (*session.keys, key)
            self.index[key] = session

    def _breaks(self, session: Session, event: Event, when: int) -> bool:
        if event.session_id is not None or session.clicks == 0:
            return False
        last = session.last_time
        if when - last > self._gap:
            return True
        if self._midnight and when // _DAY != last // _DAY:
            return True
        if self._campaign and event.campaign is not None and event.campaign != session.campaign:
            return True
        if self._purchase and session.bought is not None:
            same = event.event_type == "purchase" and (event.order_id or "") == session.bought
            return not same
        return False

    def _step(self, session: Session, event: Event, when: int, order: int) -> None:
        session.clicks = click = session.clicks + 1
        session.last_time = when
        session.last_order = order
        if self._campaign and event.campaign is not None:
            session.campaign = event.campaign
        if self._purchase:
            session.bought = (event.order_id or "") if event.event_type == "purchase" else None
        session.state = self.scorer.step(session.state, event)
        if self.watch is not None:
            self.watch(session, click, event, session.state)

    def _visitor(self, who: str) -> Visitor:
        visitor = self.visitors.get(who)
        if visitor is None:
            visitor = self.visitors[who] = Visitor()
            visitor.epoch = self.epoch
        elif visitor.epoch != self.epoch and self.before_change is not None:
            self.before_change(visitor)
        return visitor

    def _count(self, event: Event, when: int, now: int) -> None:
        who = visitor_of(event)
        if who is None:
            return
        visitor = self._visitor(who)
        if event.event_type in self._counted_types:
            visitor.counts[event.event_type] = visitor.counts.get(event.event_type, 0) + 1
        visitor.touched = now
        if visitor.last is None or when > visitor.last:
            visitor.last = when

    def _trim(self, session: Session) -> None:
        """Fold kept events that no late event may precede any more into the base."""
        edge = session.last_time - self._window
        tail = session.tail
        count = 0
        while count < len(tail) and (
            tail[count].time < edge or len(tail) - count > self.rules.max_kept
        ):
            count += 1
        if count < TRIM_AT // 2 and len(tail) <= self.rules.max_kept:
            return
        ghost = self._from_base(session)
        watch, self.watch = self.watch, None
        try:
            for kept in tail[:count]:
                self._step(ghost, _DECODE(kept.data), kept.time, kept.order)
        finally:
            self.watch = watch
        place = (ghost.last_time, ghost.last_order, ghost.campaign, ghost.bought)
        session.base = Base(ghost.state, ghost.clicks, session.first, *place)
        del tail[:count]

    def _from_base(self, session: Session) -> Session:
        """Return the session as it was before its kept events."""
        base = session.base
        ghost = Session(session.id, session.keys, None)
        ghost.past = session.past
        ghost.epoch = self.epoch
        if base is None:
            ghost.state = self.scorer.start(session.past)
            return ghost
        ghost.state = self.scorer.copy(base.state)
        ghost.base = base
        ghost.clicks, ghost.first = base.clicks, base.first
        ghost.last_time, ghost.last_order = base.last_time, base.last_order
        ghost.campaign, ghost.bought = base.campaign, base.bought
        return ghost

    def _late(self, session: Session, kept: Kept, event: Event, now: int) -> Outcome:
        """Put an event that is not the newest in its place, and fold again from there."""
        refused = Outcome("too_late", session, event, None)
        if session.settled or kept.time < session.last_time - self._window:
            return refused
        start, previous = session, session.previous
        if session.base is None and previous is not None and kept.time < session.first:
            start = previous
        if (kept.time, kept.order) < start.edge:
            return refused
        if session.clicks >= self.rules.max_events:
            return Outcome("too_many", session, event, None)
        session.arrivals += 1
        data = _ENCODE(event)
        kept = kept._replace(arrival=session.arrivals, data=data)
        events = [*session.tail, kept] if start is session else [*start.tail, *session.tail, kept]
        events.sort(key=_place)
        if self._history:
            self._uncount(start, session)
        newest = self._refold(start, session, events)
        newest.touched = now
        return Outcome("late_accepted", newest, event, data)

    def _refold(self, start: Session, newest: Session, events: list[Kept]) -> Session:
        """Fold `events` after the base of `start`; return the newest session that results."""
        marks = {kept.mark for kept in events}
        # A session keeps its name as long as its first event is still the first.
        names = {newest.tail[0].mark: newest.id} if newest.base is None and newest.tail else {}
        current = self._from_base(start)
        current.previous = start.previous
        current.keys = newest.keys
        for mark in start.seen:
            if mark not in marks:
                current.remember(mark)
        for kept in events:
            event = _DECODE(kept.data)
            if self._breaks(current, event, kept.time):
                current = self._follow(current, kept.time, event)
                current.id = names.get(kept.mark, current.id)
            elif current.clicks == 0:
                current.first = kept.time
            current.tail.append(kept)
            current.remember(kept.mark)
            self._step(current, event, kept.time, kept.order)
            if self._history:
                self._count(event, kept.time, newest.touched)
        current.arrivals = newest.arrivals
        for key in current.keys:
            self.index[key] = current
        return current

    def _uncount(self, start: Session, newest: Session) -> None:
        """Take the visitor's history back to the base of `start`, before folding again."""
        tails = [start.tail] if start is newest else [start.tail, newest.tail]
        for kept in (kept for tail in tails for kept in tail):
            event = _DECODE(kept.data)
            if (who := visitor_of(event)) and event.event_type in self._counted_types:
                counts = self._visitor(who).counts
                counts[event.event_type] = counts.get(event.event_type, 0) - 1
        first = start.tail or newest.tail
        if not first or (who := visitor_of(_DECODE(first[0].data))) is None:
            return
        visitor = self._visitor(who)
        visitor.sessions -= len(tails) - 1
        if visitor.last == newest.last_time:
            past = start.past
            visitor.last = start.base.last_time if start.base else past.last if past else None


def visitor_of(event: Event) -> str | None:
    """Return who the visitor's history is kept for."""
    return event.visitor_id or event.user_id


def _counted(session: Session, mark: int) -> bool:
    previous = session.previous
    return mark in session.seen or (previous is not None and mark in previous.seen)


def _place(kept: Kept) -> tuple[int, int, int]:
    return kept[:3]
