"""What a kernel works on: one block of events, the states of their sessions, and registers."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["CODE", "MASK", "OFFSET", "OUT", "REAL", "WHOLE", "A", "B", "Block"]

CODE, OUT, A, B, MASK, OFFSET, WHOLE, REAL = range(8)


class Block(NamedTuple):
    """Arrays of a block; `_i` and `_f` are two views of the same words.

    Registers are rows of `size` words, flat: register r of event j is at `r * size + j`.

    Attributes:
        size: events that a register can hold.
        ops_i, ops_f: the program, (operations, 8).
        ev_i, ev_f: event registers; the inputs come first.
        mk: masks, one byte per event; the last one holds always.
        slot: where the state of each event's session begins.
        emit: place among the wanted values, or -1 when the event's values are not wanted.
        st_i, st_f: states.
        rg_i, rg_f: value registers, by place.
        pool, pool_f: see `kernels.pool`.
    """

    size: int
    ops_i: Any
    ops_f: Any
    ev_i: Any
    ev_f: Any
    mk: Any
    slot: Any
    emit: Any
    st_i: Any
    st_f: Any
    rg_i: Any
    rg_f: Any
    pool: Any
    pool_f: Any
