"""Where the events of a replay come from, as Arrow record batches in a known order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from cartcast.errors import DataError, DefinitionError, NotFoundError, UsageError, did_you_mean
from cartcast.events.log import Log
from cartcast.events.schema import COLUMNS, METADATA_KEY, Clock
from cartcast.features.build import Program
from cartcast.features.declared import column_kind
from cartcast.sessions import SessionRules

__all__ = ["ROWS", "Source", "open_source"]

ROWS = 65_536
"""Events of one batch."""


@dataclass(frozen=True)
class Source:
    """A canonical log to read from.

    Attributes:
        data: Parquet file, table, or batches that can be read once.
        schema: its Arrow schema.
        rows: number of events.
        clock: see `events.schema.Clock`.
        grouped: whether the rows are declared as grouped by session, rather than in time order.
        name: for messages.
        dictionaries: text columns that the file stores as dictionaries; they are read as such.
        canonical: whether metadata say that the log has passed the contract.
        gap: microseconds without an event after which a visitor's session ends, for events that
            have no session yet; None when they have.
    """

    data: Path | pa.Table | Iterator[pa.RecordBatch]
    schema: pa.Schema
    rows: int
    clock: Clock
    grouped: bool
    name: str
    dictionaries: frozenset[str] = frozenset()
    canonical: bool = False
    gap: int | None = None

    @property
    def keys(self) -> tuple[str, str]:
        """Columns that say which session an event belongs to, and where in it."""
        own = ("session_id", "event_order")
        return own if self.gap is None else ("visitor_id", "event_time")

    def batches(self, columns: Sequence[str], rows: int = ROWS) -> Iterator[pa.RecordBatch]:
        """Yield batches of these columns."""
        present = [c for c in columns if c in self.schema.names]
        if isinstance(self.data, Path):
            texts = [c for c in present if c in self.dictionaries]
            with pq.ParquetFile(self.data, read_dictionary=texts) as file:
                # Row group by row group, so that the batches of one share their dictionaries. One
                # thread reads ahead while others fold: no threads for single columns.
                for group in range(file.metadata.num_row_groups):
                    yield from file.iter_batches(
                        rows, row_groups=[group], columns=present, use_threads=False
                    )
        elif isinstance(self.data, pa.Table):
            yield from self.data.select(present).to_batches(max_chunksize=rows)
        else:
            yield from self.data

    def check(self, program: Program) -> None:
        """Refuse columns that are not there or hold something else, before events are read.

        Raises:
            DefinitionError: naming the column.
        """
        for wanted in program.inputs:
            if wanted.name.startswith("@"):
                continue
            if wanted.name not in self.schema.names:
                if wanted.name in COLUMNS:
                    continue  # a canonical column that the table leaves out is null
                raise DefinitionError(
                    f"{self.name}: the features read a column {wanted.name!r} that is not there."
                    f"{did_you_mean(wanted.name, [*self.schema.names, *COLUMNS])}"
                )
            held = self.schema.field(wanted.name).type
            if wanted.kind == "number" and not _is_number(held):
                raise DefinitionError(
                    f"{self.name}: column {wanted.name!r} holds {held}, the features need numbers; "
                    "count its values with NUnique, or keep one with Last(..., text=True)."
                )
            own = column_kind(wanted.name) == "unknown"
            if wanted.kind == "text" and own and not _is_text(held):
                raise DefinitionError(
                    f"{self.name}: column {wanted.name!r} holds {held}, the features compare it "
                    "with or keep a text; give a number."
                )


def _is_text(held: pa.DataType) -> bool:
    if pa.types.is_dictionary(held):
        held = held.value_type
    return bool(
        pa.types.is_string(held) or pa.types.is_large_string(held) or pa.types.is_string_view(held)
    )


def _is_number(held: pa.DataType) -> bool:
    return bool(
        pa.types.is_floating(held)
        or pa.types.is_integer(held)
        or pa.types.is_boolean(held)
        or pa.types.is_decimal(held)
        or pa.types.is_null(held)
    )


def _dictionaries(file: pq.ParquetFile) -> frozenset[str]:
    """Return the text columns whose chunks all begin with a dictionary.

    Making a dictionary of a column that has none costs more than hashing its texts one by one.
    """
    schema, metadata = file.schema_arrow, file.metadata
    found = {name for name in schema.names if _is_text(schema.field(name).type)}
    for group in range(metadata.num_row_groups):
        chunks = metadata.row_group(group)
        for k in range(chunks.num_columns):
            chunk = chunks.column(k)
            if not (chunk.has_dictionary_page or chunk.path_in_schema not in found):
                found.discard(chunk.path_in_schema)
    return frozenset(found)


def open_source(events: Any, session_gap: float | None = None) -> Source:
    """Return the source of a `Log`, a canonical Parquet file, or an Arrow, pandas, Polars table.

    With `session_gap` (seconds) sessions are made of the visitors' events in the replay.

    Raises:
        NotFoundError: the file is not there.
        UsageError: it is none of these.
        DataError: it has no `session_id`, or is not Parquet.
    """
    own = session_gap is None
    if isinstance(events, Log):
        # A part of a log says nothing of itself: its log does.
        source = _from_file(events.path, own, {"clock": events.clock, "order": events.order})
    elif isinstance(events, str | Path):
        source = _from_file(Path(events), own)
    else:
        source = _from_table(_to_arrow(events), own)
    return source if session_gap is None else _sessionized(source, session_gap)


def _sessionized(source: Source, session_gap: float) -> Source:
    rules = SessionRules(session_gap)
    for name in ("visitor_id", "event_time"):
        if name not in source.schema.names:
            raise DataError(
                f"{source.name}: no column {name!r}; sessions are made of it."
                f"{did_you_mean(name, source.schema.names)}"
            )
    return replace(source, gap=rules.microseconds, clock="time", grouped=False)


def _to_arrow(events: Any) -> pa.Table:
    if isinstance(events, pa.Table):
        return events
    if isinstance(events, pa.RecordBatch):
        return pa.Table.from_batches([events])
    if hasattr(events, "to_arrow"):
        return cast("pa.Table", events.to_arrow())
    if type(events).__module__.startswith("pandas"):
        return pa.Table.from_pandas(events, preserve_index=False)
    raise UsageError(
        "events must be a Log, a path of canonical Parquet or a table, got "
        f"{type(events).__name__}."
    )


def _from_file(path: Path, own: bool, told: Mapping[str, Any] | None = None) -> Source:
    if not path.exists():
        raise NotFoundError(f"{path}: no such file; check the path.")
    # Readers of Parquet take `~` for a home folder.
    path = path.absolute()
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            keys = file.metadata.metadata or {}
            dictionaries = _dictionaries(file)
    except (pa.ArrowInvalid, OSError) as error:
        first = str(error).splitlines()[0]
        raise DataError(
            f"{path}: not a Parquet file ({first}); read other formats with events.load first."
        ) from error
    if own:
        _need_session(schema, str(path))
    _need_times(schema, str(path))
    found = told or json.loads(keys.get(METADATA_KEY.encode(), b"{}"))
    clock = found.get("clock") or _guess_clock(schema, path)
    grouped = found.get("order") == "session"
    return Source(path, schema, rows, clock, grouped, str(path), dictionaries, bool(found))


def _from_table(table: pa.Table, own: bool) -> Source:
    if own:
        _need_session(table.schema, "the table")
    _need_times(table.schema, "the table")
    if "event_order" not in table.schema.names:
        numbers = pa.array(range(1, table.num_rows + 1), pa.int64())
        table = table.append_column("event_order", numbers)
    found = json.loads((table.schema.metadata or {}).get(METADATA_KEY.encode(), b"{}"))
    clock = found.get("clock") or _guess_clock(table.schema, table)
    # A table in memory may come in any order: the pass over its sessions is cheap and tells.
    return Source(table, table.schema, table.num_rows, clock, False, "the table")


def _need_session(schema: pa.Schema, name: str) -> None:
    if "session_id" not in schema.names:
        raise DataError(
            f"{name}: no column 'session_id'; make a canonical log with events.load first."
            f"{did_you_mean('session_id', schema.names)}"
        )


def _need_times(schema: pa.Schema, name: str) -> None:
    if "event_time" in schema.names:
        held = schema.field("event_time").type
        if not (pa.types.is_timestamp(held) or pa.types.is_date(held) or pa.types.is_null(held)):
            raise DataError(f"{name}: column 'event_time' must hold times, it holds {held}.")
    if "utc_offset" in schema.names and not _is_number(held := schema.field("utc_offset").type):
        raise DataError(f"{name}: column 'utc_offset' must hold minutes, it holds {held}.")


def _guess_clock(schema: pa.Schema, data: Path | pa.Table) -> Clock:
    """Say what a table without metadata can tell: by the first of its columns that has values."""
    choices: tuple[tuple[str, Clock], ...] = (
        ("event_time", "time"),
        ("session_seconds", "session"),
    )
    for column, clock in choices:
        if column in schema.names:
            values = (
                pq.read_table(data, columns=[column]) if isinstance(data, Path) else data
            ).column(column)
            if values.null_count < len(values):
                return clock
    return "order"
