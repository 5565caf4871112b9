# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Stage 1: masks and numbers of each event of a block, one operation over all events at a time.

The operation is chosen inside the loop over events: the branch is the same for all of them and so
costs nothing worth naming, and one loop is compiled instead of twenty.
"""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels import codes
from cartcast.features.kernels.compiled import inlined, inner
from cartcast.features.kernels.layout import (
    AVERAGE_MAP,
    AVERAGE_SIZE,
    CODE,
    MASK,
    OFFSET,
    OUT,
    REAL,
    ROW,
    WHOLE,
    A,
    B,
)  # fmt: skip
from cartcast.features.kernels.memory import (
    byte,
    part,
    real,
    row_at,
    set_byte,
    set_real,
    set_word,
    word,
)  # fmt: skip
from cartcast.features.kernels.pool import find, room
from cartcast.features.kernels.words import NOTHING

__all__ = ["event_stage", "register"]


@inlined
def register(b, number):
    """Return the address of an event register; -1 is the blank one."""
    return row_at(b.ev, 8 * (number + 1) * b.size)


@inlined
def _masks(op, kind, n, b):
    out, offset = row_at(b.mk, word(op, OUT) * b.size), 8 * word(op, OFFSET)
    whole, number = word(op, WHOLE), real(op, REAL)
    both = codes.AND <= kind <= codes.OR  # its operands are masks
    logic = both or kind == codes.NOT or kind == codes.PREVIOUS
    a = register(b, -1 if logic else word(op, A))
    first = row_at(b.mk, (word(op, A) if logic else 0) * b.size)
    second = row_at(b.mk, (word(op, B) if both else 0) * b.size)
    for j in range(n):
        if kind == codes.EQ_I:
            hit = word(a, j) == whole
        elif kind == codes.OR_EQ_I:
            hit = word(a, j) == whole or byte(out, j) != 0
        elif kind == codes.EQ_F:
            hit = real(a, j) == number
        elif kind == codes.OR_EQ_F:
            hit = real(a, j) == number or byte(out, j) != 0
        elif kind == codes.ABOVE:
            hit = real(a, j) > number
        elif kind == codes.BELOW:
            hit = real(a, j) < number
        elif kind == codes.NOT_NULL_I:
            hit = word(a, j) != NOTHING
        elif kind == codes.NOT_NULL_F:
            hit = real(a, j) == real(a, j)
        elif kind == codes.AND:
            hit = byte(first, j) != 0 and byte(second, j) != 0
        elif kind == codes.OR:
            hit = byte(first, j) != 0 or byte(second, j) != 0
        elif kind == codes.NOT:
            hit = byte(first, j) == 0
        elif kind == codes.PREVIOUS:
            before = part(word(b.state, j), offset)
            hit = word(before, 0) != 0
            set_word(before, 0, np.int64(byte(first, j)))
        else:  # SAME
            state, key = part(word(b.state, j), offset), word(a, j)
            hit = key != NOTHING and key == word(state, 0)
            set_word(state, 0, key)
        set_byte(out, j, hit)


@inner
def _above_average(state, x, key, pool, words):
    """Return 1 above, 0 not above the mean so far of the same key, NaN at first; -1 without room.

    An entry of the map: key, count, sum, unused.
    """
    held, size, entry = word(state, AVERAGE_MAP), word(state, AVERAGE_SIZE), np.int64(2)
    reference = room(pool, words, held, size, entry)
    if reference == 0:
        return -1.0
    set_word(state, AVERAGE_MAP, reference)
    at = find(pool, reference, key, entry)
    if word(pool, at) == NOTHING:
        set_word(pool, at, key)
        set_word(pool, at + 1, 1)
        set_real(pool, at + 2, x)
        set_word(state, AVERAGE_SIZE, size + 1)
        return np.nan
    count, total = word(pool, at + 1), real(pool, at + 2)
    set_word(pool, at + 1, count + 1)
    set_real(pool, at + 2, total + x)
    return 1.0 if x > total / count else 0.0


@inlined
def _numbers(op, kind, start, n, b):
    out, mask = register(b, word(op, OUT)), row_at(b.mk, word(op, MASK) * b.size)
    a, c = register(b, word(op, A)), register(b, word(op, B))
    offset, number = 8 * word(op, OFFSET), real(op, REAL)
    for j in range(start, n):
        session, x, now, on = word(b.state, j), real(a, j), word(a, j), byte(mask, j) != 0
        value = np.nan
        if kind == codes.TIMES:
            other = real(c, j)
            value = x * (other if other == other else number)
        elif kind == codes.NEGATED:
            value = -x if on else x
        elif kind == codes.DECAY_CLICKS:
            value = number
        elif kind == codes.ABOVE_AVERAGE:
            key = word(c, j)
            if on and x == x and key != NOTHING:
                value = _above_average(part(session, offset), x, key, b.pool, b.pool_words)
                if value < 0.0:
                    return j
        elif now != NOTHING and (on or kind == codes.DECAY_SECONDS):
            state = part(session, offset)
            before = word(state, 0)
            set_word(state, 0, now)
            if kind == codes.GAP:
                if before != NOTHING:
                    value = (now - before) / 1e6
            else:
                value = 1.0
                if before != NOTHING:
                    value = np.exp2((before - now) / (number * 1e6))
        set_real(out, j, value)
    return n


@inner
def event_stage(first, start, stop, n, b):
    """Run operations `first` to `stop`, the first of them from event `start`.

    Returns (operation, event) at which the pool was full, or (stop, 0).
    """
    for k in range(first, stop):
        op = row_at(b.ops, ROW * k)
        kind = word(op, CODE)
        if kind <= codes.SAME or kind == codes.PREVIOUS:
            _masks(op, kind, n, b)
        else:
            reached = _numbers(op, kind, start if k == first else start & 0, n, b)
            if reached < n:
                return k, reached
    return stop, start & 0
