"""What insights read: a clean log opened in DuckDB, cut to the slice asked for."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cartcast.errors import DataError, NotFoundError, UsageError, did_you_mean
from cartcast.events.schema import METADATA_KEY, Clock
from cartcast.events.sql import identifier, read_parquet
from cartcast.findings import Finding
from cartcast.segments import Cohort, Did, Reached, Seen, Segment, asked
from cartcast.segments.steps import steps_from

__all__ = ["Slice", "Source", "opened"]

NEEDED = ("session_id", "event_order", "event_type")


@dataclass(frozen=True)
class Slice:
    """The sessions asked for: those that began in a period and carry the given values.

    Attributes:
        start: first day, or moment (by the shop's clock); None means from the beginning.
        end: last day (included), or the moment before which a session begins.
        values: column -> value that the session must carry; None means unknown there.
        segments: the session must belong to each of them, too.
    """

    start: date | datetime | None = None
    end: date | datetime | None = None
    values: Mapping[str, str | None] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()

    def __bool__(self) -> bool:
        dated = self.start is not None or self.end is not None
        return dated or bool(self.values) or bool(self.segments)

    def before(self) -> Slice:
        """Return the slice of as many days that end just before this one's first day.

        >>> Slice(date(2024, 3, 8), date(2024, 3, 14)).before().start
        datetime.date(2024, 3, 1)
        """
        assert self.start is not None, "only a slice from one day to another has days before it"
        assert self.end is not None, "only a slice from one day to another has days before it"
        day = timedelta(days=1)
        first = self.start - (self.end - self.start) - day
        return replace(self, start=first, end=self.start - day)

    def condition(self, source: Source, columns: tuple[str, ...]) -> tuple[str, list[Any]]:
        """Return the SQL condition on the session table, and its parameters.

        Raises:
            UsageError: a column is not in the session table, or the log lacks what the segment
                asks of it.
        """
        parts, parameters = ["true"], list[Any]()
        if self.start is not None:
            parts.append("start >= ?")
            parameters.append(_moment(self.start))
        if self.end is not None:
            parts.append("start < ?")
            last = self.end
            whole_day = not isinstance(last, datetime)
            parameters.append(_moment(last) + timedelta(days=1) if whole_day else last)
        for name, value in self.values.items():
            if name not in columns:
                raise UsageError(f"no session column {name!r}.{did_you_mean(name, columns)}")
            parts.append(f"{identifier(name)} IS NOT DISTINCT FROM ?")
            parameters.append(value)
        for segment in self.segments:
            _require(source, segment)
            sql, more = asked(segment, columns, source.columns)
            parts.append(sql)
            parameters += more
        return " AND ".join(parts), parameters


def _require(source: Source, segment: Segment) -> None:
    """Check that a log has the events and the clock that a segment asks for."""
    words = [c.event for c in segment.where if isinstance(c, Did)]
    words += [step for c in segment.where if isinstance(c, Reached) for step in c.steps]
    steps = steps_from(words) if words else ()
    kinds = [kind for step in steps for kind in step.event_types]
    source.require_events(kinds, f" Segment {segment.name!r} asks for it.")
    if any(isinstance(c, Seen | Cohort) for c in segment.where) and source.clock not in (
        "time",
        "day",
    ):
        raise UsageError(
            f"segment {segment.name!r} asks who was seen when, but the log's clock is "
            f"{source.clock!r}; leave that out."
        )


def _moment(day: date | datetime) -> datetime:
    return day if isinstance(day, datetime) else datetime.combine(day, time())


@dataclass(frozen=True)
class Source:
    """An open log: a DuckDB connection with the view `events`, and what its reading told."""

    connection: duckdb.DuckDBPyConnection
    clock: Clock
    columns: tuple[str, ...]
    currency: str | None
    zone: str | None = None
    findings: tuple[Finding, ...] = ()

    def rows(
        self, sql: str, parameters: list[Any] | dict[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        return self.connection.execute(sql, parameters or []).fetchall()

    def row(self, sql: str, parameters: list[Any] | None = None) -> tuple[Any, ...]:
        """Return the one row of a query."""
        found = self.connection.execute(sql, parameters or []).fetchone()
        assert found is not None
        return found

    def require(self, column: str) -> str:
        """Return `column` quoted.

        Raises:
            UsageError: the log has no such column.
        """
        if column not in self.columns:
            raise UsageError(
                f"the log has no column {column!r}.{did_you_mean(column, self.columns)}"
            )
        return identifier(column)

    def require_events(self, kinds: Sequence[str], hint: str = "") -> None:
        """Check that the log has events of these types; `hint` ends the message.

        Raises:
            UsageError: one is not there.
        """
        seen = {r[0] for r in self.rows("SELECT DISTINCT event_type FROM events")} if kinds else ()
        for kind in kinds:
            if kind not in seen:
                raise UsageError(f"no {kind!r} event in this log.{did_you_mean(kind, seen)}{hint}")

    @property
    def seconds(self) -> str:
        """SQL for the seconds of an event on the log's clock, or null when it has none."""
        if self.clock == "time":
            return "(epoch_us(event_time) / 1e6)"
        if self.clock == "day":
            return "(epoch_us(event_time) / 1e6)"
        return "session_seconds" if self.clock == "session" else "CAST(NULL AS DOUBLE)"


@contextlib.contextmanager
def opened(log: Any) -> Iterator[Source]:
    """Open a log for reading: a `Log`, the path of a canonical Parquet file, or an Arrow table.

    Raises:
        NotFoundError: there is no such file.
        DataError: the file is not a log that has passed the contract.
    """
    connection = duckdb.connect()
    try:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET TimeZone = 'UTC'")
        if isinstance(log, pa.Table):
            connection.register("events", log)
            schema = log.schema
        else:
            path = getattr(log, "path", log)
            if not isinstance(path, str | Path):
                raise UsageError(
                    "a log must be a Log, the path of a clean one, or an Arrow table, got "
                    f"{type(log).__name__}; read other tables with cartcast.load first."
                )
            schema = _attach(connection, Path(path))
        missing = [c for c in NEEDED if c not in schema.names]
        if missing:
            raise DataError(
                f"not a clean log: it lacks {', '.join(missing)}; "
                "clean it with `cartcast validate`."
            )
        told = json.loads((schema.metadata or {}).get(METADATA_KEY.encode(), b"{}"))
        clock: Clock = told.get("clock") or ("time" if "event_time" in schema.names else "order")
        yield Source(
            connection,
            clock,
            tuple(schema.names),
            told.get("currency"),
            told.get("zone"),
            tuple(Finding.from_dict(f) for f in told.get("findings", ())),
        )
    finally:
        connection.close()


def _attach(connection: duckdb.DuckDBPyConnection, path: Path) -> pa.Schema:
    if not path.is_file():
        raise NotFoundError(f"{path}: no such log; make one with `cartcast validate FILE`.")
    try:
        schema = pq.read_schema(path.absolute())
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{path}: not a Parquet file; clean it with `cartcast validate`."
        ) from error
    connection.execute(f"CREATE VIEW events AS FROM {read_parquet(path)}")
    return schema
