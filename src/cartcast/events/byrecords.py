"""Records that hold a list of events each: a batch, a session or a visitor with what it did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from cartcast.events.nested import Cell, flatten
from cartcast.events.read import Source
from cartcast.events.references import element_of

__all__ = ["lists_of_records"]

_LOOKED_AT = 1000
"""Records of a list that a guess looks at."""


def lists_of_records(source: Source) -> Iterator[tuple[str, Source]]:
    """Give each list column whose elements are records, and the source as if they were its rows.

    What stands beside the list of a lone row is of the whole file (a page, a count): it is given
    once more with it, after the records alone.
    """
    for column, cell in source.cells.items():
        element = element_of(cell) if cell.type is not None else None
        if getattr(element, "id", "") != "struct":
            continue
        beside = {name: c for name, c in source.cells.items() if name != column}
        inner = flatten(column, "record", element)
        around: list[dict[str, Cell]] = ([{}] if len(source.sample) == 1 else []) + [beside]
        for cells in around:
            opened = {**{n: c for n, c in inner.items() if n not in cells}, **cells}
            rows = tuple(islice(_rows(source, column, list(opened)), _LOOKED_AT))
            if rows:
                yield column, replace(source, cells=opened, sample=rows)


def _rows(source: Source, column: str, names: list[str]) -> Iterator[tuple[str | None, ...]]:
    place = source.columns.index(column)
    for row in source.sample:
        outer = dict(zip(source.columns, row, strict=False))
        text = row[place] if len(row) > place else None
        for one in json.loads(text) if text else ():
            told = outer | dict(_flat(column, one))
            yield tuple(told.get(name) for name in names)


def _flat(name: str, value: Any) -> Iterator[tuple[str, str | None]]:
    """Give the fields of a record by the names that `flatten` gives them, as text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    elif value is not None:
        yield name, value if isinstance(value, str) else json.dumps(value)
