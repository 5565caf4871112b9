"""Read any source as rows: one SQL relation of flat columns, with the row number of each."""

from __future__ import annotations

import glob
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from cartcast.errors import DataError, NotFoundError
from cartcast.events.feeds import names_beside, only_hits
from cartcast.events.nested import Cell
from cartcast.events.sql import identifier, literal

__all__ = [
    "CSV_SUFFIXES",
    "JSON_SUFFIXES",
    "Source",
    "expand",
    "file_literal",
    "open_source",
]

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".psv", ".tab")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
PARQUET_SUFFIXES = (".parquet", ".pq")


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
    def types(self) -> dict[str, str]:
        """Column -> DuckDB type, `LIST` for any list."""
        return {name: cell.kind for name, cell in self.cells.items()}

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


def _plain(cell: Cell) -> str:
    return f"CAST(to_json({cell.sql}) AS VARCHAR)" if cell.type is not None else cell.sql


def file_literal(path: Path) -> str:
    """Return a file's path as SQL for a reading function, which takes `*`, `?`, `[` for patterns.

    >>> print(file_literal(Path("a*.csv")))
    'a[*].csv'
    """
    return literal(re.sub(r"([*?\[])", r"[\1]", str(path)))


def expand(source: Any) -> Iterator[Any]:
    """Yield the files of a path, folder or glob; anything else as it is.

    Raises:
        NotFoundError: nothing is there.
    """
    if not isinstance(source, str | Path):
        yield source
        return
    text = str(source)
    if "://" in text or "::" in text:
        yield text
        return
    path = Path(text)
    if path.is_dir():
        found = sorted(
            p
            for p in path.rglob("*")
            if p.is_file() and not p.name.startswith((".", "_")) and _kind(p) != "unknown"
        )
        found = only_hits(found)
        if not found:
            raise NotFoundError(f"{path}: the folder holds no CSV, JSON or Parquet file.")
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


def _kind(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in (".gz", ".gzip"):
        suffixes = suffixes[:-1]
    last = suffixes[-1] if suffixes else ""
    if last in CSV_SUFFIXES:
        return "csv"
    if last in JSON_SUFFIXES:
        return "json"
    if last in PARQUET_SUFFIXES:
        return "parquet"
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
    if "://" in text or "::" in text:
        from cartcast.events.databases import open_table

        return open_table(con, text, work)
    path = Path(text)
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; give a file with a header and rows.")
    if not os.access(path, os.R_OK):
        raise NotFoundError(f"{path}: cannot be read (permission); check its owner and mode.")
    kind, shown = _kind(path), str(path)
    with path.open("rb") as file:
        magic = file.read(16)
    if magic[:4] == b"PK\x03\x04":
        path, inner = _unzip(path, work)
        kind, shown = _kind(Path(inner)), f"{shown}:{inner}"
        magic = b""
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


def _unzip(path: Path, work: Path) -> tuple[Path, str]:
    """Stream the one data file of a zip into `work`."""
    try:
        with zipfile.ZipFile(path) as archive:
            files = [
                i
                for i in archive.infolist()
                if not i.is_dir()
                and not Path(i.filename).name.startswith((".", "__MACOSX"))
                and "__MACOSX" not in i.filename
            ]
            data = [
                i
                for i in files
                if Path(i.filename).suffix.lower() != ".txt"
                and _kind(Path(i.filename)) in ("csv", "json", "parquet")
            ] or files
            if len(data) != 1:
                listed = ", ".join(i.filename for i in data[:5]) or "none"
                raise DataError(
                    f"{path}: must hold one data file, found {len(data)} ({listed}); unpack it and "
                    "give the file."
                )
            member = data[0]
            target = work / f"{len(list(work.iterdir()))}-{Path(member.filename).name}"
            with archive.open(member) as packed, target.open("wb") as out:
                shutil.copyfileobj(packed, out, 1 << 20)
            if member.file_size == 0:
                raise DataError(f"{path}:{member.filename}: the file is empty.")
            return target, member.filename
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise DataError(
            f"{path}: damaged or protected zip file ({error}); get it again."
        ) from error


def _parquet(con: duckdb.DuckDBPyConnection, path: Path, shown: str) -> Source:
    from cartcast.events.engine import translate
    from cartcast.events.tables import table_source

    try:
        relation = f"read_parquet({file_literal(path)})"
        return table_source(con, relation, shown, parquet=path)
    except duckdb.Error as error:
        raise translate(error, shown) from error
