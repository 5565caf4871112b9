"""What a segment asks: values of a column, ranges, events done or not, purchases, scores, recency.

A condition is plain data: it says itself as YAML and in words, and `cartcast.segments.sql` asks it
of a log.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartcast.config import parse_duration
from cartcast.errors import DefinitionError, did_you_mean
from cartcast.features.words import event_words, in_words

__all__ = ["Bought", "Condition", "Did", "Range", "Scored", "Seen", "Values", "condition_from"]

DAY = 86_400.0
_MOST_VALUES = 1000


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


@dataclass(frozen=True)
class Did:
    """Events of a kind are there at least `times`, or, with `negated`, fewer times than that.

    `event` is an event type, or `column=value`.
    """

    event: str
    times: int = 1
    negated: bool = False

    @property
    def step(self) -> tuple[str, str]:
        """The column of the log and its value."""
        column, equals, value = self.event.partition("=")
        return (column, value) if equals else ("event_type", column)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it."""
        more = {"times": self.times} if self.times != 1 else {}
        return {"did_not" if self.negated else "did": self.event, **more}

    def describe(self) -> str:
        """Return the condition in words.

        >>> Did("add_to_cart", 2, negated=True).describe(), Did("page=2").describe()
        ('fewer than 2 of: cart', 'with page 2')
        """
        column, value = self.step
        spoken = event_words(value) if column == "event_type" else f"{in_words(column)} {value}"
        if self.times == 1:
            return f"{'without' if self.negated else 'with'} {spoken}"
        return f"{'fewer than' if self.negated else 'at least'} {self.times} of: {spoken}"


@dataclass(frozen=True)
class Bought:
    """There is a purchase, or there is none."""

    yes: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it."""
        return {"bought": self.yes}

    def describe(self) -> str:
        """Return the condition in words."""
        return "bought" if self.yes else "did not buy"


@dataclass(frozen=True)
class Scored:
    """A run's score was at least `least` at some moment that the run is asked at.

    `table` is the Parquet file of these scores, once they were made for the log that is asked.
    """

    run: str
    least: float
    table: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it."""
        return {"score_from": self.least, "run": self.run}

    def describe(self) -> str:
        """Return the condition in words."""
        return f"score of {self.run} at least {self.least:g}"


@dataclass(frozen=True)
class Seen:
    """The visitor was there within these seconds before the end of the log."""

    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it."""
        days = self.seconds / DAY
        return {"seen": f"{days:.0f}d" if days % 1 == 0 else f"{self.seconds:.15g}s"}

    def describe(self) -> str:
        """Return the condition in words."""
        days = self.seconds / DAY
        told = f"{days:g} days" if days >= 1 else f"{self.seconds / 3600:g} hours"
        return f"seen in the last {told}"


Condition = Values | Range | Did | Bought | Scored | Seen

_KEYS = {
    "column": ("column", "in", "not_in", "from", "to"),
    "did": ("did", "times"),
    "did_not": ("did_not", "times"),
    "bought": ("bought",),
    "score_from": ("score_from", "run"),
    "seen": ("seen",),
}


def condition_from(data: Any, where: str) -> Condition:
    """Return the condition of plain data; `where` names its place in messages.

    Raises:
        DefinitionError: a key does not exist or a value breaks its rule.

    >>> condition_from({"column": "device", "in": ["mobile"]}, "here")
    Values(column='device', values=('mobile',), exclude=False)
    >>> condition_from({"seen": "30d"}, "here").seconds
    2592000.0
    """
    if not isinstance(data, Mapping):
        raise DefinitionError(f"{where}: a condition holds `name: value` lines, got {data!r:.80}.")
    kind = next((k for k in _KEYS if k in data), None)
    if kind is None:
        word = str(next(iter(data), ""))
        raise DefinitionError(
            f"{where}: a condition is one of {', '.join(_KEYS)}.{did_you_mean(word, _KEYS)}"
        )
    for key in data:
        if key not in _KEYS[kind]:
            hint = did_you_mean(str(key), _KEYS[kind])
            raise DefinitionError(f"{where}: {kind!r} takes no {str(key)!r}.{hint}")
    match kind:
        case "column":
            return _of_column(data, where)
        case "did" | "did_not":
            times = data.get("times", 1)
            if isinstance(times, bool) or not isinstance(times, int) or times < 1:
                raise DefinitionError(f"{where}: times must be a whole number >= 1, got {times!r}.")
            event = _word(data[kind], kind, where)
            if "" in Did(event).step:
                raise DefinitionError(f"{where}: {kind} is an event type or column=value.")
            return Did(event, times, kind == "did_not")
        case "bought":
            if not isinstance(data["bought"], bool):
                raise DefinitionError(f"{where}: bought is true or false, got {data['bought']!r}.")
            return Bought(data["bought"])
        case "score_from":
            run = _word(data.get("run", "champion"), "run", where)
            return Scored(run, _number(data["score_from"], "score_from", where))
    seconds = parse_duration(_word(data["seen"], "seen", where))
    return Seen(float(seconds))


def _of_column(data: Mapping[str, Any], where: str) -> Values | Range:
    column = _word(data["column"], "column", where)
    kinds = [k for k in ("in", "not_in") if k in data]
    ends = {k: _number(data[k], k, where) for k in ("from", "to") if k in data}
    if len(kinds) + bool(ends) != 1:
        raise DefinitionError(f"{where}: column {column!r} needs in, or not_in, or from and to.")
    if ends:
        least, most = ends.get("from"), ends.get("to")
        if least is not None and most is not None and least > most:
            raise DefinitionError(f"{where}: {column}: from {least:g} lies above to {most:g}.")
        return Range(column, least, most)
    given = data[kinds[0]]
    values = list(given) if isinstance(given, list | tuple) else [given]
    if not values or len(values) > _MOST_VALUES or any(isinstance(v, dict | list) for v in values):
        raise DefinitionError(f"{where}: {column}: give 1 to {_MOST_VALUES} values.")
    return Values(column, tuple(None if v is None else _text(v) for v in values), "not_in" in data)


def _text(value: object) -> str:
    # YAML takes NO for a truth value, and 7 for a number.
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _word(value: object, key: str, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise DefinitionError(f"{where}: {key} must be a word, got {value!r:.80}.")
    return value.strip()


def _number(value: object, key: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DefinitionError(f"{where}: {key} must be a number, got {value!r:.80}.")
    return float(value)
