# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Reductions whose state grows with what they see; their blocks lie in the pool.

Each takes one event, and changes nothing when the pool has no room for it.
"""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.compiled import inner
from cartcast.features.kernels.layout import (
    INLINE,
    MODE_BEST,
    MODE_COUNT,
    MODE_MAP,
    MODE_SIZE,
    SET_INLINE,
    SET_MAP,
    SET_SIZE,
    WITHIN_FIRST,
    WITHIN_RING,
    WITHIN_SIZE,
)  # fmt: skip
from cartcast.features.kernels.memory import set_word, word
from cartcast.features.kernels.pool import allocate, find, release, room
from cartcast.features.kernels.words import NOTHING

__all__ = ["insert", "mode", "within"]


@inner
def insert(pool, words, more, key):
    """Add a key to a set of many; return 1 if it is new, 0 if not, -1 without room.

    `more` is the address of the set's further words.
    """
    reference, size, entry = word(more, SET_MAP), word(more, SET_SIZE), np.int64(0)
    if reference == 0:
        for at in range(size):
            if word(more, SET_INLINE + at) == key:
                return np.int64(0)
        if size < INLINE:
            set_word(more, SET_INLINE + size, key)
            set_word(more, SET_SIZE, size + 1)
            return np.int64(1)
    larger = room(pool, words, reference, size, entry)
    if larger == 0:
        return np.int64(-1)
    if reference == 0:
        for at in range(INLINE):
            old = word(more, SET_INLINE + at)
            set_word(pool, find(pool, larger, old, entry), old)
    set_word(more, SET_MAP, larger)
    here = find(pool, larger, key, entry)
    if word(pool, here) == key:
        return np.int64(0)
    set_word(pool, here, key)
    set_word(more, SET_SIZE, size + 1)
    return np.int64(1)


@inner
def mode(pool, words, state, key):
    """Count a key and keep the most frequent; of equals, the one that reached the count first.

    Returns 0 without room.
    """
    entry, size = np.int64(1), word(state, MODE_SIZE)
    reference = room(pool, words, word(state, MODE_MAP), size, entry)
    if reference == 0:
        return reference
    set_word(state, MODE_MAP, reference)
    here = find(pool, reference, key, entry)
    if word(pool, here) == NOTHING:
        set_word(pool, here, key)
        set_word(pool, here + 1, 0)
        set_word(state, MODE_SIZE, size + 1)
    count = word(pool, here + 1) + 1
    set_word(pool, here + 1, count)
    if count > word(state, MODE_COUNT):
        set_word(state, MODE_BEST, key)
        set_word(state, MODE_COUNT, count)
    return reference


@inner
def within(pool, words, state, now, window, on):
    """Drop the times that have left the window from a ring, and append this one if it counts.

    Returns 0 without room.
    """
    size, reference = word(state, WITHIN_SIZE), word(state, WITHIN_RING)
    first = max(word(state, WITHIN_FIRST), 0)
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
    set_word(state, WITHIN_SIZE, size)
    set_word(state, WITHIN_RING, reference)
    set_word(state, WITHIN_FIRST, first)
    return np.int64(1)
