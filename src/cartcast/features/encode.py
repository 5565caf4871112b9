"""Arrow columns to the words that kernels read: hashes of texts, float64, microseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cartcast.errors import DataError
from cartcast.events.schema import Clock
from cartcast.features.build import Input
from cartcast.features.kernels import layout as k
from cartcast.features.kernels.hashing import hash_column
from cartcast.features.kernels.output import codes_of, fill_codes
from cartcast.features.kernels.words import NOTHING, NULL, bits
from cartcast.features.kernels.work import Work
from cartcast.features.shop_clock import MINUTE, SHOP_TIME

__all__ = [
    "Members",
    "Texts",
    "Vocabulary",
    "clock_columns",
    "encode_column",
    "encode_input",
    "needed_columns",
]

Words = npt.NDArray[np.int64]

MOST_SECONDS = 9e12
"""What microseconds can hold, 285,000 years."""


def as_buffer(words: Any) -> pa.Buffer:
    """Return a NumPy array as an Arrow buffer, without a copy."""
    return pa.py_buffer(words)


class Vocabulary:
    """Texts by hash, for the columns whose texts come out again."""

    def __init__(self) -> None:
        self._words: dict[int, None] = {}
        self._texts: list[str] = []
        self._fill()

    def _fill(self) -> None:
        size = max(16, 1 << (2 * len(self._words)).bit_length())
        keys, codes = np.full(size, NOTHING, np.int64), np.zeros(size, np.int32)
        words = np.fromiter(self._words, dtype=np.int64, count=len(self._words))
        work = _vocabulary(words, keys, codes)
        fill_codes(work.words)
        # Replaced as a whole: one thread learns from the next batch while another decodes.
        self._tables = keys, codes, pa.array(self._texts, pa.string())

    def learn(self, texts: pa.Array[Any], hashes: Words) -> None:
        """Add the texts of a dictionary."""
        new = [j for j, word in enumerate(hashes.tolist()) if word not in self._words]
        for j in new:
            text = texts[j].as_py()
            if text is not None and int(hashes[j]) not in self._words:
                self._words[int(hashes[j])] = None
                self._texts.append(text)
        if new:
            self._fill()

    def decode(self, words: Words) -> pa.DictionaryArray[Any, Any]:
        """Return the texts of hashes, null for `NOTHING`."""
        keys, known, dictionary = self._tables
        codes = np.empty(len(words), np.int32)
        work = _vocabulary(words, keys, known)
        work.point(k.W_OUT, codes)
        nulls = codes_of(work.words)
        bits = np.packbits(codes >= 0, bitorder="little") if nulls else None
        buffers = [None if bits is None else as_buffer(bits), as_buffer(codes)]
        indices = pa.Array.from_buffers(pa.int32(), len(words), buffers, nulls)
        return pa.DictionaryArray.from_arrays(indices, dictionary)


def _vocabulary(words: Words, keys: Words, codes: npt.NDArray[np.int32]) -> Work:
    work = Work(k.VOCABULARY)
    work.point(k.W_WORDS, words)
    work.point(k.W_KEYS, keys)
    work.point(k.W_CODES, codes)
    work.words[[k.W_N, k.W_SIZE]] = len(words), len(keys)
    return work


class Members:
    """Small codes for the first 256 texts of a column, so that a set of them is 256 bits.

    Within one replay a text has one code or, past 256 texts, its hash; either way the words of
    two texts differ, and nothing but their number comes out.
    """

    def __init__(self) -> None:
        self._words = np.empty(0, np.int64)
        self._codes = np.empty(0, np.int64)

    def encode(self, hashes: Words) -> Words:
        """Return the words of some texts' hashes."""
        room = 256 - len(self._words)
        if room:
            new = np.setdiff1d(hashes[hashes != NOTHING], self._words)[:room]
            words = np.concatenate([self._words, new])
            codes = np.concatenate([self._codes, np.arange(len(self._words), len(words))])
            order = np.argsort(words)
            self._words, self._codes = words[order], codes[order]
        if len(self._words) == 0:
            return hashes
        at = np.searchsorted(self._words, hashes)
        at[at == len(self._words)] = 0
        return np.where(self._words[at] == hashes, self._codes[at], hashes)


def hash_array(texts: pa.Array[Any], out: Words) -> None:
    """Write the hashes of a string (or dictionary) array into `out`; null becomes `NOTHING`."""
    if pa.types.is_dictionary(texts.type):
        codes, table = Texts().codes(texts)
        np.take(table, codes, out=out, mode="clip")
        return
    if pa.types.is_null(texts.type):
        out[:] = NOTHING
        return
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        texts = texts.cast(pa.string())
    if len(texts) == 0:
        return
    wide = bool(pa.types.is_large_string(texts.type))
    buffers: Any = texts.buffers()
    work = Work(k.HASH)
    work.point(k.H_OFFSETS, buffers[1], first=(8 if wide else 4) * texts.offset)
    work.point(k.H_DATA, buffers[2])
    work.point(k.H_OUT, out)
    work.words[[k.H_WIDE, k.H_N]] = wide, len(texts)
    hash_column(work.words)
    if texts.null_count:
        out[texts.is_null().to_numpy(zero_copy_only=False)] = NOTHING


class Texts:
    """A text column as codes and the word of each code, batch after batch.

    Batches of one row group share their dictionary, which is then hashed once.
    """

    def __init__(
        self, vocabulary: Vocabulary | None = None, members: Members | None = None
    ) -> None:
        self.vocabulary = vocabulary
        self._members = members
        self._latest: pa.Array[Any] | None = None
        self._table = np.empty(0, np.int64)

    def codes(self, column: Any) -> tuple[npt.NDArray[np.int32], Words]:
        """Return the codes of a dictionary column and the word of each code; null has the last."""
        texts = column.dictionary
        if self._latest is None or not self._latest.equals(texts):
            table = np.empty(len(texts) + 1, dtype=np.int64)
            hash_array(texts, table[:-1])
            table[-1] = NOTHING
            if self.vocabulary is not None:
                self.vocabulary.learn(texts, table[:-1])
            if self._members is not None:
                table[:-1] = self._members.encode(table[:-1])
            self._latest, self._table = texts, table
        indices = column.indices.cast(pa.int32())
        if indices.null_count:
            indices = indices.fill_null(len(texts))
        codes = indices.to_numpy()
        # Arrow does not look at what another library hands over; the kernels would read elsewhere.
        if len(codes) and not 0 <= codes.min() <= codes.max() <= len(texts):
            raise DataError("a dictionary column has indices beyond its dictionary.")
        return codes, self._table


def _number(column: pa.Array[Any]) -> npt.NDArray[np.float64]:
    if not pa.types.is_float64(column.type):
        column = column.cast(pa.float64())
    return np.ascontiguousarray(column.to_numpy(zero_copy_only=False))


def _time(column: pa.Array[Any]) -> Words:
    if pa.types.is_null(column.type):
        return np.full(len(column), NOTHING)
    whole = column.cast(pa.timestamp("us")).view(pa.int64())
    return (whole.fill_null(NOTHING) if whole.null_count else whole).to_numpy()


def _is_text(held: pa.DataType) -> bool:
    return bool(
        pa.types.is_dictionary(held)
        or pa.types.is_string(held)
        or pa.types.is_large_string(held)
        or pa.types.is_string_view(held)
    )


def encode_input(
    column: pa.Array[Any], kind: str, texts: Texts
) -> tuple[npt.NDArray[Any], Words | None]:
    """Return a column as words, or as codes (int32) and the word of each."""
    if kind in ("text", "member") or (kind == "key" and _is_text(column.type)):
        if texts.vocabulary is not None and not pa.types.is_dictionary(column.type):
            column = column.cast(pa.string()).dictionary_encode()
        if pa.types.is_dictionary(column.type):
            return texts.codes(column)
    return encode_column(column, kind), None


def encode_column(column: pa.Array[Any], kind: str) -> npt.NDArray[Any]:
    """Return a column as words; numbers as they are."""
    if kind == "time":
        return _time(column)
    if kind == "order":
        return column.cast(pa.int64()).to_numpy()
    if kind in ("text", "member") or (kind == "key" and _is_text(column.type)):
        out = np.empty(len(column), np.int64)
        hash_array(column, out)
        return out
    numbers = _number(column)
    if kind == "number":
        return numbers
    words = (numbers + 0.0).view(np.int64)  # minus zero becomes zero
    words[np.isnan(numbers)] = NOTHING
    return words


def clock_columns(clock: Clock) -> dict[str, str | None]:
    """Return the log's column behind each time input; None where the clock cannot tell.

    `SHOP_TIME` stands for `event_time` by the shop's clock.

    >>> clock_columns("day")
    {'@now': None, '@date': '@shop_time', '@clock': None}
    """
    timed = clock == "time"
    return {
        "@now": "session_seconds" if clock == "session" else "event_time" if timed else None,
        "@date": SHOP_TIME if clock in ("time", "day") else None,
        "@clock": SHOP_TIME if timed else None,
    }


def encode_clock(batch: pa.RecordBatch, name: str) -> Words | None:
    """Return a time input in microseconds; None where the batch has no column for it."""
    if name == SHOP_TIME:
        if "event_time" not in batch.schema.names:
            return None
        return _shop_time(batch)
    if name not in batch.schema.names:
        return None
    if name == "event_time":
        return _time(batch.column(name))
    seconds = batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
    null = np.isnan(seconds)
    if np.any(np.abs(seconds[~null]) >= MOST_SECONDS):
        raise DataError(f"session_seconds: must be below {MOST_SECONDS:.0f} seconds.")
    out = np.rint(np.where(null, 0.0, seconds) * 1e6).astype(np.int64)
    out[null] = NOTHING
    return out


def _shop_time(batch: pa.RecordBatch) -> Words:
    """Return `event_time` by the shop's clock; without an offset it is UTC."""
    times = _time(batch.column("event_time"))
    if "utc_offset" not in batch.schema.names:
        return times
    ahead = np.nan_to_num(_number(batch.column("utc_offset"))) * MINUTE
    if np.any(np.abs(ahead) >= MOST_SECONDS * 1e6):
        raise DataError("utc_offset: must be minutes east of UTC.")
    return np.where(times == NOTHING, NOTHING, times + np.rint(ahead).astype(np.int64))


def needed_columns(
    inputs: Sequence[Input],
    clock: Clock,
    history: bool,
    keys: Sequence[str] = ("session_id", "event_order"),
) -> list[str]:
    """Return the columns of the log that a pass must read, keys first.

    `history` says whether the visitors' past must be worked out in this pass.
    """
    columns = list(keys)
    clocks = clock_columns(clock)
    for wanted in inputs:
        column = clocks.get(wanted.name) if wanted.name.startswith("@") else wanted.name
        if column == SHOP_TIME:
            columns += ["event_time", "utc_offset"]
        elif column is not None:
            columns.append(column)
    if history:
        columns += ["visitor_id", "event_time", "event_type"]
    return list(dict.fromkeys(columns))


def null_word(kind: str) -> int:
    """Return the word of a null."""
    return bits(NULL) if kind == "number" else NOTHING
