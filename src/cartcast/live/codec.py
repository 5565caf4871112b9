"""A session's feature states as few bytes, compiled: most words are short, or were there before.

Words are written one after another, each as a tag and what follows it:

- 0: a count; the word before comes that many times again;
- 9: a distance; the word that many words back;
- else `zero bytes below << 4 | bytes that follow`, and those bytes (16 is a zero).

Imported late, like `kernels`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from cartcast.features.kernels.layout import POOL_HEAD

__all__ = ["EMPTY", "PACK", "UNPACK", "exchange", "pack_states", "unpack_states"]

PACK, UNPACK, EMPTY = 1, 2, 4
_FARTHEST = 255
_ZERO, _BACK = 16, 9
_EIGHT = np.uint64(8)
_BYTE = np.uint64(255)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_TOP = np.uint64(56)
_POOL_HEAD = int(POOL_HEAD)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _put_words(words: Any, out: Any, at: int) -> Any:
    latest = np.zeros(256, np.int32)
    before, k, count = np.int64(0), 0, words.size
    while k < count:
        value = words[k]
        if value == before:
            same = 1
            while k + same < count and same < _FARTHEST and words[k + same] == value:
                same += 1
            out[at], out[at + 1] = 0, same
            at += 2
            k += same
            continue
        before = value
        k += 1
        if value == 0:
            out[at] = _ZERO
            at += 1
            continue
        left, low, place = np.uint64(value), 0, at
        while left & _BYTE == 0:
            left >>= _EIGHT
            low += 1
        while left != 0:
            place += 1
            out[place] = left & _BYTE
            left >>= _EIGHT
        slot = np.int64((np.uint64(value) * _GOLDEN) >> _TOP)
        known = latest[slot]
        latest[slot] = k
        if known and k - known <= _FARTHEST and place > at + 1 and words[known - 1] == value:
            out[at], out[at + 1] = _BACK, k - known
            at += 2
        else:
            out[at] = low << 4 | (place - at)
            at = place + 1
    return at


@njit(cache=True)  # type: ignore[untyped-decorator]
def _take_words(words: Any, data: Any, at: int) -> None:
    before, k = np.int64(0), 0
    while k < words.size:
        tag = np.int64(data[at])
        at += 1
        if tag == 0:
            for _ in range(data[at]):
                words[k] = before
                k += 1
            at += 1
            continue
        if tag == _BACK:
            before = words[k - data[at]]
            at += 1
        else:
            found, shift = np.uint64(0), np.uint64((tag >> 4) * 8)
            for _ in range(tag & 15):
                found |= np.uint64(data[at]) << shift
                shift += _EIGHT
                at += 1
            before = np.int64(found)
        words[k] = before
        k += 1


@njit(cache=True)  # type: ignore[untyped-decorator]
def pack_states(words: Any, pool: Any, words_2: Any, pool_2: Any, out: Any) -> Any:
    """Write two states, the second of which may have no words; return how many bytes that took.

    Return -1, and write nothing, where `out` has no room for nine bytes a word, and eight.
    """
    used, used_2, first = pool[0], pool_2[0], words.size + pool[0]
    count = first + words_2.size + used_2
    if count * 9 + 8 > out.size:
        return -1
    for k in range(4):
        out[k], out[4 + k] = (used >> (8 * k)) & 255, (used_2 >> (8 * k)) & 255
    whole = np.empty(count, np.int64)
    whole[: words.size] = words
    whole[words.size : first] = pool[:used]
    whole[first : first + words_2.size] = words_2
    whole[first + words_2.size :] = pool_2[:used_2]
    return _put_words(whole, out, 8)


@njit(cache=True)  # type: ignore[untyped-decorator]
def unpack_states(data: Any, words: Any, pool: Any, words_2: Any, pool_2: Any) -> Any:
    """Read what `pack_states` wrote, without the second state where it has no words here.

    Return 0, or, nothing read, how large the pools must be.
    """
    used: Any = 0
    used_2: Any = 0
    for k in range(4):
        used |= np.int64(data[k]) << (8 * k)
        used_2 |= np.int64(data[4 + k]) << (8 * k)
    if not words_2.size:
        used_2 = 0
    if used > pool.size or used_2 > pool_2.size:
        return max(used, used_2)
    first = words.size + used
    whole = np.empty(first + words_2.size + used_2, np.int64)
    _take_words(whole, data, 8)
    words[:] = whole[: words.size]
    pool[:used] = whole[words.size : first]
    words_2[:] = whole[first : first + words_2.size]
    pool_2[:used_2] = whole[first + words_2.size :]
    return 0


@njit(cache=True)  # type: ignore[untyped-decorator]
def exchange(words: Any, pool: Any, init: Any, words_2: Any, pool_2: Any, init_2: Any,
             data: Any, out: Any, wanted: int) -> Any:  # fmt: skip
    """Write the states to `out` (`PACK`), then read others (`UNPACK`), or begin (`EMPTY`).

    Return the bytes written (-1: no room, and nothing else was done), and `need << 32` where the
    pools must first be that large.
    """
    size: Any = 0
    if wanted & PACK:
        size = pack_states(words, pool, words_2, pool_2, out)
        if size < 0:
            return size
    if wanted & UNPACK:
        return size | unpack_states(data, words, pool, words_2, pool_2) << 32
    if wanted & EMPTY:
        words[:] = init
        words_2[:] = init_2
        pool[:_POOL_HEAD] = 0
        pool[0] = _POOL_HEAD
        if words_2.size:
            pool_2[:_POOL_HEAD] = 0
            pool_2[0] = _POOL_HEAD
    return size
