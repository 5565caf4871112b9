"""Layouts: how a source's columns become canonical ones, as data (built in, or a YAML file)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cartcast.errors import UsageError, did_you_mean

__all__ = ["EXTRA_TARGETS", "ItemList", "Layout", "Value", "find_layout", "first_of"]

EXTRA_TARGETS: tuple[str, ...] = ("event_id",)
"""Targets a layout may map besides the canonical columns: the source's own id of an event."""


@dataclass(frozen=True)
class Value:
    """Where one canonical column comes from.

    Attributes:
        columns: candidate references, the first that is not null wins. `params[key]` reads a
            key of a key/value list, `contexts[0].a` a field of a list's first element, `a.b` a
            nested field; `*` in a name stands for any text (a version, say).
        parts: year, month and day columns that make a date.
        constant: one value for all rows.
        divide: number by which to divide (micros, cents).
        plus: column of a time since then that is added to a time, such as a hit's since its
            session's start.
        plus_unit: its unit: `s`, `ms` or `us`.
        nulls: words that stand for nothing in this column, besides the usual ones.
        says: a word that the columns say by being there, whatever they hold.
        pattern: a regular expression for the whole value, which is null where it does not fit; a
            group in it is the value.
        without: a text that is taken out of the value, such as the sign of a currency.
        unlike: column whose value stands for nothing here (the device's id, for a login).
        joined: the columns make the value together (of a time: day, then hour), not the first
            that is not null.
        one: field of the records (`hits.order`): the value is of the whole record list, and holds
            only where the records name one such thing.
        otherwise: where the value comes from when this one is null.
    """

    columns: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    constant: str | None = None
    divide: float | None = None
    plus: str | None = None
    plus_unit: str = "ms"
    nulls: tuple[str, ...] = ()
    says: str | None = None
    pattern: str | None = None
    without: str | None = None
    unlike: str | None = None
    joined: bool = False
    one: str | None = None
    otherwise: Value | None = None

    @property
    def chain(self) -> tuple[Value, ...]:
        """This value, and those that are asked after it."""
        return (self, *(self.otherwise.chain if self.otherwise else ()))

    @property
    def references(self) -> tuple[str, ...]:
        """All columns that may give it."""
        return tuple(c for value in self.chain for c in (*value.columns, *value.parts))


def first_of(*columns: str) -> Value:
    """Return the value of the first of these columns that is not null."""
    return Value(columns=columns)


@dataclass(frozen=True)
class Layout:
    """A source's columns, words and clock.

    Attributes:
        name: what `--layout` and the metadata call it.
        title: one line for people.
        columns: canonical column (or `event_id`) -> where it comes from.
        events: the source's word (lower case) -> canonical event type; added to the known words.
        event_prefixes: what stands before words for events (lower case), such as `shop.`; the
            first that fits is taken off.
        status: columns with the status of an order: what was cancelled, refused, not paid or given
            back whole is no sale but `other`, in the words of several languages; the layout's own
            `events` come first.
        every_event: the event type of all rows, for sources that have no such column.
        time_format: `auto`, `iso`, `epoch_s`, `epoch_ms`, `epoch_us`, `excel` or a strptime format;
            `words ` before one where months, halves of the day or zones are words.
        zone: time zone of times without an offset; None means UTC unless offsets are mixed in.
        clock: what the source's clock can tell.
        currency: ISO 4217 code of all prices, or None.
        header: column names of a file that has none.
        separator: separator of a CSV file; None means look.
        decimal: decimal mark of numbers; None means decide by all values of a column.
        skip: lines before the header of a CSV file; None means look.
        records: candidate list columns whose elements are the events (hits of a session); their
            fields are referred to as `hits.field`.
        ties: columns that order events of the same moment, the first the most telling.
        event: columns that together name one event, where a row is one item of it. Without
            lines of their own (sales have), its rows count once.
        numbers: other columns to keep as numbers.
        session_per_visitor: session ids are unique only within a visitor (GA4).
        strict: every column that the layout names must be there.
        items: list column whose elements are items, with `each` event types that become one row
            per item, and `fields` (canonical column -> field of an item).
        refund: money of the row's order that was given back; it becomes a refund of its own.
        amount: what the name of a guessed column of money says that it is (`price`, `line_value`
            or `order_value`); the log decides. Empty where the layout states it.
        variants: further layouts for files of other shapes that belong to the same source.
        signature: column names that together tell this layout from others; `a|b` is either, and
            `*` any text.
    """

    name: str
    title: str = ""
    columns: Mapping[str, Value] = field(default_factory=dict)
    events: Mapping[str, str] = field(default_factory=dict)
    event_prefixes: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    every_event: str | None = None
    time_format: str = "auto"
    zone: str | None = None
    clock: str = "time"
    currency: str | None = None
    header: tuple[str, ...] = ()
    separator: str | None = None
    decimal: str | None = None
    skip: int | None = None
    records: tuple[str, ...] = ()
    ties: tuple[str, ...] = ()
    event: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    session_per_visitor: bool = False
    strict: bool = True
    items: tuple[ItemList, ...] = ()
    refund: Value | None = None
    amount: str = ""
    variants: tuple[Layout, ...] = ()
    signature: tuple[str, ...] = ()

    @property
    def arm_of_experiment(self) -> bool:
        """Whether a row without an experiment has no arm: a variation may be one of a product."""
        arm = self.columns.get("arm")
        return arm is not None and "experiment" in self.columns and "arm" not in arm.columns


@dataclass(frozen=True)
class ItemList:
    """A list column whose elements are items: which events explode, and the items' fields.

    With `product_strings` a cell holds the list as Adobe writes it.
    """

    columns: tuple[str, ...]
    each: tuple[str, ...]
    fields: Mapping[str, Value]
    product_strings: bool = False


def find_layout(name: str) -> Layout:
    """Return a built-in layout by name, or read a YAML file when the name looks like one.

    Raises:
        UsageError: no layout has that name.
        NotFoundError: the YAML file is not there.
    """
    from cartcast.events.builtin import LAYOUTS
    from cartcast.events.layoutfile import read_layout

    if name in LAYOUTS:
        return LAYOUTS[name]
    if name.endswith((".yaml", ".yml")):
        return read_layout(Path(name))
    raise UsageError(f"unknown layout {name!r}.{did_you_mean(name, LAYOUTS)} Or give a .yaml file.")
