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
    """

    encoding: str
    separator: str
    columns: tuple[str, ...]
    has_header: bool
    repeated: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


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
        DataError: it is cut or damaged.
    """
    try:
        with gzip.open(path, "rb") as unpacked:
            while unpacked.read(1 << 20):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip file ({error}); get it again.") from error


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


def dialect(data: bytes, where: str, separator: str | None = None) -> Dialect:
    """Return how the CSV file that starts with `data` is written.

    Raises:
        DataError: it is empty, binary, or has a single column.
    """
    if not data.strip():
        raise DataError(f"{where}: the file is empty; give a file with a header and rows.")
    encoding = encoding_of(data)
    text = data.decode(encoding, errors="replace")
    if "\x00" in text[:10_000]:
        raise DataError(
            f"{where}: not a text file (it holds NUL bytes); give CSV, JSON or Parquet."
        )
    whole = len(data) < _SAMPLE_BYTES
    chosen = separator or _separator(text)
    rows = _records(text, chosen, whole)
    if not rows:
        raise DataError(f"{where}: the file is empty; give a file with a header and rows.")
    first = rows[0]
    if len(first) == 1:
        raise DataError(
            f"{where}: only one column found ({first[0][:60]!r}) with separator {chosen!r}; "
            "name the right one as `separator:` in a layout (`cartcast layout FILE` starts one)."
        )
    has_header = not any(looks_like_data(cell) for cell in first)
    columns, repeated = _unique(first) if has_header else (_numbered(len(first)), ())
    body = rows[1:] if has_header else rows
    return Dialect(encoding, chosen, columns, has_header, repeated, tuple(tuple(r) for r in body))


def _separator(text: str) -> str:
    """Return the separator that splits the first lines most evenly."""
    best, best_score = ",", (0, 0)
    for candidate in SEPARATORS:
        widths = [len(r) for r in _records(text[:20_000], candidate, whole=False)[:50]]
        if not widths or widths[0] < 2:
            continue
        same = sum(w == widths[0] for w in widths)
        score = (same * 10 // len(widths), widths[0])
        if score > best_score:
            best, best_score = candidate, score
    return best


def _records(text: str, separator: str, whole: bool) -> list[list[str]]:
    rows: list[list[str]] = []
    csv.field_size_limit(1 << 24)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for row in reader:
            if row:
                rows.append(row)
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
