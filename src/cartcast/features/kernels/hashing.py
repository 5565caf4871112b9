# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""XXH64 of many texts at once, straight from an Arrow string column's buffers.

Equal to `words.hash_text`, which the live path uses; a test compares them at every length.
Specification: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md.
"""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.compiled import inlined, inner, kernel
from cartcast.features.kernels.words import NOTHING

__all__ = ["hash_column"]

_P1 = np.uint64(11400714785074694791)
_P2 = np.uint64(14029467366897019727)
_P3 = np.uint64(1609587929392839161)
_P4 = np.uint64(9650029242287828579)
_P5 = np.uint64(2870177450012600261)


@inlined
def _rotate(x, bits):
    return (x << np.uint64(bits)) | (x >> np.uint64(64 - bits))


@inlined
def _read(data, at, count):
    word = np.uint64(0)
    for k in range(count):
        word |= np.uint64(data[at + k]) << np.uint64(8 * k)
    return word


@inlined
def _round(lane, word):
    return _rotate(lane + word * _P2, 31) * _P1


@inlined
def _merge(total, lane):
    return (total ^ _round(np.uint64(0), lane)) * _P1 + _P4


@inner
def _hash(data, begin, end):
    at = begin
    if end - begin >= 32:
        v1, v2, v3, v4 = _P1 + _P2, _P2, np.uint64(0), np.uint64(0) - _P1
        while end - at >= 32:
            v1 = _round(v1, _read(data, at, 8))
            v2 = _round(v2, _read(data, at + 8, 8))
            v3 = _round(v3, _read(data, at + 16, 8))
            v4 = _round(v4, _read(data, at + 24, 8))
            at += 32
        total = _rotate(v1, 1) + _rotate(v2, 7) + _rotate(v3, 12) + _rotate(v4, 18)
        total = _merge(_merge(_merge(_merge(total, v1), v2), v3), v4)
    else:
        total = _P5
    total += np.uint64(end - begin)
    while end - at >= 8:
        total = _rotate(total ^ _round(np.uint64(0), _read(data, at, 8)), 27) * _P1 + _P4
        at += 8
    if end - at >= 4:
        total = _rotate(total ^ (_read(data, at, 4) * _P1), 23) * _P2 + _P3
        at += 4
    while at < end:
        total = _rotate(total ^ (np.uint64(data[at]) * _P5), 11) * _P1
        at += 1
    total = (total ^ (total >> np.uint64(33))) * _P2
    total = (total ^ (total >> np.uint64(29))) * _P3
    return np.int64(total ^ (total >> np.uint64(32)))


@kernel
def hash_column(offsets, data, out):
    """Hash the texts data[offsets[i]:offsets[i + 1]] into `out`; none of them becomes NOTHING."""
    for i in range(out.size):
        word = _hash(data, np.int64(offsets[i]), np.int64(offsets[i + 1]))
        out[i] = word if word != NOTHING else NOTHING + 1
