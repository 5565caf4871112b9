"""A session's feature states as few bytes, compiled: most of their words are short or nothing.

A word is a tag, `zero bytes below << 4 | bytes that follow`, and those bytes; tag 0 is followed by
a count of words that are 0, or `NOTHING` when 128 is added. Words of a state are written as what
differs from the state before the first event. Imported late, like `kernels`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from cartcast.features.kernels.words import NOTHING

__all__ = ["pack_states", "unpack_states"]

_RUN = 127
_EIGHT = np.uint64(8)
_BYTE = np.uint64(255)


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _word(words: Any, init: Any, k: int) -> Any:
    return words[k] ^ init[k] if k < init.size else words[k]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _put(words: Any, count: int, init: Any, out: Any, at: int) -> int:
    k = 0
    while k < count:
        value = _word(words, init, k)
        k += 1
        if value == 0 or value == NOTHING:
            same = 1
            while k < count and same < _RUN and _word(words, init, k) == value:
                same += 1
                k += 1
            out[at] = 0
            out[at + 1] = same if value == 0 else same | 128
            at += 2
            continue
        left = np.uint64(value)
        low = 0
        while left & _BYTE == 0:
            left >>= _EIGHT
            low += 1
        place = at
        while left != 0:
            place += 1
            out[place] = left & _BYTE
            left >>= _EIGHT
        out[at] = low << 4 | (place - at)
        at = place + 1
    return at


@njit(cache=True)  # type: ignore[untyped-decorator]
def _take(words: Any, count: int, init: Any, data: Any, at: int) -> int:
    k = 0
    while k < count:
        tag = np.int64(data[at])
        at += 1
        if tag == 0:
            same = np.int64(data[at])
            at += 1
            value = np.int64(0)
            if same > _RUN:
                value, same = np.int64(NOTHING), same - 128
            for _ in range(same):
                words[k] = value ^ init[k] if k < init.size else value
                k += 1
            continue
        found, shift = np.uint64(0), np.uint64((tag >> 4) * 8)
        for _ in range(tag & 15):
            found |= np.uint64(data[at]) << shift
            shift += _EIGHT
            at += 1
        value = np.int64(found)
        words[k] = value ^ init[k] if k < init.size else value
        k += 1
    return at


@njit(cache=True)  # type: ignore[untyped-decorator]
def _put_size(size: int, out: Any, at: int) -> None:
    for k in range(4):
        out[at + k] = (size >> (8 * k)) & 255


@njit(cache=True)  # type: ignore[untyped-decorator]
def _size(data: Any, at: int) -> int:
    size = 0
    for k in range(4):
        size |= np.int64(data[at + k]) << (8 * k)
    return size


@njit(cache=True)  # type: ignore[untyped-decorator]
def pack_states(words: Any, pool: Any, init: Any, words_2: Any, pool_2: Any, init_2: Any,
                out: Any) -> int:  # fmt: skip
    """Write two states, the second of which may have no words; return how many bytes that took.

    `out` has room for nine bytes a word, and eight.
    """
    _put_size(pool[0], out, 0)
    _put_size(pool_2[0], out, 4)
    at = _put(words, words.size, init, out, 8)
    at = _put(pool, pool[0], init[:0], out, at)
    at = _put(words_2, words_2.size, init_2, out, at)
    return _put(pool_2, pool_2[0], init[:0], out, at)


@njit(cache=True)  # type: ignore[untyped-decorator]
def unpack_states(data: Any, words: Any, pool: Any, init: Any, words_2: Any, pool_2: Any,
                  init_2: Any) -> int:  # fmt: skip
    """Read what `pack_states` wrote, without the second state where it has no words here.

    Return 0, or, nothing read, how large the pools must be.
    """
    used, used_2 = _size(data, 0), _size(data, 4)
    if used > pool.size or (words_2.size and used_2 > pool_2.size):
        return max(used, used_2)
    at = _take(words, words.size, init, data, 8)
    at = _take(pool, used, init[:0], data, at)
    if words_2.size:
        at = _take(words_2, words_2.size, init_2, data, at)
        _take(pool_2, used_2, init[:0], data, at)
    return 0
