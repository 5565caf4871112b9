"""A layout meets a source: which of its columns give which canonical column, as SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cartcast.errors import DataError, did_you_mean
from cartcast.events.ids import ID_COLUMNS, NULL_WORDS, id_sql, text_sql
from cartcast.events.layouts import ItemList, Layout, Value
from cartcast.events.nested import Cell, flatten
from cartcast.events.numbers import NUMBER_COLUMNS, mark_of_sample
from cartcast.events.read import Source
from cartcast.events.schema import COLUMNS
from cartcast.events.sql import identifier, literal, snake_case

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
        mark: decimal mark of the source's numbers, as its first rows have it.
        sure: the mark needs no proof by the other rows.
    """

    layout: Layout
    mapped: dict[str, Mapped]
    parts: tuple[str, ...]
    extras: dict[str, tuple[str, str, str]]
    absent: tuple[str, ...] = ()
    used: frozenset[str] = frozenset()
    items: tuple[ItemList, str, Cell] | None = None
    ties: tuple[str, ...] = ()
    mark: str = "."
    sure: bool = True


def unrolled(layout: Layout, source: Source) -> Source:
    """Return the source with one row per record where the layout names a list of records."""
    by_name = {c.lower(): c for c in source.columns}
    name = next((by_name[r.lower()] for r in layout.records if r.lower() in by_name), None)
    cell = source.cells.get(name or "")
    if name is None or cell is None or cell.type is None:
        return source
    element = dict(cell.type.children)["child"]
    cells = {k: c for k, c in source.cells.items() if k != name}
    for flat, inner in flatten(name, "record", element).items():
        cells.setdefault(flat, inner)
    # An empty list keeps its row: what happened is not known, but that somebody came is.
    listed = f"CASE WHEN len({cell.sql}) > 0 THEN {cell.sql} ELSE [NULL] END"
    rows = source.relation
    if not source.positioned:
        rows = f"(SELECT *, row_number() OVER () - 1 AS row_at FROM {rows})"
    return replace(
        source,
        relation=f"(SELECT *, unnest({listed}) AS record FROM {rows})",
        cells=cells,
        positioned=False,
        unrolled=True,
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
        item = _mapped(layout, source, by_name, target, value, used)
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
    items = _items(layout, source, by_name)
    if items:
        used.add(items[1])
    ties = []
    for reference in layout.ties:
        if (found_tie := _reference(source, by_name, reference)) is not None:
            used.add(found_tie[0])
            ties.append(_ordering(found_tie[1]))
    mark, sure = _mark(layout, source, by_name)
    return Resolved(
        layout, mapped, parts, _extras(layout, source, used), tuple(absent), frozenset(used),
        items, tuple(ties), mark, sure,
    )  # fmt: skip


def _mark(layout: Layout, source: Source, by_name: dict[str, str]) -> tuple[str, bool]:
    """Return the decimal mark, and whether it is beyond doubt: stated, or JSON's own."""
    if layout.decimal is not None:
        return layout.decimal, True
    columns = {
        by_name[c.lower()]
        for target in NUMBER_COLUMNS
        if target in layout.columns
        for c in layout.columns[target].columns
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


def _items(
    layout: Layout, source: Source, by_name: dict[str, str]
) -> tuple[ItemList, str, Cell] | None:
    for listed in layout.items:
        for column in listed.columns:
            name = by_name.get(column.lower())
            if name is not None and source.cells[name].type is not None:
                return listed, name, source.cells[name]
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
    raws: list[str] = []
    shown: list[str] = []
    native: tuple[str, str] | None = None
    for reference in value.columns:
        found = _reference(source, by_name, reference)
        if found is None:
            continue
        column, cell = found
        if cell.kind != "VARCHAR" and cell.type is None and not value.nulls:
            native = (cell.sql, cell.kind)
        texts.append(field_text(cell, target, value.nulls))
        raws += [cell.sql] if cell.kind == "VARCHAR" else []
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
    plus = _plus(layout, source, by_name, target, value, used)
    raw = f"coalesce({', '.join(raws)})" if target in ID_COLUMNS and raws else None
    return Mapped(shown[0], text, single, value.divide, plus, raw)


def _plus(
    layout: Layout,
    source: Source,
    by_name: dict[str, str],
    target: str,
    value: Value,
    used: set[str],
) -> str | None:
    if value.plus is None:
        return None
    found = _reference(source, by_name, value.plus)
    if found is None:
        if layout.strict:
            _required(layout, source, by_name, target, value.plus)
        return None
    used.add(found[0])
    number = f"TRY_CAST({found[1].sql} AS DOUBLE)"
    return f"CAST(coalesce({number}, 0) * {_UNITS[value.plus_unit]} AS BIGINT)"


def _reference(source: Source, by_name: dict[str, str], reference: str) -> tuple[str, Cell] | None:
    """Return (column, cell) of a reference, or None when the source lacks it."""
    column = by_name.get(reference.lower())
    if column is not None:
        return column, source.cells[column]
    match = re.fullmatch(r"([^\[]+)\[([^\]]+)\](?:\.(.+))?", reference)
    if not match or not (column := by_name.get(match[1].lower())):
        return None
    cell = source.cells[column]
    if cell.type is None:
        return None
    element = dict(cell.type.children).get("child")
    if cell.type.id == "map":
        element = None
    if match[2].isdigit():
        if element is None:
            return None
        first = f"{cell.sql}[{int(match[2]) + 1}]"
        found = flatten("x", first, element)
        return _within(column, found, match[3])
    inner = _key_value(cell, element, match[2])
    return None if inner is None else (column, inner)


def _within(column: str, cells: dict[str, Cell], path: str | None) -> tuple[str, Cell] | None:
    wanted = "x" if path is None else f"x.{path}"
    found = next((c for name, c in cells.items() if name.lower() == wanted.lower()), None)
    return None if found is None else (column, found)


def _key_value(cell: Cell, element: object, key: str) -> Cell | None:
    """Return the value of `key` in a list of {key, value} (as GA4 exports parameters)."""
    if cell.type.id == "map":
        value = flatten("x", f"element_at({_map_of(cell)}, {literal(key)})[1]", cell.type.children[1][1])
        return next(iter(value.values()), None)
    fields = dict(element.children) if getattr(element, "id", "") == "struct" else {}  # type: ignore[attr-defined]
    names = {n.lower(): n for n in fields}
    label = next((names[n] for n in ("key", "name", "index") if n in names), None)
    if label is None or "value" not in names:
        return None
    entry = (
        f"list_filter({cell.sql}, lambda one: CAST(one.{identifier(label)} AS VARCHAR) = "
        f"{literal(key)})[1].{identifier(names['value'])}"
    )
    inner = fields[names["value"]]
    if inner.id != "struct":
        return next(iter(flatten("x", entry, inner).values()), None)
    held = [
        f"CAST({entry}.{identifier(f)} AS VARCHAR)"
        for f, kind in inner.children
        if kind.id not in ("list", "struct", "map")
    ]
    return Cell(f"coalesce({', '.join(held)})", "VARCHAR") if held else None


def _map_of(cell: Cell) -> str:
    return cell.sql.removeprefix("map_entries(")[:-1]


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
