"""Conditions on one event, for `where=`: which events a reduction folds.

Two-valued: a null equals nothing and is above or below nothing, so `Eq` is false for it and
`Not(Eq(...))` is true, as `IS DISTINCT FROM` in SQL.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cartcast.errors import DefinitionError, did_you_mean
from cartcast.events.schema import EVENT_TYPES
from cartcast.features.declared import (
    Declared,
    Lineage,
    column_kind,
    require_name,
    require_number,
)
from cartcast.yamlfile import DEEPEST

if TYPE_CHECKING:
    from cartcast.features.build import Builder

__all__ = [
    "Above",
    "And",
    "Below",
    "Condition",
    "Eq",
    "In",
    "Not",
    "NotNull",
    "Or",
    "Previous",
    "SameAsPrevious",
]

_ALL = frozenset(EVENT_TYPES)


class Condition(Declared):
    """Says of one event whether it counts."""

    @property
    @abstractmethod
    def columns(self) -> frozenset[str]:
        """Columns that it reads."""

    @property
    def event_types(self) -> frozenset[str] | None:
        """Event types for which it can hold; None means all."""
        return None

    @property
    def lineage(self) -> Lineage:
        """Columns and event types as a lineage."""
        return Lineage(self.columns, self.event_types)

    @abstractmethod
    def build(self, builder: Builder) -> int:
        """Add the operations that compute it; return the number of its mask."""


def _check_value(what: str, column: str, value: object) -> None:
    require_name(what, column)
    kind = column_kind(column)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "text" and not isinstance(value, str):
        raise DefinitionError(
            f"{what}({column!r}, {value!r}): {column!r} holds text, got a {type(value).__name__}; "
            f"write {str(value)!r} in quotes."
        )
    if kind == "number" and not number:
        raise DefinitionError(f"{what}({column!r}, {value!r}): {column!r} holds numbers.")
    if kind == "time":
        raise DefinitionError(
            f"{what}({column!r}, ...): times cannot be compared; use SecondsSince."
        )
    if not isinstance(value, str) and not number:
        raise DefinitionError(f"{what}({column!r}, {value!r}): give a text or a number.")
    if column == "event_type" and value not in _ALL:
        raise DefinitionError(
            f"{what}('event_type', {value!r}): no such event type."
            f"{did_you_mean(str(value), EVENT_TYPES)}"
        )


@dataclass(frozen=True, repr=False)
class Eq(Condition):
    """`column` has this value.

    >>> Eq("event_type", "add_to_cart")
    Eq('event_type', 'add_to_cart')
    """

    column: str
    value: str | float

    def __post_init__(self) -> None:
        _check_value("Eq", self.column, self.value)

    @property
    def columns(self) -> frozenset[str]:  # noqa: D102
        return frozenset({self.column})

    @property
    def event_types(self) -> frozenset[str] | None:  # noqa: D102
        return frozenset({str(self.value)}) if self.column == "event_type" else None

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.equals(self.column, (self.value,))


@dataclass(frozen=True, repr=False)
class In(Condition):
    """`column` has one of these values.

    >>> In("event_type", ["add_to_cart", "remove_from_cart"]).values
    ('add_to_cart', 'remove_from_cart')
    """

    column: str
    values: tuple[str | float, ...]

    def __post_init__(self) -> None:
        given: object = self.values
        if isinstance(given, str) or not given:
            raise DefinitionError(f"In({self.column!r}): give a list of at least one value.")
        object.__setattr__(self, "values", tuple(self.values))
        for value in self.values:
            _check_value("In", self.column, value)
        if len({isinstance(v, str) for v in self.values}) > 1:
            raise DefinitionError(f"In({self.column!r}): texts and numbers cannot be mixed.")

    @property
    def columns(self) -> frozenset[str]:  # noqa: D102
        return frozenset({self.column})

    @property
    def event_types(self) -> frozenset[str] | None:  # noqa: D102
        return frozenset(map(str, self.values)) if self.column == "event_type" else None

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.equals(self.column, self.values)


@dataclass(frozen=True, repr=False)
class Above(Condition):
    """`column` is greater than `value`; false for null."""

    column: str
    value: float

    def __post_init__(self) -> None:
        require_number("Above", self.column)
        _check_value("Above", self.column, self.value)

    @property
    def columns(self) -> frozenset[str]:  # noqa: D102
        return frozenset({self.column})

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.compare(self.column, float(self.value), above=True)


@dataclass(frozen=True, repr=False)
class Below(Condition):
    """`column` is less than `value`; false for null."""

    column: str
    value: float

    def __post_init__(self) -> None:
        require_number("Below", self.column)
        _check_value("Below", self.column, self.value)

    @property
    def columns(self) -> frozenset[str]:  # noqa: D102
        return frozenset({self.column})

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.compare(self.column, float(self.value), above=False)


@dataclass(frozen=True, repr=False)
class NotNull(Condition):
    """`column` has a value."""

    column: str

    def __post_init__(self) -> None:
        require_name("NotNull", self.column)

    @property
    def columns(self) -> frozenset[str]:  # noqa: D102
        return frozenset({self.column})

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.not_null(builder.anything(self.column))


@dataclass(frozen=True, repr=False)
class SameAsPrevious(Condition):
    """`column` has the value that it had on the previous event of the session; false for null."""

    column: str

    def __post_init__(self) -> None:
        require_name("SameAsPrevious", self.column)

    @property
    def columns(self) -> frozenset[str]:  # noqa: D102
        return frozenset({self.column})

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.same_as_previous(builder.column(self.column, "key"))


@dataclass(frozen=True, repr=False)
class Not(Condition):
    """The condition does not hold.

    >>> "purchase" in Not(Eq("event_type", "purchase")).event_types
    False
    """

    condition: Condition

    def __post_init__(self) -> None:
        _check_conditions("Not", (self.condition,))

    @property
    def columns(self) -> frozenset[str]:  # noqa: D102
        return self.condition.columns

    @property
    def event_types(self) -> frozenset[str] | None:  # noqa: D102
        # Only a condition on nothing but the event type tells what its opposite admits.
        if self.condition.columns == {"event_type"} and isinstance(self.condition, Eq | In):
            return _ALL - (self.condition.event_types or frozenset())
        return None

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.negate(self.condition)


@dataclass(frozen=True, repr=False)
class Previous(Condition):
    """The condition held on the previous event of the session; false for its first.

    >>> And(Eq("event_type", "add_to_cart"), Previous(Eq("event_type", "search"))).event_types
    frozenset({'add_to_cart'})
    """

    condition: Condition

    def __post_init__(self) -> None:
        _check_conditions("Previous", (self.condition,))

    @property
    def columns(self) -> frozenset[str]:  # noqa: D102
        return self.condition.columns

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.previous(self.condition)


class _Several(Condition):
    conditions: tuple[Condition, ...]

    def __init__(self, *conditions: Condition) -> None:
        _check_conditions(type(self).__name__, conditions)
        if len(conditions) < 2:
            raise DefinitionError(f"{type(self).__name__}: give two or more conditions.")
        object.__setattr__(self, "conditions", conditions)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.conditions))})"

    @property
    def columns(self) -> frozenset[str]:
        return frozenset().union(*(c.columns for c in self.conditions))


@dataclass(frozen=True, repr=False, init=False)
class And(_Several):
    """All of the conditions hold."""

    conditions: tuple[Condition, ...]

    @property
    def event_types(self) -> frozenset[str] | None:  # noqa: D102
        known = [c.event_types for c in self.conditions if c.event_types is not None]
        return frozenset.intersection(*known) if known else None

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.combine(self.conditions, every=True)


@dataclass(frozen=True, repr=False, init=False)
class Or(_Several):
    """At least one of the conditions holds."""

    conditions: tuple[Condition, ...]

    @property
    def event_types(self) -> frozenset[str] | None:  # noqa: D102
        known = [c.event_types for c in self.conditions]
        if any(k is None for k in known):
            return None
        return frozenset().union(*(k for k in known if k is not None))

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.combine(self.conditions, every=False)


def _depth(condition: object) -> int:
    inner = getattr(condition, "conditions", None) or (getattr(condition, "condition", None),)
    return 1 + max((_depth(c) for c in inner if isinstance(c, Condition)), default=0)


def _check_conditions(what: str, conditions: tuple[object, ...]) -> None:
    for c in conditions:
        if not isinstance(c, Condition):
            raise DefinitionError(
                f"{what}: needs a condition such as Eq('event_type', 'search'), got {c!r}."
            )
        if _depth(c) >= DEEPEST:
            raise DefinitionError(f"{what}: conditions are nested at most {DEEPEST} deep.")
