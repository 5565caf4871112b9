"""Arms on the wire: what is asked, and what is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cartcast.live.event import Id

__all__ = ["Arm", "Arms", "Assign"]

MOST_NAMED: Final = 100
"""Experiments that one request may name."""


class Assign(msgspec.Struct, forbid_unknown_fields=True):
    """Whose arms are asked for.

    An experiment reads the id that its plan's `unit` names: `visitor_id`, `user_id`, `session_id`,
    or `unit` for any other, and where that one is not given. Without `experiments` all that run
    answer. With `expose` (the default) the arms count as seen; set it to false to look ahead.
    `at` is when they were seen, as an event's time, where that is told later (a device that was
    offline); the default is now. What is told first counts.
    """

    visitor_id: Id | None = None
    user_id: Id | None = None
    session_id: Id | None = None
    unit: Id | None = None
    experiments: Annotated[list[str], Meta(min_length=1, max_length=MOST_NAMED)] | None = None
    expose: bool = True
    at: datetime | int | None = None


class Arm(msgspec.Struct, omit_defaults=True):
    """One experiment's answer.

    `arm` is null for a unit that takes no part, and `reason` tells why: `assigned`, `kept` (seen
    before), `holdout`, `layer`, `coverage`, `blocked`, `no unit`, `not started` or `ended`. `unit`
    is the id that was hashed, `exposed` that it counts as seen.
    """

    arm: str | None
    reason: str
    unit: str | None = None
    exposed: bool = False


class Arms(msgspec.Struct):
    """Arms by experiment."""

    arms: dict[str, Arm]
