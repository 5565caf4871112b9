"""Read any source as rows: one SQL relation of flat columns, with the row number of each."""

from __future__ import annotations

import glob
import gzip
import io
import itertools
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import duckdb

from cartcast.errors import DataError, NotFoundError
from cartcast.events import sniff
from cartcast.events.sql import identifier, literal, names

__all__ = [
    "CSV_SUFFIXES",
    "JSON_SUFFIXES",
    "Source",
    "expand",
    "open_csv",
    "open_source",
    "utf8_copy",
]

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".psv", ".tab")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
PARQUET_SUFFIXES = (".parquet", ".pq")
_PADDING = 4
_COUNTER = itertools.count()
SHORT, LONG = "__short", "__long"


@dataclass(frozen=True)
class Source:
    """One file or table, ready to be selected from.

    Attributes:
        name: shown to people and kept in rejects; never holds a password.
        relation: SQL that yields `__row` (from 1, header not counted) and the columns.
        types: column -> DuckDB type.
        broken: SQL condition of a row that does not have the header's shape, or None.
        rejects_table: engine table with the records that could not be split, or None.
        kind: `csv`, `json` or `table`.
        has_header: False when the columns are numbered.
        header_line: the first line of the file is a header.
        separator: of a CSV file.
        repeated: names that occur twice in the header.
        encoding: of a text file when it is not UTF-8.
        sample: up to 1,000 rows as text, for guesses.
    """

    name: str
    relation: str
    types: dict[str, str]
    broken: str | None = None
    rejects_table: str | None = None
    kind: str = "table"
    has_header: bool = True
    header_line: bool = True
    separator: str | None = None
    repeated: tuple[str, ...] = ()
    encoding: str | None = None
    sample: tuple[tuple[str | None, ...], ...] = field(default=(), repr=False)

    @property
    def short(self) -> str:
        """The name without folders: what is stored must not depend on where a file lies."""
        return self.name.rsplit("/", 1)[-1]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in order."""
        return tuple(self.types)


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
        if not found:
            raise NotFoundError(f"{path}: the folder holds no CSV, JSON or Parquet file.")
        yield from found
    elif path.is_file():
        yield path
    elif any(c in text for c in "*?["):
        matches = sorted(Path(p) for p in glob.glob(text, recursive=True))
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
) -> Source:
    """Open one file, table or in-memory table on `con`.

    Args:
        con: engine connection.
        source: what `expand` yielded.
        work: folder for unpacked copies; removed by the caller.
        separator: of CSV files, when a layout states it.
        header: names for files without a header, one list for each shape.

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
    return open_csv(con, path, shown, work, separator, header)


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
    from cartcast.events.tables import flat_relation

    try:
        relation = f"read_parquet({literal(str(path))})"
        return flat_relation(con, relation, shown)
    except duckdb.Error as error:
        raise translate(error, shown) from error


def utf8_copy(path: Path, encoding: str, work: Path) -> Path:
    """Stream a text file of another encoding into a UTF-8 copy in `work`."""
    target = work / f"{len(list(work.iterdir()))}-utf8-{path.name.removesuffix('.gz')}"
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with (
        gzip.open(path, "rb") if packed else path.open("rb") as data,
        target.open("w", encoding="utf-8", newline="") as out,
    ):
        text = io.TextIOWrapper(cast("BinaryIO", data), encoding, "replace", newline="")
        shutil.copyfileobj(text, out, 1 << 20)
    return target


def open_csv(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    shown: str,
    work: Path,
    separator: str | None,
    header: Sequence[Sequence[str]],
) -> Source:
    """Return a source over a CSV file, plain or gzip, of any separator and encoding.

    Raises:
        DataError: it is empty, binary, or has a single column.
    """
    dialect = sniff.dialect(sniff.head(path), shown, separator)
    columns, has_header = dialect.columns, dialect.has_header
    if not has_header:
        for shape in header:
            if len(shape) == len(columns):
                columns, has_header = tuple(shape), True
    compression = "none"
    if dialect.encoding in ("utf-8", "utf-8-sig"):
        with path.open("rb") as file:
            compression = "gzip" if file.read(2) == b"\x1f\x8b" else "none"
    else:
        path = utf8_copy(path, dialect.encoding, work)
    table = f"unsplit_{next(_COUNTER)}"
    padded = [*columns, *(f"{LONG}_{i}" for i in range(1, _PADDING + 1))]
    spec = ", ".join(f"{literal(c)}: 'VARCHAR'" for c in padded)
    # Every row is padded with spare columns: a value there means a row too long, and a null in the
    # last named column a row too short (an empty cell is '' and not null here).
    relation = (
        f"(SELECT row_number() OVER () AS __row, * FROM read_csv({literal(str(path))}, "
        f"columns = {{{spec}}}, delim = {literal(dialect.separator)}, quote = '\"', escape = '\"', "
        f"header = {str(dialect.has_header).lower()}, auto_detect = false, nullstr = chr(1), "
        f"null_padding = true, parallel = false, compression = '{compression}', "
        f"max_line_size = 16777216, store_rejects = true, rejects_limit = 0, "
        f"rejects_table = {literal(table)}, rejects_scan = {literal(table + '_scan')}))"
    )
    spare = " OR ".join(
        f"coalesce({identifier(f'{LONG}_{i}')}, '') <> ''" for i in range(1, _PADDING + 1)
    )
    return Source(
        name=shown,
        relation=f"(SELECT __row, {names(columns)}, {identifier(columns[-1])} IS NULL AS {SHORT}, "
        f"({spare}) AS {LONG} FROM {relation})",
        types=dict.fromkeys(columns, "VARCHAR"),
        broken=f"{SHORT} OR {LONG}",
        rejects_table=table,
        kind="csv",
        has_header=has_header,
        header_line=dialect.has_header,
        separator=dialect.separator,
        repeated=dialect.repeated,
        encoding=None if dialect.encoding.startswith("utf-8") else dialect.encoding,
        sample=tuple(tuple(row) for row in dialect.rows),
    )
