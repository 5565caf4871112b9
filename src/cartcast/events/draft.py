"""A draft of how a source is read: what its columns hold, what they are taken for, and changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from cartcast.errors import DataError
from cartcast.events.byname import layout_by_names
from cartcast.events.engine import connect, translate
from cartcast.events.guess import Guess, bare_names, choose, guess
from cartcast.events.layouts import Layout, Value
from cartcast.events.mapping import unrolled
from cartcast.events.read import Source, expand, open_source
from cartcast.events.references import matching, references
from cartcast.events.sql import identifier
from cartcast.events.time_forms import find_format
from cartcast.scratch import scratch

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Draft", "draft"]

_ROWS = 1_000
_MONEY = {"price", "line_value", "order_value"}


@dataclass(frozen=True)
class Draft:
    """How one source would be read, to be looked at and changed.

    Attributes:
        source: what is read; only its names and its sample are of use.
        rows: its first rows, under its own names.
        found: the layout that fits best, and why.
        problem: why the source cannot be read so; empty where it can.
    """

    source: Source
    rows: pa.Table
    found: Guess
    problem: str = ""

    @cached_property
    def layout(self) -> Layout:
        """The layout, of each column what the source has of it."""
        rows = unrolled(self.found.layout, self.source)
        columns = {t: v for t, w in self.found.layout.columns.items() if (v := _present(w, rows))}
        items = tuple(
            i for i in self.found.layout.items if any(references(rows, c) for c in i.columns)
        )
        return replace(self.found.layout, columns=columns, items=items)

    def column(self, target: str) -> str | None:
        """Return the source's column that gives a canonical one, the first of several."""
        value = self.layout.columns.get(target)
        named = (self._meant(r) for r in (value.references if value else ()))
        return next((columns[0] for columns in named if columns), None)

    @cached_property
    def unused(self) -> tuple[str, ...]:
        """The source's columns that nothing reads; a log keeps them under their own names."""
        layout = self.layout
        lists = (*layout.records, *(c for i in layout.items for c in i.columns))
        named = (r for value in layout.columns.values() for r in value.references)
        used = {c for r in (*lists, *layout.ties, *layout.event, *named) for c in self._meant(r)}
        return tuple(c for c in self.source.columns if c not in used)

    def _meant(self, reference: str) -> list[str]:
        columns = list(self.source.columns)
        return matching(columns, reference) or matching(columns, reference.split("[")[0])

    def values(self, column: str) -> Counter[str]:
        """Return the values of a column in the first rows, with how often each occurs."""
        return Counter(v.strip() for v in self.source.values(column) if v.strip())

    def time_forms(self, column: str) -> tuple[str, ...]:
        """Return the forms that fit the times of a column equally well; empty where one is best."""
        return find_format(self.values(column))[1]

    def changed(self, columns: Mapping[str, str | None], **more: Any) -> Layout:
        """Return the layout with other columns; None takes a canonical column away.

        Args:
            columns: canonical column -> the source's column; those that are as they were keep
                what else the layout says of them.
            more: other attributes of the layout (`events`, `every_event`, `zone` ...).
        """
        now = {t: c for t, c in columns.items() if c != self.column(t)}
        values = {t: v for t, v in self.layout.columns.items() if t not in now}
        values |= {t: Value(columns=(c,)) for t, c in now.items() if c is not None}
        reset: dict[str, Any] = {"columns": values}
        if "event_time" in now:
            reset |= {"time_format": "auto", "clock": "time"}
        if _MONEY & now.keys():
            # What a column of money is has been stated now.
            reset["amount"] = ""
        return replace(self.layout, **{**reset, **more})


def draft(source: Any, folder: Path | None = None) -> Draft:
    """Return what a source holds, and how it would be read, as far as that can be told.

    Raises:
        NotFoundError: the source is not there.
        DataError: it is empty, or is no table.
    """
    first = next(iter(expand(source)))
    with scratch(folder) as work, connect(Path(work)) as con:
        try:
            opened = bare_names(open_source(con, first, Path(work)))
            rows = _first_rows(con, opened)
        except duckdb.Error as error:
            raise translate(error, str(first)) from error
    try:
        found = guess(opened)
    except DataError as error:
        layout, reasons = layout_by_names(opened)
        return Draft(opened, rows, Guess(layout, 0.0, reasons), str(error))
    try:
        opened, layout, _ = choose(opened, found.layout)
    except DataError as error:
        return Draft(opened, rows, found, str(error))
    return Draft(opened, rows.rename_columns(list(opened.columns)), replace(found, layout=layout))


def _first_rows(con: duckdb.DuckDBPyConnection, source: Source) -> pa.Table:
    selected = ", ".join(f"{cell.sql} AS {identifier(n)}" for n, cell in source.cells.items())
    where = f"WHERE NOT ({source.blank})" if source.blank else ""
    return con.execute(
        f"SELECT {selected} FROM {source.relation} {where} LIMIT {_ROWS}"
    ).to_arrow_table()


def _present(value: Value, source: Source) -> Value | None:
    """Return the value with the columns that the source has; None where it has none."""
    here = tuple(c for c in value.columns if references(source, c))
    after = _present(value.otherwise, source) if value.otherwise else None
    if here or value.parts or (value.constant is not None and not value.columns):
        return replace(value, columns=here, otherwise=after)
    return after
