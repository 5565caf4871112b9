"""Sessionizing in the stream, equal to the batch: gaps, breaks, late events, repeats.

A session is found by its own id, or by the visitor's device, or by the login: a login that
becomes known inside a session joins it. An event that comes late, or out of order, within
`late_window` is put in its place and the session is folded again from its kept events; a later
one is refused. An event id counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from random import getrandbits
from typing import Final, Literal, NamedTuple

import xxhash

from cartcast.features.shop_clock import ShopClock
from cartcast.features.visitor import counted_column
from cartcast.live.event import Event
from cartcast.live.resting import Resting, is_named, touched_at, unpack_visitor
from cartcast.live.scorer import Scorer, State
from cartcast.live.session import Base, Rules, Session, Visitor
from cartcast.live.tail import LAST, Kept, Tail, mark_of
from cartcast.sessions import LiveRules

__all__ = ["Outcome", "Sessions", "Status", "Watch", "visitor_of"]

Status = Literal["accepted", "late_accepted", "duplicate", "too_late", "too_many"]
STRIDE: Final = 32
"""Kept events after which the state is noted, so that older events can be dropped later."""
_LONGEST: Final = 32
"""Earlier sessions of one visitor that are kept for late events."""


class Outcome(NamedTuple):
    """What became of one event.

    Attributes:
        status: `accepted`; `late_accepted` (put in its place, later clicks changed);
            `duplicate`; `too_late`; `too_many`.
        session: the session it belongs to, as it stands now.
        event: the event with its id.
    """

    status: Status
    session: Session
    event: Event

    @property
    def counts(self) -> bool:
        """Whether the event counts, and is to be logged."""
        return self.status in ("accepted", "late_accepted")


Watch = Callable[[Session, int, Event, State], None]
"""Called after every step with session, click, event and state; again when clicks are redone."""


class Sessions:
    """Puts events into sessions and folds them.

    Plain and synchronous: who stores the indexes, and when they are durable, is not its concern.

    Attributes:
        index: open sessions by key; those at rest as bytes.
        visitors: visitors' histories by id; kept only when the features read them.
        before_change: called with a session or visitor whose `epoch` is not `epoch`, before it
            is changed, so that a snapshot taken meanwhile sees it as it was.
    """

    def __init__(
        self,
        scorer: Scorer,
        rules: Rules | None = None,
        index: MutableMapping[str, Session | bytes] | None = None,
        visitors: MutableMapping[str, Visitor | bytes] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.scorer = scorer
        self.rules = rules = rules or Rules()
        self.index: MutableMapping[str, Session | bytes] = {} if index is None else index
        self.visitors: MutableMapping[str, Visitor | bytes] = {} if visitors is None else visitors
        self._resting = Resting()
        self.watch = watch
        self.epoch = 0
        self.before_change: Callable[[Session | Visitor], None] | None = None
        self._history = scorer.reads_history
        self._counted = scorer.history_types
        columns = {counted_column(kind)[0] for kind in self._counted}
        self._counted_columns = [
            (c, c in Event.__struct_fields__) for c in sorted(columns - {"event_type"})
        ]
        self._window = int(rules.late_window * 1e6)
        self._ends = LiveRules(rules.sessions, ShopClock(rules.zone).local)

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
        if isinstance(found, bytes):
            return self.wake(found)
        return found

    def apply(self, event: Event, now: int) -> Outcome:
        """Put one checked event into its session; `now` (microseconds) is when it arrived."""
        fresh = event.event_id is None
        if event.event_id is None:
            event.event_id = f"{getrandbits(96):024x}"
        mark = mark_of(event.event_id)
        keys = self.keys_of(event)
        session = self.find(keys)
        when: int = event.event_time or 0  # type: ignore[assignment]
        order = event.event_order or LAST
        if session is not None:
            if session.epoch != self.epoch and self.before_change is not None:
                self.before_change(session)
            if not fresh and _counted(session, mark):
                session.touched = now
                return Outcome("duplicate", session, event)
            last = session.last_time
            if when < last or (when == last and order < session.last_order):
                return self._late(session, Kept(when, order, 0, event), now)
            if session.clicks >= self.rules.max_events:
                return Outcome("too_many", session, event)
            if session.keys != keys:
                self._bind(session, keys)
            if self._breaks(session, event, when):
                session = self._follow(session, when, event)
            elif session.settled:
                self._rebase(session)
        else:
            session = self._open(keys, when, event)
        session.arrivals = arrival = session.arrivals + 1
        tail = session.tail
        tail.append(event, arrival)
        session.remember(mark)
        session.touched = now
        self._step(session, event, when, order)
        if self._history:
            self._count(event, when, now)
        if len(tail) >= STRIDE:
            self._trim(session)
        return Outcome("accepted", session, event)

    def settle(self, session: Session) -> None:
        """Drop what is kept only for late events; called when the late window has passed."""
        session.tail = Tail()
        session.base = None
        session.ahead = ()
        session.previous = None
        session.past = None
        session.settled = True

    def rest(self, session: Session) -> None:
        """Settle a session and keep it as few bytes until it is asked for."""
        if session.epoch != self.epoch and self.before_change is not None:
            self.before_change(session)
        self.settle(session)
        data = self._resting.pack(session, self.scorer.pack(session.state))
        for key in session.keys:
            if self.index.get(key) is session:
                self.index[key] = data

    def wake(self, data: bytes) -> Session:
        """Return the session that rests in `data`, in its place again."""
        session = self.unpack(data)
        for key in session.keys:
            if self.index.get(key) is data:
                self.index[key] = session
        return session

    def unpack(self, data: bytes) -> Session:
        """Return the session that rests in `data`, which stays where it is."""
        session, state = self._resting.unpack(data)
        session.state = self.scorer.unpack(state)
        # Snapshots hold the bytes as they were: there is nothing to write before a change.
        session.epoch = self.epoch
        return session

    def _rebase(self, session: Session) -> None:
        """Let a session that continues after a rest take late events again, from here on."""
        place = (session.last_time, session.last_order, session.campaign, session.bought)
        state = self.scorer.copy(session.state)
        session.base = Base(state, session.clicks, session.first, *place)
        session.settled = False

    def expires(self, session: Session | bytes) -> int:
        """Return the time (microseconds) after which the session can get no more events."""
        if isinstance(session, bytes):
            return touched_at(session) + self._kept_for(is_named(session))
        return session.touched + self._kept_for(session.keys[0][0] == "s")

    def _kept_for(self, named: bool) -> int:
        rules = self.rules
        kept = max(rules.session_ttl, rules.sessions.gap) if named else rules.sessions.gap
        return int((kept + rules.late_window) * 1e6)

    def _open(self, keys: tuple[str, ...], when: int, event: Event) -> Session:
        name = event.session_id
        if name is None:
            seed = f"{keys[0]}|{when}|{event.event_id}".encode()
            name = f"{xxhash.xxh3_128_intdigest(seed):032x}"
        past = None
        if self._history and (who := visitor_of(event)) is not None:
            visitor = self.visitor(who)
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
        following.previous = session
        following.arrivals = session.arrivals
        self._forget(following, when)
        return following

    def _forget(self, newest: Session, when: int) -> None:
        """Let go of earlier sessions that no late event can reach any more.

        After a pause there is one; what else ends a session can leave several within the window.
        """
        for length, session in enumerate(_back(newest)):
            previous = session.previous
            if previous is None or session is newest:
                continue
            if session.first <= when - self._window:
                session.previous = None
            elif length >= _LONGEST:
                # What would belong to the one before is refused, rather than put where it is not.
                session.previous = None
                if session.base is None:
                    start = self.scorer.start(session.past)
                    session.base = Base(
                        start, 0, session.first, session.first - 1, LAST, None, None
                    )

    def _bind(self, session: Session, keys: tuple[str, ...]) -> None:
        for key in keys:
            if key not in session.keys:
                session.keys = (*session.keys, key)
            self.index[key] = session

    def _breaks(self, session: Session, event: Event, when: int) -> bool:
        if event.session_id is not None or session.clicks == 0:
            return False
        return self._ends.starts(session, event, when)

    def _step(self, session: Session, event: Event, when: int, order: int) -> None:
        session.clicks = click = session.clicks + 1
        session.last_time = when
        session.last_order = order
        self._ends.note(session, event)
        session.state = self.scorer.step(session.state, event)
        if self.watch is not None:
            self.watch(session, click, event, session.state)

    def visitor(self, who: str) -> Visitor:
        """Return the history of a visitor, ready to be changed."""
        visitor = self.visitors.get(who)
        if visitor is None:
            visitor = self.visitors[who] = Visitor()
            visitor.epoch = self.epoch
        elif isinstance(visitor, bytes):
            visitor = self.visitors[who] = unpack_visitor(visitor)
            visitor.epoch = self.epoch
        elif visitor.epoch != self.epoch and self.before_change is not None:
            self.before_change(visitor)
        return visitor

    def _count(self, event: Event, when: int, now: int) -> None:
        who = visitor_of(event)
        if who is None:
            return
        visitor = self.visitor(who)
        if self._counted_columns:
            for kind in self._kinds(event):
                visitor.count(kind, 1)
        elif event.event_type in self._counted:
            visitor.count(event.event_type, 1)
        visitor.touched = now
        if visitor.last is None or when > visitor.last:
            visitor.last = when

    def _kinds(self, event: Event) -> Iterator[str]:
        """Yield what is counted of an event in its visitor's history."""
        if event.event_type in self._counted:
            yield event.event_type
        for column, known in self._counted_columns:
            text = getattr(event, column) if known else (event.extra or {}).get(column)
            if isinstance(text, str) and (kind := f"{column}={text}") in self._counted:
                yield kind

    def _trim(self, session: Session) -> None:
        """Note the state every few kept events; drop those that none may precede any more."""
        tail = session.tail
        if len(tail) % STRIDE == 0:
            place = (session.last_time, session.last_order, session.campaign, session.bought)
            state = self.scorer.copy(session.state)
            noted = Base(state, session.clicks, session.first, *place)
            session.ahead = (*session.ahead, (len(tail), noted))
        crowded = len(tail) > self.rules.max_kept
        if session.ahead:
            count, base = session.ahead[0]
            if crowded or base.last_time < session.last_time - self._window:
                session.base = base
                later = session.ahead[1:]
                session.ahead = tuple((n - count, noted) for n, noted in later)
                tail.drop(count)
        elif crowded:
            self._fold_oldest(session, max(len(tail) // 4, 1))

    def _fold_oldest(self, session: Session, count: int) -> None:
        """Fold the oldest kept events into the base: what `ahead` saves when it is there."""
        ghost = self._from_base(session)
        watch, self.watch = self.watch, None
        try:
            for kept in session.tail.first(count):
                self._step(ghost, kept.event, kept.time, kept.order)
        finally:
            self.watch = watch
        place = (ghost.last_time, ghost.last_order, ghost.campaign, ghost.bought)
        session.base = Base(ghost.state, ghost.clicks, session.first, *place)
        session.tail.drop(count)

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

    def _late(self, session: Session, kept: Kept, now: int) -> Outcome:
        """Put an event that is not the newest in its place, and fold again from there."""
        event = kept.event
        refused = Outcome("too_late", session, event)
        if session.settled or kept.time < session.last_time - self._window:
            return refused
        start = session
        while start.base is None and start.previous is not None and kept.time < start.first:
            start = start.previous
        if (kept.time, kept.order) < start.edge:
            return refused
        if session.clicks >= self.rules.max_events:
            return Outcome("too_many", session, event)
        session.arrivals += 1
        kept = kept._replace(arrival=session.arrivals)
        again = list(_back(session, start))
        events = sorted([kept, *(k for s in again for k in s.tail)], key=_place)
        if self._history:
            self._uncount(again)
        newest = self._refold(again, events)
        newest.touched = now
        return Outcome("late_accepted", newest, event)

    def _refold(self, again: list[Session], events: list[Kept]) -> Session:
        """Fold `events` after the base of the oldest of some sessions; return the newest.

        `again` holds the sessions of these events, the newest first.
        """
        newest, start = again[0], again[-1]
        marks = {kept.mark for kept in events}
        # A session keeps its name as long as its first event is still the first.
        names = {s.tail.first()[0].mark: s.id for s in again if s.base is None and s.tail}
        current = self._from_base(start)
        current.previous = start.previous
        current.keys = newest.keys
        for mark in start.seen:
            if mark not in marks:
                current.remember(mark)
        for kept in events:
            event = kept.event
            if self._breaks(current, event, kept.time):
                current = self._follow(current, kept.time, event)
                current.id = names.get(kept.mark, current.id)
            elif current.clicks == 0:
                current.first = kept.time
            current.tail.append(event, kept.arrival)
            current.remember(kept.mark)
            self._step(current, event, kept.time, kept.order)
            if self._history:
                self._count(event, kept.time, newest.touched)
        current.arrivals = newest.arrivals
        for key in current.keys:
            self.index[key] = current
        return current

    def _uncount(self, again: list[Session]) -> None:
        """Take the visitor's history back to the base of the oldest, before folding again."""
        newest, start = again[0], again[-1]
        for kept in (kept for session in again for kept in session.tail):
            event = kept.event
            if (who := visitor_of(event)) is not None:
                visitor = self.visitor(who)
                for kind in self._kinds(event):
                    visitor.count(kind, -1)
        first = start.tail or newest.tail
        if not first or (who := visitor_of(first.first()[0].event)) is None:
            return
        visitor = self.visitor(who)
        visitor.sessions -= len(again) - 1
        if visitor.last == newest.last_time:
            past = start.past
            visitor.last = start.base.last_time if start.base else past.last if past else None


def visitor_of(event: Event) -> str | None:
    """Return who the visitor's history is kept for."""
    return event.visitor_id or event.user_id


def _counted(session: Session, mark: int) -> bool:
    # Without a generator: every event comes by here.
    known: Session | None = session
    while known is not None:
        if mark in known.seen:
            return True
        known = known.previous
    return False


def _back(newest: Session, oldest: Session | None = None) -> Iterator[Session]:
    """Yield a session and those before it that are still known, up to `oldest`."""
    session: Session | None = newest
    while session is not None:
        yield session
        session = None if session is oldest else session.previous


def _place(kept: Kept) -> tuple[int, int, int]:
    return kept[:3]
