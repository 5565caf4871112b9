"""A layout meets a source: which of its columns give which canonical column, as SQL."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import dataclass, replace

from cartcast.errors import DataError, did_you_mean
from cartcast.events.ids import ID_COLUMNS, NULL_WORDS, id_sql, nothing_word_sql, text_sql
from cartcast.events.layouts import ItemList, Layout, Value
from cartcast.events.nested import Cell, flatten
from cartcast.events.numbers import NUMBER_COLUMNS, mark_of_sample
from cartcast.events.read import Source
from cartcast.events.references import element_of, references
from cartcast.events.schema import COLUMNS
from cartcast.events.sql import literal, snake_case

__all__ = ["Mapped", "Resolved", "field_text", "resolve", "unrolled"]

_OWN = ("repeat_purchase", "from_orders", "utc_offset", "revenue")
"""Columns that the contract makes anew, so that a log written before can be read again."""

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


@dataclass(frozen=True)
class Resolved:
    """A layout resolved against one source's header.

    Attributes:
        layout: the layout, or its variant that fits.
        mapped: canonical column -> where it comes from.
        parts: SQL of year, month, day when the date is in three columns.
        extras: canonical name -> (source column, SQL, type) of the columns kept as they are.
        absent: canonical columns that the layout names and the source lacks.
        used: the source's columns that the layout reads.
        items: the item list that the source has, with its cell; None without one.
        ties: SQL of what orders events of the same moment.
        event: SQL of what names the event of which a row is one item; empty where a row is one.
        mark: decimal mark of the source's numbers, as its first rows have it.
        sure: the mark needs no proof by the other rows.
        words: words of events in the first rows, small, the most frequent first.
    """

    layout: Layout
    mapped: dict[str, Mapped]
    parts: tuple[str, ...]
    extras: dict[str, tuple[str, str, str]]
    absent: tuple[str, ...] = ()
    used: frozenset[str] = frozenset()
    items: tuple[ItemList, str, Cell] | None = None
    ties: tuple[str, ...] = ()
    event: tuple[str, ...] = ()
    mark: str = "."
    sure: bool = True
    words: tuple[str, ...] = ()


def unrolled(layout: Layout, source: Source) -> Source:
    """Return the source with one row per record where the layout names a list of records."""
    by_name = {c.lower(): c for c in source.columns}
    name = next((by_name[r.lower()] for r in layout.records if r.lower() in by_name), None)
    cell = source.cells.get(name or "")
    if name is None or cell is None or cell.type is None:
        return source
    cells = {k: c for k, c in source.cells.items() if k != name}
    for flat, inner in flatten(name, "record", element_of(cell)).items():
        cells.setdefault(flat, inner)
    # An empty list keeps its row: what happened is not known, but that somebody came is.
    listed = f"CASE WHEN len({cell.sql}) > 0 THEN {cell.sql} ELSE [NULL] END"
    rows = source.relation
    if not source.positioned:
        rows = f"(SELECT *, row_number() OVER () - 1 AS row_at FROM {rows})"
    return replace(
        source,
        relation=f"(SELECT *, unnest({listed}) AS record, "
        f"generate_subscripts({listed}, 1) AS record_at FROM {rows})",
        cells=cells,
        positioned=False,
        records=(name, cell),
        sample=(),
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
            parts = tuple(field_text(source.cells[c], target) for c in found)
            used.update(found)
            continue
        item = _mapped(layout, source, target, value, used)
        if item is None:
            absent.append(target)
        else:
            mapped[target] = item
    _check(layout, source, mapped, bool(parts) or timeless)
    for name in source.repeated:
        if name in used:
            raise DataError(
                f"{source.name}: the header has column {name!r} twice, which one is meant is not "
                "known; rename one of them."
            )
    items = _items(layout, source)
    if items:
        used.add(items[1])
    found_ties = [f for r in layout.ties for f in references(source, r)]
    used.update(column for column, _ in found_ties)
    ties = [_ordering(cell) for _, cell in found_ties]
    if source.unrolled:
        ties.append("CAST(record_at AS DOUBLE)")
    mark, sure = _mark(layout, source, by_name)
    return Resolved(
        layout, mapped, parts, _extras(layout, source, used), tuple(absent), frozenset(used),
        items, tuple(ties), _event(layout, source, items is not None), mark, sure,
        _words(layout, source),
    )  # fmt: skip


def _words(layout: Layout, source: Source) -> tuple[str, ...]:
    value = layout.columns.get("event_type")
    names = {c.lower(): c for c in source.columns}
    columns = [names[r.lower()] for r in (value.references if value else ()) if r.lower() in names]
    counts = Counter(v.strip().lower() for c in columns for v in source.values(c))
    return tuple(word for word, _ in counts.most_common(20))


def _event(layout: Layout, source: Source, listed: bool) -> tuple[str, ...]:
    """Return SQL of the columns that name an event, where its items are rows and all are there."""
    found = [f[0][1].sql for r in layout.event if (f := references(source, r))]
    return tuple(found) if found and len(found) == len(layout.event) and not listed else ()


def _mark(layout: Layout, source: Source, by_name: dict[str, str]) -> tuple[str, bool]:
    """Return the decimal mark, and whether it is beyond doubt: stated, or JSON's own."""
    if layout.decimal is not None:
        return layout.decimal, True
    columns = {
        by_name[c.lower()]
        for target in NUMBER_COLUMNS
        if target in layout.columns
        for c in layout.columns[target].references
        if c.lower() in by_name
    }
    texts = [v for c in columns if source.cells[c].kind == "VARCHAR" for v in source.values(c)]
    mark = mark_of_sample(texts)
    return mark, source.kind == "json" and mark == "."


def _ordering(cell: Cell) -> str:
    """Return SQL by which events of one moment are ordered: a number, or a time's microseconds."""
    if cell.kind == "VARCHAR":
        return (
            f"coalesce(TRY_CAST({cell.sql} AS DOUBLE), "
            f"epoch_us(TRY_CAST({cell.sql} AS TIMESTAMP))::DOUBLE)"
        )
    if cell.kind.startswith("TIMESTAMP"):
        return f"epoch_us({cell.sql})::DOUBLE"
    return f"TRY_CAST({cell.sql} AS DOUBLE)"


def _items(layout: Layout, source: Source) -> tuple[ItemList, str, Cell] | None:
    for listed in layout.items:
        for column in listed.columns:
            for name, cell in references(source, column):
                if cell.type is not None:
                    return listed, name, cell
    return None


def field_text(cell: Cell, target: str, nulls: tuple[str, ...] = ()) -> str:
    """Return SQL of a cell as text for a canonical column, null where it says nothing."""
    if target in ID_COLUMNS:
        text = id_sql(cell.sql, cell.kind, target)
    elif cell.kind == "VARCHAR":
        text = text_sql(cell.sql, (*NULL_WORDS, *nulls))
    elif cell.type is not None:
        text = f"CAST(to_json({cell.sql}) AS VARCHAR)"
    else:
        text = f"CAST({cell.sql} AS VARCHAR)"
    if nulls and (target in ID_COLUMNS or cell.kind != "VARCHAR"):
        listed = ", ".join(literal(w) for w in nulls)
        text = f"CASE WHEN {text} IN ({listed}) THEN NULL ELSE {text} END"
    return text


def _mapped(
    layout: Layout, source: Source, target: str, value: Value, used: set[str]
) -> Mapped | None:
    """Return where a canonical column comes from: the first link of its chain that says something."""
    links = [
        found for one in value.chain if (found := _link(layout, source, target, one, used))
    ]
    if not links:
        if layout.strict and not _never_there(layout, source, value.columns[0]):
            by_name = {c.lower(): c for c in source.columns}
            _required(layout, source, by_name, target, value.columns[0])
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
    layout: Layout, source: Source, target: str, value: Value, used: set[str]
) -> Mapped | None:
    if value.constant is not None and not value.columns:
        return Mapped("", literal(value.constant))
    found = [f for reference in value.columns for f in references(source, reference)]
    if not found:
        return None
    used.update(column for column, _ in found)
    texts = [field_text(cell, target, value.nulls) for _, cell in found]
    if target in NUMBER_COLUMNS and (len(found) > 1 or value.otherwise):
        # A word for nothing in one column must not hide the number in the next.
        texts = [f"CASE WHEN NOT {nothing_word_sql(text)} THEN {text} END" for text in texts]
    plain = texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"
    text = _narrowed(source, plain, value)
    if value.constant is not None:
        text = f"coalesce({text}, {literal(value.constant)})"
    first = found[0][1]
    typed = first.kind != "VARCHAR" and first.type is None and not value.nulls
    native = (first.sql, first.kind) if typed and len(found) == 1 and text == plain else None
    raws = [cell.sql for _, cell in found if cell.kind == "VARCHAR"]
    raw = f"coalesce({', '.join(raws)})" if target in ID_COLUMNS and raws else None
    shown = next(r for r in value.columns if references(source, r))
    return Mapped(shown, text, native, value.divide, _plus(layout, source, target, value, used),
                  raw)  # fmt: skip


def _narrowed(source: Source, text: str, value: Value) -> str:
    """Return SQL of a text under the conditions on its value."""
    if value.pattern is not None:
        form = literal(value.pattern)
        text = (
            f"nullif(regexp_extract({text}, '^(?:' || {form} || ')$', 1), '')"
            if re.compile(value.pattern).groups
            else f"CASE WHEN regexp_full_match({text}, {form}) THEN {text} END"
        )
    if value.unlike is not None and (other := references(source, value.unlike)):
        text = f"nullif({text}, CAST({other[0][1].sql} AS VARCHAR))"
    if value.one is not None and source.records is not None:
        text = f"CASE WHEN {_only_one(source, value.one)} THEN {text} END"
    if value.says is not None:
        text = f"CASE WHEN {text} IS NOT NULL THEN {literal(value.says)} END"
    return text


def _only_one(source: Source, reference: str) -> str:
    """Return SQL: does this record name a thing, and do all records of its list name the same?"""
    assert source.records is not None
    name, cell = source.records
    own = source.cells.get(reference)
    inner = flatten(name, "one", element_of(cell)).get(reference)
    if own is None or inner is None:
        return "false"
    named = f"list_distinct(list_transform({cell.sql}, lambda one: CAST({inner.sql} AS VARCHAR)))"
    return f"({field_text(own, 'order_id')}) IS NOT NULL AND len({named}) = 1"


def _plus(
    layout: Layout, source: Source, target: str, value: Value, used: set[str]
) -> str | None:
    if value.plus is None:
        return None
    found = references(source, value.plus)
    if not found:
        if layout.strict:
            _required(layout, source, {c.lower(): c for c in source.columns}, target, value.plus)
        return None
    used.add(found[0][0])
    number = f"TRY_CAST({found[0][1].sql} AS DOUBLE)"
    return f"CAST(coalesce({number}, 0) * {_UNITS[value.plus_unit]} AS BIGINT)"


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

    if not {"session_id", "visitor_id", "user_id"} & set(mapped):
        raise missing("session_id or visitor_id", "session_id")
    if not timed and not {"event_time", "event_order", "session_seconds"} & set(mapped):
        raise missing("event_time, event_order or session_seconds", "event_time")
    if "event_type" not in mapped and layout.every_event is None:
        raise missing("event_type (or state `every_event:`)", "event_type")


def _extras(layout: Layout, source: Source, used: set[str]) -> dict[str, tuple[str, str, str]]:
    numbers = {n.lower() for n in layout.numbers}
    extras: dict[str, tuple[str, str, str]] = {}
    taken = {*COLUMNS, "event_id", "file_row_number"}
    for column, cell in source.cells.items():
        if column in used or re.fullmatch(r"column_\d+", column):
            continue
        name = snake_case(column)
        if name in _OWN:
            continue
        name = f"source_{name}" if name in taken else name
        while name in extras or name in taken:
            name += "_2"
        kind = cell.kind
        if kind == "VARCHAR":
            sql = text_sql(cell.sql)
        elif cell.type is not None:
            sql, kind = f"CAST(to_json({cell.sql}) AS VARCHAR)", "VARCHAR"
        else:
            sql = cell.sql
        if column.lower() in numbers:
            sql, kind = f"TRY_CAST({sql} AS DOUBLE)", "DOUBLE"
        elif kind.startswith("TIMESTAMP WITH TIME ZONE"):
            sql, kind = f"timezone('UTC', {sql})", "TIMESTAMP"
        extras[name] = (column, sql, kind)
    return extras
