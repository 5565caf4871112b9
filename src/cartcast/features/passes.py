"""What must be known of a log before, or while, it is folded: its order, ends, and history."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cartcast.features.encode import hash_array
from cartcast.features.kernels.history import regrow, remember
from cartcast.features.kernels.output import mark_ends, move_ends
from cartcast.features.kernels.words import NOTHING, hash_text
from cartcast.features.source import Source

Words = npt.NDArray[np.int64]

__all__ = ["DisorderError", "Ends", "Past", "find_ends", "sorted_copy"]


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


def session_hashes(ids: pa.Array[Any]) -> npt.NDArray[np.int64]:
    """Return the hashes of session ids."""
    out = np.empty(len(ids), dtype=np.int64)
    hash_array(ids, out)
    return out


def find_ends(source: Source) -> Ends:
    """Find the first and the last event of each session in one pass over two columns.

    Raises:
        DisorderError: within some session the rows are not in event_order.
    """
    size = (source.rows + 7) >> 3
    ends = Ends(np.zeros(size, np.uint8), np.zeros(size, np.uint8))
    # The fold checks the order itself; here it is only found out before anything is given away.
    checked = not source.canonical
    table = _table(1 << 16, checked)
    begin = used = 0
    for batch in ahead(source.batches(("session_id", "event_order")[: 1 + checked])):
        keys = table[0]
        if (used + batch.num_rows) * 2 > keys.size:
            need = 4 * max(used + batch.num_rows, keys.size // 2)
            larger = _table(1 << (need - 1).bit_length(), checked)
            move_ends(*table, *larger)
            table = larger
        hashes = session_hashes(batch.column(0))
        orders = batch.column(1).cast(pa.int64()).to_numpy() if checked else _NO_ORDER
        used = mark_ends(begin, used, hashes, orders, *table, ends.first, ends.last)
        if used < 0:
            raise DisorderError
        begin += batch.num_rows
    return ends


def ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the batches, each decoded while the one before is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="cartcast-read") as reader:
        coming = reader.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, batches, None)
            yield batch


_NO_ORDER = np.empty(0, np.int64)


def _table(size: int, checked: bool) -> tuple[Words, Words, Words]:
    seen = np.empty(size if checked else 0, np.int64)
    return np.empty(size, np.int64), np.full(size, -1, np.int64), seen


class Past:
    """Visitors' histories while a log is read in order; see `features.visitor`."""

    def __init__(self, event_types: tuple[str, ...]) -> None:
        self.kinds = np.array([hash_text(t) for t in event_types], dtype=np.int64)
        self._used = 0
        self._keys = np.full(1 << 12, NOTHING, np.int64)
        self._rows = np.empty((1 << 12, 2 + len(event_types)), np.int64)

    def read(
        self,
        visitors: npt.NDArray[np.int64],
        first: npt.NDArray[np.uint8],
        now: npt.NDArray[np.int64],
        types: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float64]:
        """Return, by event, (earlier sessions, days since, a count per event type) as rows."""
        out = np.empty((2 + len(self.kinds), len(visitors)))
        reached = 0
        while True:
            reached, self._used = remember(
                reached, self._used, visitors, first, now, types, self.kinds,
                self._keys, self._rows, out,
            )  # fmt: skip
            if reached == len(visitors):
                return out
            keys = np.full(self._keys.size * 2, NOTHING, np.int64)
            rows = np.empty((self._keys.size * 2, self._rows.shape[1]), np.int64)
            regrow(self._keys, self._rows, keys, rows)
            self._keys, self._rows = keys, rows


def sorted_copy(source: Source, folder: Path, memory: int | None, threads: int) -> Path:
    """Write the log in the order that a fold needs, spilling to `folder`; return the file.

    By time where the source has a calendar, else by session; ties by event_order, then as read.
    """
    from cartcast.events.engine import connect

    out = folder / "sorted.parquet"
    calendar = source.clock in ("time", "day")
    order = "event_time, event_order" if calendar else "session_id, event_order"
    with connect(folder, memory) as con:
        con.execute(f"SET threads = {threads}")
        if isinstance(source.data, Path):
            con.execute(
                "CREATE VIEW log AS SELECT *, row_number() OVER () AS __row FROM "
                f"read_parquet('{str(source.data).replace(chr(39), chr(39) * 2)}')"
            )
        else:
            assert isinstance(source.data, pa.Table)
            numbered = source.data.append_column("__row", pa.array(range(source.rows), pa.int64()))
            con.register("log", numbered)
        con.execute(
            f"COPY (SELECT * EXCLUDE (__row) FROM log ORDER BY {order}, __row) "
            f"TO '{str(out).replace(chr(39), chr(39) * 2)}' (FORMAT parquet)"
        )
    return out
