"""Where a column of one record comes from: the links of its value's chain, over what was found.

The conditions are those of `values`, which says them in SQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from cartcast.events.ids import is_nothing, plain, text_reader
from cartcast.events.layouts import Value
from cartcast.events.numbers import LARGEST, NUMBER_COLUMNS, number_of
from cartcast.events.paths import Found, Paths

__all__ = ["BreaksRuleError", "Chain", "Link", "Refused", "chain", "field_link", "plus"]

_UNITS: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
_Text = Callable[[Found], str | None]


class Refused(NamedTuple):
    """A row that breaks a rule: its code in `REASONS`, the place in the record, the value."""

    reason: str
    column: str
    value: str


class BreaksRuleError(Exception):
    """Carries the `Refused` of a row."""

    def __init__(self, reason: str, column: str, value: object) -> None:
        super().__init__(reason)
        self.refused = Refused(reason, column, str(value)[:200])


class Link(NamedTuple):
    """One link: the slots and names of its references, its text, its divisor."""

    slots: tuple[int, ...]
    names: tuple[str, ...]
    text: _Text
    divide: float | None

    def name(self, found: Found) -> str:
        """Return the reference that gave the value."""
        named = zip(self.slots, self.names, strict=True)
        return next((name for slot, name in named if slot in found), self.names[0])


class Chain(NamedTuple):
    """The links of a column, the first that says something wins; `mask` has their slots' bits."""

    links: Sequence[Link] = ()
    mask: int = 0

    def text(self, found: Found) -> str | None:
        """Return the text of the first link that says something."""
        if self.mask & found.mask:
            for link in self.links:
                if (text := link.text(found)) is not None:
                    return text
        return None

    def name(self, found: Found) -> str:
        """Return the reference that gave the value, for messages."""
        said = (link for link in self.links if link.text(found) is not None)
        return next(said, self.links[0]).name(found)

    def number(self, target: str, found: Found, mark: str) -> float | None:
        """Return the first number.

        Raises:
            BreaksRuleError: the text is none.
        """
        if not self.mask & found.mask:
            return None
        for link in self.links:
            text = link.text(found)
            if text is None:
                continue
            if link.divide and len(self.links) > 1 and not _is_plain(text):
                continue
            value = number_of(text, mark)
            if value is not None and link.divide:
                value /= link.divide
            if value is None or not abs(value) <= LARGEST:
                if is_nothing(text):
                    return None
                raise BreaksRuleError(f"bad_{target}", link.name(found), text)
            return value
        return None


def chain(paths: Paths, target: str, value: Value) -> Chain:
    """Return the chain of a column's value, its references added to the paths."""
    links = [
        _link(paths, target, v, v.otherwise is not None or len(v.columns) > 1) for v in value.chain
    ]
    if any(link.constant is not None for link in value.chain):
        return Chain(links, -1)
    return Chain(links, sum({1 << slot for link in links for slot in link.slots}))


def field_link(paths: Paths, target: str, value: Value) -> Chain:
    """Return the chain of an item's field, which has columns, words for nothing and a divisor."""
    bare = Value(value.columns, divide=value.divide, nulls=value.nulls)
    link = _link(paths, target, bare, told=False)
    return Chain([link], sum({1 << slot for slot in link.slots}))


def _link(paths: Paths, target: str, value: Value, told: bool) -> Link:
    """Return one link; `told`: another place may tell what it does not."""
    # Where another place may name the event, a word for nothing in the first must not hide it.
    read = text_reader("item_id" if target == "event_type" and told else target, value.nulls)
    skips = told and target in NUMBER_COLUMNS
    places = tuple(paths.slot(c) for c in value.columns)

    def first(found: Found) -> str | None:
        for place in places:
            if place in found:
                text = read(found[place])
                if text is not None and not (skips and is_nothing(text)):
                    return text
        return None

    between = " " if target == "event_time" else "-"

    def joined(found: Found) -> str | None:
        parts = [text for k in places if (text := read(found.get(k))) is not None]
        return between.join(parts) if len(parts) == len(places) else None

    text = _narrowed(paths, joined if value.joined else first, value)
    return Link(places, value.columns or ("",), text, value.divide)


def _narrowed(paths: Paths, read: _Text, value: Value) -> _Text:
    """Return a reader of a text under the conditions on its value."""
    conditions = (value.pattern, value.without, value.unlike, value.says, value.constant)
    if not any(c is not None for c in conditions):
        return read
    fits = re.compile(value.pattern).fullmatch if value.pattern is not None else None
    groups = re.compile(value.pattern or "").groups
    other = paths.slot(value.unlike) if value.unlike is not None else None

    def narrowed(found: Found) -> str | None:
        text = read(found)
        if text is not None and value.without is not None:
            text = text.replace(value.without, "").strip() or None
        if text is not None and fits is not None:
            match = fits(text)
            text = None if match is None else (match[1] or None) if groups else text
        if text is not None and other is not None and text == plain(found.get(other)):
            text = None
        if text is not None and value.says is not None:
            text = value.says
        return value.constant if text is None else text

    return narrowed


def plus(paths: Paths, value: Value | None) -> Callable[[Found], int]:
    """Return what reads the microseconds that are added to a time."""
    if value is None or value.plus is None:
        return lambda _: 0
    place, unit = paths.slot(value.plus), _UNITS[value.plus_unit]

    def read(found: Found) -> int:
        text = plain(found.get(place))
        return round((number_of(text) or 0.0) * unit) if text is not None else 0

    return read


def _is_plain(text: str) -> bool:
    """Tell whether the engine casts a text to a number by itself."""
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii()
