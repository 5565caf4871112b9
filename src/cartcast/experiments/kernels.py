"""The compiled hash of many ids; imported late, since Numba takes about a second to load."""

from __future__ import annotations

from typing import Any

from numba import njit

__all__ = ["hash_texts"]

_PRIME = 16777619
_MASK = 0xFFFFFFFF


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mix(state: Any, unit: Any) -> Any:
    return ((state ^ unit) * _PRIME) & _MASK


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _text(data: Any, start: int, end: int, state: Any) -> Any:
    """Mix the UTF-16 code units of the UTF-8 text `data[start:end]` into `state`."""
    at = start
    while at < end:
        first = int(data[at])
        if first < 0x80:
            state = _mix(state, first)
            at += 1
        elif first < 0xE0:
            state = _mix(state, (first & 0x1F) << 6 | (int(data[at + 1]) & 0x3F))
            at += 2
        elif first < 0xF0:
            low = (int(data[at + 1]) & 0x3F) << 6 | (int(data[at + 2]) & 0x3F)
            state = _mix(state, (first & 0x0F) << 12 | low)
            at += 3
        else:
            point = (first & 0x07) << 18 | (int(data[at + 1]) & 0x3F) << 12
            point |= (int(data[at + 2]) & 0x3F) << 6 | (int(data[at + 3]) & 0x3F)
            point -= 0x10000
            state = _mix(_mix(state, 0xD800 | point >> 10), 0xDC00 | point & 0x3FF)
            at += 4
    return state


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def hash_texts(
    data: Any, offsets: Any, state: int, suffix: Any, again: bool, start: int, out: Any
) -> None:
    """Write the 32-bit hash of each text of an Arrow column to `out`.

    `state` is the hash after the seed in front, `suffix` the code units that follow the text;
    `again` hashes the decimal digits of the first hash once more, from the state `start`.
    """
    for i in range(len(out)):
        h = _text(data, offsets[i], offsets[i + 1], state)
        for unit in suffix:
            h = _mix(h, int(unit))
        if again:
            power = 1
            while h // power >= 10:
                power *= 10
            twice = start
            while power:
                twice = _mix(twice, 48 + h // power % 10)
                power //= 10
            h = twice
        out[i] = h
