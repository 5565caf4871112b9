"""Features of time: since when, how often lately, and the calendar of the session's start.

The calendar is the shop's: `event_time` and `utc_offset`. Differences of time know no offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cartcast.errors import DefinitionError
from cartcast.features.conditions import Condition
from cartcast.features.declared import Lineage, require_positive
from cartcast.features.expressions import (
    Expression,
    check_operand,
    operand_build,
    operand_lineage,
    operand_unit,
)
from cartcast.features.reductions import Reduction, check_where

if TYPE_CHECKING:
    from cartcast.features.build import Builder

__all__ = [
    "CountWithin",
    "DayOfWeek",
    "DecayedCount",
    "DecayedSum",
    "Hour",
    "Month",
    "SecondsInSession",
    "SecondsSince",
    "SecondsSinceFirst",
]

_TIMES = Lineage(frozenset({"event_time", "session_seconds"}))


@dataclass(frozen=True, repr=False)
class SecondsSince(Reduction):
    """Seconds from the latest event for which `where` holds to this click; 0 on such an event."""

    where: Condition

    def __post_init__(self) -> None:
        if self.where is None:
            raise DefinitionError(f"{type(self).__name__}: needs where=, the kind of event.")
        check_where(type(self).__name__, self.where)

    @property
    def unit(self) -> str:  # noqa: D102
        return "s"

    @property
    def null_rule(self) -> str:  # noqa: D102
        return "null before the first such event, and where the source has no clock"

    @property
    def lineage(self) -> Lineage:  # noqa: D102
        # The moment of the click itself moves the value, whatever its event type.
        return Lineage(_TIMES.columns | self.where.columns)

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.leaf(
            "SINCE_LAST", builder.now(), builder.mask(self.where), init=("nothing", "nothing")
        )


@dataclass(frozen=True, repr=False)
class SecondsSinceFirst(SecondsSince):
    """Seconds from the first event for which `where` holds to this click; 0 on that event."""

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.leaf(
            "SINCE_FIRST", builder.now(), builder.mask(self.where), init=("nothing", "nothing")
        )


@dataclass(frozen=True, repr=False)
class SecondsInSession(Reduction):
    """Seconds from the session's first event to this click; 0 on the first."""

    @property
    def where(self) -> Condition | None:  # type: ignore[override]
        """All events."""
        return None

    @property
    def unit(self) -> str:  # noqa: D102
        return "s"

    @property
    def null_rule(self) -> str:  # noqa: D102
        return "null where the source has no clock"

    @property
    def _reads(self) -> Lineage:
        return _TIMES

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.leaf("SINCE_FIRST", builder.now(), -1, init=("nothing", "nothing"))


@dataclass(frozen=True, repr=False)
class CountWithin(Reduction):
    """Number of events of the last `seconds` (this click's own included, both ends closed)."""

    seconds: float
    where: Condition | None = None

    def __post_init__(self) -> None:
        require_positive("CountWithin", "seconds", self.seconds)
        check_where("CountWithin", self.where)

    @property
    def unit(self) -> str:  # noqa: D102
        return "event"

    @property
    def null_rule(self) -> str:  # noqa: D102
        return "null where the source has no clock; else 0 when no event counts"

    @property
    def lineage(self) -> Lineage:  # noqa: D102
        return Lineage(_TIMES.columns | (self.where.columns if self.where else frozenset()))

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.leaf(
            "WITHIN",
            builder.now(),
            builder.mask(self.where),
            init=("zero_int", "zero_int", "nothing"),
            whole=round(self.seconds * 1e6),
        )


class _Decayed(Reduction):
    half_life: float
    by: Literal["seconds", "clicks"]

    def _check(self) -> None:
        require_positive(type(self).__name__, "half_life", self.half_life)
        if self.by not in ("seconds", "clicks"):
            raise DefinitionError(
                f"{type(self).__name__}: by must be 'seconds' or 'clicks', got {self.by!r}."
            )
        check_where(type(self).__name__, self.where)

    def _decay(self, builder: Builder) -> int:
        return builder.decay(float(self.half_life), self.by)


@dataclass(frozen=True, repr=False)
class DecayedCount(_Decayed):
    """Count in which an event's weight halves every `half_life` seconds (or clicks).

    A click's own weight is 1: sum over events e of 2 ** -((now - time(e)) / half_life).

    >>> DecayedCount(60)
    DecayedCount(60)
    """

    half_life: float
    where: Condition | None = None
    by: Literal["seconds", "clicks"] = "seconds"

    def __post_init__(self) -> None:
        self._check()

    @property
    def unit(self) -> str:  # noqa: D102
        return "event"

    @property
    def null_rule(self) -> str:  # noqa: D102
        if self.by == "clicks":
            return "never null; 0 before the first such event"
        return "null where the source has no clock; else 0 before the first such event"

    @property
    def lineage(self) -> Lineage:  # noqa: D102
        times = _TIMES.columns if self.by == "seconds" else frozenset()
        return Lineage(times | (self.where.columns if self.where else frozenset()))

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.leaf(
            "DECAY_COUNT", self._decay(builder), builder.mask(self.where), init=("null",)
        )


@dataclass(frozen=True, repr=False)
class DecayedSum(_Decayed):
    """Sum of `column` in which a value halves every `half_life` seconds (or clicks)."""

    column: str | Expression
    half_life: float
    where: Condition | None = None
    by: Literal["seconds", "clicks"] = "seconds"

    def __post_init__(self) -> None:
        check_operand("DecayedSum", self.column)
        self._check()

    @property
    def unit(self) -> str:  # noqa: D102
        return operand_unit(self.column)

    @property
    def null_rule(self) -> str:  # noqa: D102
        rule = "null when no event had a value"
        return rule if self.by == "clicks" else f"{rule}, and where the source has no clock"

    @property
    def lineage(self) -> Lineage:  # noqa: D102
        times = _TIMES.columns if self.by == "seconds" else frozenset()
        own = operand_lineage(self.column).columns
        return Lineage(own | times | (self.where.columns if self.where else frozenset()))

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.leaf(
            "DECAY_SUM",
            operand_build(self.column, builder),
            builder.mask(self.where),
            init=("null",),
            other=self._decay(builder),
        )


@dataclass(frozen=True, repr=False)
class _Calendar(Reduction):
    @property
    def where(self) -> Condition | None:  # type: ignore[override]
        """The session's first event with a time."""
        return None

    @property
    def unit(self) -> str:
        return {"Hour": "hour", "DayOfWeek": "day, Monday 0", "Month": "month"}[type(self).__name__]

    @property
    def null_rule(self) -> str:
        return "null where the source has no calendar"

    @property
    def _reads(self) -> Lineage:
        return Lineage(frozenset({"event_time", "utc_offset"}))

    def build(self, builder: Builder) -> int:
        first = builder.leaf("FIRST_I", builder.date(), -1, init=("nothing",))
        return builder.value(type(self).__name__, first)


@dataclass(frozen=True, repr=False)
class Hour(_Calendar):
    """Hour (0-23) in which the session began; null where the source knows only the day."""

    @property
    def null_rule(self) -> str:  # noqa: D102
        return "null where the source has no time of day"

    def build(self, builder: Builder) -> int:  # noqa: D102
        first = builder.leaf("FIRST_I", builder.time_of_day(), -1, init=("nothing",))
        return builder.value("Hour", first)


@dataclass(frozen=True, repr=False)
class DayOfWeek(_Calendar):
    """Day of the week on which the session began: Monday 0 to Sunday 6."""


@dataclass(frozen=True, repr=False)
class Month(_Calendar):
    """Month (1-12) in which the session began."""


SESSION_START = "@session_start"
"""Name of a value that a replay adds where it makes the sessions itself."""


@dataclass(frozen=True, repr=False)
class SessionStart(_Calendar):
    """Microseconds since 1970 (UTC) at which the session began: in the ids of made sessions."""

    def build(self, builder: Builder) -> int:
        return builder.leaf("FIRST_I", builder.now(), -1, init=("nothing",))
