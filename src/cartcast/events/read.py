"""Read any source as rows: one SQL relation of flat columns, with the row number of each."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from cartcast.errors import DataError, NotFoundError
from cartcast.events import packed, sniff
from cartcast.events.feeds import names_beside, only_hits
from cartcast.events.nested import Cell
from cartcast.events.sql import identifier, read_parquet
from cartcast.events.workbook import WORKBOOK_SUFFIXES, sheet_as_csv

__all__ = [
    "CSV_SUFFIXES",
    "JSON_SUFFIXES",
    "UPLOADS",
    "Source",
    "expand",
    "kind_of_name",
    "open_source",
]

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".psv", ".tab")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
PARQUET_SUFFIXES = (".parquet", ".pq")
UPLOADS = (*CSV_SUFFIXES, *JSON_SUFFIXES, *PARQUET_SUFFIXES, *WORKBOOK_SUFFIXES, ".gz", ".zip",
           ".bz2", ".xz", ".zst")  # fmt: skip
"""What a page offers to take, by the end of its name."""


@dataclass(frozen=True)
class Source:
    """One file or table, ready to be selected from.

    Attributes:
        name: shown to people and kept in rejects; never holds a password.
        relation: SQL of the rows, in the source's order; its columns bear names of our own.
        cells: the source's column -> its SQL over `relation`, and its type.
        positioned: `relation` has a column `row_at`, the number of the row from 0.
        alone: set where the elements of a list became rows: `row_at` is the number of the source's
            row, `record_at` the place in its list, from 1. It holds SQL by field of the records:
            do all of the list name one such thing?
        broken: SQL condition of a row that does not have the header's shape, or None.
        blank: SQL condition of a row that is no row (an empty line), or None.
        rejects_table: engine table with the records that could not be split, or None.
        kind: `csv`, `json` or `table`.
        has_header: False when the columns are numbered.
        header_line: the first line of the file is a header.
        skipped: lines before the header (a preamble), not counted as rows.
        separator: of a CSV file.
        repeated: names that occur twice in the header.
        encoding: of a text file when it is not UTF-8.
        path: the text file that is read, which may be an unpacked or UTF-8 copy.
        sample: up to 1,000 rows as text, for guesses.
        kin: rows of all files of its kind, where there are others.
        said: column -> what a guess has looked up in the sample.
    """

    name: str
    relation: str
    cells: dict[str, Cell]
    positioned: bool = False
    alone: Mapping[str, str] | None = None
    broken: str | None = None
    blank: str | None = None
    rejects_table: str | None = None
    kind: str = "table"
    has_header: bool = True
    header_line: bool = True
    skipped: int = 0
    separator: str | None = None
    repeated: tuple[str, ...] = ()
    encoding: str | None = None
    path: Path | None = None
    sample: tuple[tuple[str | None, ...], ...] = field(default=(), repr=False)
    kin: tuple[tuple[str | None, ...], ...] = field(default=(), repr=False)
    said: dict[str, list[str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def unrolled(self) -> bool:
        """Whether rows of `relation` are records of a list in the source's rows."""
        return self.alone is not None

    @property
    def short(self) -> str:
        """The name without folders: what is stored must not depend on where a file lies."""
        return self.name.rsplit("/", 1)[-1]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in order."""
        return tuple(self.cells)

    @property
    def some_columns(self) -> str:
        """The first twelve columns, in words for a message."""
        return ", ".join([*self.columns[:12], *(["..."] if len(self.columns) > 12 else [])])

    @property
    def types(self) -> dict[str, str]:
        """Column -> DuckDB type, `LIST` for any list."""
        return {name: cell.kind for name, cell in self.cells.items()}

    @property
    def together(self) -> Source:
        """The source with the rows of its kin for a sample."""
        return replace(self, sample=self.kin) if self.kin else self

    def renamed(self, header: Sequence[str]) -> Source:
        """Return the source with other names for its columns."""
        return replace(self, cells=dict(zip(header, self.cells.values(), strict=True)))

    def named(self) -> str:
        """Return SQL of the rows under the source's own names, numbered in `__row` from 1.

        Lists become JSON text; `__broken` tells a row that does not fit the header.
        """
        selected = [f"{_plain(cell)} AS {identifier(name)}" for name, cell in self.cells.items()]
        where = f" WHERE NOT ({self.blank})" if self.blank else ""
        return (
            f"(SELECT row_number() OVER () AS __row, {self.broken or 'false'} AS __broken, "
            f"{', '.join(selected)} FROM {self.relation}{where})"
        )

    def values(self, column: str) -> list[str]:
        """Return the texts of a column in the sample, nulls left out."""
        place = self.columns.index(column)
        return [v for row in self.sample if len(row) > place and (v := row[place])]

    def rows_of(self, *columns: str) -> list[tuple[str | None, ...]]:
        """Return what columns hold, row by row of the sample; empty text is None."""
        places = [self.columns.index(c) for c in columns]
        return [tuple(row[p] or None if len(row) > p else None for p in places)
                for row in self.sample]  # fmt: skip


def _plain(cell: Cell) -> str:
    return f"CAST(to_json({cell.sql}) AS VARCHAR)" if cell.type is not None else cell.sql


def expand(source: Any) -> Iterator[Any]:
    """Yield the files of a path, folder or glob; anything else as it is.

    Raises:
        NotFoundError: nothing is there.
    """
    if not isinstance(source, str | Path):
        yield source
        return
    text = str(source)
    path = Path(text)
    if ("://" in text or "::" in text) and not path.is_file():
        yield text
        return
    if path.is_dir():
        found = sorted(
            p
            for p in path.rglob("*")
            if p.is_file()
            and not p.name.startswith((".", "_"))
            and kind_of_name(p.name) != "unknown"
        )
        found = only_hits(found)
        if not found:
            raise NotFoundError(f"{path}: the folder holds no CSV, JSON, Parquet or Excel file.")
        yield from found
    elif path.is_file():
        yield path
    elif any(c in text for c in "*?["):
        matches = sorted(Path(p) for p in glob.glob(text, recursive=True))  # noqa: PTH207
        files = [p for p in matches if p.is_file()]
        if not files:
            raise NotFoundError(f"{text}: no file matches; check the pattern.")
        yield from files
    elif path.exists():
        yield path  # a pipe or device, such as /dev/stdin
    else:
        raise NotFoundError(f"{path}: no such file; check the path.")


def kind_of_name(name: str) -> str:
    """Return what the name of a file says of it: `csv`, `json`, `parquet`, `zip`, ...

    >>> kind_of_name("a.csv.gz"), kind_of_name("a.b")
    ('csv', 'unknown')
    """
    suffixes = [s.lower() for s in Path(name).suffixes]
    if suffixes and suffixes[-1] in (".gz", ".gzip", ".bz2", ".xz", ".zst", ".zstd"):
        suffixes = suffixes[:-1]
    last = suffixes[-1] if suffixes else ""
    if last in CSV_SUFFIXES:
        return "csv"
    if last in JSON_SUFFIXES:
        return "json"
    if last in PARQUET_SUFFIXES:
        return "parquet"
    if last in WORKBOOK_SUFFIXES:
        return "workbook"
    if last == ".zip":
        return "zip"
    if last in (".duckdb", ".db", ".sqlite", ".sqlite3"):
        return "database"
    return "unknown"


def open_source(
    con: duckdb.DuckDBPyConnection,
    source: Any,
    work: Path,
    *,
    separator: str | None = None,
    header: Sequence[Sequence[str]] = (),
    skip: int | None = None,
) -> Source:
    """Open one file, table or in-memory table on `con`.

    Args:
        con: engine connection.
        source: what `expand` yielded.
        work: folder for unpacked copies; removed by the caller.
        separator: of CSV files, when a layout states it.
        header: names for files without a header, one list for each shape.
        skip: lines before the header of a CSV file, when a layout states them.

    Raises:
        DataError: it is empty, damaged or of no known format.
        NotFoundError: the file or table is not there.
    """
    if not isinstance(source, str | Path):
        from cartcast.events.tables import open_memory

        return open_memory(con, source)
    text = str(source)
    if ("://" in text or "::" in text) and not Path(text).is_file():
        from cartcast.events.databases import open_table

        return open_table(con, text, work)
    path = Path(text)
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; give a file with a header and rows.")
    if not os.access(path, os.R_OK):
        raise NotFoundError(f"{path}: cannot be read (permission); check its owner and mode.")
    path, name, shown = _opened(path, work)
    kind = kind_of_name(name)
    if kind == "workbook":
        from cartcast.events.csvfile import open_csv

        sheet, shown = sheet_as_csv(path, shown, work)
        return open_csv(con, sheet, shown, work, ",", header, skip)
    with path.open("rb") as file:
        magic = file.read(16)
    if magic[:4] == b"PAR1" or kind == "parquet":
        return _parquet(con, path, shown)
    if kind == "database":
        raise DataError(f"{shown}: a database; name the table as {shown}::TABLE.")
    if kind == "json":
        from cartcast.events.jsonlines import open_json

        return open_json(con, path, shown, work)
    from cartcast.events.csvfile import open_csv

    if names := names_beside(path):
        return open_csv(con, path, shown, work, "\t", [names], skip)
    return open_csv(con, path, shown, work, separator, header, skip)


def _opened(path: Path, work: Path) -> tuple[Path, str, str]:
    """Return the path of what is inside a packed file, its name, and what to call it.

    Text packed by gzip alone is left to the engine, once its size is known.
    """
    with path.open("rb") as file:
        head = file.read(512)
    form = packed.form_of(head)
    if form is None or (form == "zip" and kind_of_name(path.name) == "workbook"):
        return path, path.name, str(path)
    if form == "gzip":
        inner = sniff.head(path, 512)
        if packed.form_of(inner) is None and not inner.startswith(b"PAR1"):
            return path, path.name, str(path)
    unpacked, name = packed.unpack(path, work)
    return unpacked, name, f"{path}:{name}" if form == "zip" else str(path)


def _parquet(con: duckdb.DuckDBPyConnection, path: Path, shown: str) -> Source:
    from cartcast.events.engine import translate
    from cartcast.events.tables import table_source

    try:
        return table_source(con, read_parquet(path), shown, parquet=path)
    except duckdb.Error as error:
        raise translate(error, shown) from error
