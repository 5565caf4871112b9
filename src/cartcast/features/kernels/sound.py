# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Whether a stored state may be read: its sizes and places, which kernels follow unchecked."""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels import codes
from cartcast.features.kernels.compiled import inlined, inner, kernel
from cartcast.features.kernels.layout import (
    AVERAGE_MAP,
    AVERAGE_SIZE,
    CODE,
    INLINE,
    MODE_MAP,
    MODE_SIZE,
    OFFSET,
    POOL_HEAD,
    ROW,
    S_N_OPS,
    S_OPS,
    S_POOL,
    S_POOL_WORDS,
    S_SEEN,
    S_STATE,
    SET_MAP,
    SET_SIZE,
    WITHIN_FIRST,
    WITHIN_RING,
    WITHIN_SIZE,
    B,
)
from cartcast.features.kernels.memory import byte, row_at, set_byte, word
from cartcast.features.kernels.words import NOTHING

__all__ = ["sound"]


@inner
def _block(w, place, k):
    """Whether 2**k words lie in the pool and in no other block; they are taken then."""
    end = word(word(w, S_POOL), 0)
    if k < 1 or k >= POOL_HEAD or place < POOL_HEAD or place > end - (1 << k):
        return False
    seen = word(w, S_SEEN)
    for at in range(place, place + (1 << k)):
        if byte(seen, at) != 0:
            return False
        set_byte(seen, at, 1)
    return True


@inner
def _map(w, reference, size, entry):
    """Whether a map has as many keys as it says, and room for a search to end."""
    if reference == 0:
        return size == 0
    place, k = reference >> 6, reference & 63
    if k <= entry or not _block(w, place, k):
        return False
    held, pool = 0, word(w, S_POOL)
    for at in range(place, place + (1 << k), 1 << entry):
        held += word(pool, at) != NOTHING
    return held == size and size * 4 <= (1 << (k - entry)) * 3


@inlined
def _ring(w, reference, size, first):
    if reference == 0:
        return size == 0 and first <= 0
    k = reference & 63
    return _block(w, reference >> 6, k) and 0 <= size <= 1 << k and first < 1 << k


@inner
def _reduction(w, op):
    """Whether the words of one operation's state fit together."""
    state, kind, offset = word(w, S_STATE), word(op, CODE), word(op, OFFSET)
    if kind == codes.ABOVE_AVERAGE:
        size = word(state, offset + AVERAGE_SIZE)
        return _map(w, word(state, offset + AVERAGE_MAP), size, 2)
    if kind == codes.MODE:
        return _map(w, word(state, offset + MODE_MAP), word(state, offset + MODE_SIZE), 1)
    if kind == codes.WITHIN:
        reference, size = word(state, offset + WITHIN_RING), word(state, offset + WITHIN_SIZE)
        return _ring(w, reference, size, word(state, offset + WITHIN_FIRST))
    if kind == codes.NUNIQUE:
        more = word(op, B)
        reference, size = word(state, more + SET_MAP), word(state, more + SET_SIZE)
        return 0 <= size <= INLINE if reference == 0 else _map(w, reference, size, 0)
    return True


@kernel
def sound(work):
    """Whether all that a state refers to in its pool is there, whole, and once."""
    w = np.int64(work.ctypes.data)
    pool, words = word(w, S_POOL), word(w, S_POOL_WORDS)
    if words < POOL_HEAD or not POOL_HEAD <= word(pool, 0) <= words:
        return False
    for k in range(1, POOL_HEAD):
        place = word(pool, k)
        while place != 0:
            if not _block(w, place, k):
                return False
            place = word(pool, place)
    for j in range(word(w, S_N_OPS)):  # noqa: SIM110 (kernels know no generators)
        if not _reduction(w, row_at(word(w, S_OPS), ROW * j)):
            return False
    return True
