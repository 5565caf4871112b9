"""What a kernel works on: the operations, registers of one block of events, the pool."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CODE", "MASK", "OFFSET", "OUT", "REAL", "ROW", "WHOLE", "A", "B", "Block"]

CODE, OUT, A, B, MASK, OFFSET, WHOLE, REAL = range(8)

ROW = 64
"""Bytes of one operation."""


class Block(NamedTuple):
    """Addresses; see `kernels.memory`.

    Registers are rows of `size` words, flat: register r of event j is at word `r * size + j`.

    Attributes:
        size: events that a register can hold.
        ops: the program, operations of eight words.
        ev: event registers; the inputs come first.
        mk: masks, one byte per event; the last one holds always.
        state: by event, the address of its session's state.
        emit: by event, the place for its values; an event whose values are not wanted has the
            place of the next one that is, and is written over by it.
        rg: value registers, by place.
        pool: see `kernels.pool`.
        pool_words: of the pool.
    """

    size: int
    ops: int
    ev: int
    mk: int
    state: int
    emit: int
    rg: int
    pool: int
    pool_words: int
