"""Look at the first bytes of a text file: its encoding, separator and header."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from cartcast.errors import DataError
from cartcast.events.packed import allowed, measure

__all__ = ["SEPARATORS", "Dialect", "check_gzip", "dialect", "head", "is_gzip", "looks_like_data"]

SEPARATORS = (",", ";", "\t", "|")
_SAMPLE_BYTES = 1 << 18
_DATA = re.compile(
    r"[-+]?\d+([.,]\d+)?([eE][-+]?\d+)?|\d{4}-\d\d?-\d\d?([T ].*)?|\d\d?[./]\d\d?[./]\d{4}.*"
)


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        encoding: a Python codec name.
        separator: one character.
        columns: names of the header, made unique; `column_1` ... when there is none.
        has_header: the first line holds names.
        repeated: names that the header holds more than once.
        rows: the sample's records after the header, as text.
        skipped: lines before the header: a title, comments, a spreadsheet's `sep=` line.
    """

    encoding: str
    separator: str
    columns: tuple[str, ...]
    has_header: bool
    repeated: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    skipped: int = 0


def head(path: Path, size: int = _SAMPLE_BYTES) -> bytes:
    """Return the first bytes of a plain or gzip file.

    Raises:
        DataError: a gzip file is damaged.
    """
    with path.open("rb") as file:
        start = file.read(2)
        file.seek(0)
        if start != b"\x1f\x8b":
            return file.read(size)
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                return unpacked.read(size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path}: damaged gzip file ({error}); get it again.") from error


def is_gzip(path: Path) -> bool:
    """Return whether a file is packed by gzip, whatever its name."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def check_gzip(path: Path) -> None:
    """Read a gzip file to its end: the engine takes a cut file for a short one.

    Raises:
        DataError: it is cut or damaged, or unpacks to more than a file of its size may.
    """
    with path.open("rb") as file:
        measure(file, path.name, str(path), allowed(path.stat().st_size))


def encoding_of(data: bytes) -> str:
    """Return the codec of a sample: by byte order mark, else UTF-8 if valid, else cp1252."""
    if data.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if data[:200].count(0) > len(data[:200]) // 4:
        return "utf-16-le" if data[1:200:2].count(0) > data[0:200:2].count(0) else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(data, final=False)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def looks_like_data(value: str) -> bool:
    """Return whether a cell is a number or a time, which a header never holds."""
    return bool(_DATA.fullmatch(value.strip()))


def dialect(
    data: bytes, where: str, separator: str | None = None, skip: int | None = None
) -> Dialect:
    """Return how the CSV file that starts with `data` is written.

    Lines before the header are recognised, unless `skip` says how many there are.

    Raises:
        DataError: it is empty, binary, or has a single column.
    """
    if not data.strip():
        raise DataError(f"{where}: the file is empty; give a file with a header and rows.")
    encoding = encoding_of(data)
    text = data.decode(encoding, errors="replace").removeprefix("\ufeff")
    if "\x00" in text[:10_000]:
        raise DataError(
            f"{where}: not a text file (it holds NUL bytes); give CSV, JSON or Parquet."
        )
    whole = len(data) < _SAMPLE_BYTES
    if not whole and "\n" not in text and "\r" not in text:
        raise DataError(
            f"{where}: its first line has no end within {_SAMPLE_BYTES:,} bytes, so it is no "
            "header of a log; look at how it was exported, and give those columns that are needed."
        )
    told = _told_separator(text)
    chosen = separator or told or _separator(text)
    records = _records(text, chosen, whole)
    skipped = _preamble(records, told is not None) if skip is None else skip
    rows = [r for line, r in records if line >= skipped]
    if not rows:
        raise DataError(f"{where}: the file is empty; give a file with a header and rows.")
    first = rows[0]
    if len(first) == 1:
        raise DataError(
            f"{where}: only one column found ({first[0][:60]!r}) with separator {chosen!r}; "
            "state `separator:`, and `skip:` for lines before the header, in a layout "
            "(`cartcast layout FILE` starts one)."
        )
    has_header = not any(looks_like_data(cell) for cell in first)
    columns, repeated = _unique(first) if has_header else (_numbered(len(first)), ())
    body = rows[1:] if has_header else rows
    return Dialect(
        encoding, chosen, columns, has_header, repeated, tuple(tuple(r) for r in body), skipped
    )


def _told_separator(text: str) -> str | None:
    """Return the separator that a spreadsheet's first line `sep=;` states."""
    match = re.match(r'"?sep=(.)"?\s*$', text.split("\n", 1)[0].strip("\r"), re.IGNORECASE)
    return match[1] if match else None


_MOST_PREAMBLE = 50
_TITLE = 2
"""Cells of a line that a spreadsheet filled up: a title, or a name and what it is."""


def _preamble(records: list[tuple[int, list[str]]], told: bool) -> int:
    """Return the number of lines before the header.

    They are comments, or hold less than half as many filled cells as the usual row. A title that
    a spreadsheet filled up with separators is one only where names follow it.
    """
    widths = [len(row) for _, row in records[:200]]
    usual = max(set(widths), key=lambda w: (widths.count(w), w), default=0)
    padded = False
    for place, (line, row) in enumerate(records[:_MOST_PREAMBLE]):
        filled = sum(bool(c.strip()) for c in row)
        title = filled * 2 < usual and len(row) < usual + (filled <= _TITLE)
        comment = row[0].lstrip().startswith(("#", "//", "--")) and len(row) != usual
        if not (title or comment or (told and place == 0)):
            names = filled * 2 > usual and not any(looks_like_data(c) for c in row)
            return line if names or not padded else 0
        padded |= title and len(row) == usual
    return 0


def _separator(text: str) -> str:
    """Return the separator that splits the first lines most evenly."""
    best, best_score = ",", (0, 0)
    for candidate in SEPARATORS:
        widths = [len(r) for _, r in _records(text[:20_000], candidate, whole=False)[:50]]
        usual = max(set(widths), key=lambda w: (widths.count(w), w), default=0)
        if usual < 2:
            continue
        score = (widths.count(usual) * 10 // len(widths), usual)
        if score > best_score:
            best, best_score = candidate, score
    return best


def _records(text: str, separator: str, whole: bool) -> list[tuple[int, list[str]]]:
    """Return the records that hold anything, each with the lines that lie before it."""
    rows: list[tuple[int, list[str]]] = []
    csv.field_size_limit(1 << 24)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    before = 0
    try:
        for row in reader:
            if any(row):
                rows.append((before, row))
            before = reader.line_num
            if len(rows) > 1000:
                return rows
    except csv.Error:
        return rows
    # The last record of a cut sample may be cut too.
    return rows if whole or len(rows) < 2 else rows[:-1]


def _unique(header: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    seen: dict[str, int] = {}
    columns: list[str] = []
    repeated: list[str] = []
    for place, cell in enumerate(header, start=1):
        name = cell.strip().lstrip("\ufeff") or f"column_{place}"
        count = seen.get(name.lower(), 0)
        seen[name.lower()] = count + 1
        if count:
            repeated.append(name)
            name = f"{name}.{count + 1}"
        columns.append(name)
    return tuple(columns), tuple(repeated)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"column_{i}" for i in range(1, count + 1))
