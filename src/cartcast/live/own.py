"""Whose score a page may be told: that of the one device whose session it is.

A key in a page is known to everybody, and so may be a login. An id of a device is known to that
device alone, as long as it cannot be guessed. So a page is told a score only by such an id, and
only of a session in which no login and no other device has a part: anyone who sends events could
join a stranger's session by naming the stranger's login.
"""

from __future__ import annotations

import re
from typing import Final

from cartcast.live.event import Event
from cartcast.live.session import Session

__all__ = ["is_own", "is_secret"]

_SECRET: Final = re.compile(r"[^@\s]{16,256}").fullmatch
"""Ids of devices that trackers make: 16 characters or more, and no address."""


def is_secret(visitor_id: str | None) -> bool:
    """Tell whether an id of a device is one that others cannot guess.

    >>> is_secret("f3b1c2d4-0000-4abc-9def"), is_secret("17"), is_secret("ann@shop.example")
    (True, False, False)
    """
    return visitor_id is not None and _SECRET(visitor_id) is not None


def is_own(session: Session, event: Event) -> bool:
    """Tell whether a page that knows the event's device may be told the session's score."""
    named = event.visitor_id
    return is_secret(named) and session.keys == (f"v{named}",)
