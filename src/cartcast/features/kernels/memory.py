"""How kernels read and write memory: raw, or checked where CARTCAST_CHECKED=1.

Each takes an address that lies in some array, and a place counted from there in elements. `part`
returns the address some bytes further on in the same row of an array, `row_at` in any of its rows.
Raw, they are single machine instructions. Checked, they find the array and refuse what lies
outside.
"""

from __future__ import annotations

from cartcast.features.kernels.compiled import CHECKED

if CHECKED:
    from cartcast.features.kernels.checked import (
        byte,
        code,
        loose_code,
        loose_word,
        part,
        prefetch,
        real,
        row_at,
        set_byte,
        set_code,
        set_real,
        set_word,
        word,
    )  # fmt: skip
else:
    from cartcast.features.kernels.raw import (
        byte,
        code,
        loose_code,
        loose_word,
        part,
        prefetch,
        real,
        row_at,
        set_byte,
        set_code,
        set_real,
        set_word,
        word,
    )  # fmt: skip

__all__ = [
    "byte",
    "code",
    "loose_code",
    "loose_word",
    "part",
    "prefetch",
    "real",
    "row_at",
    "set_byte",
    "set_code",
    "set_real",
    "set_word",
    "word",
]
