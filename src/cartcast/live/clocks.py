"""Time that does not jump: the server's own, and that of clients who are ahead of it.

Three clocks are read. `age_micros` only counts what has passed since the process began; sessions
expire by it, so that a wall clock set wrong and back loses none. `Clock.now` is the calendar: it
follows the wall clock, never goes back, and believes a jump ahead only after it has stood for ten
minutes. Beside it stands the later of calendar and wall: no event is refused as lying in the future
because this server's clock was the wrong one.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from cartcast import system
from cartcast.live.event import Event

__all__ = ["Clock", "Leads", "age_micros"]

JUMP: Final = 2_000_000
"""Microseconds between two clocks that are still drift."""
BELIEVED: Final = 600_000_000
"""Microseconds after which a jump ahead is believed."""
LEAD: Final = 5_000_000
"""Microseconds that a client may be ahead before its times are corrected."""
MOST_CLIENTS: Final = 10_000


def _passed() -> int:
    """Return microseconds that keep counting in a suspended machine, where there are such."""
    return system.passed_nanoseconds() // 1000


def _wall() -> int:
    return time.time_ns() // 1000


_START: Final = _wall() - _passed()


def age_micros() -> int:
    """Return microseconds since 1970 as they were at the start, plus what has passed since."""
    return _START + _passed()


class Clock:
    """The calendar in microseconds since 1970, without jumps.

    >>> wall, passed = [1_000_000_000], [0]
    >>> clock = Clock(lambda: wall[0], lambda: passed[0])
    >>> wall[0], passed[0] = 1_000_000_000 - 3_600_000_000, 10_000_000   # set back by an hour
    >>> clock.now() > 1_000_000_000
    True
    """

    def __init__(
        self, wall: Callable[[], int] = _wall, passed: Callable[[], int] = _passed
    ) -> None:
        self._wall, self._passed = wall, passed
        self._reading, self._read_at = wall(), passed()
        self._ahead_since: int | None = None

    def now(self) -> int:
        """Return the calendar's time; it never goes back."""
        return self.read()[0]

    def read(self) -> tuple[int, int]:
        """Return the calendar's time, and the later of it and the wall clock."""
        wall, at = self._wall(), self._passed()
        step = max(at - self._read_at, 0)
        apart = wall - (self._reading + step)
        if apart < 0:
            # Drift, or set back: go at half speed until the wall clock has come up.
            self._ahead_since = None
            self._reading += max(step // 2, step + apart)
        elif apart <= JUMP:
            self._ahead_since = None
            self._reading = wall
        else:
            since = self._ahead_since = at if self._ahead_since is None else self._ahead_since
            self._reading += step
            if at - since >= BELIEVED:
                self._reading = wall
        self._read_at = at
        return self._reading, max(self._reading, wall)


class Leads:
    """How far clients are ahead: the largest lead over the events of each.

    An event that lies in the future was stamped by a clock that is ahead by at least that much.
    Only such events are moved; others of the same visitor, from another clock, stay.

    >>> event = Event("view_item", event_time=1_200_000_000, visitor_id="v")
    >>> Leads().put_right([event], received=1_000_000_000)
    >>> event.event_time
    1000000000
    """

    def __init__(self) -> None:
        self._leads: OrderedDict[str, int] = OrderedDict()

    def put_right(self, events: Sequence[Event], received: int) -> None:
        """Move events out of the future by their client's lead, keeping the time between them."""
        early = [e for e in events if (time := e.event_time) is not None and time > received]  # type: ignore[operator]
        if not early:
            return
        early = [e for e in early if _time(e) - received > LEAD or _client(e) in self._leads]
        for event in early:
            client = _client(event)
            lead = max(self._leads.pop(client, 0), _time(event) - received)
            self._leads[client] = lead
        for event in early:
            event.event_time = _time(event) - self._leads[_client(event)]
        while len(self._leads) > MOST_CLIENTS:
            self._leads.popitem(last=False)


def _client(event: Event) -> str:
    return event.visitor_id or event.session_id or event.user_id or ""


def _time(event: Event) -> int:
    assert isinstance(event.event_time, int)
    return event.event_time
