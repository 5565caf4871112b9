# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""XXH64 of many texts at once, straight from an Arrow string column's buffers.

Equal to `words.hash_text`, which the live path uses; a test compares them at every length.
Specification: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md. Words are read as
they lie in memory, so the machine must be little-endian, as all that Numba runs on are.
"""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.compiled import inlined, inner, kernel
from cartcast.features.kernels.layout import H_DATA, H_N, H_OFFSETS, H_OUT, H_WIDE
from cartcast.features.kernels.memory import byte, loose_code, loose_word, set_word, word
from cartcast.features.kernels.words import NOTHING

__all__ = ["hash_column"]

_P1 = np.uint64(11400714785074694791)
_P2 = np.uint64(14029467366897019727)
_P3 = np.uint64(1609587929392839161)
_P4 = np.uint64(9650029242287828579)
_P5 = np.uint64(2870177450012600261)


@inlined
def _rotate(x, bits):
    return (x << bits) | (x >> (np.uint64(64) - bits))


@inlined
def _round(lane, value):
    return _rotate(lane + value * _P2, np.uint64(31)) * _P1


@inner
def _long(at, end):
    """Mix the whole stripes of 32 bytes."""
    zero = np.uint64(0)
    v1, v2, v3, v4 = _P1 + _P2, _P2 + zero, zero, zero - _P1
    while end - at >= 32:
        v1 = _round(v1, loose_word(at, 0))
        v2 = _round(v2, loose_word(at, 1))
        v3 = _round(v3, loose_word(at, 2))
        v4 = _round(v4, loose_word(at, 3))
        at += 32
    total = _rotate(v1, np.uint64(1)) + _rotate(v2, np.uint64(7))
    total += _rotate(v3, np.uint64(12)) + _rotate(v4, np.uint64(18))
    for lane in (v1, v2, v3, v4):
        total = (total ^ _round(zero, lane)) * _P1 + _P4
    return total


@inlined
def _hash(begin, end):
    at, length = begin, end - begin
    total = _P5
    if length >= 32:
        total = _long(at, end)
        at += length & ~31
    total += np.uint64(length)
    while end - at >= 8:
        value = _round(np.uint64(0), loose_word(at, 0))
        total = _rotate(total ^ value, np.uint64(27)) * _P1 + _P4
        at += 8
    if end - at >= 4:
        value = np.uint64(loose_code(at, 0)) * _P1
        total = _rotate(total ^ value, np.uint64(23)) * _P2 + _P3
        at += 4
    while at < end:
        total = _rotate(total ^ (np.uint64(byte(at, 0)) * _P5), np.uint64(11)) * _P1
        at += 1
    total = (total ^ (total >> np.uint64(33))) * _P2
    total = (total ^ (total >> np.uint64(29))) * _P3
    return np.int64(total ^ (total >> np.uint64(32)))


@kernel
def hash_column(work):
    """Hash texts into words; none of them becomes NOTHING.

    Text i is the bytes from offset i to offset i + 1 of the letters; offsets are uint32, or int64
    where wide.
    """
    w = np.int64(work.ctypes.data)
    offsets, wide, data, out = word(w, H_OFFSETS), word(w, H_WIDE), word(w, H_DATA), word(w, H_OUT)
    begin = word(offsets, 0) if wide else np.int64(loose_code(offsets, 0))
    for i in range(word(w, H_N)):
        end = word(offsets, i + 1) if wide else np.int64(loose_code(offsets, i + 1))
        found = _hash(data + begin, data + end)
        set_word(out, i, found if found != NOTHING else NOTHING + 1)
        begin = end
