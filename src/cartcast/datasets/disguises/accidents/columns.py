"""Columns with awkward names, and lists and structures written into a cell of text."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import PurePath
from random import Random
from typing import Any

import pyarrow as pa

from cartcast.datasets.disguises.accidents.accident import Accident, Sheets, each_log
from cartcast.datasets.disguises.form import Form
from cartcast.datasets.disguises.sheet import Sheet

__all__ = ["ACCIDENTS", "INTERNAL_NAMES", "SQL_NAMES"]

SQL_NAMES = ("order", "select", "group", "table", "index", "end", "from", "desc", "all", "values")
"""Column names that are words of SQL."""

INTERNAL_NAMES = (
    "place", "seq", "unit", "s", "stage", "__row", "t_price", "v_price", "file", "part", "row",
    "kind", "word", "numbered", "made", "rowid", "filename",
)  # fmt: skip
"""Column names that a reader's own queries may use."""


def _with_columns(names: tuple[str, ...], sheets: Sheets, rng: Random) -> Sheets:
    def change(sheet: Sheet) -> Sheet:
        rows = (row | {n: rng.choice(("kg", "pc")) for n in names} for row in sheet.rows)
        return sheet.with_rows(rows)

    return tuple(change(s) if s.role == "log" else s for s in sheets)


def _note(sheet: Sheet) -> Sheet:
    """Add a column whose cells hold line ends, quotes and separators."""
    notes = itertools.cycle(('gift, "for you"\nwith ribbon', None, "two\r\nlines; done", "plain"))
    return sheet.with_rows(row | {"note": next(notes)} for row in sheet.rows)


def _as_csv(sheet: Sheet, text: Any) -> Sheet:
    """Return the sheet as CSV, lists and structures turned into `text`."""
    rows = sheet.rows
    if sheet.schema is not None:
        rows = tuple(pa.Table.from_pylist(list(rows), schema=sheet.schema).to_pylist())
    cells = (
        {k: text(v) if isinstance(v, dict | list) else v for k, v in row.items()} for row in rows
    )
    name = f"{PurePath(sheet.name).stem}.csv"
    return replace(sheet.with_rows(cells, name), schema=None)


def _nested(form: Form) -> bool:
    """Whether a row is an event with structures in it."""
    return form.nested


def _wide(form: Form) -> bool:
    return (form.flat and form.header) or form.lines


ACCIDENTS = (
    Accident(
        "note-with-newlines",
        frozenset({"columns"}),
        lambda form: form.flat and form.header,
        sheets=each_log(_note),
    ),
    Accident(
        "columns-named-like-sql",
        frozenset({"columns"}),
        _wide,
        sheets=lambda sheets, rng: _with_columns(SQL_NAMES, sheets, rng),
    ),
    Accident(
        "columns-named-like-internals",
        frozenset({"columns"}),
        _wide,
        sheets=lambda sheets, rng: _with_columns(INTERNAL_NAMES, sheets, rng),
    ),
    Accident(
        "json-in-cells",
        frozenset({"container"}),
        _nested,
        sheets=each_log(lambda s: _as_csv(s, json.dumps)),
    ),
    Accident(
        "python-in-cells",
        frozenset({"container"}),
        _nested,
        sheets=each_log(lambda s: _as_csv(s, repr)),
    ),
)
"""Names of columns, and containers in cells."""
