"""Rows of Parquet files: those of a person are found, told, or left out of a rewritten file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cartcast.atomic import atomic_path
from cartcast.errors import DataError
from cartcast.events.engine import connect
from cartcast.events.schema import METADATA_KEY, metadata_text
from cartcast.events.sql import literal
from cartcast.events.summary import summarize
from cartcast.forget.columns import people_columns
from cartcast.forget.person import Person
from cartcast.sessions import USUAL, SessionRules

__all__ = ["TIMES", "drop_rows", "find_others", "find_sessions", "rows_of"]

TIMES = ("event_time", "anchor_time", "start_utc", "session_start")
"""Columns that tell how old a row is, the first that is there."""


def find_sessions(path: Path, person: Person) -> None:
    """Note which sessions of a table are the person's."""
    for rows in _groups(path, _told(path)):
        people = [c for c in people_columns(path) if c in rows.column_names]
        if "session_id" not in rows.column_names or not people:
            return
        own = rows["session_id"].filter(_own(rows, person, people))
        for session in pc.unique(own).to_pylist():
            if session is not None:
                person.saw(path.parent, str(session))


def find_others(path: Path, person: Person) -> None:
    """Note which of the person's session ids other people have, too."""
    known: set[str] = set().union(*person.sessions.values())
    for rows in _groups(path, _told(path)):
        people = [c for c in people_columns(path) if c in rows.column_names]
        if "session_id" not in rows.column_names or not people or not known:
            return
        # A row without any id says nothing of whose it is.
        named = pc.is_valid(rows[people[0]])
        for column in people[1:]:
            named = pc.or_(named, pc.is_valid(rows[column]))
        strange = pc.and_(pc.invert(_own(rows, person, people)), named)
        found = pc.unique(rows["session_id"].filter(strange)).to_pylist()
        person.others |= known & set(map(str, found))


def rows_of(path: Path, person: Person) -> Iterator[dict[str, Any]]:
    """Yield the person's rows of a table, nulls left out."""
    for rows in _groups(path):
        for row in rows.filter(_mask(rows, path, person)).to_pylist():
            yield {k: v for k, v in row.items() if v is not None}


def drop_rows(path: Path, person: Person | None, before: datetime | None = None) -> int:
    """Rewrite a table without the person's rows, or those before a time; return how many went.

    A clean log's figures of itself are counted again. Without such rows the file is not touched.

    Raises:
        StorageError: the disk is full; the file stays as it was.
    """
    gone = 0
    for rows in _groups(path, _told(path)):
        mask = _mask(rows, path, person) if person else _old(rows, before)
        gone += pc.sum(mask).as_py() or 0
    if not gone:
        return 0
    schema = pq.read_schema(path)
    with atomic_path(path) as temporary:
        with pq.ParquetWriter(temporary, schema, compression="snappy") as writer:
            for rows in _groups(path):
                mask = _mask(rows, path, person) if person else _old(rows, before)
                writer.write_table(rows.filter(pc.invert(mask)))
        told = json.loads((schema.metadata or {}).get(METADATA_KEY.encode(), "{}"))
        if "summary" in told:
            _sum_again(temporary, schema, told)
    return gone


def _sum_again(path: Path, schema: pa.Schema, told: dict[str, Any]) -> None:
    """Count a clean log's figures of itself again; they are kept in the file."""
    made = told.get("sessions_made")
    rules = SessionRules.from_dict(made) if made else USUAL
    with connect() as con:
        rows = f"read_parquet({literal(str(path))})"
        told["summary"] |= summarize(con, rows, told["clock"], rules)
    metadata = {**schema.metadata, METADATA_KEY.encode(): metadata_text(told).encode()}
    kind = schema.with_metadata(metadata)
    with atomic_path(path) as again, pq.ParquetWriter(again, kind, compression="snappy") as out:
        for group in _groups(path):
            out.write_table(group.replace_schema_metadata(metadata))


def _told(path: Path) -> list[str]:
    """Return the columns that tell whose a row is, and how old."""
    return [*people_columns(path), "session_id", *TIMES]


def _groups(path: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path) as file:
            held = None if columns is None else [c for c in columns if c in file.schema_arrow.names]
            for number in range(file.num_row_groups):
                yield file.read_row_group(number, columns=held)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: no readable Parquet file ({error}).") from error


def _mask(rows: pa.Table, path: Path, person: Person) -> Any:
    mask = _own(rows, person, [c for c in people_columns(path) if c in rows.column_names])
    if "session_id" in rows.column_names:
        known = sorted(person.sessions_in(path.parent))
        mask = pc.or_(mask, _is_in(rows["session_id"].cast(pa.string()), known))
    return mask


def _own(rows: pa.Table, person: Person, people: list[str]) -> Any:
    mask = _none(rows)
    for column in people:
        values = rows[column].cast(pa.string())
        own = [str(v) for v in pc.unique(values).to_pylist() if person.holds(v)]
        mask = pc.or_(mask, _is_in(values, own))
    return mask


def _old(rows: pa.Table, before: datetime | None) -> Any:
    column = next((c for c in TIMES if c in rows.column_names), None)
    if column is None or before is None:
        return _none(rows)
    kind: Any = rows.schema.field(column).type
    if not pa.types.is_timestamp(kind):
        return _none(rows)
    edge = before if kind.tz else before.replace(tzinfo=None)
    older: Any = pc.less(rows[column], pa.scalar(edge, kind))
    return pc.fill_null(older, False)


def _is_in(values: Any, wanted: list[str]) -> Any:
    found: Any = pc.is_in(values, value_set=pa.array(wanted, pa.string()))
    return pc.fill_null(found, False)


def _none(rows: pa.Table) -> Any:
    return pa.array([False] * rows.num_rows)
