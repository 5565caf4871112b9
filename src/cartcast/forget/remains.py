"""What is left of a person, searched by value in every file, not by what we believe is in it."""

from __future__ import annotations

import gzip
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cartcast.forget.databases import LEAST
from cartcast.forget.person import Person

__all__ = ["count_in"]


def count_in(path: Path, person: Person) -> int:
    """Return how many cells or places of a file hold one of the person's ids.

    A table's cells are compared whole, and searched for ids of four characters or more; other
    files are searched for those, as words, after they are unpacked.
    """
    lower = path.name.lower()
    if lower.endswith(".parquet"):
        with suppress(pa.ArrowInvalid):
            return _in_table(path, person)
    pattern = _pattern(person)
    return sum(len(pattern.findall(content)) for content in _contents(path)) if pattern else 0


def _contents(path: Path) -> Iterator[bytes]:
    lower = path.name.lower()
    with suppress(gzip.BadGzipFile, EOFError, zipfile.BadZipFile):
        if lower.endswith(".gz"):
            with gzip.open(path) as stream:
                yield stream.read()
            return
        if lower.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield archive.read(name)
            return
    yield path.read_bytes()


def _pattern(person: Person) -> re.Pattern[bytes] | None:
    words = [re.escape(n.encode()) for n in sorted(person.names) if len(n) >= LEAST]
    if not words:
        return None
    return re.compile(rb"(?<![A-Za-z0-9_-])[vus]?(?:" + b"|".join(words) + rb")(?![A-Za-z0-9_])")


def _in_table(path: Path, person: Person) -> int:
    count = 0
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            for column in file.read_row_group(number).columns:
                kind = (
                    column.type.value_type if pa.types.is_dictionary(column.type) else column.type
                )
                if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                    continue
                values: Any = column.cast(pa.string())
                for name in person.names:
                    whole = len(name) < LEAST
                    word = pa.scalar(name)
                    found = pc.equal(values, word) if whole else pc.match_substring(values, name)
                    count += pc.sum(found).as_py() or 0
    return count
