"""CSV files of any separator and encoding, with the rows that do not fit kept in sight."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import duckdb

from cartcast.events import sniff
from cartcast.events.nested import Cell, opened_text
from cartcast.events.read import Source
from cartcast.events.sql import file_literal, literal
from cartcast.events.tables import sampled

__all__ = ["OpenQuote", "UnreadableTextError", "open_csv", "open_quote", "rewritten", "utf8_copy"]

_COUNTER = itertools.count()
_LARGEST_LINE = 16_777_216
"""Unless told, the engine reads sixteen times as much at once: few pieces for its threads."""

_SPARE = tuple(f"spare{i}" for i in range(1, 5))


class UnreadableTextError(Exception):
    """The engine cannot split the text as it is: another encoding, or line ends of two kinds.

    It never leaves the package: the file is rewritten and read again. `encoding` says how.
    """

    def __init__(self, encoding: str) -> None:
        super().__init__(encoding)
        self.encoding = encoding


def rewritten(con: duckdb.DuckDBPyConnection, source: Source, encoding: str, work: Path) -> Source:
    """Return the source over a UTF-8 copy with line ends alike."""
    assert source.path is not None
    copy = utf8_copy(source.path, encoding, work, newline=None)
    again = open_csv(con, copy, source.name, work, source.separator, (), source.skipped)
    if again.columns != source.columns:
        again = again.renamed(source.columns)
    return replace(again, encoding=None if encoding == "utf-8-sig" else encoding)


def _relation(
    path: Path, count: int, dialect: sniff.Dialect, compression: str, parallel: bool
) -> tuple[str, str]:
    """Return SQL that reads the file, and the name of the table of records it cannot split.

    Every row is padded with spare columns: a value there means a row too long, and a null in the
    last named column a row too short (an empty cell is '' and not null here).
    """
    table = f"unsplit_{next(_COUNTER)}"
    spec = ", ".join(f"{literal(c)}: 'VARCHAR'" for c in (*_cells(count), *_SPARE))
    relation = (
        f"read_csv({file_literal(path)}, "
        f"columns = {{{spec}}}, delim = {literal(dialect.separator)}, quote = '\"', escape = '\"', "
        f"header = {str(dialect.has_header).lower()}, skip = {dialect.skipped}, "
        f"auto_detect = false, hive_partitioning = false, nullstr = chr(1), null_padding = true, "
        f"parallel = {str(parallel).lower()}, compression = '{compression}', "
        f"max_line_size = {_LARGEST_LINE}, buffer_size = {2 * _LARGEST_LINE}, "
        f"store_rejects = true, rejects_limit = 0, "
        f"rejects_table = {literal(table)}, rejects_scan = {literal(table + '_scan')})"
    )
    return relation, table


def _cells(count: int) -> list[str]:
    return [f"c{i}" for i in range(count)]


def utf8_copy(path: Path, encoding: str, work: Path, newline: str | None = "") -> Path:
    """Stream a text file into a UTF-8 copy in `work`; `newline=None` makes line ends alike."""
    target = work / f"{len(list(work.iterdir()))}-utf8-{path.name.removesuffix('.gz')}"
    packed = sniff.is_gzip(path)
    with (
        gzip.open(path, "rb") if packed else path.open("rb") as data,
        target.open("w", encoding="utf-8", newline="") as out,
    ):
        text = io.TextIOWrapper(cast("BinaryIO", data), encoding, "replace", newline=newline)
        shutil.copyfileobj(text, out, 1 << 20)
    return target


def open_csv(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    shown: str,
    work: Path,
    separator: str | None,
    header: Sequence[Sequence[str]],
    skip: int | None = None,
    parallel: bool = True,
) -> Source:
    """Return a source over a CSV file, plain or gzip, of any separator and encoding.

    Raises:
        DataError: it is empty, binary, or has a single column.
    """
    start = sniff.head(path)
    dialect = sniff.dialect(start, shown, separator, skip)
    columns, has_header = dialect.columns, dialect.has_header
    if not has_header:
        for shape in header:
            if len(shape) == len(columns):
                columns, has_header = tuple(shape), True
    compression = "gzip" if sniff.is_gzip(path) else "none"
    if compression == "gzip":
        sniff.check_gzip(path)
    # The engine skips to the end of a file whose first lines end in another way than the rest.
    mixed = dialect.skipped > 0 and 0 < start.count(b"\r\n") < start.count(b"\n")
    if mixed or dialect.encoding not in ("utf-8", "utf-8-sig"):
        newline = None if mixed else ""
        path, compression = utf8_copy(path, dialect.encoding, work, newline), "none"
    rows, table = _relation(path, len(columns), dialect, compression, parallel)
    names = _cells(len(columns))
    spare = " OR ".join(f"coalesce({c}, '') <> ''" for c in _SPARE)
    # An empty line is a row of one empty cell; spreadsheets write one of separators alone.
    filled = ", ".join(f"nullif({c}, '')" for c in names)
    empty = f"(coalesce({filled}) IS NULL)"
    relation = (
        f"(SELECT {', '.join(names)}, ({names[-1]} IS NULL OR {spare}) AS ragged FROM {rows})"
    )
    source = Source(
        name=shown,
        relation=relation,
        cells={name: Cell(cell, "VARCHAR") for name, cell in zip(columns, names, strict=True)},
        broken="ragged",
        blank=empty,
        rejects_table=table,
        kind="csv",
        has_header=has_header,
        header_line=dialect.has_header,
        skipped=dialect.skipped,
        separator=dialect.separator,
        repeated=dialect.repeated,
        path=path,
        encoding=None if dialect.encoding.startswith("utf-8") else dialect.encoding,
        sample=tuple(tuple(row) for row in dialect.rows),
    )
    # Looking into cells reads the file: what cannot be split is kept at the real reading only.
    looked = relation.replace(table, f"looked_{table}")
    opened, cells = opened_text(con, looked, source.cells, source.sample)
    if opened == looked:
        return source
    sample = sampled(con, opened, cells)
    opened = opened.replace(f"looked_{table}", table)
    return replace(source, relation=opened, cells=cells, sample=sample, repeated=())


@dataclass(frozen=True)
class OpenQuote:
    """A quote that is never closed: it takes every line to the end of the file into one cell.

    Attributes:
        cells: cells of the record that it is in; it opens the last of them.
        lines: further lines that it takes in.
    """

    cells: int
    lines: int


def open_quote(path: Path, separator: str) -> OpenQuote | None:
    """Return the quote that is still open when a CSV file ends, or None.

    A file with an even number of quotes has none, and is not split into records to find out.
    """
    with _opened(path) as data:
        quotes = sum(block.count(b'"') for block in iter(lambda: data.read(1 << 20), b""))
    if quotes % 2 == 0:
        return None
    before = last = 0
    final: list[str] = []
    with _opened(path) as data:
        text = io.TextIOWrapper(data, "utf-8", "replace", newline="")
        csv.field_size_limit(1 << 30)
        # One line more than the file has: an open quote takes it in, else it is a record.
        reader = csv.reader(itertools.chain(text, ("\n", "end")), delimiter=separator)
        for row in reader:
            before, last, final = last, reader.line_num, row
    if final == ["end"]:
        return None
    return OpenQuote(len(final), max(last - before - 3, 0))


def _opened(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path, "rb") if sniff.is_gzip(path) else path.open("rb"))
