"""Values: one canonical column of one source as SQL, under the conditions that a layout sets."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from cartcast.errors import DataError, did_you_mean
from cartcast.events.ids import ID_COLUMNS, NULL_WORDS, id_sql, nothing_word_sql, text_sql
from cartcast.events.layouts import Layout, Value
from cartcast.events.nested import Cell
from cartcast.events.numbers import NUMBER_COLUMNS
from cartcast.events.read import Source
from cartcast.events.references import references
from cartcast.events.sql import bound, literal

__all__ = ["Mapped", "field_text", "in_record", "mapped_value", "required"]

_UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}


@dataclass(frozen=True)
class Mapped:
    """One canonical column of one source.

    Attributes:
        column: the source's column, for messages and rejects.
        text: SQL of the value as text, null where the source has nothing.
        native: SQL and type when it is a single column that is not text.
        divide: number by which to divide.
        plus: SQL of microseconds to add to a time, or None.
        raw: SQL of an id cell as it is written, for words that stand for nothing.
    """

    column: str
    text: str
    native: tuple[str, str] | None = None
    divide: float | None = None
    plus: str | None = None
    raw: str | None = None

    @property
    def scaled(self) -> str:
        """The text, divided."""
        if self.divide is None:
            return self.text
        return f"CAST(TRY_CAST({self.text} AS DOUBLE) / {self.divide} AS VARCHAR)"


def in_record(cell: Cell) -> bool:
    """Return whether a cell is a field of a record."""
    return cell.sql.startswith("struct_extract(")


def field_text(cell: Cell, target: str, nulls: tuple[str, ...] = ()) -> str:
    """Return SQL of a cell as text for a canonical column, null where it says nothing."""
    if target in ID_COLUMNS:
        text = id_sql(bound(cell.sql), cell.kind, target)
    elif cell.kind == "VARCHAR":
        text = text_sql(bound(cell.sql), (*NULL_WORDS, *nulls))
    elif cell.type is not None:
        text = f"CAST(to_json({cell.sql}) AS VARCHAR)"
    else:
        text = f"CAST({cell.sql} AS VARCHAR)"
    if nulls and (target in ID_COLUMNS or cell.kind != "VARCHAR"):
        listed = ", ".join(literal(w) for w in nulls)
        text = f"CASE WHEN {text} IN ({listed}) THEN NULL ELSE {text} END"
    return text


def mapped_value(
    layout: Layout, source: Source, target: str, value: Value, used: set[str], mark: str
) -> Mapped | None:
    """Return where a canonical column comes from: the first of its chain that says something."""
    links = [
        found for one in value.chain if (found := _link(layout, source, target, one, used, mark))
    ]
    if not links:
        if layout.strict and not _never_there(layout, source, value.columns[0]):
            by_name = {c.lower(): c for c in source.columns}
            required(layout, source, by_name, target, value.columns[0])
        return None
    if len(links) == 1:
        return links[0]
    raws = [link.raw for link in links if link.raw]
    return Mapped(
        links[0].column,
        f"coalesce({', '.join(link.scaled for link in links)})",
        plus=links[0].plus,
        raw=f"coalesce({', '.join(raws)})" if raws else None,
    )


def _never_there(layout: Layout, source: Source, reference: str) -> bool:
    """Return whether a key may be null in all records: JSON leaves out such keys.

    A name that is nearly that of a column which the layout does not read is rather a slip.
    """
    if source.kind != "json":
        return False
    read = {c.lower() for value in layout.columns.values() for c in value.references}
    others = [c.lower() for c in source.columns if c.lower() not in read]
    return not difflib.get_close_matches(reference.lower(), others, n=1, cutoff=0.8)


def _link(
    layout: Layout, source: Source, target: str, value: Value, used: set[str], mark: str
) -> Mapped | None:
    if value.constant is not None and not value.columns:
        return Mapped("", literal(value.constant))
    found = [f for reference in value.columns for f in references(source, reference)]
    if not found:
        return None
    used.update(column for column, _ in found)
    # Where another place may name the event, a word for nothing in the first must not hide it.
    told = len(found) > 1 or value.otherwise is not None
    asked = "item_id" if target == "event_type" and told else target
    texts = [field_text(cell, asked, value.nulls) for _, cell in found]
    if target in NUMBER_COLUMNS and (len(found) > 1 or value.otherwise):
        # A word for nothing in one column must not hide the number in the next.
        texts = [f"CASE WHEN NOT {nothing_word_sql(text)} THEN {text} END" for text in texts]
    if target in NUMBER_COLUMNS and mark == "," and source.kind == "csv":
        # Records in a cell keep JSON's point, whatever mark the file's own cells have.
        texts = [
            f"replace({text}, '.', ',')" if in_record(cell) else text
            for text, (_, cell) in zip(texts, found, strict=True)
        ]
    plain = texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"
    if value.joined:
        if len(found) < len(value.columns):
            return None
        # Null where any part is: half a name is none.
        between = " || ' ' || " if target == "event_time" else " || '-' || "
        plain = f"({between.join(texts)})"
    text = _narrowed(source, plain, value)
    if value.constant is not None:
        text = f"coalesce({text}, {literal(value.constant)})"
    first = found[0][1]
    typed = first.kind != "VARCHAR" and first.type is None and not value.nulls
    native = (first.sql, first.kind) if typed and len(found) == 1 and text == plain else None
    raws = [bound(cell.sql) for _, cell in found if cell.kind == "VARCHAR"]
    raw = f"coalesce({', '.join(raws)})" if target in ID_COLUMNS and raws else None
    # A value that its layout narrows may be null without being a word.
    raw = None if value.joined or text != plain else raw
    shown = next(r for r in value.columns if references(source, r))
    return Mapped(shown, text, native, value.divide, _plus(layout, source, target, value, used),
                  raw)  # fmt: skip


def _narrowed(source: Source, text: str, value: Value) -> str:
    """Return SQL of a text under the conditions on its value."""
    if value.without is not None:
        text = f"nullif(trim(replace({text}, {literal(value.without)}, '')), '')"
    if value.pattern is not None:
        form = literal(value.pattern)
        text = (
            f"nullif(regexp_extract({text}, '^(?:' || {form} || ')$', 1), '')"
            if re.compile(value.pattern).groups
            else f"CASE WHEN regexp_full_match({text}, {form}) THEN {text} END"
        )
    if value.unlike is not None and (other := references(source, value.unlike)):
        text = f"nullif({text}, CAST({other[0][1].sql} AS VARCHAR))"
    if value.one is not None and source.alone is not None:
        own, only = source.cells.get(value.one), source.alone.get(value.one)
        named = (
            "false"
            if own is None or only is None
            else f"({field_text(own, 'order_id')}) IS NOT NULL AND {only}"
        )
        text = f"CASE WHEN {named} THEN {text} END"
    if value.says is not None:
        text = f"CASE WHEN {text} IS NOT NULL THEN {literal(value.says)} END"
    return text


def _plus(layout: Layout, source: Source, target: str, value: Value, used: set[str]) -> str | None:
    if value.plus is None:
        return None
    found = references(source, value.plus)
    if not found:
        if layout.strict:
            required(layout, source, {c.lower(): c for c in source.columns}, target, value.plus)
        return None
    used.add(found[0][0])
    number = f"TRY_CAST({found[0][1].sql} AS DOUBLE)"
    return f"CAST(coalesce({number}, 0) * {_UNITS[value.plus_unit]} AS BIGINT)"


def required(
    layout: Layout, source: Source, by_name: dict[str, str], target: str, reference: str
) -> str:
    """Return the source's column that a layout needs.

    Raises:
        DataError: it is not there, naming the nearest one.
    """
    found = by_name.get(reference.lower())
    if found is None:
        raise DataError(
            f"{source.name}: no column {reference!r}, which layout {layout.name!r} needs for "
            f"{target}.{did_you_mean(reference, source.columns)}"
        )
    return found
