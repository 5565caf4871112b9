"""What every declaration of a feature has: printing, lineage, units, checks of columns."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, ParamSpec, TypeVar

from cartcast.arguments import refusal
from cartcast.errors import DefinitionError
from cartcast.events.schema import COLUMNS

__all__ = [
    "Declared",
    "Declaring",
    "Kind",
    "Lineage",
    "Window",
    "column_kind",
    "column_unit",
    "declaring",
    "require_number",
]

Kind = Literal["number", "text", "time", "unknown"]
"""What a column holds; `unknown` is a source's own column before it is bound to data."""

Window = Literal["session so far", "visitor before session"]

_KINDS: dict[str, Kind] = {"VARCHAR": "text", "TIMESTAMP": "time", "DOUBLE": "number"}


P = ParamSpec("P")
T = TypeVar("T")


class Declaring(type):
    """Makes declarations; a wrong argument is refused by name."""

    @property
    def __signature__(cls) -> inspect.Signature:
        takes: Any = type.__getattribute__(cls, "__init__")
        found = inspect.signature(takes)
        return found.replace(parameters=list(found.parameters.values())[1:])

    def __call__(cls: type[T], *args: Any, **named: Any) -> T:
        """Return the declaration; raise `DefinitionError` for what it does not take."""
        try:
            made: T = super().__call__(*args, **named)  # type: ignore[misc]
        except TypeError as error:
            if why := refusal(cls.__name__, inspect.signature(cls), args, named):
                raise DefinitionError(why) from None
            raise DefinitionError(f"{cls.__name__}(): {error}.") from error
        return made


def declaring(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function that makes a declaration refuse a wrong argument by name."""

    @functools.wraps(function)
    def made(*args: P.args, **named: P.kwargs) -> T:
        if why := refusal(function.__name__, inspect.signature(function), args, named):
            raise DefinitionError(why)
        return function(*args, **named)

    return made


class Declared(metaclass=Declaring):
    """A frozen declaration that prints as its own, shortest constructor."""

    def __repr__(self) -> str:
        words = []
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if f.default is dataclasses.MISSING:
                words.append(repr(value))
            elif value != f.default:
                words.append(f"{f.name}={value!r}")
        return f"{type(self).__name__}({', '.join(words)})"


@dataclass(frozen=True)
class Lineage:
    """What a feature reads.

    Attributes:
        columns: names of the canonical or source columns.
        event_types: kinds of event that can change it; None means all.
        window: `session so far` (up to and with the click) or `visitor before session`.
    """

    columns: frozenset[str] = field(default_factory=frozenset)
    event_types: frozenset[str] | None = None
    window: Window = "session so far"

    def joined(self, other: Lineage) -> Lineage:
        """Return the lineage of something that reads both.

        >>> a = Lineage(frozenset({"price"}), frozenset({"add_to_cart"}))
        >>> sorted(a.joined(Lineage(frozenset({"item_id"}), None)).columns)
        ['item_id', 'price']
        """
        both = self.event_types is not None and other.event_types is not None
        types = (self.event_types or frozenset()) | (other.event_types or frozenset())
        windows: set[Window] = {self.window, other.window}
        return Lineage(
            self.columns | other.columns,
            types if both else None,
            "session so far" if "session so far" in windows else self.window,
        )


def column_kind(column: str) -> Kind:
    """Return what a canonical column holds; `unknown` for a source's own column.

    >>> column_kind("price"), column_kind("category"), column_kind("my_column")
    ('number', 'text', 'unknown')
    """
    if column not in COLUMNS:
        return "unknown"
    return _KINDS.get(COLUMNS[column].type, "number")


def column_unit(column: str) -> str:
    """Return the unit of a canonical column, or the empty string."""
    return COLUMNS[column].unit if column in COLUMNS else ""


def require_number(what: str, column: Any) -> None:
    """Refuse a column of text or times where numbers are needed.

    Raises:
        DefinitionError: the canonical column does not hold numbers.
    """
    require_name(what, column)
    kind = column_kind(column)
    if kind in ("text", "time"):
        advice = (
            f"count its values with NUnique({column!r}) or keep one with Last({column!r})"
            if kind == "text"
            else "use SecondsSince, Gap or Hour for times"
        )
        raise DefinitionError(
            f"{what}({column!r}): needs a column of numbers, but {column!r} holds {kind}; {advice}."
        )


def require_name(what: str, column: Any) -> None:
    """Refuse what cannot be a column name.

    Raises:
        DefinitionError: not a non-empty string.
    """
    if not isinstance(column, str) or not column:
        raise DefinitionError(f"{what}: a column must be given by its name, got {column!r}.")


def require_positive(what: str, name: str, value: Any) -> None:
    """Refuse a number that is not positive and finite.

    Raises:
        DefinitionError: the rule and the value.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value < float("inf"):
        raise DefinitionError(f"{what}: {name} must fulfil 0 < {name} < infinity, got {value!r}.")
