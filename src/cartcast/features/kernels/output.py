# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""From the hashes of texts back to codes of a vocabulary."""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.compiled import inlined, kernel
from cartcast.features.kernels.layout import W_CODES, W_KEYS, W_N, W_OUT, W_SIZE, W_WORDS
from cartcast.features.kernels.memory import code, set_code, set_word, word
from cartcast.features.kernels.words import NOTHING

__all__ = ["codes_of", "fill_codes"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@inlined
def _find(keys, size, key):
    at = np.int64((np.uint64(key) * _GOLDEN) >> np.uint64(40)) & (size - 1)
    while word(keys, at) != NOTHING and word(keys, at) != key:
        at = (at + 1) & (size - 1)
    return at


@kernel
def fill_codes(work):
    """Put the hashes of a vocabulary, in order, into an empty table."""
    w = np.int64(work.ctypes.data)
    words, keys, size, codes = word(w, W_WORDS), word(w, W_KEYS), word(w, W_SIZE), word(w, W_CODES)
    for k in range(word(w, W_N)):
        at = _find(keys, size, word(words, k))
        set_word(keys, at, word(words, k))
        set_code(codes, at, k)


@kernel
def codes_of(work):
    """Write the code of each hash, -1 for null; return the number of nulls."""
    w = np.int64(work.ctypes.data)
    words, keys, size, codes = word(w, W_WORDS), word(w, W_KEYS), word(w, W_SIZE), word(w, W_CODES)
    nulls = 0
    for i in range(word(w, W_N)):
        key, found = word(words, i), -1
        if key == NOTHING:
            nulls += 1
        else:
            found = code(codes, _find(keys, size, key))
        set_code(word(w, W_OUT), i, found)
    return nulls
