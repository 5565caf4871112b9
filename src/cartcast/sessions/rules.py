"""Session rules: the pause, and the further reasons, that end a session of a visitor.

They hold for events that came without a session. `sql.visits_sql` cuts a log by them,
`live.LiveRules` a stream, and the replay of features visits that only a pause ends; a property test
holds all three to one loop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cartcast.errors import UsageError, did_you_mean

__all__ = ["BREAKS", "USUAL", "SessionRules"]

BREAKS = ("midnight", "campaign", "purchase")
"""Further reasons for a new session: another day by the shop's clock; another campaign than the
session has named so far; an event after a purchase that is no more of the same order. A session
decides alone, by its own events, so that a log that is cut, and a service that forgets, agree."""


@dataclass(frozen=True)
class SessionRules:
    """Where a session of a visitor ends.

    Attributes:
        gap: seconds without an event after which the next one begins a session.
        breaks: further reasons, of `BREAKS`, once each.

    Raises:
        UsageError: the gap is not positive, or a break does not exist.

    >>> SessionRules(1200, ("midnight", "midnight"))
    SessionRules(gap=1200.0, breaks=('midnight',))
    """

    gap: float = 1800.0
    breaks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.gap > 0 and math.isfinite(self.gap)):
            raise UsageError(f"session_gap must fulfil session_gap > 0 seconds, got {self.gap}.")
        for name in self.breaks:
            if name not in BREAKS:
                raise UsageError(f"unknown session break {name!r}.{did_you_mean(name, BREAKS)}")
        object.__setattr__(self, "gap", float(self.gap))
        object.__setattr__(self, "breaks", tuple(dict.fromkeys(self.breaks)))

    @property
    def microseconds(self) -> int:
        """The gap as times are held."""
        return round(self.gap * 1_000_000)

    def same_as(self, other: SessionRules) -> bool:
        """Return whether both end sessions alike; the order of the breaks means nothing."""
        return self.gap == other.gap and set(self.breaks) == set(other.breaks)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data: `gap` and `breaks`."""
        return {"gap": self.gap, "breaks": list(self.breaks)}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> SessionRules:
        """Read back what `as_dict` returned."""
        return cls(told["gap"], tuple(told["breaks"]))

    def __str__(self) -> str:
        also = f" and {', '.join(sorted(self.breaks))}" if self.breaks else ""
        return f"a pause of {self.gap:g} s{also}"


USUAL = SessionRules()
"""Half an hour without an event, nothing else."""
