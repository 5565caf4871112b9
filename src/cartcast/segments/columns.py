"""What is asked of a column: to have one of some values, or a number in a range."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cartcast.events.sql import identifier, literal
from cartcast.features.words import event_words, in_words

__all__ = ["Range", "Values", "as_number", "equal"]

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")
_EXACT = r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL.*"
"""Types of columns whose numbers are written in full."""


@dataclass(frozen=True)
class Values:
    """A column has one of these values, or, with `exclude`, none of them; None is unknown."""

    column: str
    values: tuple[str | None, ...]
    exclude: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it."""
        return {"column": self.column, "not_in" if self.exclude else "in": list(self.values)}

    def describe(self) -> str:
        """Return the condition in words.

        >>> Values("device", ("mobile", None), exclude=True).describe()
        'device is not mobile or unknown'
        """
        spoken = event_words if self.column in ("first_event", "last_event", "event_type") else str
        told = ["unknown" if v is None else spoken(v) for v in self.values]
        sign = "is not" if self.exclude else "is"
        return f"{in_words(self.column)} {sign} {' or '.join(told)}"

    @property
    def sql(self) -> str:
        """The condition on a row; what is not known is none of the values."""
        known = [v for v in self.values if v is not None]
        tests = [equal(self.column, known)] if known else []
        tests += [f"{identifier(self.column)} IS NULL"] if len(known) < len(self.values) else []
        return f"{'NOT ' if self.exclude else ''}coalesce({' OR '.join(tests) or 'false'}, false)"


@dataclass(frozen=True)
class Range:
    """A number lies between two ends, both included; None is open."""

    column: str
    least: float | None = None
    most: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it."""
        ends = {"from": self.least, "to": self.most}
        told = {k: int(v) if v == int(v) else v for k, v in ends.items() if v is not None}
        return {"column": self.column, **told}

    def describe(self) -> str:
        """Return the condition in words.

        >>> Range("events", 3).describe()
        'events at least 3'
        """
        ends = (("at least", self.least), ("at most", self.most))
        told = " and ".join(f"{word} {end:g}" for word, end in ends if end is not None)
        return f"{in_words(self.column)} {told}"

    def holds(self, number: str) -> str:
        """SQL: the number, which is SQL, lies there; an unknown one does not."""
        ends = ((">=", self.least), ("<=", self.most))
        told = [f"{number} {sign} {_double(end)}" for sign, end in ends if end is not None]
        return f"coalesce({' AND '.join(told)}, false)"

    @property
    def sql(self) -> str:
        """The condition on a row."""
        return self.holds(as_number(self.column))


def as_number(column: str) -> str:
    """SQL: a column as a number; null where it is none."""
    return f"TRY_CAST({identifier(column)} AS DOUBLE)"


def equal(column: str, values: Sequence[str]) -> str:
    """SQL: the column has one of these values; 5 is the number 5.0, too, and 5.00.

    Whole numbers and decimals are compared as they are written: a float does not hold them all.
    """
    name = identifier(column)
    told = f"{name}::VARCHAR"
    tests = [f"{told} IN ({', '.join(map(literal, values))})"]
    numbers = [Decimal(v) for v in values if _NUMBER.fullmatch(v)]
    if numbers:
        kind = f"typeof({name})"
        plain = f"CASE WHEN {told} LIKE '%.%' THEN rtrim(rtrim({told}, '0'), '.') ELSE {told} END"
        tests += [
            f"regexp_full_match({kind}, '{_EXACT}') AND {plain} IN "
            f"({', '.join(literal(_plain(n)) for n in numbers)})",
            f"{kind} IN ('DOUBLE', 'FLOAT') AND {as_number(column)} IN "
            f"({', '.join(_double(n) for n in numbers)})",
        ]
    return " OR ".join(f"({test})" for test in tests)


def _plain(number: Decimal) -> str:
    """Return a number without zeros at its ends.

    >>> _plain(Decimal("007.50")), _plain(Decimal("-0.0")), _plain(Decimal("100"))
    ('7.5', '0', '100')
    """
    told = f"{abs(number) if number == 0 else number:f}"
    return told.rstrip("0").rstrip(".") if "." in told else told


def _double(number: float | Decimal) -> str:
    return f"{literal(repr(float(number)))}::DOUBLE"
