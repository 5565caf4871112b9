# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Stage 1: masks and numbers of each event of a block, one operation over all events at a time."""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels import codes
from cartcast.features.kernels.block import CODE, MASK, OFFSET, OUT, REAL, WHOLE, A, B
from cartcast.features.kernels.compiled import inlined, inner
from cartcast.features.kernels.pool import find, room
from cartcast.features.kernels.words import NOTHING

__all__ = ["event_stage"]


@inlined
def _equals(k, n, b):
    code, out, a = b.ops_i[k, CODE], b.ops_i[k, OUT] * b.size, b.ops_i[k, A] * b.size
    whole, real = b.ops_i[k, WHOLE], b.ops_f[k, REAL]
    if code == codes.EQ_I:
        for j in range(n):
            b.mk[out + j] = b.ev_i[a + j] == whole
    elif code == codes.EQ_F:
        for j in range(n):
            b.mk[out + j] = b.ev_f[a + j] == real
    elif code == codes.OR_EQ_I:
        for j in range(n):
            b.mk[out + j] |= b.ev_i[a + j] == whole
    else:
        for j in range(n):
            b.mk[out + j] |= b.ev_f[a + j] == real


@inlined
def _compare(k, n, b):
    code, out, a = b.ops_i[k, CODE], b.ops_i[k, OUT] * b.size, b.ops_i[k, A] * b.size
    real = b.ops_f[k, REAL]
    if code == codes.ABOVE:
        for j in range(n):
            b.mk[out + j] = b.ev_f[a + j] > real
    elif code == codes.BELOW:
        for j in range(n):
            b.mk[out + j] = b.ev_f[a + j] < real
    elif code == codes.NOT_NULL_I:
        for j in range(n):
            b.mk[out + j] = b.ev_i[a + j] != NOTHING
    else:
        for j in range(n):
            b.mk[out + j] = b.ev_f[a + j] == b.ev_f[a + j]


@inlined
def _logic(k, n, b):
    code, out, a = b.ops_i[k, CODE], b.ops_i[k, OUT] * b.size, b.ops_i[k, A] * b.size
    c = b.ops_i[k, B] * b.size
    if code == codes.AND:
        for j in range(n):
            b.mk[out + j] = b.mk[a + j] & b.mk[c + j]
    elif code == codes.OR:
        for j in range(n):
            b.mk[out + j] = b.mk[a + j] | b.mk[c + j]
    else:
        for j in range(n):
            b.mk[out + j] = 1 - b.mk[a + j]


@inlined
def _same(k, n, b):
    out, a, offset = b.ops_i[k, OUT] * b.size, b.ops_i[k, A] * b.size, b.ops_i[k, OFFSET]
    for j in range(n):
        s = b.slot[j] + offset
        key = b.ev_i[a + j]
        b.mk[out + j] = key != NOTHING and key == b.st_i[s]
        b.st_i[s] = key


@inlined
def _gap(k, n, b):
    out, a, offset = b.ops_i[k, OUT] * b.size, b.ops_i[k, A] * b.size, b.ops_i[k, OFFSET]
    mask = b.ops_i[k, MASK] * b.size
    for j in range(n):
        s = b.slot[j] + offset
        now = b.ev_i[a + j]
        value = np.nan
        if b.mk[mask + j] and now != NOTHING:
            if b.st_i[s] != NOTHING:
                value = (now - b.st_i[s]) / 1e6
            b.st_i[s] = now
        b.ev_f[out + j] = value


@inlined
def _arithmetic(k, n, b):
    code, out, a = b.ops_i[k, CODE], b.ops_i[k, OUT] * b.size, b.ops_i[k, A] * b.size
    c, mask, real = b.ops_i[k, B] * b.size, b.ops_i[k, MASK] * b.size, b.ops_f[k, REAL]
    if code == codes.TIMES:
        for j in range(n):
            other = b.ev_f[c + j]
            b.ev_f[out + j] = b.ev_f[a + j] * (other if other == other else real)
    elif code == codes.NEGATED:
        for j in range(n):
            b.ev_f[out + j] = -b.ev_f[a + j] if b.mk[mask + j] else b.ev_f[a + j]
    else:
        for j in range(n):
            b.ev_f[out + j] = real


@inlined
def _decay(k, n, b):
    out, a, offset = b.ops_i[k, OUT] * b.size, b.ops_i[k, A] * b.size, b.ops_i[k, OFFSET]
    half_life = b.ops_f[k, REAL] * 1e6
    for j in range(n):
        s = b.slot[j] + offset
        now = b.ev_i[a + j]
        value = np.nan
        if now != NOTHING:
            before = b.st_i[s]
            value = 1.0
            if before != NOTHING and before != now:
                value = np.exp2((before - now) / half_life)
            b.st_i[s] = now
        b.ev_f[out + j] = value


@inlined
def _above_average(k, start, n, b):
    out, a, by = b.ops_i[k, OUT] * b.size, b.ops_i[k, A] * b.size, b.ops_i[k, B] * b.size
    mask, offset = b.ops_i[k, MASK] * b.size, b.ops_i[k, OFFSET]
    for j in range(start, n):
        s = b.slot[j] + offset
        x, key = b.ev_f[a + j], b.ev_i[by + j]
        value = np.nan
        if b.mk[mask + j] and x == x and key != NOTHING:
            reference = room(b.pool, b.st_i[s], b.st_i[s + 1], 2)
            if reference == 0:
                return j
            b.st_i[s] = reference
            at = find(b.pool, reference, key, 2)  # an entry: key, count, sum, unused
            if b.pool[at] == NOTHING:
                b.pool[at] = key
                b.pool[at + 1] = 1
                b.pool_f[at + 2] = x
                b.st_i[s + 1] += 1
            else:
                value = 1.0 if x > b.pool_f[at + 2] / b.pool[at + 1] else 0.0
                b.pool[at + 1] += 1
                b.pool_f[at + 2] += x
        b.ev_f[out + j] = value
    return n


@inner
def event_stage(first, start, stop, n, b):
    """Run operations `first` to `stop`, the first of them from event `start`.

    Returns (operation, event) at which the pool was full, or (stop, 0).
    """
    for k in range(first, stop):
        code = b.ops_i[k, CODE]
        if code <= codes.OR_EQ_F:
            _equals(k, n, b)
        elif code <= codes.NOT_NULL_F:
            _compare(k, n, b)
        elif code <= codes.NOT:
            _logic(k, n, b)
        elif code == codes.SAME:
            _same(k, n, b)
        elif code == codes.GAP:
            _gap(k, n, b)
        elif code == codes.ABOVE_AVERAGE:
            reached = _above_average(k, start if k == first else 0, n, b)
            if reached < n:
                return k, reached
        elif code == codes.DECAY_SECONDS:
            _decay(k, n, b)
        else:
            _arithmetic(k, n, b)
    return stop, 0
