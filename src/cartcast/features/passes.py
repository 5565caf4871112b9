"""What must be known of a log before, or while, it is folded: its order, ends, and history."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cartcast.features.encode import Texts, encode_column, encode_input
from cartcast.features.kernels import layout as k
from cartcast.features.kernels.ends import mark_ends, move_ends
from cartcast.features.kernels.history import regrow, remember
from cartcast.features.kernels.words import NOTHING, hash_text
from cartcast.features.kernels.work import Work
from cartcast.features.source import Source
from cartcast.features.visitor import counted_column

Words = npt.NDArray[np.int64]

__all__ = ["DisorderError", "Ends", "Past", "find_ends", "sorted_copy"]


TABLE_BYTES = 512 << 20
"""Most bytes of the table of sessions, unless memory is limited."""


class DisorderError(Exception):
    """The rows are not in the order that this pass counted on; never leaves the package."""


class Ends(NamedTuple):
    """Bitmaps, a bit per row of the log: the first and the last event of each session."""

    first: npt.NDArray[np.uint8]
    last: npt.NDArray[np.uint8]

    def rows(self, bits: npt.NDArray[np.uint8], begin: int, n: int) -> npt.NDArray[np.uint8]:
        """Return the bits of some rows, a byte each."""
        start = begin >> 3
        found = np.unpackbits(bits[start : (begin + n + 7) >> 3], bitorder="little")
        return found[begin - 8 * start :][:n]


def find_ends(source: Source, most: int = TABLE_BYTES) -> Ends:
    """Find the first and the last event of each session in one pass over two columns.

    Sessions are looked up in a table; where it would outgrow `most` bytes, it takes half of
    them, by their hashes, and another pass looks at the others.

    Raises:
        DisorderError: within some session the rows are not in event_order.
    """
    size = (source.rows + 7) >> 3
    ends = Ends(np.zeros(size, np.uint8), np.zeros(size, np.uint8))
    parts = _find_ends(source, ends, most, 0, 1)
    for part in range(1, parts):
        _find_ends(source, ends, most, part, parts)
    return ends


def _find_ends(source: Source, ends: Ends, most: int, part: int, parts: int) -> int:
    """Mark the ends of the sessions of one part; return how many parts there turned out to be."""
    work = Work(k.ENDS)
    words = work.words
    work.point(k.E_FIRST, ends.first)
    work.point(k.E_LAST, ends.last)
    # The fold checks the order itself; here it is only found out before anything is given away.
    checked = not source.canonical or source.gap is not None
    words[k.E_GAP] = -1 if source.gap is None else source.gap
    table, scratch, texts = _table(1 << 14), _scratch(0), Texts()
    begin = 0
    for batch in ahead(source.batches(source.keys[: 1 + checked])):
        codes, known = encode_input(batch.column(0), "text", texts)
        hashes = codes if known is None else known
        orders = None
        if checked:
            orders = encode_column(batch.column(1), "time" if source.gap is not None else "order")
        while (words[k.E_USED] + len(hashes)) * 3 * k.END > 2 * table.size:
            if part == 0 and table.nbytes * 2 > most and words[k.E_USED] * 4 * k.END > table.size:
                parts *= 2
                larger = _table(table.size // k.END)
            else:
                larger = _table(2 * table.size // k.END)
            words[k.E_USED] = _move(table, larger, part, parts)
            table = larger
        if len(scratch[0]) < len(hashes):
            scratch = _scratch(2 * len(hashes))
        work.point(k.E_CODES, None if known is None else codes)
        work.point(k.E_HASHES, hashes)
        work.point(k.E_ORDERS, orders)
        for place, array in zip((k.E_FIRST_OF, k.E_LAST_OF, k.E_SEEN_OF), scratch, strict=True):
            work.point(place, array)
        work.point(k.E_TABLE, table, row=k.END)
        words[[k.E_BEGIN, k.E_N, k.E_N_HASHES]] = begin, batch.num_rows, len(hashes)
        words[[k.E_SIZE, k.E_PART, k.E_PARTS]] = table.size // k.END, part, parts
        if not mark_ends(words):
            raise DisorderError
        begin += batch.num_rows
    return parts


def _move(table: Words, larger: Words, part: int, parts: int) -> int:
    """Copy the sessions of a part into another table; return how many."""
    move = Work(k.MOVE)
    move.point(k.M_OLD, table, row=k.END)
    move.point(k.M_NEW, larger, row=k.END)
    move.words[[k.M_OLD_SIZE, k.M_NEW_SIZE]] = table.size // k.END, larger.size // k.END
    move.words[[k.M_PART, k.M_PARTS]] = part, parts
    return int(move_ends(move.words))


def ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the batches, each decoded while the one before is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="cartcast-read") as reader:
        coming = reader.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, batches, None)
            yield batch


def _table(size: int) -> Words:
    return np.full(size * k.END, -1, np.int64)


def _scratch(size: int) -> tuple[Any, Any, Any]:
    """Return, by code, room for the first and the last row of a batch, and an event_order."""
    return np.empty(size, np.int32), np.full(size, -1, np.int32), np.empty(size, np.int64)


class Past:
    """Visitors' histories while a log is read in order; see `features.visitor`."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        counted = [counted_column(kind) for kind in kinds]
        self.columns = tuple(dict.fromkeys(column for column, _ in counted))
        self._work = work = Work(k.PAST)
        self._width = k.V_COUNTS + len(kinds)
        self._table = self._empty(1 << 12)
        work.point(k.P_KINDS, np.array([hash_text(t) for _, t in counted], dtype=np.int64))
        places = [self.columns.index(column) for column, _ in counted]
        work.point(k.P_COLUMNS, np.array(places, dtype=np.int64))
        work.words[k.P_N_KINDS] = len(kinds)

    def _empty(self, size: int) -> Words:
        """Return a table without visitors, and point to it."""
        table = np.full((size, self._width), NOTHING, np.int64)
        self._work.point(k.P_TABLE, table, row=self._width)
        self._work.words[k.P_SIZE] = size
        return table

    def read(
        self,
        visitors: npt.NDArray[np.int64],
        first: npt.NDArray[np.uint8],
        now: npt.NDArray[np.int64],
        words: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float64]:
        """Return, by event, (earlier sessions, days since, a count per kind) as rows.

        `words`: of the events' texts, a row for each of `columns`.
        """
        work, n = self._work, len(visitors)
        out = np.empty((2 + int(work.words[k.P_N_KINDS]), n))
        columns = {k.P_VISITORS: visitors, k.P_SESSION: first, k.P_NOW: now, k.P_TYPES: words}
        for place, column in columns.items():
            work.point(place, column)
        work.point(k.P_OUT, out, row=n)
        work.words[[k.P_START, k.P_N]] = 0, n
        while (reached := remember(work.words)) < n:
            work.words[k.P_START] = reached
            self._grow()
        work.let_go([*columns, k.P_OUT])
        return out

    def _grow(self) -> None:
        old = self._table
        self._table = self._empty(2 * len(old))
        move = Work(k.MOVE)
        move.point(k.M_OLD, old, row=self._width)
        move.point(k.M_NEW, self._table, row=self._width)
        move.words[[k.M_OLD_SIZE, k.M_NEW_SIZE]] = len(old), len(self._table)
        move.words[k.M_WIDTH] = self._width
        regrow(move.words)


def sorted_copy(source: Source, folder: Path, memory: int | None, threads: int) -> Path:
    """Write the log in the order that a fold needs, spilling to `folder`; return the file.

    By time where the source has a calendar, else by session; ties by event_order, then as read.
    """
    from cartcast.events.engine import connect
    from cartcast.events.sql import place_literal, read_parquet

    out = folder / "sorted.parquet"
    calendar = source.clock in ("time", "day")
    order = "event_time, event_order" if calendar else "session_id, event_order"
    if source.gap is not None:
        order = "event_time"
    with connect(folder, memory) as con:
        con.execute(f"SET threads = {threads}")
        if isinstance(source.data, Path):
            con.execute(
                "CREATE VIEW log AS SELECT *, row_number() OVER () AS __row FROM "
                f"{read_parquet(source.data)}"
            )
        else:
            assert isinstance(source.data, pa.Table)
            numbered = source.data.append_column("__row", pa.array(range(source.rows), pa.int64()))
            con.register("log", numbered)
        con.execute(
            f"COPY (SELECT * EXCLUDE (__row) FROM log ORDER BY {order}, __row) "
            f"TO {place_literal(out)} (FORMAT parquet)"
        )
    return out
