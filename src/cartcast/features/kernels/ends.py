# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""The first and the last row of each session, as bits, in one pass over the session ids."""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.compiled import inlined, kernel
from cartcast.features.kernels.layout import (
    E_BEGIN,
    E_CODES,
    E_FIRST,
    E_FIRST_OF,
    E_GAP,
    E_HASHES,
    E_LAST,
    E_LAST_OF,
    E_N,
    E_N_HASHES,
    E_ORDERS,
    E_PART,
    E_PARTS,
    E_SEEN_OF,
    E_SIZE,
    E_TABLE,
    E_USED,
    END,
    M_NEW,
    M_NEW_SIZE,
    M_OLD,
    M_OLD_SIZE,
    M_PART,
    M_PARTS,
)  # fmt: skip
from cartcast.features.kernels.memory import byte, code, row_at, set_byte, set_code, set_word, word

__all__ = ["mark_ends", "move_ends"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@inlined
def _seek(table, size, key):
    at = np.int64((np.uint64(key) * _GOLDEN) >> np.uint64(34)) & (size - 1)
    here = row_at(table, 8 * END * at)
    while word(here, 1) >= 0 and word(here, 0) != key:
        at = (at + 1) & (size - 1)
        here = row_at(table, 8 * END * at)
    return here


@inlined
def _mark(bits, row):
    set_byte(bits, row >> 3, byte(bits, row >> 3) | (1 << (row & 7)))


@kernel
def mark_ends(work):
    """Note the ends of the sessions of a batch; return 0 when an event_order does not grow.

    Events name their session by a code; so each session is looked up once per batch. A later batch
    takes back the last row that an earlier one noted.

    With an `E_GAP` (else -1) codes and hashes are those of visitors, orders are times, and a longer
    pause begins a new session: there sessions are made and their ends found at once.
    """
    w = np.int64(work.ctypes.data)
    codes, orders, hashes = word(w, E_CODES), word(w, E_ORDERS), word(w, E_HASHES)
    first_of, last_of, seen_of = word(w, E_FIRST_OF), word(w, E_LAST_OF), word(w, E_SEEN_OF)
    begin, first, last, gap = word(w, E_BEGIN), word(w, E_FIRST), word(w, E_LAST), word(w, E_GAP)
    for i in range(word(w, E_N)):
        name = code(codes, i) if codes != 0 else i
        before = code(last_of, name)
        if before < 0:
            set_code(first_of, name, i)
        elif orders != 0:
            since = word(orders, i) - word(seen_of, name)
            if since < 0 or (since == 0 and gap < 0):
                return False
            if gap >= 0 and since > gap:
                _mark(last, begin + before)
                _mark(first, begin + i)
        set_code(last_of, name, i)
        if orders != 0:
            set_word(seen_of, name, word(orders, i))
    table, size = word(w, E_TABLE), word(w, E_SIZE)
    parts, own = word(w, E_PARTS), word(w, E_PART)
    for name in range(word(w, E_N_HASHES)):
        at, key = code(last_of, name), word(hashes, name)
        set_code(last_of, name, -1)
        if at >= 0 and key & (parts - 1) == own:
            here = _seek(table, size, key)
            before, row, start = word(here, 1), begin + at, code(first_of, name)
            if before < 0:
                set_word(here, 0, key)
                set_word(w, E_USED, word(w, E_USED) + 1)
                _mark(first, begin + start)
            else:
                since = word(orders, start) - word(here, 2) if orders != 0 else np.int64(1)
                if since < 0 or (since == 0 and gap < 0):
                    return False
                if gap >= 0 and since > gap:
                    _mark(first, begin + start)
                else:
                    held = byte(last, before >> 3)
                    set_byte(last, before >> 3, held & (255 ^ (1 << (before & 7))))
            _mark(last, row)
            set_word(here, 1, row)
            if orders != 0:
                set_word(here, 2, word(seen_of, name))
    return True


@kernel
def move_ends(work):
    """Copy the sessions of a part to another, empty table; return how many."""
    w = np.int64(work.ctypes.data)
    old, table, size = word(w, M_OLD), word(w, M_NEW), word(w, M_NEW_SIZE)
    used, parts, own = 0, word(w, M_PARTS), word(w, M_PART)
    for at in range(word(w, M_OLD_SIZE)):
        entry = row_at(old, 8 * END * at)
        if word(entry, 1) >= 0 and word(entry, 0) & (parts - 1) == own:
            here = _seek(table, size, word(entry, 0))
            for k in range(END):
                set_word(here, k, word(entry, k))
            used += 1
    return used
