"""A segment: the sessions, or the visitors with all their sessions, that fulfil some conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from cartcast.errors import DefinitionError, UsageError, did_you_mean
from cartcast.segments.columns import Range, Values
from cartcast.segments.conditions import Condition
from cartcast.segments.written import condition_from

__all__ = ["AT_START", "SUMMED", "Segment", "Unit", "named_segment", "segment_from"]

Unit = Literal["session", "visitor"]

AT_START: tuple[str, ...] = (
    "country", "device", "channel", "campaign", "weekday", "hour", "first_event",
)  # fmt: skip
"""Columns that a session has from its first event on."""

SUMMED: tuple[str, ...] = ("events", "seconds", "views", "carts", "purchases", "revenue")
"""Numbers of sessions that add up to those of a visitor."""

_KEYS = ("of", "version", "where")


@dataclass(frozen=True)
class Segment:
    """A named filter; all conditions hold together.

    Attributes:
        name: what people call it.
        where: the conditions.
        of: `session`: each is asked of a session by itself; `visitor`: of all that a visitor did,
            and the segment holds all sessions of such visitors.
        version: raised each time that the saved definition changes.
    """

    name: str
    where: tuple[Condition, ...]
    of: Unit = "session"
    version: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it; the name is that of the file."""
        where = [c.as_dict() for c in self.where]
        return {"of": self.of, "version": self.version, "where": where}

    def describe(self) -> str:
        """Return the conditions in words.

        >>> Segment("m", (Values("device", ("mobile",)), Range("carts", 1))).describe()
        'Sessions: device is mobile; carts at least 1.'
        """
        return f"{self.of.capitalize()}s: {'; '.join(c.describe() for c in self.where)}."

    def same(self, other: Segment) -> bool:
        """Return whether both ask the same, whatever they are called."""
        return replace(self, name=other.name, version=other.version) == other

    @property
    def unknown_at_start(self) -> str | None:
        """Why it is not known at a session's first event whether it belongs; None where it is."""
        if self.of == "visitor":
            return "it asks of all sessions of a visitor, later ones included"
        for c in self.where:
            if not isinstance(c, Values | Range) or c.column not in AT_START:
                return f"`{c.describe()}` is known only later"
        return None

    def require_at_start(self) -> Segment:
        """Return the segment where it may decide what a model learns from or is judged on.

        Raises:
            UsageError: it is defined by what comes after a session's first event: its outcome
                would be in the choice of the rows.
        """
        if why := self.unknown_at_start:
            raise UsageError(
                f"segment {self.name!r}: {why}, so it would tell the model what comes after the "
                f"moment. Here a segment of sessions by {', '.join(AT_START)} can be used."
            )
        return self


def named_segment(data: Mapping[str, Any]) -> Segment:
    """Return the segment of plain data that holds its name, too, as a run keeps it.

    Raises:
        DefinitionError: as `segment_from`.

    >>> named_segment({"name": "buyers", "where": [{"bought": True}]}).name
    'buyers'
    """
    told = {key: value for key, value in data.items() if key != "name"}
    return segment_from(told, str(data.get("name", "unnamed")))


def segment_from(data: Any, name: str, where: str | None = None) -> Segment:
    """Return the segment of plain data; `where` names its place in messages.

    Raises:
        DefinitionError: a key does not exist or a value breaks its rule.

    >>> segment_from({"where": [{"bought": True}]}, "buyers")
    Segment(name='buyers', where=(Bought(yes=True),), of='session', version=1)
    """
    where = where or f"segment {name!r}"
    if not isinstance(data, Mapping):
        raise DefinitionError(f"{where}: must hold `name: value` lines, got {data!r:.80}.")
    for key in data:
        if key not in _KEYS:
            raise DefinitionError(f"{where}: unknown key {key!r}.{did_you_mean(str(key), _KEYS)}")
    of, version, conditions = data.get("of", "session"), data.get("version", 1), data.get("where")
    if of not in get_args(Unit):
        raise DefinitionError(f"{where}: of must be session or visitor, got {of!r}.")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise DefinitionError(f"{where}: version must be a whole number >= 1, got {version!r}.")
    if not isinstance(conditions, list | tuple) or not conditions:
        raise DefinitionError(f"{where}: needs `where:` with at least one condition.")
    return Segment(name, tuple(condition_from(c, where) for c in conditions), of, version)
