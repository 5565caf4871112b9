"""Session rules event by event: whether the next event of a visitor begins a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cartcast.sessions.rules import SessionRules

__all__ = ["LiveRules", "Standing"]

_DAY = 86_400_000_000


class Standing(Protocol):
    """What is kept of a session for its rules.

    Attributes:
        last_time: time of its newest event, microseconds.
        campaign: the campaign that it named last.
        bought: order of the newest event if that is a purchase ("" if it names none), else None.
    """

    last_time: int
    campaign: str | None
    bought: str | None


class Happening(Protocol):
    """What the rules read of an event."""

    event_type: str
    campaign: str | None
    order_id: str | None


class LiveRules:
    """`SessionRules` for single events.

    Args:
        rules: where sessions end.
        local: a time (microseconds, UTC) by the shop's clock.
    """

    def __init__(self, rules: SessionRules, local: Callable[[int], int]) -> None:
        self._gap = rules.microseconds
        self._local = local
        self._midnight, self._campaign, self._purchase = (
            name in rules.breaks for name in ("midnight", "campaign", "purchase")
        )

    def starts(self, session: Standing, event: Happening, when: int) -> bool:
        """Return whether an event at `when` is of a new session, and not of this one."""
        last = session.last_time
        if when - last > self._gap:
            return True
        if self._midnight and self._local(when) // _DAY != self._local(last) // _DAY:
            return True
        if self._campaign and event.campaign is not None and event.campaign != session.campaign:
            return True
        if self._purchase and session.bought is not None:
            return event.event_type != "purchase" or (event.order_id or "") != session.bought
        return False

    def note(self, session: Standing, event: Happening) -> None:
        """Keep of a session's newest event what the next one is held against."""
        if self._campaign and event.campaign is not None:
            session.campaign = event.campaign
        if self._purchase:
            session.bought = (event.order_id or "") if event.event_type == "purchase" else None
