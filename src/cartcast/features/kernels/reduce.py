# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Stage 2: reductions. Each folds its events into the states and writes the values after them.

Values are written for every event; see `Block.emit` for what becomes of those not wanted. The
reduction is chosen inside the loop over events, see `kernels.events`.
"""

from __future__ import annotations

import math

import numpy as np

from cartcast.features.kernels import codes
from cartcast.features.kernels.compiled import inlined, inner
from cartcast.features.kernels.events import register
from cartcast.features.kernels.grow import insert, mode, within
from cartcast.features.kernels.layout import (
    CODE,
    MASK,
    NUNIQUE_BITS,
    NUNIQUE_N,
    OFFSET,
    OUT,
    ROW,
    SET_BITS,
    SINCE_LATEST,
    SINCE_TIME,
    STD_MEAN,
    STD_N,
    STD_SQUARES,
    WHOLE,
    WITHIN_FIRST,
    WITHIN_SIZE,
    A,
    B,
)  # fmt: skip
from cartcast.features.kernels.memory import byte, part, real, row_at, set_real, set_word, word
from cartcast.features.kernels.words import NOTHING

__all__ = ["reduce_stage"]


@inlined
def _fold(op, kind, start, n, b):
    """Run one reduction; return the event at which the pool was full, or `n`.

    A reduction without an operand reads the blank register, and makes no use of it. `value` leaves
    as its bits, so it may be a word that is no number.
    """
    out, mask = row_at(b.rg, 8 * word(op, OUT) * b.size), row_at(b.mk, word(op, MASK) * b.size)
    a = register(b, word(op, A))
    c = register(b, word(op, B) if kind >= codes.DECAY_COUNT else -1)
    offset, whole, more = 8 * word(op, OFFSET), word(op, WHOLE), 8 * word(op, B)
    sign = 1.0 if kind == codes.MAX else -1.0
    for j in range(start, n):
        session = word(b.state, j)
        state, on, x, key = part(session, offset), byte(mask, j) != 0, real(a, j), word(a, j)
        value = real(state, 0)
        if kind == codes.COUNT:
            if on:
                value += 1.0
                set_real(state, 0, value)
        elif kind == codes.SUM:
            if on and x == x:
                value = value + x if value == value else x
                set_real(state, 0, value)
        elif kind <= codes.MAX:
            # `not <=` is true while the state is null.
            if on and x == x and not (sign * x <= sign * value):
                value = x
                set_real(state, 0, value)
        elif kind <= codes.LAST_F:
            if on and x == x and (kind == codes.LAST_F or value != value):
                value = x
                set_real(state, 0, value)
        elif kind <= codes.LAST_I:
            if on and key != NOTHING and (kind == codes.LAST_I or word(state, 0) == NOTHING):
                value = x
                set_word(state, 0, key)
        elif kind == codes.NUNIQUE:
            count = word(state, NUNIQUE_N)
            if on and 0 <= key < 256:
                if key < 64:
                    bits = part(state, 8 * NUNIQUE_BITS)
                else:
                    bits = part(session, more + 8 * (SET_BITS + (key >> 6) - 1))
                before = word(bits, 0)
                set_word(bits, 0, before | (1 << (key & 63)))
                count += 1 - ((before >> (key & 63)) & 1)
                set_word(state, NUNIQUE_N, count)
            elif on and key != NOTHING:
                new = insert(b.pool, b.pool_words, part(session, more), key)
                if new < 0:
                    return j
                count += new
                set_word(state, NUNIQUE_N, count)
            value = float(count)
        elif kind == codes.STD:
            count_, mean, squares = value, real(state, STD_MEAN), real(state, STD_SQUARES)
            if on and x == x:
                count_ += 1.0
                away = x - mean
                mean += away / count_
                squares += away * (x - mean)
                set_real(state, STD_N, count_)
                set_real(state, STD_MEAN, mean)
                set_real(state, STD_SQUARES, squares)
            value = math.sqrt(squares / (count_ - 1.0)) if count_ > 1.0 else np.nan
        elif kind == codes.MODE:
            if on and key != NOTHING and mode(b.pool, b.pool_words, state, key) == 0:
                return j
            value = real(state, 0)
        elif kind == codes.WITHIN:
            if key != NOTHING and within(b.pool, b.pool_words, state, key, whole, on) == 0:
                return j
            known = word(state, WITHIN_FIRST) != NOTHING
            value = float(word(state, WITHIN_SIZE)) if known else np.nan
        elif kind <= codes.SINCE_FIRST:
            since, seen = word(state, SINCE_TIME), word(state, SINCE_LATEST)
            if key != NOTHING:
                seen = key
                set_word(state, SINCE_LATEST, key)
                if on and (kind == codes.SINCE_LAST or since == NOTHING):
                    since = key
                    set_word(state, SINCE_TIME, key)
            value = (seen - since) / 1e6 if since != NOTHING else np.nan
        else:  # fading: `x` is the factor of a count, register `c` that of a sum
            factor = x if kind == codes.DECAY_COUNT else real(c, j)
            if factor == factor:
                value = value * factor
                if kind == codes.DECAY_COUNT:
                    value = (value if value == value else 0.0) + byte(mask, j)
                elif on and x == x:
                    value = value + x if value == value else x
                set_real(state, 0, value)
        set_real(out, word(b.emit, j), value)
    return n


@inner
def reduce_stage(first, start, stop, n, b):
    """Run operations `first` to `stop`, the first of them from event `start`.

    Returns (operation, event) at which the pool was full, or (stop, 0).
    """
    for k in range(first, stop):
        op = row_at(b.ops, ROW * k)
        reached = _fold(op, word(op, CODE), start if k == first else start & 0, n, b)
        if reached < n:
            return k, reached
    return stop, start & 0
