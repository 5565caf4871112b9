"""Sheets: the rows of one file before they are written, and the dialect they are written in."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["Dialect", "Sheet", "write_sheet"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    r"""How rows of text become bytes.

    Attributes:
        separator: between cells.
        decimal: mark of fractions.
        thousands: mark between groups of three digits.
        encoding: of the text; a byte order mark comes with `utf-8-sig` and `utf-16`.
        newline: end of a line.
        header: whether the first row names the columns.
        null: words of missing cells, taken in turn.
        before, after: whole lines above and below the table.
        end: text added to every line (an empty last column is one separator).
        packed: gzip.
    """

    separator: str = ","
    decimal: str = "."
    thousands: str = ""
    encoding: str = "utf-8"
    newline: str = "\n"
    header: bool = True
    null: tuple[str, ...] = ("",)
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    end: str = ""
    packed: bool = False


@dataclass(frozen=True)
class Sheet:
    """One file to be.

    Attributes:
        name: file name; its suffix (.csv, .tsv, .dat, .jsonl, .json, .parquet) chooses the format.
        rows: one mapping per row or line.
        names: canonical column -> the column of this sheet; flat sheets only.
        role: `log`, or `orders` for a table of outcomes beside it.
        schema: of a Parquet file.
        dialect: of a text file.
    """

    name: str
    rows: tuple[Row, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    role: Literal["log", "orders"] = "log"
    schema: pa.Schema | None = None
    dialect: Dialect = Dialect()

    @property
    def columns(self) -> list[str]:
        """Names of all columns, in order of appearance."""
        found: dict[str, None] = {}
        for row in self.rows:
            if not row.keys() <= found.keys():
                found |= dict.fromkeys(row)
        return list(found)

    def with_rows(self, rows: Iterable[Row], name: str | None = None) -> Sheet:
        """Return the sheet with other rows, and another name if given."""
        return replace(self, rows=tuple(rows), name=name or self.name)

    def speak(self, **changes: Any) -> Sheet:
        """Return the sheet with parts of its dialect changed."""
        return replace(self, dialect=replace(self.dialect, **changes))


def write_sheet(sheet: Sheet, folder: Path) -> Path:
    """Write the sheet into `folder` and return its path (`.gz` is added when packed)."""
    path = folder / sheet.name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(sheet.rows), schema=sheet.schema), path)
        return path
    text = _json(sheet) if path.suffix in (".jsonl", ".json") else _csv(sheet)
    data = text.encode(sheet.dialect.encoding)
    if sheet.dialect.packed:
        path = path.with_name(path.name + ".gz")
        data = gzip.compress(data, mtime=0)
    path.write_bytes(data)
    return path


def _json(sheet: Sheet) -> str:
    """Return JSON lines, or for `.json` one list."""
    lines = [json.dumps(row, ensure_ascii=False) for row in sheet.rows]
    if sheet.name.endswith(".json"):
        return "[" + ",\n".join(lines) + "]"
    newline = sheet.dialect.newline
    return newline.join([*lines, ""])


def _csv(sheet: Sheet) -> str:
    d = sheet.dialect
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=d.separator, lineterminator=d.end + d.newline)
    columns = sheet.columns
    if d.header:
        writer.writerow(columns)
    for row in sheet.rows:
        writer.writerow(_cells(row, columns, d))
    above = "".join(line + d.newline for line in d.before)
    below = "".join(line + d.newline for line in d.after)
    return above + buffer.getvalue() + below


def _cells(row: Row, columns: list[str], d: Dialect) -> list[str]:
    """Return the row's texts; equal rows take the same words for nothing."""
    values = map(row.get, columns)
    cells = [v if v is None or type(v) is str else _cell(v, d) for v in values]
    told = [cell for cell in cells if cell is not None]
    if len(told) == len(cells):
        return told
    first = zlib.crc32(repr(cells).encode()) if len(d.null) > 1 else 0
    words = (d.null[(first + n) % len(d.null)] for n in itertools.count())
    return [next(words) if cell is None else cell for cell in cells]


def _cell(value: Any, d: Dialect) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        marks = str.maketrans({",": d.thousands, ".": d.decimal})
        return f"{value:,.2f}".translate(marks)
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
