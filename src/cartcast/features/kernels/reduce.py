# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Stage 2: reductions. Each folds its events into the states and writes the wanted values."""

from __future__ import annotations

import math

import numpy as np

from cartcast.features.kernels import codes
from cartcast.features.kernels.block import CODE, MASK, OFFSET, OUT, A, B
from cartcast.features.kernels.compiled import inlined, inner
from cartcast.features.kernels.grow import mode, unique, within
from cartcast.features.kernels.words import NOTHING

__all__ = ["reduce_stage"]


@inlined
def _count(k, n, b):
    out, mask, offset = b.ops_i[k, OUT] * b.size, b.ops_i[k, MASK] * b.size, b.ops_i[k, OFFSET]
    for j in range(n):
        s = b.slot[j] + offset
        value = b.st_f[s] + b.mk[mask + j]
        b.st_f[s] = value
        if b.emit[j] >= 0:
            b.rg_f[out + b.emit[j]] = value


@inlined
def _sum(k, n, b):
    out, mask, offset = b.ops_i[k, OUT] * b.size, b.ops_i[k, MASK] * b.size, b.ops_i[k, OFFSET]
    a = b.ops_i[k, A] * b.size
    for j in range(n):
        s = b.slot[j] + offset
        value, x = b.st_f[s], b.ev_f[a + j]
        if b.mk[mask + j] and x == x:
            value = value + x if value == value else x
            b.st_f[s] = value
        if b.emit[j] >= 0:
            b.rg_f[out + b.emit[j]] = value


@inlined
def _extreme(k, n, b):
    out, mask, offset = b.ops_i[k, OUT] * b.size, b.ops_i[k, MASK] * b.size, b.ops_i[k, OFFSET]
    a = b.ops_i[k, A] * b.size
    sign = 1.0 if b.ops_i[k, CODE] == codes.MAX else -1.0
    for j in range(n):
        s = b.slot[j] + offset
        value, x = b.st_f[s], b.ev_f[a + j]
        # `not <=` is true while the state is null.
        if b.mk[mask + j] and x == x and not (sign * x <= sign * value):
            value = x
            b.st_f[s] = value
        if b.emit[j] >= 0:
            b.rg_f[out + b.emit[j]] = value


@inlined
def _keep(k, n, b):
    code, out, mask = b.ops_i[k, CODE], b.ops_i[k, OUT] * b.size, b.ops_i[k, MASK] * b.size
    a, offset = b.ops_i[k, A] * b.size, b.ops_i[k, OFFSET]
    number = code == codes.FIRST_F or code == codes.LAST_F
    first = code == codes.FIRST_F or code == codes.FIRST_I
    for j in range(n):
        s = b.slot[j] + offset
        if b.mk[mask + j]:
            x = b.ev_f[a + j]
            present = x == x if number else b.ev_i[a + j] != NOTHING
            if present:
                if first:
                    y = b.st_f[s]
                    present = y != y if number else b.st_i[s] == NOTHING
                if present:
                    b.st_i[s] = b.ev_i[a + j]
        if b.emit[j] >= 0:
            b.rg_i[out + b.emit[j]] = b.st_i[s]


@inlined
def _std(k, n, b):
    out, mask, offset = b.ops_i[k, OUT] * b.size, b.ops_i[k, MASK] * b.size, b.ops_i[k, OFFSET]
    a = b.ops_i[k, A] * b.size
    for j in range(n):
        s = b.slot[j] + offset
        x = b.ev_f[a + j]
        if b.mk[mask + j] and x == x:
            count = b.st_f[s] + 1.0
            away = x - b.st_f[s + 1]
            mean = b.st_f[s + 1] + away / count
            b.st_f[s] = count
            b.st_f[s + 1] = mean
            b.st_f[s + 2] += away * (x - mean)
        if b.emit[j] >= 0:
            count = b.st_f[s]
            value = math.sqrt(b.st_f[s + 2] / (count - 1.0)) if count > 1.0 else np.nan
            b.rg_f[out + b.emit[j]] = value


@inlined
def _since(k, n, b):
    out, mask, offset = b.ops_i[k, OUT] * b.size, b.ops_i[k, MASK] * b.size, b.ops_i[k, OFFSET]
    a, latest = b.ops_i[k, A] * b.size, b.ops_i[k, CODE] == codes.SINCE_LAST
    for j in range(n):
        s = b.slot[j] + offset
        now = b.ev_i[a + j]
        if now != NOTHING:
            b.st_i[s + 1] = now
            if b.mk[mask + j] and (latest or b.st_i[s] == NOTHING):
                b.st_i[s] = now
        if b.emit[j] >= 0:
            since = b.st_i[s]
            value = (b.st_i[s + 1] - since) / 1e6 if since != NOTHING else np.nan
            b.rg_f[out + b.emit[j]] = value


@inlined
def _decay_count(k, n, b):
    out, mask, offset = b.ops_i[k, OUT] * b.size, b.ops_i[k, MASK] * b.size, b.ops_i[k, OFFSET]
    a = b.ops_i[k, A] * b.size
    for j in range(n):
        s = b.slot[j] + offset
        value, factor = b.st_f[s], b.ev_f[a + j]
        if factor == factor:
            value = (value * factor if value == value else 0.0) + b.mk[mask + j]
            b.st_f[s] = value
        if b.emit[j] >= 0:
            b.rg_f[out + b.emit[j]] = value


@inlined
def _decay_sum(k, n, b):
    out, mask, offset = b.ops_i[k, OUT] * b.size, b.ops_i[k, MASK] * b.size, b.ops_i[k, OFFSET]
    a, c = b.ops_i[k, A] * b.size, b.ops_i[k, B] * b.size
    for j in range(n):
        s = b.slot[j] + offset
        value, x, factor = b.st_f[s], b.ev_f[a + j], b.ev_f[c + j]
        if factor == factor:
            value = value * factor
            if b.mk[mask + j] and x == x:
                value = value + x if value == value else x
            b.st_f[s] = value
        if b.emit[j] >= 0:
            b.rg_f[out + b.emit[j]] = value


@inner
def reduce_stage(first, start, stop, n, b):
    """Run operations `first` to `stop`, the first of them from event `start`.

    Returns (operation, event) at which the pool was full, or (stop, 0).
    """
    for k in range(first, stop):
        code = b.ops_i[k, CODE]
        reached = n
        if code == codes.COUNT:
            _count(k, n, b)
        elif code == codes.SUM:
            _sum(k, n, b)
        elif code <= codes.MAX:
            _extreme(k, n, b)
        elif code <= codes.LAST_I:
            _keep(k, n, b)
        elif code == codes.STD:
            _std(k, n, b)
        elif code == codes.NUNIQUE:
            reached = unique(k, start if k == first else 0, n, b)
        elif code == codes.MODE:
            reached = mode(k, start if k == first else 0, n, b)
        elif code == codes.WITHIN:
            reached = within(k, start if k == first else 0, n, b)
        elif code <= codes.SINCE_FIRST:
            _since(k, n, b)
        elif code == codes.DECAY_COUNT:
            _decay_count(k, n, b)
        else:
            _decay_sum(k, n, b)
        if reached < n:
            return k, reached
    return stop, 0
