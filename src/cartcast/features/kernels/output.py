# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""From words back to Arrow: validity bits of numbers, codes of texts, and last events."""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.compiled import inlined, kernel
from cartcast.features.kernels.words import NOTHING

__all__ = ["codes_of", "fill_codes", "mark_ends", "validity"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@kernel
def validity(numbers, bits):
    """Write an Arrow validity bitmap (1: not NaN) of `numbers`; return the number of nulls.

    Without nulls nothing is written.
    """
    nulls = 0
    for i in range(numbers.size):
        nulls += numbers[i] != numbers[i]
    if nulls == 0:
        return 0
    whole = numbers.size // 8
    for k in range(whole):
        byte = 0
        for bit in range(8):
            number = numbers[8 * k + bit]
            byte |= (number == number) << bit
        bits[k] = byte
    if numbers.size % 8:
        byte = 0
        for i in range(8 * whole, numbers.size):
            present = numbers[i] == numbers[i]
            byte |= present << (i - 8 * whole)
        bits[whole] = byte
    return nulls


@inlined
def _find(keys, key):
    last = keys.size - 1
    at = np.int64((np.uint64(key) * _GOLDEN) >> np.uint64(40)) & last
    while keys[at] != NOTHING and keys[at] != key:
        at = (at + 1) & last
    return at


@kernel
def fill_codes(words, keys, codes):
    """Put the hashes of a vocabulary, in order, into an empty table."""
    for code in range(words.size):
        at = _find(keys, words[code])
        keys[at] = words[code]
        codes[at] = code


@kernel
def codes_of(words, keys, codes, out, bits):
    """Write the code and the validity bit of each hash; return the number of nulls."""
    nulls = 0
    for byte in range(bits.size):
        bits[byte] = 0
    for i in range(words.size):
        if words[i] == NOTHING:
            out[i] = 0
            nulls += 1
        else:
            out[i] = codes[_find(keys, words[i])]
            bits[i >> 3] |= 1 << (i & 7)
    return nulls


@kernel
def mark_ends(begin, used, hashes, orders, keys, rows, seen, first, last):
    """Note the first and the last row of each session so far, as bits, for rows from `begin`.

    `rows` is the latest row of a session, -1 in empty places; `seen` its event_order there
    (empty: not to be checked).
    Returns sessions, or -1 when a session's event_order does not grow.
    """
    mask = keys.size - 1
    for i in range(hashes.size):
        key = hashes[i]
        row = begin + i
        at = np.int64((np.uint64(key) * _GOLDEN) >> np.uint64(40)) & mask
        while rows[at] >= 0 and keys[at] != key:
            at = (at + 1) & mask
        before = rows[at]
        if before < 0:
            keys[at] = key
            used += 1
            first[row >> 3] |= 1 << (row & 7)
        else:
            if seen.size > 0 and orders[i] <= seen[at]:
                return -1
            last[before >> 3] &= 255 ^ (1 << (before & 7))
        last[row >> 3] |= 1 << (row & 7)
        rows[at] = row
        if seen.size > 0:
            seen[at] = orders[i]
    return used


@kernel
def move_ends(keys, rows, seen, new_keys, new_rows, new_seen):
    """Copy the table of `mark_ends` into a larger, empty one."""
    mask = new_keys.size - 1
    for k in range(keys.size):
        if rows[k] >= 0:
            at = np.int64((np.uint64(keys[k]) * _GOLDEN) >> np.uint64(40)) & mask
            while new_rows[at] >= 0:
                at = (at + 1) & mask
            new_keys[at] = keys[k]
            new_rows[at] = rows[k]
            if seen.size > 0:
                new_seen[at] = seen[k]
