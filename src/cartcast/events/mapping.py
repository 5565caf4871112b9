"""A layout meets a source: which of its columns give which canonical column, as SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from cartcast.errors import DataError, did_you_mean
from cartcast.events.layouts import Layout, Value
from cartcast.events.read import Source
from cartcast.events.schema import COLUMNS
from cartcast.events.sql import identifier, literal, snake_case
from cartcast.events.words import NULL_WORDS

__all__ = ["Mapped", "Resolved", "resolve", "text_of"]

_OWN = ("repeat_purchase", "from_orders")
"""Columns that the contract makes anew, so that a log written before can be read again."""


@dataclass(frozen=True)
class Mapped:
    """One canonical column of one source.

    Attributes:
        column: the source's column, for messages and rejects.
        text: SQL of the value as text, null where the source has nothing.
        native: SQL and type when it is a single column that is not text.
        divide: number by which to divide.
    """

    column: str
    text: str
    native: tuple[str, str] | None = None
    divide: float | None = None


@dataclass(frozen=True)
class Resolved:
    """A layout resolved against one source's header.

    Attributes:
        layout: the layout, or its variant that fits.
        mapped: canonical column -> where it comes from.
        parts: SQL of year, month, day when the date is in three columns.
        extras: canonical name -> (source column, SQL, type) of the columns kept as they are.
        absent: canonical columns that the layout names and the source lacks.
        lists: candidate columns of an item list -> the column that the source has.
    """

    layout: Layout
    mapped: dict[str, Mapped]
    parts: tuple[str, ...]
    extras: dict[str, tuple[str, str, str]]
    absent: tuple[str, ...] = ()
    lists: dict[tuple[str, ...], str] = field(default_factory=dict)


def text_of(column: str, kind: str) -> str:
    """Return SQL for a column as trimmed text, null where it holds a word for nothing."""
    if kind != "VARCHAR":
        return f"CAST({column} AS VARCHAR)"
    words = ", ".join(literal(w) for w in NULL_WORDS)
    # Trimming by Unicode rules is slow, and few cells need it.
    return (
        f"CASE WHEN {column} IN ({words}) THEN NULL WHEN starts_with({column}, ' ') OR "
        f"ends_with({column}, ' ') THEN nullif(trim({column}), '') ELSE {column} END"
    )


def resolve(layout: Layout, source: Source, *, timeless: bool = False) -> Resolved:
    """Return the SQL of every canonical column of `source`; `timeless` allows it to have no time.

    Raises:
        DataError: a required column is missing or ambiguous.
    """
    by_name = {c.lower(): c for c in source.columns}
    mapped: dict[str, Mapped] = {}
    parts: tuple[str, ...] = ()
    used: set[str] = set()
    absent: list[str] = []
    for target, value in layout.columns.items():
        if value.parts:
            found = [_required(layout, source, by_name, target, p) for p in value.parts]
            parts = tuple(text_of(identifier(c), source.types[c]) for c in found)
            used.update(found)
            continue
        item = _mapped(layout, source, by_name, target, value, used)
        if item is None:
            absent.append(target)
        else:
            mapped[target] = item
    timed = bool(parts) or timeless
    _check(layout, source, mapped, timed)
    for name in source.repeated:
        if name in used:
            raise DataError(
                f"{source.name}: the header has column {name!r} twice, which one is meant is not "
                "known; rename one of them."
            )
    lists: dict[tuple[str, ...], str] = {}
    for listed in layout.items:
        here = [by_name[c.lower()] for c in listed.columns if c.lower() in by_name]
        if here:
            lists[listed.columns] = here[0]
    extras = _extras(layout, source, used)
    return Resolved(layout, mapped, parts, extras, tuple(absent), lists)


def _mapped(
    layout: Layout,
    source: Source,
    by_name: dict[str, str],
    target: str,
    value: Value,
    used: set[str],
) -> Mapped | None:
    if value.constant is not None and not value.columns:
        return Mapped("", literal(value.constant))
    texts: list[str] = []
    shown: list[str] = []
    native: tuple[str, str] | None = None
    for reference in value.columns:
        found = _reference(source, by_name, reference)
        if found is None:
            continue
        column, sql, kind = found
        if kind != "VARCHAR":
            native = (sql, kind)
        texts.append(text_of(sql, kind))
        shown.append(reference)
        used.add(column)
    if not texts:
        if layout.strict:
            _required(layout, source, by_name, target, value.columns[0])
        return None
    text = texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"
    if value.constant is not None:
        text = f"coalesce({text}, {literal(value.constant)})"
    single = native if len(texts) == 1 and value.constant is None else None
    return Mapped(shown[0], text, single, value.divide)


def _reference(
    source: Source, by_name: dict[str, str], reference: str
) -> tuple[str, str, str] | None:
    """Return (column, SQL, type) of a reference, or None when the source lacks it."""
    column = by_name.get(reference.lower())
    if column is not None:
        return column, identifier(column), source.types[column]
    match = re.fullmatch(r"(.+)\[(.+)\]", reference)
    if match and (column := by_name.get(match[1].lower())):
        return column, _key_value(identifier(column), match[2]), "VARCHAR"
    return None


def _key_value(column: str, key: str) -> str:
    """Return SQL for the value of `key` in a list of {key, value} (as GA4 exports parameters)."""
    fields = ("string_value", "int_value", "float_value", "double_value")
    shape = ", ".join(f'"{f}":"VARCHAR"' for f in fields)
    schema = literal('[{"key":"VARCHAR","value":{' + shape + "}}]")
    entry = (
        f"list_filter(from_json(TRY_CAST({column} AS JSON), {schema}), "
        f"lambda entry: entry['key'] = {literal(key)})[1]['value']"
    )
    return "coalesce(" + ", ".join(f"({entry})[{literal(f)}]" for f in fields) + ")"


def _required(
    layout: Layout, source: Source, by_name: dict[str, str], target: str, reference: str
) -> str:
    found = by_name.get(reference.lower())
    if found is None:
        raise DataError(
            f"{source.name}: no column {reference!r}, which layout {layout.name!r} needs for "
            f"{target}.{did_you_mean(reference, source.columns)}"
        )
    return found


def _check(layout: Layout, source: Source, mapped: dict[str, Mapped], timed: bool) -> None:
    def missing(what: str, example: str) -> DataError:
        return DataError(
            f"{source.name}: layout {layout.name!r} finds no column for {what} in "
            f"{', '.join(source.columns[:12])};{did_you_mean(example, source.columns)} "
            "Write a layout: `cartcast layout FILE` starts one."
        )

    if "session_id" not in mapped and "visitor_id" not in mapped:
        raise missing("session_id or visitor_id", "session_id")
    if not timed and not {"event_time", "event_order", "session_seconds"} & set(mapped):
        raise missing("event_time, event_order or session_seconds", "event_time")
    if "event_type" not in mapped and layout.every_event is None:
        raise missing("event_type (or state `every_event:`)", "event_type")


def _extras(layout: Layout, source: Source, used: set[str]) -> dict[str, tuple[str, str, str]]:
    numbers = {n.lower() for n in layout.numbers}
    lists = {c.lower() for item in layout.items for c in item.columns}
    extras: dict[str, tuple[str, str, str]] = {}
    taken = {*COLUMNS, "event_id"}
    for column, kind in source.types.items():
        if column in used or column.lower() in lists or re.fullmatch(r"column_\d+", column):
            continue
        name = snake_case(column)
        if name in _OWN:
            continue
        name = f"source_{name}" if name in taken else name
        while name in extras or name in taken:
            name += "_2"
        sql = text_of(identifier(column), kind) if kind == "VARCHAR" else identifier(column)
        if column.lower() in numbers:
            sql, kind = f"TRY_CAST({sql} AS DOUBLE)", "DOUBLE"
        elif kind.startswith("TIMESTAMP WITH TIME ZONE"):
            sql, kind = f"timezone('UTC', {sql})", "TIMESTAMP"
        extras[name] = (column, sql, kind)
    return extras
