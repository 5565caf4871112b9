"""The moment of action: when somebody acts on a score, and so when a model learns to give one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from cartcast.config import DEFAULTS, parse_duration
from cartcast.errors import UsageError, did_you_mean
from cartcast.features import Lineage
from cartcast.targets import Proxy, Target

__all__ = ["SO_FAR", "Kind", "Moment", "whole_clicks", "with_horizon"]

Kind = Literal["during", "after", "day"]
DAY: Final = 86_400.0
_EVERY: Final = {"during": 3600.0, "after": DAY, "day": 7 * DAY}
_SEEN: Final = 30 * DAY
_HORIZON: Final = "7d"

_PAST = frozenset({"visitor_id", "event_time", "session_id"})
_SALES = _PAST | {"event_type", "order_id", "price", "quantity"}
SO_FAR: Final[Mapping[str, tuple[str, Lineage]]] = {
    "days_since_last_event": ("day", Lineage(_PAST, None, "visitor before session")),
    "days_known": ("day", Lineage(_PAST, None, "visitor before session")),
    "sessions_so_far": ("session", Lineage(_PAST, None, "visitor before session")),
    "orders_so_far": (
        "order", Lineage(_SALES, frozenset({"purchase"}), "visitor before session"),
    ),
    "money_so_far": (
        "currency", Lineage(_SALES, frozenset({"purchase"}), "visitor before session"),
    ),
    "days_since_last_order": (
        "day", Lineage(_SALES, frozenset({"purchase"}), "visitor before session"),
    ),
}  # fmt: skip
"""What is known of a visitor at a moment that no click marks: unit and lineage by name."""


@dataclass(frozen=True)
class Moment:
    """When somebody acts on a score.

    A run learns at moments of one kind, and is asked at moments of that kind only:

    - `during` a session, after a click: while the visitor is in the shop.
    - `after` a session that ended without the outcome: for reminders. A list is due every `every`
      seconds; it holds the visitors whose session has ended since the one before.
    - `day`: of the visitors seen in the last `seen` seconds, whatever they did: for mailings. Rows
      are written every `every` seconds.

    Lists are due at times counted back from the end of the log, so that the last is due now.

    Attributes:
        kind: `during`, `after` or `day`.
        clicks: after which a row is written; of `during`.
        every: seconds from one list to the next; 0 takes an hour (`during`), a day (`after`) or
            seven days (`day`).
        seen: seconds; of `day`.

    Raises:
        UsageError: there is no such kind, or a number is not positive.

    >>> Moment("after").describe()
    'visitors whose session ended without it within the last 1 day'
    """

    kind: Kind = "during"
    clicks: tuple[int, ...] = DEFAULTS.anchors
    every: float = 0.0
    seen: float = _SEEN

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UsageError(
                f"moment must be during, after or day, got {self.kind!r}."
                f"{did_you_mean(str(self.kind), get_args(Kind))}"
            )
        object.__setattr__(self, "clicks", whole_clicks(self.clicks))
        object.__setattr__(self, "every", float(self.every) or _EVERY[self.kind])
        if self.every < 60 or self.seen <= 0:
            raise UsageError(
                f"a list is due every minute or less often, of visitors seen in some time; got "
                f"every {self.every:g} s, seen {self.seen:g} s."
            )

    @classmethod
    def of(cls, given: Moment | str | Sequence[int] | int) -> Moment:
        """Return a moment, given as such, as the word for its kind, or as clicks.

        >>> Moment.of("day").kind, Moment.of([1, 3]).clicks
        ('day', (1, 3))
        """
        if isinstance(given, Moment):
            return given
        if isinstance(given, str):
            return cls(given)  # type: ignore[arg-type]
        return cls(clicks=whole_clicks(given))

    @classmethod
    def from_run(cls, run: Mapping[str, Any]) -> Moment:
        """Return the moment of a run; one from before there were kinds learnt after clicks."""
        told = run.get("moment") or {"clicks": run.get("anchors") or DEFAULTS.anchors}
        return cls(**{**told, "clicks": tuple(told.get("clicks") or DEFAULTS.anchors)})

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as `run.json` keeps it."""
        return {**dataclasses.asdict(self), "clicks": list(self.clicks)}

    @property
    def dated(self) -> bool:
        """Whether its rows are of visitors at times, not of sessions after clicks."""
        return self.kind != "during"

    def describe(self) -> str:
        """Return whom a list holds, in words."""
        if self.kind == "after":
            return f"visitors whose session ended without it within the last {span(self.every)}"
        if self.kind == "day":
            return f"visitors seen in the last {span(self.seen)}"
        return "sessions that are still open, without it so far"


def span(seconds: float) -> str:
    """Return a time in words.

    >>> span(1800), span(86400), span(7 * 86400)
    ('30 minutes', '1 day', '7 days')
    """
    for unit, size in (("day", DAY), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= size:
            n = seconds / size
            return f"{n:g} {unit}{'' if n == 1 else 's'}"
    return f"{seconds:g} seconds"


def with_horizon(
    target: Target | Proxy, moment: Moment, horizon: str | None = None
) -> Target | Proxy:
    """Return the target as it is asked at a moment.

    Once a session is over, its end is no horizon: days are counted, seven where nobody says.

    Raises:
        UsageError: a proxy, which lies within a session, is asked at another moment.

    >>> from cartcast.targets import Purchase
    >>> with_horizon(Purchase(), Moment("after")), with_horizon(Purchase(), Moment())
    (Purchase(horizon='7d'), Purchase(horizon='session'))
    """
    if isinstance(target, Proxy):
        if moment.dated or horizon:
            raise UsageError(
                f"{target.name} is a rule on the rest of a session: it has the moment `during` and "
                "no other horizon."
            )
        return target
    if horizon is not None:
        parse_duration(horizon) if horizon != "session" else None
        target = dataclasses.replace(target, horizon=horizon)
    if moment.dated and target.horizon == "session":
        if horizon == "session":
            raise UsageError(
                f"moment {moment.kind}: the session is over, so the horizon must be a time, as 7d."
            )
        target = dataclasses.replace(target, horizon=_HORIZON)
    return target


def whole_clicks(clicks: Sequence[int] | int) -> tuple[int, ...]:
    """Return clicks as whole numbers, each once, in order.

    Raises:
        UsageError: they are not whole numbers from 1.

    >>> whole_clicks([3, 1, 3]), whole_clicks(2)
    ((1, 3), (2,))
    """
    given: Any = [clicks] if isinstance(clicks, int | float | str) else clicks
    try:
        found = sorted({int(c) for c in given if int(c) == float(c) and int(c) >= 1})
        if found and len(found) == len({float(c) for c in given}):
            return tuple(found)
    except (TypeError, ValueError):
        pass
    raise UsageError(f"clicks must be whole numbers from 1, such as [1, 2, 5], got {clicks!r}.")
