"""Alarms: what happened, since when, how much money, and what to look at.

An alarm is open, acknowledged or resolved. A silence holds back the sending, never the alarm, and
is itself recorded. `cartcast.monitoring.store` keeps both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from cartcast.findings import CATALOGUE

__all__ = ["Alarm", "Notice", "Severity", "Silence", "State"]

Severity = Literal["page", "ticket"]
State = Literal["open", "acknowledged", "resolved"]


@dataclass(frozen=True)
class Notice:
    """Something found on a day, before it is known whether it is new.

    Attributes:
        code: finding code.
        subject: what of it: a process, a signal or similar; with the code, what alarms group by.
        severity: `page` calls somebody, `ticket` waits for the morning.
        since: the likeliest first day or hour.
        through: the last day or hour that shows it.
        message: what happened, in one sentence.
        money: what it costs so far, or None when that cannot be said.
        look: what to look at, first things first.
        apart: one that begins more than a day after its alarm was last found is another, and opens
            its own.
    """

    code: str
    subject: str
    severity: Severity
    since: datetime
    through: datetime
    message: str
    money: float | None = None
    look: tuple[str, ...] = ()
    apart: bool = False


@dataclass(frozen=True)
class Alarm:
    """A notice that was kept; `times` says how often it was found since it was opened."""

    number: int
    run: str
    code: str
    subject: str
    severity: Severity
    state: State
    opened: str
    since: str
    through: str
    times: int
    money: float | None
    currency: str | None
    message: str
    look: tuple[str, ...] = field(default_factory=tuple)
    silenced: int | None = None
    sent: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        advice = CATALOGUE[self.code].advice if self.code in CATALOGUE else ""
        return {**self.__dict__, "look": list(self.look), "advice": advice}


@dataclass(frozen=True)
class Silence:
    """Sending held back for a code (or `*`), from `begin` to `until`, by whom and why."""

    number: int
    code: str
    begin: str
    until: str
    who: str
    why: str
