"""The plain truth of a small shop: events, lines and orders, before any tracker wrote them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

__all__ = ["GAP", "Event", "Line", "Order", "TrueLog"]

GAP = 1800
"""Seconds of pause after which a session ends; sessions of the shop obey it."""


@dataclass(frozen=True)
class Line:
    """One line of a cart or an order; `price` is per unit, in the log's currency."""

    item_id: str
    name: str
    category: str
    brand: str
    price: float
    quantity: int = 1

    @property
    def value(self) -> float:
        """Price times quantity."""
        return round(self.price * self.quantity, 2)


@dataclass(frozen=True)
class Order:
    """An order or a refund; `total` is what was paid (or given back), always positive."""

    order_id: str
    total: float
    tax: float = 0.0
    shipping: float = 0.0
    discount: float = 0.0


@dataclass(frozen=True)
class Event:
    """One event of the shop, as its tracker saw it.

    Attributes:
        event_id: unique.
        visitor_id, session_id: the device and the visit to which it belongs, even where the
            source does not say so (see `server`).
        user_id: the login as known at this event.
        session_number: the visitor's n-th session, from 1.
        time: whole seconds since 1970, UTC.
        position: 1, 2, ... in the session; tells the order of ties.
        event_type: canonical.
        lines: items of the event; the first one is the event's own.
        order: of a purchase or refund.
        server: who else but the browser sent it: the server with the `user` or `client` id only
            (no session), or None.
        again: a purchase that was told before, under another event id; its money counts once.
        page: URL.
        term: words of a search.
        shelf: a column of the shop's own.
    """

    event_id: str
    visitor_id: str
    user_id: str | None
    session_id: str
    session_number: int
    time: int
    position: int
    event_type: str
    lines: tuple[Line, ...] = ()
    order: Order | None = None
    server: str | None = None
    again: bool = False
    country: str | None = None
    device: str | None = None
    channel: str | None = None
    campaign: str | None = None
    page: str | None = None
    term: str | None = None
    shelf: str | None = None

    @property
    def line(self) -> Line | None:
        """The event's own item."""
        return self.lines[0] if self.lines else None

    def at(self, form: str = "%Y-%m-%d %H:%M:%S") -> str:
        """Return the time in UTC as text."""
        return datetime.fromtimestamp(self.time, UTC).strftime(form)


@dataclass(frozen=True)
class TrueLog:
    """All events in time order, ties in their true order; one currency."""

    events: tuple[Event, ...]
    currency: str = "EUR"

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def sessions(self) -> dict[str, list[Event]]:
        """Return the events by session, in order of the first event."""
        found: dict[str, list[Event]] = {}
        for event in self.events:
            found.setdefault(event.session_id, []).append(event)
        return found

    def change(self, rule: Callable[[Event], Event | None]) -> TrueLog:
        """Return the log with every event changed by `rule`, or left out where it gives None."""
        changed = (rule(event) for event in self.events)
        return replace(self, events=tuple(event for event in changed if event is not None))
