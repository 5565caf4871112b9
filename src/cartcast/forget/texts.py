"""Rows of uploaded text files (CSV, JSON lines, plain or gzip): those of a person are left out.

The columns that name people are those that the layout finds, so that a quantity of 5 is not taken
for the visitor 5. A record may span lines inside quotes; its bytes are kept as they are, whatever
their encoding.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from cartcast.atomic import atomic_path
from cartcast.forget.columns import people_columns
from cartcast.forget.person import Person

__all__ = ["drop_records", "is_text"]

_ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson")


def is_text(path: Path) -> bool:
    """Return whether a file's name is that of a table in text."""
    return path.name.lower().removesuffix(".gz").endswith(_ENDINGS)


def drop_records(
    path: Path, person: Person, *, drop: bool = True
) -> tuple[int, list[dict[str, Any]]]:
    """Rewrite a file without the person's records; return their number and the first hundred.

    Without such records, or with `drop` false, the file is not touched.

    Raises:
        StorageError: the disk is full; the file stays as it was.
    """
    columns = people_columns(path)
    found = [told for own, told in _judged(path, columns, person) if own]
    if not found or not drop:
        return len(found), found[:100]
    with atomic_path(path) as temporary, _open(path, "wb", temporary) as out:
        for data, (own, _) in zip(_records(path), _judged(path, columns, person), strict=True):
            if not own:
                out.write(data)
    return len(found), found[:100]


def _open(path: Path, mode: str, at: Path | None = None) -> IO[bytes]:
    opened: Any = gzip.open if path.name.lower().endswith(".gz") else open
    stream: IO[bytes] = opened(at or path, mode)
    return stream


def _records(path: Path) -> Iterator[bytes]:
    """Yield records with the ends of their lines: lines, joined while a quote is open."""
    lined = ".json" in path.name.lower() or ".ndjson" in path.name.lower()
    with _open(path, "rb") as stream:
        held = b""
        for line in stream:
            held += line
            if lined or held.count(b'"') % 2 == 0:
                yield held
                held = b""
        if held:
            yield held


def _judged(
    path: Path, columns: tuple[str, ...], person: Person
) -> Iterator[tuple[bool, dict[str, Any]]]:
    """Yield, for each record, whether it is the person's, and what it says."""
    header: list[str] | None = None
    dialect = ","
    for data in _records(path):
        text = data.decode("utf-8", "replace").lstrip("\ufeff")
        if data.lstrip()[:1] == b"{":
            told = _object(text)
        elif header is None:
            dialect = max(",;\t|", key=text.count)
            header = next(csv.reader([text], delimiter=dialect), [])
            yield False, {}
            continue
        else:
            cells = next(csv.reader([text], delimiter=dialect), [])
            told = dict(zip(header, cells, strict=False))
        yield any(_holds(person, told.get(c)) for c in columns), told


def _object(text: str) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        told = json.loads(text)
        if isinstance(told, dict):
            return _flat(told)
    return {}


def _flat(told: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested objects as `a.b` beside their plain names."""
    out: dict[str, Any] = {}
    for name, value in told.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{before}{name}.")
        else:
            out[before + name] = value
    return out


def _holds(person: Person, cell: Any) -> bool:
    return person.holds(cell) or (cell is not None and person.holds(str(cell).strip()))
