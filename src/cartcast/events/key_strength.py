"""How hard a key is to guess: length, kinds of characters, and what repeats or runs on."""

from __future__ import annotations

import math

__all__ = ["LEAST_BITS", "LEAST_KEY", "bits", "weakness"]

LEAST_KEY = 16
LEAST_BITS = 40.0
"""A guess costs a tenth of a second (see `Privacy.root`): this many take thousands of years."""

WORDS = (
    "password", "passwort", "passphrase", "secret", "cartcast", "changeme", "letmein", "welcome",
    "iloveyou", "monkey", "dragon", "administrator", "admin", "default", "example", "pseudonym",
    "privacy", "visitor", "qwerty", "qwertz", "azerty", "development", "production", "testing",
    "test", "key", "1q2w3e4r", "12345",
)  # fmt: skip
_ROWS = [
    "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm",
    "1234567890", "abcdefghijklmnopqrstuvwxyz", "`1234567890-=", "!@#$%^&*()", "1qaz", "2wsx",
    "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "q2w3e4r5t6y7u8i9o0p",
]  # fmt: skip
_STEPS = {(a, b) for row in _ROWS for a, b in zip(row, row[1:] + row[:1], strict=True)}
_STEPS |= {(b, a) for a, b in _STEPS}
_KINDS = ((str.islower, 26), (str.isupper, 26), (str.isdigit, 10))


def bits(key: str) -> float:
    """Return about how many bits a guesser must try.

    A character counts only where what came before does not give it: no repeat of three characters
    seen before, no run along the alphabet or a keyboard, no part of a well-known word.

    >>> [round(bits(k)) for k in ("a" * 16, "abcdefghijklmnop", "password12345678")]
    [1, 5, 0]
    >>> bits("7f3c9a1e5b2d8046") > LEAST_BITS
    True
    """
    lower = key.lower()
    taken = _known(lower)
    steps = [False, *(_step(lower, k) for k in range(1, len(lower))), False]
    counted = []
    for k, character in enumerate(key):
        repeats = k >= 2 and lower[k - 2 : k + 1] in lower[:k]
        # One step alone happens by chance, two make a pattern.
        runs = steps[k] and (steps[k - 1] or steps[k + 1])
        if not (taken[k] or repeats or runs):
            counted.append(character)
    if not counted:
        return 0.0
    kinds = sum(size for is_kind, size in _KINDS if any(is_kind(c) for c in counted))
    kinds += 32 if any(not c.isalnum() for c in counted) else 0
    # A key of few distinct characters is no richer than those.
    return len(counted) * math.log2(min(max(kinds, 2), max(len(set(key)), 1) * 2))


def _step(lower: str, k: int) -> bool:
    """Return whether a character follows from the one or two before it."""
    code = [ord(c) for c in lower[max(0, k - 4) : k + 1]]
    jump = code[-1] - code[-2]
    # The same jump again, of this character or of every second one.
    even = any(
        len(code) > 2 * w and code[-1] - code[-1 - w] == code[-1 - w] - code[-1 - 2 * w]
        for w in (1, 2)
    )
    alternates = len(code) > 2 and code[-1] == code[-3]
    return abs(jump) <= 1 or even or alternates or (lower[k - 1], lower[k]) in _STEPS


def _known(lower: str) -> list[bool]:
    plain = lower.translate(str.maketrans("0134578@$!", "oieastbasi"))
    taken = [False] * len(lower)
    for word in WORDS:
        for text in (lower, plain):
            at = text.find(word)
            while at >= 0:
                # Its first character stays: the choice of the word is worth something.
                taken[at : at + len(word)] = [True] * len(word)
                at = text.find(word, at + 1)
    return taken


def weakness(key: str) -> str | None:
    """Return why a key is too weak; None when it is not.

    >>> weakness("short")
    'has 5 characters; at least 16 are needed'
    >>> weakness("a" * 16)
    'repeats or follows a pattern, so it can be guessed'
    """
    if len(key) < LEAST_KEY:
        return f"has {len(key)} characters; at least {LEAST_KEY} are needed"
    if bits(key) < LEAST_BITS:
        return "repeats or follows a pattern, so it can be guessed"
    return None
