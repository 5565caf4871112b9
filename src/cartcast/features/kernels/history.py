# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""The visitor's past at the moment a session begins, from a log in time order."""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.compiled import inlined, kernel
from cartcast.features.kernels.layout import (
    M_NEW,
    M_NEW_SIZE,
    M_OLD,
    M_OLD_SIZE,
    M_WIDTH,
    P_COLUMNS,
    P_KINDS,
    P_N,
    P_N_KINDS,
    P_NOW,
    P_OUT,
    P_SESSION,
    P_SIZE,
    P_START,
    P_TABLE,
    P_TYPES,
    P_USED,
    P_VISITORS,
    V_COUNTS,
    V_KEY,
    V_LATEST,
    V_SESSIONS,
)  # fmt: skip
from cartcast.features.kernels.memory import byte, row_at, set_real, set_word, word
from cartcast.features.kernels.words import NOTHING

__all__ = ["regrow", "remember"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@inlined
def _seek(table, size, width, key):
    """Return the address of a visitor's row, or of the empty one where it belongs."""
    at = np.int64((np.uint64(key) * _GOLDEN) >> np.uint64(40)) & (size - 1)
    here = row_at(table, 8 * width * at)
    while word(here, V_KEY) != NOTHING and word(here, V_KEY) != key:
        at = (at + 1) & (size - 1)
        here = row_at(table, 8 * width * at)
    return here


@kernel
def regrow(work):
    """Copy a visitors' table into a larger, empty one."""
    w = np.int64(work.ctypes.data)
    old, table, size, width = word(w, M_OLD), word(w, M_NEW), word(w, M_NEW_SIZE), word(w, M_WIDTH)
    for at in range(word(w, M_OLD_SIZE)):
        row = row_at(old, 8 * width * at)
        if word(row, V_KEY) != NOTHING:
            here = _seek(table, size, width, word(row, V_KEY))
            for k in range(width):
                set_word(here, k, word(row, k))


@inlined
def _tell(row, now, out, n, i, kinds):
    """Write the past of a visitor to column `i` of the rows of `out`."""
    set_real(out, i, float(word(row, V_SESSIONS)))
    if word(row, V_LATEST) != NOTHING:
        set_real(row_at(out, 8 * n), i, (now - word(row, V_LATEST)) / 86_400e6)
    for c in range(kinds):
        set_real(row_at(out, 8 * n * (2 + c)), i, float(word(row, V_COUNTS + c)))


@kernel
def remember(work):
    """Go through events; write the past of the visitor on the first event of each session.

    Rows of `P_OUT`: earlier sessions, days since the latest event, then the counts of the kinds;
    NaN everywhere else, for an unknown visitor, and where there is no calendar. Returns the event
    reached: short of the end when the table must grow.
    """
    w = np.int64(work.ctypes.data)
    n, kinds, out, table = word(w, P_N), word(w, P_N_KINDS), word(w, P_OUT), word(w, P_TABLE)
    width = V_COUNTS + kinds
    for i in range(word(w, P_START), n):
        for c in range(2 + kinds):
            set_real(row_at(out, 8 * n * c), i, np.nan)
        visitor, now = word(word(w, P_VISITORS), i), word(word(w, P_NOW), i)
        if visitor == NOTHING or now == NOTHING:
            continue
        if (word(w, P_USED) + 1) * 2 > word(w, P_SIZE):
            return i
        row = _seek(table, word(w, P_SIZE), width, visitor)
        if word(row, V_KEY) == NOTHING:
            set_word(row, V_KEY, visitor)
            set_word(w, P_USED, word(w, P_USED) + 1)
            for k in range(1, width):
                set_word(row, k, 0)
            set_word(row, V_LATEST, NOTHING)
        if byte(word(w, P_SESSION), i) != 0:
            _tell(row, now, out, n, i, kinds)
            set_word(row, V_SESSIONS, word(row, V_SESSIONS) + 1)
        if word(row, V_LATEST) == NOTHING or now > word(row, V_LATEST):
            set_word(row, V_LATEST, now)
        for c in range(kinds):
            types = row_at(word(w, P_TYPES), 8 * n * word(word(w, P_COLUMNS), c))
            seen = word(types, i) == word(word(w, P_KINDS), c)
            set_word(row, V_COUNTS + c, word(row, V_COUNTS + c) + seen)
    return n
