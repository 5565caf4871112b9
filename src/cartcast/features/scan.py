"""One pass over a log: encode batches, fold them on all cores, hand out Arrow batches.

The next batch is decoded while this one is folded. Sessions are split over the threads by their
hash, each thread with its own states; the kernels run without the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cartcast.features.build import Program
from cartcast.features.encode import (
    Members,
    Texts,
    Vocabulary,
    as_buffer,
    clock_columns,
    encode_clock,
    encode_column,
    encode_input,
    needed_columns,
    null_word,
)
from cartcast.features.folder import Chunk, Folder
from cartcast.features.kernels import layout
from cartcast.features.kernels.words import NOTHING
from cartcast.features.passes import DisorderError, Ends, Past
from cartcast.features.source import Source
from cartcast.features.timing import SESSION_START

__all__ = ["Scan", "scan"]

Words = npt.NDArray[np.int64]
Column = tuple[npt.NDArray[Any], Words | None]
"""Words, or codes (int32) and the word of each."""


@dataclass
class _Encoded:
    """A batch as words."""

    batch: pa.RecordBatch
    hashes: Words
    orders: Words
    inputs: list[Column]
    last: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scan:
    """What to replay and how.

    Attributes:
        source: the log.
        program: the features.
        at: `every click`, `end`, or clicks.
        ends: first and last rows of sessions; None when the log is grouped by session.
        threads: kernels at once.
        rows: events of one batch.
    """

    source: Source
    program: Program
    at: str | tuple[int, ...]
    ends: Ends | None
    threads: int
    rows: int

    @property
    def schema(self) -> pa.Schema:
        """Columns of the batches."""
        text = pa.dictionary(pa.int32(), pa.string())
        made = self.source.gap is not None
        every = not made and self.at == "every click" and "session_id" in self.source.dictionaries
        keys: list[tuple[str, pa.DataType]] = [("session_id", text if every else pa.string())]
        if self.at != "end":
            keys += [("event_order", pa.int64()), ("click", pa.int64())]
        names = zip(self.program.names, self.program.text, strict=True)
        fields = [(n, text if t else pa.float64()) for n, t in names if n != SESSION_START]
        return pa.schema([*keys, *fields])


class _Encoder:
    """Turns batches into words; keeps the vocabularies and the visitors' past."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        program, source = scan.program, scan.source
        self.columns = needed_columns(
            program.inputs, source.clock, bool(program.history), source.keys
        )
        kept = {int(program.ops[k, layout.A]) for k in _text_rows(program)}
        self.vocabularies = {c: Vocabulary() for c in sorted(kept)}
        inputs = enumerate(program.inputs)
        self._texts = [
            Texts(self.vocabularies.get(c), Members() if wanted.kind == "member" else None)
            for c, wanted in inputs
        ]
        self._ids = Texts()
        kinds = program.history_kinds
        self.past = Past(kinds) if program.history and self._calendar else None
        self._rows = {"@earlier_sessions": 0, "@days_since": 1}
        self._rows |= {f"@earlier:{t}": 2 + k for k, t in enumerate(kinds)}
        self._begin = 0

    @property
    def _calendar(self) -> bool:
        held = self.scan.source.schema.names
        known = self.scan.source.clock in ("time", "day")
        done = any(name in held for name in self.scan.program.history)
        return known and not done and "visitor_id" in held and "event_time" in held

    def encode(self, batch: pa.RecordBatch) -> _Encoded:
        n = batch.num_rows
        ids = batch.column(self.scan.source.keys[0])
        hashes, table = encode_input(ids, "text", self._ids)
        if table is not None:
            hashes = table[hashes]
        if ids.null_count:
            self._refuse_null(ids)
        last = np.empty(n, np.uint8)
        if self.scan.ends is not None:
            last[:] = self.scan.ends.rows(self.scan.ends.last, self._begin, n)
        else:
            np.not_equal(hashes[1:], hashes[:-1], out=last[:-1].view(np.bool_))
        inputs = self._inputs(batch)
        if self.past is not None:
            self._remember(batch, inputs)
        self._begin += n
        if self.scan.source.gap is None:
            orders = encode_column(batch.column("event_order"), "order")
        else:
            orders = np.arange(self._begin - n, self._begin)  # the rows are in order of time
        return _Encoded(batch, hashes, orders, inputs, last)

    def _inputs(self, batch: pa.RecordBatch) -> list[Column]:
        clocks = clock_columns(self.scan.source.clock)
        found: list[Column] = []
        for c, wanted in enumerate(self.scan.program.inputs):
            timed = wanted.name.startswith("@")
            name = clocks.get(wanted.name) if timed else wanted.name
            if timed and wanted.name in batch.schema.names:
                # The engine that moves the data has worked the visitor's past out already.
                found.append((encode_column(batch.column(wanted.name), "number"), None))
            elif timed and name is not None and (words := encode_clock(batch, name)) is not None:
                found.append((words, None))
            elif name is None or name not in batch.schema.names:
                found.append((np.full(batch.num_rows, null_word(wanted.kind)), None))
            else:
                found.append(encode_input(batch.column(name), wanted.kind, self._texts[c]))
        return found

    def _remember(self, batch: pa.RecordBatch, inputs: list[Column]) -> None:
        past, n = self.past, batch.num_rows
        assert past is not None
        visitors = encode_column(batch.column("visitor_id"), "text")
        times = encode_column(batch.column("event_time"), "time")
        words = np.full((len(past.columns), n), NOTHING)
        for k, column in enumerate(past.columns):
            if column in batch.schema.names:
                words[k] = encode_column(batch.column(column), "text")
        if self.scan.ends is not None:
            first = self.scan.ends.rows(self.scan.ends.first, self._begin, n)
        else:
            # Grouped by session: event_order 1 begins one (the fold checks that).
            first = (batch.column("event_order").to_numpy() == 1).astype(np.uint8)
        out = past.read(visitors, first, times, words)
        for c, wanted in enumerate(self.scan.program.inputs):
            if wanted.name in self._rows:
                inputs[c] = out[self._rows[wanted.name]], None

    def _refuse_null(self, ids: pa.Array[Any]) -> None:
        from cartcast.errors import DataError

        raise DataError(
            f"{self.scan.source.name}: {ids.null_count} rows without {self.scan.source.keys[0]} in "
            "one batch; "
            "make a canonical log with events.load."
        )


def _text_rows(program: Program) -> list[int]:
    """Return the reductions whose values are texts that come out."""
    wanted = {int(r) for r, t in zip(program.outputs, program.text, strict=True) if t}
    begin, end = program.stages[0], program.stages[1]
    return [k for k in range(begin, end) if int(program.ops[k, layout.OUT]) in wanted]


def _encoded(encoder: _Encoder) -> Iterator[_Encoded]:
    """Yield encoded batches; the last event of each is known once the next one is."""
    held: _Encoded | None = None
    for batch in encoder.scan.source.batches(encoder.columns, encoder.scan.rows):
        if batch.num_rows == 0:
            continue
        now = encoder.encode(batch)
        if held is not None:
            if encoder.scan.ends is None:
                held.last[-1] = held.hashes[-1] != now.hashes[0]
            yield held
        held = now
    if held is not None:
        if encoder.scan.ends is None:
            held.last[-1] = 1
        yield held


def scan(what: Scan) -> Iterator[pa.RecordBatch]:
    """Yield the features of a log batch by batch.

    Raises:
        DisorderError: the rows are in another order than `what.ends` says.
    """
    encoder = _Encoder(what)
    folders = [Folder(what.program, part, what.threads) for part in range(what.threads)]
    ahead = ThreadPoolExecutor(1, thread_name_prefix="cartcast-read")
    workers = ThreadPoolExecutor(what.threads, thread_name_prefix="cartcast-fold")
    driver = ThreadPoolExecutor(1, thread_name_prefix="cartcast-drive")
    try:
        chunks = _encoded(encoder)
        coming = ahead.submit(next, chunks, None)
        folding: Future[pa.RecordBatch] | None = None
        while (chunk := coming.result()) is not None:
            coming = ahead.submit(next, chunks, None)
            done = folding.result() if folding is not None else None
            # The next chunk is folded while the caller uses this one's values.
            folding = driver.submit(_fold_chunk, what, encoder, folders, workers, chunk)
            if done is not None:
                yield done
        if folding is not None:
            yield folding.result()
    finally:
        driver.shutdown(wait=True, cancel_futures=True)
        ahead.shutdown(wait=True, cancel_futures=True)
        workers.shutdown(wait=True, cancel_futures=True)


def _fold_chunk(
    what: Scan,
    encoder: _Encoder,
    folders: list[Folder],
    workers: ThreadPoolExecutor,
    encoded: _Encoded,
) -> pa.RecordBatch:
    size = len(encoded.hashes)
    place = wanted = None
    if what.at == "end":
        ended = encoded.last != 0
        place = np.where(ended, np.cumsum(ended, dtype=np.int32) - 1, -1).astype(np.int32)
        size = int(ended.sum())
    elif what.at != "every click":
        assert not isinstance(what.at, str)
        wanted = np.zeros(max(what.at) + 1, np.uint8)
        wanted[list(what.at)] = 1
    buffer = pa.allocate_buffer(8 * max(1, size * len(what.program.outputs)))
    out = np.frombuffer(memoryview(buffer), np.int64)[: size * len(what.program.outputs)]
    chunk = Chunk(
        encoded.hashes, encoded.orders, encoded.last, place, wanted, what.ends is None,
        encoded.inputs, out.reshape(len(what.program.outputs), size), np.zeros(size, np.int64),
    )  # fmt: skip
    jobs = [workers.submit(f.fold, chunk) for f in folders[1:]]
    nulls = folders[0].fold(chunk)
    for job in jobs:
        nulls += job.result()
    return _collect(what, encoder, encoded, chunk, buffer, nulls)


def _collect(
    what: Scan,
    encoder: _Encoder,
    encoded: _Encoded,
    chunk: Chunk,
    buffer: pa.Buffer | None,
    nulls: Words,
) -> pa.RecordBatch:
    """Return the values of a chunk as Arrow columns."""
    out, click = chunk.out, chunk.click
    ids = encoded.batch.column(what.source.keys[0])
    rows: Any = None
    if what.at == "end":
        rows = np.flatnonzero(encoded.last)
    elif what.at != "every click":
        rows = np.flatnonzero(click)
        out, click, buffer = np.take(out, rows, axis=1), click[rows], None
    if pa.types.is_string_view(ids.type):
        ids = ids.cast(pa.string())  # Arrow cannot take from views
    if rows is not None:
        ids = ids.take(pa.array(rows))
    orders = encoded.orders if rows is None else encoded.orders[rows]
    if what.source.gap is not None:
        ids, orders = _made_ids(ids, out[-1]), click
    keys = [ids.cast(what.schema.field(0).type)]
    if what.at != "end":
        keys += [pa.array(orders), pa.array(click)]
    columns = [
        encoder.vocabularies[_input_of(what.program, f)].decode(out[f])
        if text
        else _numbers(out[f], buffer, f, int(nulls[f]))
        for f, (name, text) in enumerate(zip(what.program.names, what.program.text, strict=True))
        if name != SESSION_START
    ]
    return pa.RecordBatch.from_arrays([*keys, *columns], schema=what.schema)


def _made_ids(visitors: pa.Array[Any], starts: Words) -> pa.Array[Any]:
    """Return the ids of sessions as `events` makes them: visitor and start in milliseconds."""
    import pyarrow.compute as pc

    milliseconds: Any = pa.array(starts // 1000).cast(pa.string())
    named: Any = visitors.cast(pa.string())
    found: pa.Array[Any] = pc.binary_join_element_wise(named, milliseconds, "-")
    return found


def _input_of(program: Program, feature: int) -> int:
    register = int(program.outputs[feature])
    begin, end = program.stages[0], program.stages[1]
    rows = program.ops[begin:end]
    return int(rows[rows[:, layout.OUT] == register][0, layout.A])


def _numbers(words: Words, buffer: pa.Buffer | None, feature: int, nulls: int) -> pa.Array[Any]:
    n, bits = len(words), None
    if nulls:
        null = np.isnan(words.view(np.float64))
        nulls = int(null.sum())  # of the chosen rows
        bits = as_buffer(np.packbits(~null, bitorder="little"))
    data = as_buffer(words) if buffer is None else buffer.slice(8 * n * feature, 8 * n)
    return pa.Array.from_buffers(pa.float64(), n, [bits, data], nulls)


__all__ += ["DisorderError"]
