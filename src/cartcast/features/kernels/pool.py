# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""The pool: blocks of words for what grows (sets, counts by value, windows of times).

A kernel that finds no room stops and says so; its caller enlarges the pool and calls again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cartcast.features.kernels.compiled import inlined, inner
from cartcast.features.kernels.layout import POOL_HEAD
from cartcast.features.kernels.memory import set_word, word
from cartcast.features.kernels.words import NOTHING

__all__ = ["allocate", "find", "new_pool", "release", "room"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def new_pool(words: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return an empty pool."""
    pool = np.zeros(max(words, POOL_HEAD), dtype=np.int64)
    pool[0] = POOL_HEAD
    return pool


@inlined
def allocate(pool, words, k):
    """Return the place of a block of 2**k words, or 0 when there is no room."""
    place = word(pool, k)
    if place != 0:
        set_word(pool, k, word(pool, place))
        return place
    place = word(pool, 0)
    if place + (1 << k) > words:
        return place & 0
    set_word(pool, 0, place + (1 << k))
    return place


@inlined
def release(pool, reference):
    """Give a block back."""
    place, k = reference >> 6, reference & 63
    set_word(pool, place, word(pool, k))
    set_word(pool, k, place)


@inlined
def find(pool, reference, key, entry):
    """Return the place of a key's entry (2**entry words), or of the empty one where it belongs."""
    place, k = reference >> 6, (reference & 63) - entry
    last = (1 << k) - 1
    at = np.int64((np.uint64(key) * _GOLDEN) >> np.uint64(64 - k))
    here = place + (at << entry)
    while word(pool, here) != key and word(pool, here) != NOTHING:
        at = (at + 1) & last
        here = place + (at << entry)
    return here


@inner
def _grow(pool, words, reference, entry):
    """Return a reference to a larger map with the same entries; 0: the pool is full."""
    k = reference & 63
    grown = max(4, 3 + entry) if reference == 0 else k + 1
    place = allocate(pool, words, grown)
    if place == 0:
        return place
    width = 1 << entry
    for at in range(place, place + (1 << grown), width):
        set_word(pool, at, NOTHING)
    new = (place << 6) | grown
    if reference != 0:
        old = reference >> 6
        for at in range(old, old + (1 << k), width):
            if word(pool, at) != NOTHING:
                here = find(pool, new, word(pool, at), entry)
                for part in range(width):
                    set_word(pool, here + part, word(pool, at + part))
        release(pool, reference)
    return new


@inlined
def room(pool, words, reference, size, entry):
    """Return a reference to a map with room for one more than `size` entries; 0: pool is full.

    Maps are open-addressed with linear probing and at most three quarters full; they start with
    16 words, or 8 entries.
    """
    k = (reference & 63) - entry
    if reference != 0 and (size + 1) * 4 <= (1 << k) * 3:
        return reference
    return _grow(pool, words, reference, entry)
