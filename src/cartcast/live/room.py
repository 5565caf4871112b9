"""Room: the memory that sessions and visitors' histories may take, and what gives way.

Weights are estimates from measurement (docs/sizing.md), in bytes. A session within its late window
keeps its events; settled, it is a third of that. So the oldest of these give way first, then the
oldest histories; when that is not enough, new sessions are refused until others have expired.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple, TypeVar

from cartcast.live.resting import keys_at_rest, touched_at
from cartcast.live.scorer import Scorer
from cartcast.live.session import Session, Visitor
from cartcast.live.sessions import Sessions

__all__ = ["Room", "make_room", "weigh"]

_T = TypeVar("_T")
AWAKE: Final = 600
"""Bytes of a session without its states and kept events, its key included; and so below."""
SEEN: Final = 72
BASE: Final = 120
RESTING: Final = 350
VISITOR: Final = 450
VISITOR_RESTING: Final = 260
LOW: Final = 0.9
"""Share of the room down to which is cleared, so that not every sweep clears."""


def weigh(session: Session | bytes, scorer: Scorer) -> int:
    """Return about how many bytes a session takes."""
    if isinstance(session, bytes):
        return RESTING + len(session)
    # A short list of ids is an array, a long one a set.
    seen = len(session.seen) * (SEEN if len(session.seen) > 64 else 8)
    bases = [base for _, base in session.ahead]
    if session.base is not None:
        bases.append(session.base)
    states = scorer.weight(session.state) + sum(BASE + scorer.weight(b.state) for b in bases)
    before = 0 if session.previous is None else weigh(session.previous, scorer)
    return AWAKE + session.tail.weight() + seen + states + before


def _weigh_history(visitor: Visitor | bytes) -> int:
    return VISITOR_RESTING + len(visitor) if isinstance(visitor, bytes) else VISITOR


class Room(NamedTuple):
    """The weight of all sessions and histories, how many are open, and what gave way."""

    weight: int
    sessions: int = 0
    settled: int = 0
    forgotten: int = 0


async def make_room(sessions: Sessions, most: int) -> Room:
    """Settle the oldest sessions and forget the oldest histories until `most` bytes suffice.

    Events continue meanwhile.
    """
    index, visitors = sessions.index, sessions.visitors
    scorer = sessions.scorer
    weight = histories = 0
    resting = 0.0
    awake: dict[int, Session] = {}
    async for one in _in_turn(list(index.values()), 1_000):
        if isinstance(one, bytes):
            weight += weigh(one, scorer)
            resting += 1 / keys_at_rest(one)
        elif id(one) not in awake:
            awake[id(one)] = one
            weight += weigh(one, scorer)
    count = len(awake) + round(resting)
    async for history in _in_turn(list(visitors.values()), 1_000):
        histories += _weigh_history(history)
    if weight + histories <= most:
        return Room(weight + histories, count)
    goal, settled, forgotten = int(most * LOW), 0, 0
    async for session in _in_turn(sorted(awake.values(), key=lambda s: s.touched), 50):
        if weight + histories <= goal:
            break
        if not any(index.get(key) is session for key in session.keys):
            continue
        weight -= weigh(session, scorer)
        sessions.rest(session)
        weight += max(weigh(index[key], scorer) for key in session.keys if key in index)
        settled += 1
    # Histories may keep half of the room: those of visitors who will not come again go first.
    spare = max(goal - weight, goal // 2)
    if weight + histories > goal and histories > spare:
        async for who in _in_turn(sorted(visitors, key=lambda w: _touched(visitors[w])), 1_000):
            if histories <= spare:
                break
            if who in visitors:
                histories -= _weigh_history(visitors.pop(who))
                forgotten += 1
    return Room(weight + histories, count, settled, forgotten)


async def _in_turn(items: Sequence[_T], turn: int) -> AsyncIterator[_T]:
    """Yield the items; others get their turn in between."""
    for place, item in enumerate(items, 1):
        yield item
        if place % turn == 0:
            await asyncio.sleep(0)


def _touched(visitor: Visitor | bytes) -> int:
    return touched_at(visitor) if isinstance(visitor, bytes) else visitor.touched
