"""The visitor's history: what was known of the visitor when the session began.

Earlier means earlier in the log. A session that runs beside this one counts with what it had done
when this one began. All are null when the visitor is unknown (a null `visitor_id`, or a session
begun live without a history) and where the source has no calendar to say what came before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cartcast.errors import DefinitionError, did_you_mean
from cartcast.events.schema import EVENT_TYPES
from cartcast.features.algebra import Feature
from cartcast.features.declared import Lineage, column_kind, declaring, require_name

if TYPE_CHECKING:
    from cartcast.features.build import Builder

__all__ = [
    "DaysSinceLastSession",
    "EarlierEvents",
    "EarlierPurchases",
    "EarlierSessions",
    "EarlierWords",
    "counted_column",
]

_WHO = frozenset({"visitor_id", "session_id", "event_time"})


class History(Feature):
    """A value of the visitor's past, fixed when the session begins."""

    @property
    def null_rule(self) -> str:
        return "null when the visitor is unknown or the source has no calendar"

    @property
    def lineage(self) -> Lineage:
        return Lineage(_WHO, None, "visitor before session")

    @property
    def source(self) -> str:
        """Name of the input that carries the value on the session's first event."""
        raise NotImplementedError

    def build(self, builder: Builder) -> int:
        return builder.leaf("FIRST_F", builder.history(self.source), -1, init=("null",))


@dataclass(frozen=True, repr=False)
class EarlierSessions(History):
    """Number of the visitor's sessions that began before this one; 0 for a first session."""

    @property
    def unit(self) -> str:  # noqa: D102
        return "session"

    @property
    def source(self) -> str:  # noqa: D102
        return "@earlier_sessions"


@dataclass(frozen=True, repr=False)
class EarlierEvents(History):
    """Number of the visitor's events of one type before this session began; 0 for none."""

    event_type: str

    def __post_init__(self) -> None:
        if self.event_type not in EVENT_TYPES:
            raise DefinitionError(
                f"EarlierEvents({self.event_type!r}): no such event type."
                f"{did_you_mean(str(self.event_type), EVENT_TYPES)}"
            )

    @property
    def unit(self) -> str:  # noqa: D102
        return "event"

    @property
    def lineage(self) -> Lineage:  # noqa: D102
        return Lineage(
            _WHO | {"event_type"}, frozenset({self.event_type}), "visitor before session"
        )

    @property
    def source(self) -> str:  # noqa: D102
        return f"@earlier:{self.event_type}"


@dataclass(frozen=True, repr=False)
class EarlierWords(History):
    """Number of the visitor's events whose `column` held a text before this session began.

    >>> EarlierWords("page", "help").source
    '@earlier:page=help'
    """

    column: str
    value: str

    def __post_init__(self) -> None:
        require_name("EarlierWords", self.column)
        if self.column == "event_type":
            raise DefinitionError("EarlierWords: event types are counted by EarlierEvents.")
        if "=" in self.column or column_kind(self.column) not in ("text", "unknown"):
            raise DefinitionError(f"EarlierWords: needs a column of text, got {self.column!r}.")
        if not isinstance(self.value, str):
            raise DefinitionError(f"EarlierWords: needs a text to count, got {self.value!r}.")

    @property
    def unit(self) -> str:  # noqa: D102
        return "event"

    @property
    def lineage(self) -> Lineage:  # noqa: D102
        return Lineage(_WHO | {self.column}, None, "visitor before session")

    @property
    def source(self) -> str:  # noqa: D102
        return f"@earlier:{self.column}={self.value}"

    def build(self, builder: Builder) -> int:  # noqa: D102
        builder.column(self.column, "text")  # so that it is checked, and travels with the events
        return super().build(builder)


def counted_column(kind: str) -> tuple[str, str]:
    """Return the column and the text that a count of the visitor's history is of.

    >>> counted_column("search"), counted_column("page=a=b")
    (('event_type', 'search'), ('page', 'a=b'))
    """
    column, own, value = kind.partition("=")
    return (column, value) if own else ("event_type", kind)


@declaring
def EarlierPurchases() -> EarlierEvents:  # noqa: N802
    """Return the number of the visitor's purchase events before this session began."""
    return EarlierEvents("purchase")


@dataclass(frozen=True, repr=False)
class DaysSinceLastSession(History):
    """Days from the visitor's latest event before this session to its first event.

    Null for a visitor's first session.
    """

    @property
    def unit(self) -> str:  # noqa: D102
        return "day"

    @property
    def null_rule(self) -> str:  # noqa: D102
        return "null for a first session, an unknown visitor, or a source without a calendar"

    @property
    def source(self) -> str:  # noqa: D102
        return "@days_since"
