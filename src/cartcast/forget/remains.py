"""What is left of a person, searched by value in every file, not by what we believe is in it."""

from __future__ import annotations

import gzip
import re
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cartcast.forget.columns import people_columns
from cartcast.forget.databases import LEAST
from cartcast.forget.person import Person

__all__ = ["count_in"]

BLOCK = 1 << 24
_OVERLAP = 4096
"""Bytes read again with the next block; no id is longer."""
_ENCODINGS = ("utf-8", "latin-1", "utf-16-le", "utf-16-be")


def count_in(path: Path, person: Person) -> int:
    """Return how many cells or places of a file hold one of the person's ids.

    Cells of a table are searched for ids of four characters or more, and columns that name people
    compared with all; other files are searched for the former, as words, in four encodings, after
    they are unpacked.
    """
    if path.name.lower().endswith(".parquet"):
        with suppress(pa.ArrowInvalid):
            return _in_table(path, person)
    pattern = _pattern(person)
    return _in_file(path, pattern) if pattern else 0


def _in_file(path: Path, pattern: re.Pattern[bytes]) -> int:
    lower = path.name.lower()
    with suppress(gzip.BadGzipFile, EOFError, zipfile.BadZipFile):
        if lower.endswith(".gz"):
            with gzip.open(path) as unpacked:
                return _in_stream(unpacked, pattern)
        if lower.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                return sum(_in_member(archive, i, pattern) for i in archive.infolist())
    with path.open("rb") as stream:
        return _in_stream(stream, pattern)


def _in_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, pattern: re.Pattern[bytes]) -> int:
    with archive.open(info) as stream:
        return _in_stream(stream, pattern)


def _in_stream(stream: IO[bytes] | gzip.GzipFile, pattern: re.Pattern[bytes]) -> int:
    count, held = 0, b""
    for block in iter(lambda: stream.read(BLOCK), b""):
        held += block
        # What begins in the last bytes is counted with the next block, when its end is there.
        edge = len(held) - _OVERLAP
        count += sum(found.start() < edge for found in pattern.finditer(held))
        held = held[max(edge, 0) :]
    return count + len(pattern.findall(held))


def _pattern(person: Person) -> re.Pattern[bytes] | None:
    words = [name for name in sorted(person.names) if len(name) >= LEAST]
    if not words:
        return None
    forms: dict[bytes, None] = {}
    for name in words:
        for encoding in _ENCODINGS:
            with suppress(UnicodeEncodeError):
                wide = encoding.startswith("utf-16")
                form = re.escape(name.encode(encoding))
                # As a word; keys of live sessions have one letter before the id.
                narrow = rb"(?<![A-Za-z0-9_-])[vus]?" + form + rb"(?![A-Za-z0-9_])"
                forms[form if wide else narrow] = None
    return re.compile(b"|".join(forms))


def _in_table(path: Path, person: Person) -> int:
    count, people = 0, people_columns(path)
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            rows = file.read_row_group(number)
            for name, column in zip(rows.column_names, rows.columns, strict=True):
                count += _in_column(column, person, whole=name in people)
    return count


def _in_column(column: Any, person: Person, *, whole: bool) -> int:
    """Return how many cells hold an id; with `whole` also those that are a short one."""
    kind = column.type
    if pa.types.is_nested(kind):
        cells = [str(cell) for cell in column.to_pylist()]
        words = [name for name in person.names if len(name) >= LEAST]
        return sum(any(word in cell for word in words) for cell in cells)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (whole or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return 0
    values, found = column.cast(pa.string()), 0
    for name in person.names:
        if len(name) >= LEAST and not pa.types.is_integer(kind):
            held: Any = pc.match_substring(values, name)
        elif whole:
            held = pc.equal(values, pa.scalar(name))
        else:
            continue
        found += pc.sum(held).as_py() or 0
    return found
