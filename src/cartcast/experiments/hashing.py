"""The hash that assigns: FNV-1a (32 bits) over UTF-16 code units, as browsers see a text.

The same id gives the same bucket here, in SQL, and in GrowthBook's SDKs, whose published cases
are tested. Python's characters and UTF-8 bytes would differ from theirs for emoji and accents.
Source: https://docs.growthbook.io/lib/build-your-own, http://www.isthe.com/chongo/tech/comp/fnv/.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import DataError, UsageError

__all__ = ["BUCKETS", "bucket", "bucket_sql", "buckets", "id_column"]

_START = 0x811C9DC5
_PRIME = 0x01000193
_MASK = 0xFFFFFFFF
BUCKETS = {1: 1_000, 2: 10_000}
"""How finely each version divides the units."""


def _units(text: str) -> NDArray[np.uint16]:
    return np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype="<u2")


def _fnv(text: str, state: int = _START) -> int:
    if text.isascii():
        for byte in text.encode():
            state = (state ^ byte) * _PRIME & _MASK
        return state
    for unit in _units(text).tolist():
        state = (state ^ unit) * _PRIME & _MASK
    return state


_seed_state = lru_cache(maxsize=1024)(_fnv)
"""The hash after a seed: every id of an experiment continues from there."""


def _check(version: int) -> None:
    if version not in BUCKETS:
        raise UsageError(f"hash version must be 1 or 2, got {version!r}.")


def bucket(seed: str, unit: str, version: int = 2) -> float:
    """Return the bucket of `unit`, from 0 to 1 exclusive, in steps of 1/10,000.

    Version 2 hashes twice with the seed in front, so that experiments are independent of each
    other; version 1 (steps of 1/1,000) is biased between experiments and read only for layers and
    for experiments that were started elsewhere.

    Raises:
        UsageError: no such version.

    >>> bucket("seed", "a"), bucket("", "a", version=1)
    (0.0505, 0.22)
    """
    _check(version)
    h = _fnv(unit + seed) if version == 1 else _fnv(str(_fnv(unit, _seed_state(seed))))
    return h % BUCKETS[version] / BUCKETS[version]


def id_column(units: Any) -> Any:
    """Return ids as one Arrow string array; whole numbers become their digits.

    Raises:
        DataError: the ids are neither texts nor whole numbers.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        column: Any = units if isinstance(units, pa.Array | pa.ChunkedArray) else pa.array(units)
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if not (
            pa.types.is_string(column.type)
            or pa.types.is_large_string(column.type)
            or pa.types.is_integer(column.type)
            or pa.types.is_null(column.type)
        ):
            raise DataError(f"unit ids must be texts or whole numbers, got {column.type}.")
        return pc.cast(column, pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
        raise DataError(f"unit ids must be texts or whole numbers: {error}.") from error


def buckets(seed: str, units: Any, version: int = 2) -> NDArray[np.float64]:
    """Return the bucket of each unit, shape (n,); NaN for a null or empty id.

    `units` is an Arrow column or anything that makes one. Compiled: tens of nanoseconds a unit.

    Raises:
        UsageError: no such version.
        DataError: the ids are neither texts nor whole numbers.

    >>> buckets("seed", ["a", "b", None, ""]).tolist()
    [0.0505, 0.2696, nan, nan]
    """
    from cartcast.experiments.kernels import hash_texts

    _check(version)
    column = id_column(units)
    _, offset_buffer, text_buffer = column.buffers()
    offsets = np.zeros(len(column) + 1, dtype=np.int64)
    if offset_buffer is not None and len(column):
        offsets = np.frombuffer(offset_buffer, np.int64)[column.offset :][: len(column) + 1]
    data = np.frombuffer(text_buffer or b"\0", np.uint8)
    hashed = np.empty(len(column), dtype=np.int64)
    if version == 2:
        hash_texts(data, offsets, _seed_state(seed), _units(""), True, _START, hashed)
    else:
        hash_texts(data, offsets, _START, _units(seed), False, _START, hashed)
    out = hashed % BUCKETS[version] / BUCKETS[version]
    empty = np.diff(offsets) == 0
    if column.null_count:
        empty |= column.is_null().to_numpy(zero_copy_only=False)
    out[empty] = np.nan
    return out


def bucket_sql(seed: str, column: str, version: int = 2) -> str:
    """Return a DuckDB expression for the bucket of the text expression `column`; null for ''.

    >>> import duckdb
    >>> duckdb.sql("SELECT " + bucket_sql("seed", "'a'")).fetchone()
    (0.0505,)
    """
    _check(version)
    text = f"nullif(CAST({column} AS VARCHAR), '')"
    if version == 1:
        tail = ", ".join(str(u) for u in _units(seed).tolist())
        h = _fold_sql(_START, f"({_units_sql(text)} || CAST([{tail}] AS UBIGINT[]))")
    else:
        first = _fold_sql(_seed_state(seed), _units_sql(text))
        h = _fold_sql(_START, _units_sql(f"CAST({first} AS VARCHAR)"))
    return f"({h} % {BUCKETS[version]}) / {BUCKETS[version]}.0"


def _units_sql(text: str) -> str:
    point = "CAST(unicode(c) AS UBIGINT)"
    high, low = f"55232 + ({point} >> 10)", f"56320 + ({point} & 1023)"
    return (
        f"flatten(list_transform(string_split({text}, ''), lambda c: "
        f"CASE WHEN unicode(c) < 65536 THEN [{point}] ELSE [{high}, {low}] END))"
    )


def _fold_sql(state: int, units: str) -> str:
    # `||` keeps null null; list_concat would drop it.
    return (
        f"list_reduce([{state}::UBIGINT] || {units}, lambda h, u: (xor(h, u) * {_PRIME}) & {_MASK})"
    )
