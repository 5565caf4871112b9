"""What a feature is, and arithmetic on features: ratios need no new proof."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cartcast.errors import DefinitionError
from cartcast.features.declared import Declared, Lineage

if TYPE_CHECKING:
    from cartcast.features.build import Builder

__all__ = ["Difference", "Feature", "Product", "Ratio", "Total"]


class Feature(Declared):
    """One value per click, known from the events up to and with that click.

    Features of numbers add up, and are taken from, multiplied with and divided by each other:

    >>> from cartcast.features import Count, Sum
    >>> Sum("price") / Count()
    Ratio(Sum('price'), Count())
    """

    @property
    def dtype(self) -> Literal["float", "string"]:
        """`float` (float64, null where undefined) or `string`."""
        return "float"

    @property
    @abstractmethod
    def unit(self) -> str:
        """Unit of the value; empty for a pure number."""

    @property
    @abstractmethod
    def null_rule(self) -> str:
        """When the value is null, in words."""

    @property
    @abstractmethod
    def lineage(self) -> Lineage:
        """What it reads."""

    @property
    def parts(self) -> tuple[Feature, ...]:
        """Features that it is computed from; empty for a reduction."""
        return ()

    @abstractmethod
    def build(self, builder: Builder) -> int:
        """Add the operations that compute it; return the number of its register."""

    def __truediv__(self, other: Feature) -> Ratio:
        return Ratio(self, other)

    def __mul__(self, other: Feature) -> Product:
        return Product(self, other)

    def __add__(self, other: Feature) -> Total:
        return Total(self, other)

    def __sub__(self, other: Feature) -> Difference:
        return Difference(self, other)

    def __rtruediv__(self, other: object) -> Ratio:
        return Ratio(other, self)  # type: ignore[arg-type] # refused by name

    def __rmul__(self, other: object) -> Product:
        return Product(other, self)  # type: ignore[arg-type]

    def __radd__(self, other: object) -> Total:
        return Total(other, self)  # type: ignore[arg-type]

    def __rsub__(self, other: object) -> Difference:
        return Difference(other, self)  # type: ignore[arg-type]


def check_numbers(what: str, *features: object) -> None:
    """Refuse operands that are no features, or not numbers.

    Raises:
        DefinitionError: naming the operand.
    """
    for f in features:
        if not isinstance(f, Feature):
            raise DefinitionError(f"{what}: needs features such as Count(), got {f!r}.")
        if f.dtype != "float":
            raise DefinitionError(f"{what}: {f!r} is text; arithmetic needs numbers.")


@dataclass(frozen=True, repr=False)
class _Pair(Feature):
    """Two features combined."""

    @property
    def _operands(self) -> tuple[Feature, Feature]:
        raise NotImplementedError

    @property
    def parts(self) -> tuple[Feature, ...]:
        return self._operands

    @property
    def lineage(self) -> Lineage:
        a, b = self._operands
        return a.lineage.joined(b.lineage)

    @property
    def null_rule(self) -> str:
        return "null when a part is null"

    def __post_init__(self) -> None:
        check_numbers(type(self).__name__, *self._operands)

    def build(self, builder: Builder) -> int:
        a, b = self._operands
        return builder.value(type(self).__name__, builder.feature(a), builder.feature(b))


@dataclass(frozen=True, repr=False)
class Ratio(_Pair):
    """`num / den`; null when either is null or `den` is 0.

    >>> from cartcast.features import Count, Sum
    >>> Ratio(Sum("price"), Count()).unit
    'currency/event'
    """

    num: Feature
    den: Feature

    @property
    def _operands(self) -> tuple[Feature, Feature]:
        return self.num, self.den

    @property
    def unit(self) -> str:  # noqa: D102
        if self.num.unit == self.den.unit:
            return ""
        if getattr(self.den, "column", None) is not None and self.den.unit == "event":
            return self.num.unit  # a mean: the events counted are those that had a value
        return f"{self.num.unit or '1'}/{self.den.unit}" if self.den.unit else self.num.unit

    @property
    def null_rule(self) -> str:  # noqa: D102
        return "null when a part is null or the denominator is 0"


@dataclass(frozen=True, repr=False)
class Difference(_Pair):
    """`left - right`; null when either is null."""

    left: Feature
    right: Feature

    @property
    def _operands(self) -> tuple[Feature, Feature]:
        return self.left, self.right

    @property
    def unit(self) -> str:  # noqa: D102
        return self.left.unit


@dataclass(frozen=True, repr=False)
class Total(_Pair):
    """`left + right`; null when either is null."""

    left: Feature
    right: Feature

    @property
    def _operands(self) -> tuple[Feature, Feature]:
        return self.left, self.right

    @property
    def unit(self) -> str:  # noqa: D102
        return self.left.unit


@dataclass(frozen=True, repr=False)
class Product(_Pair):
    """`left * right`; null when either is null."""

    left: Feature
    right: Feature

    @property
    def _operands(self) -> tuple[Feature, Feature]:
        return self.left, self.right

    @property
    def unit(self) -> str:  # noqa: D102
        return "*".join(u for u in (self.left.unit, self.right.unit) if u)
