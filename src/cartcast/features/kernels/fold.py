# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Bulk: rows of a chunk, block by block, to the states of their sessions and back to columns.

A session's slot is taken at its first event and given back
after its last, so memory follows the open sessions.
"""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.compiled import inlined, inner, kernel
from cartcast.features.kernels.layout import (
    AT,
    BLOCK_EMIT,
    BLOCK_M,
    BLOCK_N,
    BLOCK_PLACE,
    BLOCK_ROW,
    BLOCK_STATE,
    CLICK,
    EV,
    FREE,
    HASHES,
    HEAD,
    INIT,
    INIT_WORDS,
    INPUTS,
    LAST,
    M_NEW,
    M_NEW_SIZE,
    M_OLD,
    M_OLD_SIZE,
    N_FREE,
    N_INPUTS,
    N_OUTPUTS,
    N_POOLED,
    NEXT,
    NULLS,
    ORDERS,
    OUTPUTS,
    OUTS,
    PART,
    PARTS,
    PLACE,
    PLACES,
    POOLED_AT,
    RG,
    ROWS,
    SIZE,
    STATE_WORDS,
    STATES,
    STRICT,
    TABLE,
    TABLE_SIZE,
    USED,
    WANTED,
    WANTED_SIZE,
)  # fmt: skip
from cartcast.features.kernels.memory import (
    byte,
    code,
    part,
    prefetch,
    real,
    row_at,
    set_real,
    set_word,
    word,
)  # fmt: skip
from cartcast.features.kernels.pool import release

__all__ = ["enter", "leave", "rehash", "write"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_LINE = 64


@inlined
def _home(key, size):
    # `size` is a power of two; multiply-shift takes the high bits, which the split by low bits
    # of the same hash over threads leaves alone.
    return np.int64((np.uint64(key) * _GOLDEN) >> np.uint64(36)) & (size - 1)


@inlined
def _seek(table, size, key):
    """Return the address of a key's entry, or of the empty one (slot -1) where it belongs."""
    at = _home(key, size)
    here = row_at(table, 16 * at)
    while word(here, 1) >= 0 and word(here, 0) != key:
        at = (at + 1) & (size - 1)
        here = row_at(table, 16 * at)
    return here


@inlined
def _remove(table, size, here):
    """Delete an entry of linear probing by shifting back those that it kept from home."""
    at = (here - table) >> 4
    hole = at
    while True:
        at = (at + 1) & (size - 1)
        entry = row_at(table, 16 * at)
        if word(entry, 1) < 0:
            break
        home = _home(word(entry, 0), size)
        if ((at - home) & (size - 1)) >= ((at - hole) & (size - 1)):
            to = row_at(table, 16 * hole)
            set_word(to, 0, word(entry, 0))
            set_word(to, 1, word(entry, 1))
            hole = at
    set_word(row_at(table, 16 * hole), 1, -1)


@kernel
def rehash(work):
    """Copy a table of (hash, slot) into a larger one whose slots are all -1."""
    w = np.int64(work.ctypes.data)
    old, table, size = word(w, M_OLD), word(w, M_NEW), word(w, M_NEW_SIZE)
    for at in range(word(w, M_OLD_SIZE)):
        entry = row_at(old, 16 * at)
        if word(entry, 1) >= 0:
            here = _seek(table, size, word(entry, 0))
            set_word(here, 0, word(entry, 0))
            set_word(here, 1, word(entry, 1))


@inlined
def _rows(w):
    """Choose the rows of the next block: those of the thread's part of the sessions."""
    at, rows, size, n = word(w, AT), word(w, ROWS), word(w, SIZE), np.int64(0)
    hashes, chosen = word(w, HASHES), word(w, BLOCK_ROW)
    table, last = word(w, TABLE), word(w, TABLE_SIZE) - 1
    own, parts = word(w, PART), word(w, PARTS)
    while at < rows and n < size:
        key = word(hashes, at)
        if ((key & 0xFFFF_FFFF) * parts) >> 32 == own:
            set_word(chosen, n, at)
            prefetch(table + 16 * _home(key, last + 1))
            n += 1
        at += 1
    set_word(w, AT, at)
    return n


@inlined
def _slots(w, n):
    """Find or take the slot of each event; forget the key of a session that ends here.

    So the next event of the same key begins again, even in the same block.
    """
    last = word(w, LAST)
    hashes, chosen, states = word(w, HASHES), word(w, BLOCK_ROW), word(w, BLOCK_STATE)
    table, size, words = word(w, TABLE), word(w, TABLE_SIZE), word(w, STATE_WORDS)
    begin, init, filled = word(w, STATES), word(w, INIT), word(w, INIT_WORDS)
    for j in range(n):
        key = word(hashes, word(chosen, j))
        entry = _seek(table, size, key)
        slot = word(entry, 1)
        if slot >= 0:
            state = row_at(begin, 8 * slot * words)
            for line in range(0, min(8 * words, 6 * _LINE), _LINE):
                prefetch(state + line)
        else:
            free = word(w, N_FREE)
            if free > 0:
                set_word(w, N_FREE, free - 1)
                slot = word(word(w, FREE), free - 1)
            else:
                slot = word(w, NEXT)
                set_word(w, NEXT, slot + 1)
            set_word(w, USED, word(w, USED) + 1)
            set_word(entry, 0, key)
            set_word(entry, 1, slot)
            state = row_at(begin, 8 * slot * words)
            set_word(state, 0, 0)
            for k in range(filled):
                set_word(state, HEAD + k, word(init, k))
        set_word(states, j, part(state, 8 * HEAD))
        if byte(last, word(chosen, j)):
            _remove(table, size, entry)
            set_word(w, USED, word(w, USED) - 1)


@inlined
def _clicks(w, n):
    """Count clicks; number the events whose values are wanted; return how many, -1 on disorder."""
    orders, chosen, states = word(w, ORDERS), word(w, BLOCK_ROW), word(w, BLOCK_STATE)
    place, wanted, limit = word(w, PLACE), word(w, WANTED), word(w, WANTED_SIZE)
    emit, to, click_of = word(w, BLOCK_EMIT), word(w, BLOCK_PLACE), word(w, CLICK)
    strict, m = word(w, STRICT), np.int64(0)
    for j in range(n):
        i, head = word(chosen, j), part(word(states, j), -8 * HEAD)
        click, order = word(head, 0) + 1, word(orders, i)
        if (click > 1 and order <= word(head, 1)) or (click == 1 and strict and order != 1):
            return np.int64(-1)
        set_word(head, 0, click)
        set_word(head, 1, order)
        set_word(emit, j, m)
        at = code(place, i) if place != 0 else i
        if at >= 0 and (wanted == 0 or (click < limit and byte(wanted, click) != 0)):
            set_word(to, m, at)
            set_word(click_of, at, click)
            m += 1
    return m


@inlined
def _load(w, n):
    """Gather the inputs; one is words, or codes (int32) and the word of each."""
    chosen, size, ev = word(w, BLOCK_ROW), word(w, SIZE), word(w, EV)
    for c in range(word(w, N_INPUTS)):
        column, table = word(word(w, INPUTS), 2 * c), word(word(w, INPUTS), 2 * c + 1)
        to = row_at(ev, 8 * (c + 1) * size)
        if table == 0:
            for j in range(n):
                set_word(to, j, word(column, word(chosen, j)))
        else:
            for j in range(n):
                set_word(to, j, word(table, code(column, word(chosen, j))))


@inner
def enter(w):
    """Begin the next block; return its number of events, -1 on disorder.

    `PLACE` 0: values of row i go to place i; else int32 by row, -1 for none. `WANTED` 0: every
    click; else a byte by click. `STRICT`: a session must begin with event_order 1 (else its slot
    was lost).
    """
    n = _rows(w)
    _slots(w, n)
    m = _clicks(w, n)
    if m < 0:
        return m
    set_word(w, BLOCK_N, n)
    set_word(w, BLOCK_M, m)
    _load(w, n)
    return n


@inner
def write(w):
    """Write the wanted values of the block to the columns of the chunk; count the nulls of each."""
    m, to, size, rg = word(w, BLOCK_M), word(w, BLOCK_PLACE), word(w, SIZE), word(w, RG)
    for f in range(word(w, N_OUTPUTS)):
        values = row_at(rg, 8 * word(word(w, OUTPUTS), f) * size)
        out = word(w, OUTS) + 8 * f * word(w, PLACES)
        nulls = word(word(w, NULLS), f)
        for j in range(m):
            value = real(values, j)
            nulls += value != value
            set_real(out, word(to, j), value)
        set_word(word(w, NULLS), f, nulls)


@inner
def leave(w, pool):
    """Give back the slots of the sessions that ended in this block, and what they hold."""
    chosen, last, states = word(w, BLOCK_ROW), word(w, LAST), word(w, BLOCK_STATE)
    pooled, n_pooled, free = word(w, POOLED_AT), word(w, N_POOLED), word(w, FREE)
    begin, words = word(w, STATES) + 8 * HEAD, word(w, STATE_WORDS)
    for j in range(word(w, BLOCK_N)):
        if byte(last, word(chosen, j)):
            state = word(states, j)
            for p in range(n_pooled):
                reference = word(state, word(pooled, 2 * p))
                if reference != 0:
                    release(pool, reference)
            set_word(free, word(w, N_FREE), (state - begin) // (8 * words))
            set_word(w, N_FREE, word(w, N_FREE) + 1)
