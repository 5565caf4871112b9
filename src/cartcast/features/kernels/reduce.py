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
from cartcast.features.kernels.block import CODE, MASK, OFFSET, OUT, ROW, WHOLE, A, B
from cartcast.features.kernels.compiled import inlined, inner
from cartcast.features.kernels.grow import insert, mode, within
from cartcast.features.kernels.memory import byte, real, set_real, set_word, word
from cartcast.features.kernels.words import NOTHING

__all__ = ["reduce_stage"]


@inlined
def _fold(op, kind, start, n, b):
    """Run one reduction; return the event at which the pool was full, or `n`.

    A reduction without an operand reads register -1, which is other memory of the thread, and
    makes no use of it. `value` leaves as its bits, so it may be a word that is no number.
    """
    out, mask = b.rg + 8 * word(op, OUT) * b.size, b.mk + word(op, MASK) * b.size
    a, c = b.ev + 8 * word(op, A) * b.size, b.ev + 8 * word(op, B) * b.size
    offset, whole, more = 8 * word(op, OFFSET), word(op, WHOLE), 8 * word(op, B)
    sign = 1.0 if kind == codes.MAX else -1.0
    for j in range(start, n):
        session = word(b.state, j)
        state, on, x, key = session + offset, byte(mask, j) != 0, real(a, j), word(a, j)
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
            count = word(state, 0)
            if on and 0 <= key < 256:
                bits = state + 8 if key < 64 else session + more + 8 * (key >> 6) - 8
                before = word(bits, 0)
                set_word(bits, 0, before | (1 << (key & 63)))
                count += 1 - ((before >> (key & 63)) & 1)
                set_word(state, 0, count)
            elif on and key != NOTHING:
                new = insert(b.pool, b.pool_words, session + more, key)
                if new < 0:
                    return j
                count += new
                set_word(state, 0, count)
            value = float(count)
        elif kind == codes.STD:
            count_, mean, squares = value, real(state, 1), real(state, 2)
            if on and x == x:
                count_ += 1.0
                away = x - mean
                mean += away / count_
                squares += away * (x - mean)
                set_real(state, 0, count_)
                set_real(state, 1, mean)
                set_real(state, 2, squares)
            value = math.sqrt(squares / (count_ - 1.0)) if count_ > 1.0 else np.nan
        elif kind == codes.MODE:
            if on and key != NOTHING and mode(b.pool, b.pool_words, state, key) == 0:
                return j
            value = real(state, 0)
        elif kind == codes.WITHIN:
            if key != NOTHING and within(b.pool, b.pool_words, state, key, whole, on) == 0:
                return j
            value = float(word(state, 0)) if word(state, 2) != NOTHING else np.nan
        elif kind <= codes.SINCE_FIRST:
            since, seen = word(state, 0), word(state, 1)
            if key != NOTHING:
                seen = key
                set_word(state, 1, key)
                if on and (kind == codes.SINCE_LAST or since == NOTHING):
                    since = key
                    set_word(state, 0, key)
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
        op = b.ops + ROW * k
        reached = _fold(op, word(op, CODE), start if k == first else start & 0, n, b)
        if reached < n:
            return k, reached
    return stop, start & 0
