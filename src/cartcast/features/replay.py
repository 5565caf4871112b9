"""Replay a log through a feature set: in memory, to Parquet, here or on Spark."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from cartcast.atomic import atomic_path
from cartcast.config import parse_size
from cartcast.errors import DataError, UsageError
from cartcast.events.engine import cores
from cartcast.features.build import compile_features
from cartcast.features.passes import TABLE_BYTES, DisorderError, find_ends, sorted_copy
from cartcast.features.scan import Scan, scan
from cartcast.features.source import ROWS, Source, open_source
from cartcast.features.timing import SESSION_START, SessionStart
from cartcast.features.write import write_batches
from cartcast.progress import Progress, quiet
from cartcast.scratch import scratch

if TYPE_CHECKING:
    from cartcast.features.featureset import FeatureSet

__all__ = ["batches", "replay"]

T = TypeVar("T")


def replay(
    features: FeatureSet,
    events: Any,
    at: Any,
    out: Path | str | None,
    engine: str,
    memory: int | str | None,
    threads: int | None,
    progress: Progress | None,
    session_gap: float | None,
) -> pa.Table | Path:
    """Run `FeatureSet.replay`; see there."""
    if engine == "spark":
        from cartcast.features import spark

        if session_gap is not None:
            raise UsageError(
                "session_gap is for engine duckdb; on Spark give events with sessions."
            )
        return spark.replay(features, events, moments(at), out, progress)
    if engine != "duckdb":
        raise UsageError(f"unknown engine {engine!r}; there are duckdb and spark.")
    with scratch() as folder:
        plan = _Plan(features, events, at, memory, threads, folder, progress, session_gap)
        if out is None:
            return plan.run(plan.table)
        with atomic_path(out) as temporary:
            plan.run(lambda schema, made: write_batches(temporary, schema, made))
        return Path(out)


def batches(
    features: FeatureSet,
    events: Any,
    at: Any,
    memory: int | str | None,
    threads: int | None,
    session_gap: float | None,
) -> Iterator[pa.RecordBatch]:
    """Run `FeatureSet.batches`; see there."""
    with scratch() as folder:
        plan = _Plan(features, events, at, memory, threads, folder, None, session_gap)
        yield from plan.batches()


def moments(at: Any) -> str | tuple[int, ...]:
    """Return when values are wanted, checked.

    Raises:
        UsageError: neither `every click`, `end`, nor whole clicks from 1.
    """
    if at in ("every click", "all"):
        return "every click"
    if isinstance(at, str):
        if at == "end":
            return "end"
        raise UsageError(f"at must be 'every click', 'end' or clicks such as [1, 2], got {at!r}.")
    clicks = (at,) if isinstance(at, int) else tuple(at)
    if not clicks or any(int(c) != c or not 1 <= c <= 1_000_000 for c in clicks):
        raise UsageError(f"clicks must be whole numbers from 1, got {list(clicks)!r}.")
    return tuple(sorted({int(c) for c in clicks}))


class _Plan:
    """A replay with what it needs to begin again when the order is not what the log says."""

    def __init__(
        self, features: FeatureSet, events: Any, at: Any, memory: int | str | None,
        threads: int | None, folder: Path, progress: Progress | None, session_gap: float | None,
    ) -> None:  # fmt: skip
        self.memory = parse_size(memory) if memory is not None else None
        self.threads = threads or cores()
        if self.threads < 1:
            raise UsageError(f"threads must be 1 or more, got {threads}.")
        self.program = features.program
        if session_gap is not None:
            made = {**features.features, SESSION_START: SessionStart()}
            self.program = compile_features(made)
        self.at = moments(at)
        self.folder = folder
        self.say = progress or quiet
        self.source = open_source(events, session_gap)
        self.source.check(self.program)

    def _scan(self, source: Source, ends: Any) -> Scan:
        return Scan(source, self.program, self.at, ends, self.threads, self._rows())

    def _rows(self) -> int:
        """Return the events of a batch: with a limit, its batches take a twentieth of it.

        A batch being decoded, one being folded and one being written are alive at a time, each
        with its words in and out.
        """
        if self.memory is None:
            return ROWS
        program = self.program
        event = 3 * 8 * (2 * len(program.inputs) + 2 * len(program.names) + 8)
        return max(4096, min(ROWS, self.memory // 20 // event))

    @property
    def _table_bytes(self) -> int:
        return TABLE_BYTES if self.memory is None else self.memory // 8

    def _attempts(self) -> Iterator[Scan]:
        """Yield ways to read the log, the cheapest first; the next when one meets disorder."""
        if self.source.grouped:
            yield self._scan(self.source, None)
        self.say("order of the sessions", None)
        ends = None
        with contextlib.suppress(DisorderError):
            ends = find_ends(self.source, self._table_bytes)
        if ends is not None:
            yield self._scan(self.source, ends)
        self.say("sorting", None)
        path = sorted_copy(self.source, self.folder, self.memory, self.threads)
        gap = None if self.source.gap is None else self.source.gap / 1e6
        ordered = open_source(path, gap)
        ordered = replace(ordered, clock=self.source.clock, name=self.source.name)
        try:
            ends = find_ends(ordered, self._table_bytes)
        except DisorderError as error:
            raise DataError(
                f"{self.source.name}: in some session event_order contradicts event_time; "
                "make a canonical log with events.load."
            ) from error
        yield self._scan(ordered, ends)

    def _stream(self, attempt: Scan) -> Iterator[pa.RecordBatch]:
        for done, batch in enumerate(scan(attempt), 1):
            self.say("features", min(1.0, done * attempt.rows / max(1, attempt.source.rows)))
            yield batch

    def run(self, consume: Callable[[pa.Schema, Iterator[pa.RecordBatch]], T]) -> T:
        """Return what `consume` makes of the batches; it is begun again after a disorder."""
        for attempt in self._attempts():
            with contextlib.suppress(DisorderError):
                return consume(attempt.schema, self._stream(attempt))
        raise AssertionError("the last attempt raises its own error")

    def batches(self) -> Iterator[pa.RecordBatch]:
        for attempt in self._attempts():
            given = False
            try:
                for batch in self._stream(attempt):
                    given = True
                    yield batch
            except DisorderError as error:
                if given:
                    raise DataError(
                        f"{self.source.name}: its metadata say that rows are grouped by session "
                        "in event_order, but they are not; write it again with events.load."
                    ) from error
            else:
                return

    def table(self, schema: pa.Schema, made: Iterator[pa.RecordBatch]) -> pa.Table:
        """Return batches as a table whose texts are plain strings."""
        found = pa.Table.from_batches(list(made), schema=schema)
        for at, field in enumerate(found.schema):
            if pa.types.is_dictionary(field.type):
                found = found.set_column(at, field.name, found.column(at).cast(pa.string()))
        return found
