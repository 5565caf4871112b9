# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Reductions whose state grows with what they see; their blocks lie in the pool."""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.block import MASK, OFFSET, OUT, WHOLE, A
from cartcast.features.kernels.compiled import inlined, inner
from cartcast.features.kernels.pool import allocate, find, release, room
from cartcast.features.kernels.words import NOTHING

__all__ = ["mode", "unique", "within"]

_INLINE = 4  # different values kept in the state itself, before a block is taken


@inner
def _spill(b, s):
    """Move the inline values of a set at state `s` to the pool; false when there is no room."""
    reference = room(b.pool, 0, 0, 0)
    if reference == 0:
        return False
    for k in range(_INLINE):
        key = b.st_i[s + 3 + k]
        b.pool[find(b.pool, reference, key, 0)] = key
    b.st_i[s + 1] = reference
    return True


@inner
def _insert(b, s, key):
    """Add a key to the set at state `s`; return 1 if it is new, 0 if not, -1 without room."""
    size = b.st_i[s + 2]
    if b.st_i[s + 1] == 0:
        for at in range(size):
            if b.st_i[s + 3 + at] == key:
                return 0
        if size < _INLINE:
            b.st_i[s + 3 + size] = key
            b.st_i[s + 2] = size + 1
            return 1
        if not _spill(b, s):
            return -1
    here = find(b.pool, b.st_i[s + 1], key, 0)
    if b.pool[here] == key:
        return 0
    reference = room(b.pool, b.st_i[s + 1], size, 0)
    if reference == 0:
        return -1
    if reference != b.st_i[s + 1]:
        b.st_i[s + 1] = reference
        here = find(b.pool, reference, key, 0)
    b.pool[here] = key
    b.st_i[s + 2] = size + 1
    return 1


@inlined
def unique(k, start, n, b):
    """Count different values.

    Keys from 0 to 255 are the codes of a small alphabet (`encode.Members`), a bit each; others
    are hashes: up to four inline, then an open-addressed set in the pool.
    """
    out, mask, offset = b.ops_i[k, OUT] * b.size, b.ops_i[k, MASK] * b.size, b.ops_i[k, OFFSET]
    a = b.ops_i[k, A] * b.size
    for j in range(start, n):
        s = b.slot[j] + offset
        key = b.ev_i[a + j]
        if b.mk[mask + j]:
            if 0 <= key < 256:
                word = s + 7 + (key >> 6)
                before = b.st_i[word]
                b.st_i[word] = before | (1 << (key & 63))
                b.st_i[s] += 1 - ((before >> (key & 63)) & 1)
            elif key != NOTHING:
                new = _insert(b, s, key)
                if new < 0:
                    return j
                b.st_i[s] += new
        if b.emit[j] >= 0:
            b.rg_f[out + b.emit[j]] = b.st_i[s]
    return n


@inlined
def mode(k, start, n, b):
    """Keep the most frequent value; of equals, the one that reached the count first."""
    out, mask, offset = b.ops_i[k, OUT] * b.size, b.ops_i[k, MASK] * b.size, b.ops_i[k, OFFSET]
    a = b.ops_i[k, A] * b.size
    for j in range(start, n):
        s = b.slot[j] + offset
        key = b.ev_i[a + j]
        if b.mk[mask + j] and key != NOTHING:
            reference = room(b.pool, b.st_i[s + 2], b.st_i[s + 3], 1)
            if reference == 0:
                return j
            b.st_i[s + 2] = reference
            here = find(b.pool, reference, key, 1)
            if b.pool[here] == NOTHING:
                b.pool[here] = key
                b.pool[here + 1] = 0
                b.st_i[s + 3] += 1
            count = b.pool[here + 1] + 1
            b.pool[here + 1] = count
            if count > b.st_i[s + 1]:
                b.st_i[s] = key
                b.st_i[s + 1] = count
        if b.emit[j] >= 0:
            b.rg_i[out + b.emit[j]] = b.st_i[s]
    return n


@inner
def _push(b, s, now):
    """Append a time to the ring at state `s`; false when there is no room."""
    size, reference, first = b.st_i[s], b.st_i[s + 1], b.st_i[s + 2]
    k = reference & 63
    if reference == 0 or size == 1 << k:
        grown = 3 if reference == 0 else k + 1
        place = allocate(b.pool, grown)
        if place == 0:
            return False
        old = reference >> 6
        for at in range(size):
            b.pool[place + at] = b.pool[old + ((first + at) & ((1 << k) - 1))]
        if reference != 0:
            release(b.pool, reference)
        k, first = grown, 0
        b.st_i[s + 1] = (place << 6) | grown
        b.st_i[s + 2] = 0
    place = b.st_i[s + 1] >> 6
    b.pool[place + ((first + size) & ((1 << k) - 1))] = now
    b.st_i[s] = size + 1
    return True


@inlined
def within(k, start, n, b):
    """Count the events of the last microseconds, by a ring of their times."""
    out, mask, offset = b.ops_i[k, OUT] * b.size, b.ops_i[k, MASK] * b.size, b.ops_i[k, OFFSET]
    a, window = b.ops_i[k, A] * b.size, b.ops_i[k, WHOLE]
    for j in range(start, n):
        s = b.slot[j] + offset
        now = b.ev_i[a + j]
        if now != NOTHING:
            if b.st_i[s + 2] == NOTHING:
                b.st_i[s + 2] = 0
            if b.st_i[s + 1] != 0:
                place, last = b.st_i[s + 1] >> 6, (1 << (b.st_i[s + 1] & 63)) - 1
                while b.st_i[s] > 0 and now - b.pool[place + b.st_i[s + 2]] > window:
                    b.st_i[s + 2] = (b.st_i[s + 2] + 1) & last
                    b.st_i[s] -= 1
            if b.mk[mask + j] and not _push(b, s, now):
                return j
        if b.emit[j] >= 0:
            b.rg_f[out + b.emit[j]] = b.st_i[s] if b.st_i[s + 2] != NOTHING else np.nan
    return n
