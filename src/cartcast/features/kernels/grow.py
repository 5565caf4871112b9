# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Reductions whose state grows with what they see; their blocks lie in the pool.

Each takes one event, and changes nothing when the pool has no room for it.
"""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.compiled import inner
from cartcast.features.kernels.memory import set_word, word
from cartcast.features.kernels.pool import allocate, find, release, room
from cartcast.features.kernels.words import NOTHING

__all__ = ["insert", "mode", "within"]

INLINE = 4  # different values kept in the state itself, before a block is taken


@inner
def insert(pool, words, more, key):
    """Add a key to a set of many; return 1 if it is new, 0 if not, -1 without room.

    `more` is the address of the set's further words: three of bits, the reference to its block,
    its size, and the inline values.
    """
    reference, size, entry = word(more, 3), word(more, 4), np.int64(0)
    if reference == 0:
        for at in range(size):
            if word(more, 5 + at) == key:
                return np.int64(0)
        if size < INLINE:
            set_word(more, 5 + size, key)
            set_word(more, 4, size + 1)
            return np.int64(1)
    larger = room(pool, words, reference, size, entry)
    if larger == 0:
        return np.int64(-1)
    if reference == 0:
        for at in range(INLINE):
            old = word(more, 5 + at)
            set_word(pool, find(pool, larger, old, entry), old)
    set_word(more, 3, larger)
    here = find(pool, larger, key, entry)
    if word(pool, here) == key:
        return np.int64(0)
    set_word(pool, here, key)
    set_word(more, 4, size + 1)
    return np.int64(1)


@inner
def mode(pool, words, state, key):
    """Count a key and keep the most frequent; of equals, the one that reached the count first.

    State: best, its count, reference to a map of (key, count), its size. Returns 0 without room.
    """
    entry, size = np.int64(1), word(state, 3)
    reference = room(pool, words, word(state, 2), size, entry)
    if reference == 0:
        return reference
    set_word(state, 2, reference)
    here = find(pool, reference, key, entry)
    if word(pool, here) == NOTHING:
        set_word(pool, here, key)
        set_word(pool, here + 1, 0)
        set_word(state, 3, size + 1)
    count = word(pool, here + 1) + 1
    set_word(pool, here + 1, count)
    if count > word(state, 1):
        set_word(state, 0, key)
        set_word(state, 1, count)
    return reference


@inner
def within(pool, words, state, now, window, on):
    """Drop the times that have left the window from a ring, and append this one if it counts.

    State: size, reference to the ring, its first place (`NOTHING` before the first time). Returns
    0 without room.
    """
    size, reference, first = word(state, 0), word(state, 1), max(word(state, 2), 0)
    last = (1 << (reference & 63)) - 1
    while size > 0 and now - word(pool, (reference >> 6) + first) > window:
        first = (first + 1) & last
        size -= 1
    if on:
        if reference == 0 or size > last:
            grown = np.int64(3) if reference == 0 else (reference & 63) + 1
            place = allocate(pool, words, grown)
            if place == 0:
                return place
            old = reference >> 6
            for at in range(size):
                set_word(pool, place + at, word(pool, old + ((first + at) & last)))
            if reference != 0:
                release(pool, reference)
            first, reference = np.int64(0), (place << 6) | grown
            last = (1 << grown) - 1
        set_word(pool, (reference >> 6) + ((first + size) & last), now)
        size += 1
    set_word(state, 0, size)
    set_word(state, 1, reference)
    set_word(state, 2, first)
    return np.int64(1)
