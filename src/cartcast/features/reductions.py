"""Reductions: folds of a session's events into one value, correct after every click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cartcast.errors import DefinitionError
from cartcast.features.algebra import Difference, Feature, Ratio
from cartcast.features.conditions import And, Condition
from cartcast.features.declared import Lineage, column_kind, declaring, require_name
from cartcast.features.expressions import (
    Expression,
    check_operand,
    operand_build,
    operand_lineage,
    operand_unit,
)

if TYPE_CHECKING:
    from cartcast.features.build import Builder

__all__ = [
    "Count",
    "First",
    "Last",
    "Max",
    "Mean",
    "Min",
    "Mode",
    "NUnique",
    "Reduction",
    "Revisits",
    "Share",
    "Std",
    "Sum",
]


class Reduction(Feature):
    """A fold over the events of a session for which `where` holds."""

    where: Condition | None

    @property
    def _reads(self) -> Lineage:
        return Lineage()

    @property
    def lineage(self) -> Lineage:  # noqa: D102
        own = self._reads
        if self.where is None:
            return own
        types = [t for t in (own.event_types, self.where.event_types) if t is not None]
        return Lineage(
            own.columns | self.where.columns,
            frozenset.intersection(*types) if types else None,
        )


def check_where(what: str, where: object) -> None:
    """Refuse a `where` that is no condition.

    Raises:
        DefinitionError: with an example of a condition.
    """
    if where is not None and not isinstance(where, Condition):
        raise DefinitionError(
            f"{what}: where= needs a condition such as Eq('event_type', 'search'), got {where!r}."
        )


@dataclass(frozen=True, repr=False)
class Count(Reduction):
    """Number of events (where `column` is not null, if given); never null, 0 for none.

    >>> from cartcast.features import Eq
    >>> Count(where=Eq("event_type", "add_to_cart"))
    Count(where=Eq('event_type', 'add_to_cart'))
    """

    column: str | Expression | None = None
    where: Condition | None = None

    def __post_init__(self) -> None:
        if self.column is not None and not isinstance(self.column, Expression):
            require_name("Count", self.column)
        check_where("Count", self.where)

    @property
    def unit(self) -> str:  # noqa: D102
        return "event"

    @property
    def null_rule(self) -> str:  # noqa: D102
        return "never null; 0 when no event counts"

    @property
    def _reads(self) -> Lineage:
        return Lineage() if self.column is None else operand_lineage(self.column)

    def build(self, builder: Builder) -> int:  # noqa: D102
        mask = builder.mask(self.where)
        if self.column is not None:
            if isinstance(self.column, Expression):
                operand = builder.expression(self.column)
            else:
                operand = builder.anything(self.column)
            mask = builder.both(mask, builder.not_null(operand))
        return builder.leaf("COUNT", mask=mask, init=("zero",))


@dataclass(frozen=True, repr=False)
class _OfNumber(Reduction):
    """A reduction of a column or expression of numbers."""

    column: str | Expression
    where: Condition | None = None

    def __post_init__(self) -> None:
        check_operand(type(self).__name__, self.column)
        check_where(type(self).__name__, self.where)

    @property
    def unit(self) -> str:
        return operand_unit(self.column)

    @property
    def null_rule(self) -> str:
        return "null when no event had a value"

    @property
    def _reads(self) -> Lineage:
        return operand_lineage(self.column)

    def build(self, builder: Builder) -> int:
        return builder.leaf(
            type(self).__name__.upper(),
            operand_build(self.column, builder),
            builder.mask(self.where),
            init=("null",),
        )


@dataclass(frozen=True, repr=False)
class Sum(_OfNumber):
    """Sum of `column`; null when no event had a value.

    >>> Sum("price").unit
    'currency'
    >>> Sum("category")
    Traceback (most recent call last):
    cartcast.errors.DefinitionError: Sum('category'): needs a column of numbers, but 'category'
    holds text; count its values with NUnique('category') or keep one with Last('category').
    """


@dataclass(frozen=True, repr=False)
class Min(_OfNumber):
    """Smallest value of `column`; null when no event had a value."""


@dataclass(frozen=True, repr=False)
class Max(_OfNumber):
    """Greatest value of `column`; null when no event had a value."""


@dataclass(frozen=True, repr=False)
class Std(_OfNumber):
    """Sample standard deviation (n - 1) of `column`, by Welford's recurrence.

    Welford, "Note on a method for calculating corrected sums of squares and products",
    Technometrics 4 (1962) 419-420, https://doi.org/10.1080/00401706.1962.10490022.
    """

    @property
    def null_rule(self) -> str:  # noqa: D102
        return "null when fewer than two events had a value"

    def build(self, builder: Builder) -> int:  # noqa: D102
        operand = operand_build(self.column, builder)
        mask = builder.mask(self.where)
        return builder.leaf("STD", operand, mask, init=("zero", "zero", "zero"))


@dataclass(frozen=True, repr=False)
class _OfValue(Reduction):
    """A reduction that keeps one of the values of a column, a text or a number."""

    column: str | Expression
    where: Condition | None = None
    text: bool | None = None

    def __post_init__(self) -> None:
        what = type(self).__name__
        if not isinstance(self.column, Expression):
            require_name(what, self.column)
            if column_kind(self.column) == "time":
                raise DefinitionError(f"{what}({self.column!r}): use SecondsSince for times.")
            known = column_kind(self.column)
            if self.text is not None and known != "unknown" and self.text != (known == "text"):
                raise DefinitionError(f"{what}({self.column!r}): {self.column!r} holds {known}.")
        check_where(what, self.where)

    @property
    def dtype(self) -> Literal["float", "string"]:
        if isinstance(self.column, Expression):
            return "float"
        kind = column_kind(self.column)
        return "string" if kind == "text" or (kind == "unknown" and self.text) else "float"

    @property
    def unit(self) -> str:
        return operand_unit(self.column)

    @property
    def null_rule(self) -> str:
        return "null when no event had a value"

    @property
    def _reads(self) -> Lineage:
        return operand_lineage(self.column)

    def _operand(self, builder: Builder) -> int:
        if isinstance(self.column, Expression):
            return builder.expression(self.column)
        return builder.column(self.column, "text" if self.dtype == "string" else "number")


@dataclass(frozen=True, repr=False)
class First(_OfValue):
    """First value of `column` that is not null; for a source's own text column say `text=True`."""

    def build(self, builder: Builder) -> int:  # noqa: D102
        kind, null = ("I", "nothing") if self.dtype == "string" else ("F", "null")
        operand, mask = self._operand(builder), builder.mask(self.where)
        return builder.leaf(f"FIRST_{kind}", operand, mask, init=(null,))


@dataclass(frozen=True, repr=False)
class Last(_OfValue):
    """Latest value of `column` that is not null; for a source's own text column say `text=True`."""

    def build(self, builder: Builder) -> int:  # noqa: D102
        kind, null = ("I", "nothing") if self.dtype == "string" else ("F", "null")
        operand, mask = self._operand(builder), builder.mask(self.where)
        return builder.leaf(f"LAST_{kind}", operand, mask, init=(null,))


@dataclass(frozen=True, repr=False)
class Mode(_OfValue):
    """Most frequent value of `column`; of equals, the one that reached the count first."""

    def __post_init__(self) -> None:
        if isinstance(self.column, Expression):
            raise DefinitionError(f"Mode({self.column!r}): needs a column, not an expression.")
        super().__post_init__()

    def build(self, builder: Builder) -> int:  # noqa: D102
        text = self.dtype == "string"
        operand = builder.column(str(self.column), "text" if text else "key")
        init = ("nothing" if text else "null", "zero_int", "zero_int", "zero_int")
        return builder.leaf("MODE", operand, builder.mask(self.where), init=init)


@dataclass(frozen=True, repr=False)
class NUnique(Reduction):
    """Number of different values of `column`; never null, 0 when no event had a value."""

    column: str
    where: Condition | None = None

    def __post_init__(self) -> None:
        require_name("NUnique", self.column)
        check_where("NUnique", self.where)

    @property
    def unit(self) -> str:  # noqa: D102
        return self.column if column_kind(self.column) == "text" else "value"

    @property
    def null_rule(self) -> str:  # noqa: D102
        return "never null; 0 when no event had a value"

    @property
    def _reads(self) -> Lineage:
        return Lineage(frozenset({self.column}))

    def build(self, builder: Builder) -> int:  # noqa: D102
        operand, mask = builder.member(self.column), builder.mask(self.where)
        init, more = ("zero_int",) * 2, ("zero_int",) * 9
        return builder.leaf("NUNIQUE", operand, mask, init=init, more=more)


@declaring
def Mean(column: str | Expression, where: Condition | None = None) -> Ratio:  # noqa: N802
    """Return the mean of `column`: `Ratio(Sum, Count)`; null when no event had a value."""
    return Ratio(Sum(column, where), Count(column, where))


@declaring
def Share(where: Condition, of: Condition | None = None) -> Ratio:  # noqa: N802
    """Return the share of the events (of those for which `of` holds) for which `where` holds."""
    return Ratio(Count(where=where if of is None else And(of, where)), Count(where=of))


@declaring
def Revisits(column: str = "item_id", where: Condition | None = None) -> Difference:  # noqa: N802
    """Return how many events came back to a value seen before: `Count - NUnique`."""
    return Difference(Count(column, where), NUnique(column, where))
