"""Numbers made of one event (and what came just before it), for reductions to fold."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cartcast.errors import DefinitionError
from cartcast.features.conditions import Condition
from cartcast.features.declared import (
    Declared,
    Lineage,
    column_unit,
    require_name,
    require_number,
)

if TYPE_CHECKING:
    from cartcast.features.build import Builder

__all__ = ["AboveAverage", "Expression", "Gap", "Negated", "Times", "operand_build"]


class Expression(Declared):
    """A number for each event; null where undefined."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """Unit of the number."""

    @property
    @abstractmethod
    def lineage(self) -> Lineage:
        """What it reads."""

    @abstractmethod
    def build(self, builder: Builder) -> int:
        """Add the operations that compute it; return the number of its event register."""


@dataclass(frozen=True, repr=False)
class Gap(Expression):
    """Seconds since the session's previous event (with `where`: between two events of a kind).

    Null for the first one, for other events than those of the kind, and where the source has no
    clock.
    """

    where: Condition | None = None

    @property
    def unit(self) -> str:  # noqa: D102
        return "s"

    @property
    def lineage(self) -> Lineage:  # noqa: D102
        times = Lineage(frozenset({"event_time", "session_seconds"}))
        if self.where is None:
            return times
        return Lineage(times.columns | self.where.columns, self.where.event_types)

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.gap(builder.mask(self.where))


@dataclass(frozen=True, repr=False)
class Times(Expression):
    """Product of two numeric columns on the same event; null when either is null.

    `Times("price", "quantity", default=1.0)` takes a null second column as 1.
    """

    left: str
    right: str
    default: float | None = None

    def __post_init__(self) -> None:
        require_number("Times", self.left)
        require_number("Times", self.right)

    @property
    def unit(self) -> str:  # noqa: D102
        return "*".join(u for u in (column_unit(self.left), column_unit(self.right)) if u)

    @property
    def lineage(self) -> Lineage:  # noqa: D102
        return Lineage(frozenset({self.left, self.right}))

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.times(
            builder.column(self.left, "number"),
            builder.column(self.right, "number"),
            self.default,
        )


@dataclass(frozen=True, repr=False)
class Negated(Expression):
    """A number with its sign turned on the events for which `where` holds.

    `Sum(Negated(Times("price", "quantity"), Eq("event_type", "remove_from_cart")))` is what the
    removals take from a cart.
    """

    operand: str | Expression
    where: Condition

    def __post_init__(self) -> None:
        check_operand("Negated", self.operand)
        if not isinstance(self.where, Condition):
            raise DefinitionError(f"Negated: needs a condition, got {self.where!r}.")

    @property
    def unit(self) -> str:  # noqa: D102
        return operand_unit(self.operand)

    @property
    def lineage(self) -> Lineage:  # noqa: D102
        own = operand_lineage(self.operand)
        return Lineage(own.columns | self.where.columns, own.event_types)

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.negated(operand_build(self.operand, builder), builder.mask(self.where))


@dataclass(frozen=True, repr=False)
class AboveAverage(Expression):
    """1 when `column` is above the mean of the earlier events with the same `by`, else 0.

    Only events of this session that fulfil `where`, before this one, make the mean: nothing of
    the future is known. Null for the first event of a `by`, and where one of the two is null.
    """

    column: str
    by: str
    where: Condition | None = None

    def __post_init__(self) -> None:
        require_number("AboveAverage", self.column)
        require_name("AboveAverage", self.by)

    @property
    def unit(self) -> str:  # noqa: D102
        return ""

    @property
    def lineage(self) -> Lineage:  # noqa: D102
        own = Lineage(frozenset({self.column, self.by}))
        if self.where is None:
            return own
        return Lineage(own.columns | self.where.columns, self.where.event_types)

    def build(self, builder: Builder) -> int:  # noqa: D102
        return builder.above_average(
            builder.column(self.column, "number"),
            builder.column(self.by, "key"),
            builder.mask(self.where),
        )


def check_operand(what: str, operand: object) -> None:
    """Refuse an operand that is neither an expression nor a column of numbers."""
    if not isinstance(operand, Expression):
        require_number(what, operand)


def operand_unit(operand: str | Expression) -> str:
    """Return the unit of a column or expression."""
    return operand.unit if isinstance(operand, Expression) else column_unit(operand)


def operand_lineage(operand: str | Expression) -> Lineage:
    """Return what a column or expression reads."""
    if isinstance(operand, Expression):
        return operand.lineage
    return Lineage(frozenset({operand}))


def operand_build(operand: str | Expression, builder: Builder) -> int:
    """Return the event register of a column or expression of numbers."""
    if isinstance(operand, Expression):
        return builder.expression(operand)
    return builder.column(operand, "number")
