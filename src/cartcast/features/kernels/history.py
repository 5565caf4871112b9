# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""The visitor's past at the moment a session begins, from a log in time order."""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.compiled import inlined, kernel
from cartcast.features.kernels.words import NOTHING

__all__ = ["remember"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@inlined
def _find(keys, key):
    last = keys.size - 1
    at = np.int64((np.uint64(key) * _GOLDEN) >> np.uint64(40)) & last
    while keys[at] != NOTHING and keys[at] != key:
        at = (at + 1) & last
    return at


@kernel
def regrow(keys, rows, new_keys, new_rows):
    """Copy a visitors' table into a larger, empty one."""
    for at in range(keys.size):
        if keys[at] != NOTHING:
            to = _find(new_keys, keys[at])
            new_keys[to] = keys[at]
            for word in range(rows.shape[1]):
                new_rows[to, word] = rows[at, word]


@kernel
def remember(start, used, visitors, first, now, types, kinds, keys, rows, out):
    """Go through events from `start`; write the past of the visitor on each session's first event.

    `kinds` are the event types counted; `rows` holds, by visitor, the sessions begun, the latest
    time, then a count per kind. `out` rows: earlier sessions, days since the latest event, then
    the counts; NaN everywhere else, for an unknown visitor, and where there is no calendar.
    Returns (event reached, visitors): short of the end when the table must grow.
    """
    for i in range(start, visitors.size):
        for c in range(out.shape[0]):
            out[c, i] = np.nan
        visitor = visitors[i]
        if visitor == NOTHING or now[i] == NOTHING:
            continue
        if (used + 1) * 2 > keys.size:
            return i, used
        at = _find(keys, visitor)
        if keys[at] == NOTHING:
            keys[at] = visitor
            used += 1
            for word in range(rows.shape[1]):
                rows[at, word] = 0
            rows[at, 1] = NOTHING
        if first[i]:
            out[0, i] = rows[at, 0]
            if rows[at, 1] != NOTHING:
                out[1, i] = (now[i] - rows[at, 1]) / 86_400e6
            for c in range(kinds.size):
                out[2 + c, i] = rows[at, 2 + c]
            rows[at, 0] += 1
        if rows[at, 1] == NOTHING or now[i] > rows[at, 1]:
            rows[at, 1] = now[i]
        for c in range(kinds.size):
            rows[at, 2 + c] += types[i] == kinds[c]
    return visitors.size, used
