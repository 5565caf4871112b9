"""A layout meets a source: which of its columns give which canonical column, as SQL."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace

from cartcast.errors import DataError, did_you_mean
from cartcast.events.feeds import product_strings
from cartcast.events.ids import text_sql
from cartcast.events.layouts import ItemList, Layout
from cartcast.events.nested import Cell, flatten
from cartcast.events.numbers import NUMBER_COLUMNS, mark_of_sample, surely_a_point
from cartcast.events.read import Source
from cartcast.events.references import element_of, references
from cartcast.events.schema import COLUMNS
from cartcast.events.signs import bare, without_signs
from cartcast.events.sql import bound, snake_case
from cartcast.events.statuses import with_status
from cartcast.events.time_words import IN_WORDS, plain_sql
from cartcast.events.values import Mapped, field_text, in_record, mapped_value, required

__all__ = ["Resolved", "resolve", "unrolled"]

_OWN = ("repeat_purchase", "from_orders", "utc_offset", "revenue")
"""Columns that the contract makes afresh, so that an earlier log can be read again."""


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
        refund: where money that was given back stands; None without it.
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
    refund: Mapped | None = None
    ties: tuple[str, ...] = ()
    event: tuple[str, ...] = ()
    mark: str = "."
    sure: bool = True
    words: tuple[str, ...] = ()

    @property
    def time_form(self) -> str:
        """The form of the texts of times, once their words are usual."""
        return self.layout.time_format.removeprefix(IN_WORDS)

    @property
    def clock(self) -> str:
        """What the clock can tell: what the layout says, where the source has a column of times."""
        if self.layout.clock not in ("time", "day") or self.parts or "event_time" in self.mapped:
            return self.layout.clock
        return "session" if "session_seconds" in self.mapped else "order"


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
    alone: dict[str, str] = {}
    for reference in sorted({v.one for t in layout.columns.values() for v in t.chain if v.one}):
        if (count := _distinct(name, cell, reference)) is not None:
            # Counted before the list is unrolled: once a list, not once a record.
            alone[reference] = f"only_{len(alone)}"
            rows = f"(SELECT *, {count} = 1 AS {alone[reference]} FROM {rows})"
    return replace(
        source,
        relation=f"(SELECT *, unnest({listed}) AS record, "
        f"generate_subscripts({listed}, 1) AS record_at FROM {rows})",
        cells=cells,
        positioned=False,
        alone=alone,
        sample=(),
    )


def _distinct(name: str, cell: Cell, reference: str) -> str | None:
    """Return SQL of how many things the records of a list name in one of their fields."""
    inner = flatten(name, "one", element_of(cell)).get(reference)
    if inner is None:
        return None
    named = f"list_transform({cell.sql}, lambda one: CAST({inner.sql} AS VARCHAR))"
    return f"len(list_distinct({named}))"


def resolve(layout: Layout, source: Source, *, timeless: bool = False) -> Resolved:
    """Return the SQL of every canonical column of `source`; `timeless` allows it to have no time.

    Raises:
        DataError: a required column is missing or ambiguous.
    """
    by_name = {c.lower(): c for c in source.columns}
    layout = with_status(without_signs(layout, source))
    mark, sure = _mark(layout, source, by_name)
    mapped: dict[str, Mapped] = {}
    parts: tuple[str, ...] = ()
    used: set[str] = set()
    absent: list[str] = []
    for target, value in layout.columns.items():
        if value.parts:
            found = [required(layout, source, by_name, target, p) for p in value.parts]
            parts = tuple(field_text(source.cells[c], target) for c in found)
            used.update(found)
            continue
        item = mapped_value(layout, source, target, value, used, mark)
        if item is None:
            absent.append(target)
        else:
            mapped[target] = item
    if layout.time_format.startswith(IN_WORDS) and "event_time" in mapped:
        # Made usual once: the form is read from it in several places.
        item = mapped["event_time"]
        mapped["event_time"] = replace(item, text=plain_sql(item.text))
    _check(layout, source, mapped, bool(parts) or timeless)
    for name in source.repeated:
        if name in used:
            raise DataError(
                f"{source.name}: the header has column {name!r} twice, which one is meant is not "
                "known; rename one of them."
            )
    refund = None
    if layout.refund is not None:
        loose = replace(layout, strict=False)
        refund = mapped_value(loose, source, "order_value", layout.refund, used, mark)
    items = _items(layout, source)
    if items:
        used.add(items[1])
    found_ties = [f for r in layout.ties for f in references(source, r)]
    used.update(column for column, _ in found_ties)
    ties = [_ordering(cell) for _, cell in found_ties]
    if source.unrolled:
        ties.append("CAST(record_at AS DOUBLE)")
    return Resolved(
        layout, mapped, parts, _extras(layout, source, used), tuple(absent), frozenset(used),
        items, refund, tuple(ties), _event(layout, source, items is not None), mark, sure,
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
        by_name[c.lower()]: layout.columns[target].without
        for target in NUMBER_COLUMNS
        if target in layout.columns
        for c in layout.columns[target].references
        if c.lower() in by_name
    }
    rows = (source, source.together) if source.kin else (source,)
    for told in rows:
        texts = [
            bare(v, sign)
            for c, sign in columns.items()
            if source.cells[c].kind == "VARCHAR"
            # A record in a cell of a table is JSON, whatever the table's own numbers look like.
            and (source.kind == "json" or not in_record(source.cells[c]))
            for v in told.values(c)
        ]
        points = any(map(surely_a_point, texts))
        mark = mark_of_sample(texts)
        if points or mark == ",":
            break
    if source.kind == "json" and points:
        # A number of JSON has a point, whatever texts beside it may hold.
        mark = "."
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
                if listed.product_strings and cell.kind == "VARCHAR":
                    return listed, name, product_strings(cell)
                if cell.type is not None:
                    return listed, name, cell
    return None


def _check(layout: Layout, source: Source, mapped: dict[str, Mapped], timed: bool) -> None:
    def missing(what: str, example: str) -> DataError:
        return DataError(
            f"{source.name}: layout {layout.name!r} finds no column for {what} in "
            f"{source.some_columns};{did_you_mean(example, source.columns)} "
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
    taken = {*COLUMNS, "event_id", "file_row_number", "filename"}
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
            sql = text_sql(bound(cell.sql))
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
