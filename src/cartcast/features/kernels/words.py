"""Eight-byte words: the hash of a text, the bits of a float, and the word that means nothing."""

from __future__ import annotations

import struct
from typing import Final

import xxhash

__all__ = ["NOTHING", "NULL", "bits", "hash_text", "key_word", "real"]

NOTHING: Final = -(2**63)
"""The word of a null text, key or time: the smallest int64."""

NULL: Final = float("nan")
"""The word of a null number."""


def hash_text(text: str) -> int:
    """Return the 64-bit XXH64 hash of the text's UTF-8 as a signed word, never `NOTHING`.

    Two different texts share a hash once in 2**64; a log of a hundred million sessions has a
    chance of 3 in 10,000 of one such pair among all its session ids, and within one session none
    worth naming. XXH64: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md.

    >>> hash_text("view_item") == hash_text("view_item"), hash_text("a") == hash_text("b")
    (True, False)
    """
    word = int(xxhash.xxh64_intdigest(text.encode("utf-8")))
    word = word - 2**64 if word >= 2**63 else word
    return word if word != NOTHING else NOTHING + 1


def bits(number: float) -> int:
    """Return the bits of a float64 as a signed word."""
    return int(struct.unpack("<q", struct.pack("<d", number))[0])


def real(word: int) -> float:
    """Return the float64 with these bits."""
    return float(struct.unpack("<d", struct.pack("<q", word))[0])


def key_word(number: float) -> int:
    """Return the word that stands for a number as a key: its bits, minus zero made zero.

    >>> key_word(-0.0) == key_word(0.0), key_word(float("nan")) == NOTHING
    (True, True)
    """
    if number != number:  # NaN: nothing equals it, and null has one word
        return NOTHING
    return bits(number + 0.0)
