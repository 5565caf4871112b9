# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""The first and the last row of each session, as bits, in one pass over the session ids."""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.compiled import inlined, kernel
from cartcast.features.kernels.memory import byte, code, set_byte, set_code, set_word, word

__all__ = ["ENTRY", "WORK", "mark_ends", "move_ends"]

# Places in `work`: the batch, addresses of its columns (`ORDERS` 0: not to be checked), scratch.
BEGIN, N, CODES, HASHES, N_HASHES, ORDERS, FIRST_OF, LAST_OF, SEEN_OF = range(9)
# The table of sessions; bitmaps; the part of the sessions that this pass looks at.
TABLE, SIZE, USED, FIRST, LAST, PART, PARTS, GAP = range(9, 17)
WORK = 17

ENTRY = 3
"""Words of a session: hash, latest row (-1: none), its event_order."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@inlined
def _seek(table, size, key):
    at = np.int64((np.uint64(key) * _GOLDEN) >> np.uint64(34)) & (size - 1)
    here = table + 8 * ENTRY * at
    while word(here, 1) >= 0 and word(here, 0) != key:
        at = (at + 1) & (size - 1)
        here = table + 8 * ENTRY * at
    return here


@inlined
def _mark(bits, row):
    set_byte(bits, row >> 3, byte(bits, row >> 3) | (1 << (row & 7)))


@kernel
def mark_ends(work):
    """Note the ends of the sessions of a batch; return 0 when an event_order does not grow.

    Events name their session by a code; so each session is looked up once per batch. A later batch
    takes back the last row that an earlier one noted.

    With a `GAP` (else -1) codes and hashes are those of visitors, orders are times, and a longer
    pause begins a new session: there sessions are made and their ends found at once.
    """
    w = np.int64(work.ctypes.data)
    codes, orders, hashes = word(w, CODES), word(w, ORDERS), word(w, HASHES)
    first_of, last_of, seen_of = word(w, FIRST_OF), word(w, LAST_OF), word(w, SEEN_OF)
    begin, first, last, gap = word(w, BEGIN), word(w, FIRST), word(w, LAST), word(w, GAP)
    for i in range(word(w, N)):
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
    table, size, parts, part = word(w, TABLE), word(w, SIZE), word(w, PARTS), word(w, PART)
    for name in range(word(w, N_HASHES)):
        at, key = code(last_of, name), word(hashes, name)
        set_code(last_of, name, -1)
        if at >= 0 and key & (parts - 1) == part:
            here = _seek(table, size, key)
            before, row, start = word(here, 1), begin + at, code(first_of, name)
            if before < 0:
                set_word(here, 0, key)
                set_word(w, USED, word(w, USED) + 1)
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
def move_ends(old, new, parts, part):
    """Copy the sessions of a part to another, empty table; return how many."""
    used, table, size = 0, np.int64(new.ctypes.data), new.size // ENTRY
    for at in range(0, old.size, ENTRY):
        if old[at + 1] >= 0 and old[at] & (parts - 1) == part:
            here = _seek(table, size, old[at])
            for k in range(ENTRY):
                set_word(here, k, old[at + k])
            used += 1
    return used
