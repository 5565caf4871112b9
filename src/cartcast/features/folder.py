"""One thread's open sessions and registers, and the calls into the compiled fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cartcast.features.build import Program
from cartcast.features.kernels import fold as k
from cartcast.features.kernels.pool import new_pool
from cartcast.features.kernels.run import DISORDER, DONE, POOL_FULL, run
from cartcast.features.passes import DisorderError

__all__ = ["BLOCK", "Chunk", "Folder"]

BLOCK = 256
"""Events that the kernels take through the whole program at a time: with their sessions' states
they fit the second-level cache."""

Words = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Chunk:
    """Encoded events and where their values go.

    Attributes:
        hashes: of the session ids.
        orders: event_order.
        last: 1 on the last event of a session.
        place: int32 row of the output for the event's values, or -1; None for its own row.
        wanted: by click, 1 where its values are wanted; None for all.
        strict: whether a session must begin with event_order 1 (else its slot was lost).
        inputs: by input, words, or codes (int32) and the word of each.
        out: (features, places) words.
        click: by place, the click; 0 where nothing was written.
    """

    hashes: Words
    orders: Words
    last: npt.NDArray[np.uint8]
    place: npt.NDArray[np.int32] | None
    wanted: npt.NDArray[np.uint8] | None
    strict: bool
    inputs: list[tuple[npt.NDArray[Any], Words | None]]
    out: Words
    click: Words


class Folder:
    """Open sessions of one thread of several, which takes the sessions of its part."""

    def __init__(self, program: Program, part: int, parts: int) -> None:
        self._program = program
        self._slots = 4 * BLOCK
        self._width = k.HEAD + program.words
        self._table = _table(2 * self._slots)
        self._free = np.empty(self._slots, np.int64)
        self._states = np.empty(self._slots * self._width, np.int64)
        self._pool = new_pool(1 << 16)
        self._masks = np.zeros((program.n_masks + 1) * BLOCK, np.uint8)
        self._masks[program.n_masks * BLOCK :] = 1
        registers = 4 + program.n_events + program.n_values
        self._registers = np.zeros(registers * BLOCK, np.int64)
        self._work = np.zeros(k.WORK, np.int64)
        self._work[:4] = *program.stages, -1
        self._work[k.PHASE] = 2
        self._work[[k.PART, k.PARTS, k.SIZE]] = part, parts, BLOCK
        rows = [k.BLOCK_ROW, k.BLOCK_STATE, k.BLOCK_EMIT, k.BLOCK_PLACE, k.EV, k.RG]
        places = [0, 1, 2, 3, 4, 4 + program.n_events]
        self._work[rows] = self._registers.ctypes.data + 8 * BLOCK * np.array(places)
        self._work[[k.INIT, k.INIT_WORDS]] = program.init.ctypes.data, program.words
        self._work[[k.OUTPUTS, k.N_OUTPUTS]] = program.outputs.ctypes.data, len(program.outputs)
        self._work[[k.POOLED, k.N_POOLED]] = program.pooled.ctypes.data, len(program.pooled)
        self._work[k.STATE_WORDS] = self._width
        self._point()

    def _point(self) -> None:
        """Tell the kernel where the sessions are."""
        self._work[[k.TABLE, k.FREE, k.STATES]] = (
            self._table.ctypes.data,
            self._free.ctypes.data,
            self._states.ctypes.data,
        )
        self._work[[k.TABLE_SIZE, k.CAPACITY]] = self._table.size >> 1, self._slots

    def fold(self, chunk: Chunk) -> Words:
        """Fold the rows of a chunk that belong to this part; return the nulls of each feature.

        Raises:
            DisorderError: a session's events are not in the order that was counted on.
        """
        work, (n_out, places) = self._work, chunk.out.shape
        inputs = [[_address(a), _address(table)] for a, table in chunk.inputs]
        held = np.array(inputs, np.int64).reshape(-1)  # the kernel reads it: keep it alive
        nulls = np.zeros(n_out, np.int64)
        work[[k.AT, k.ROWS, k.STRICT]] = 0, len(chunk.hashes), chunk.strict
        work[[k.HASHES, k.ORDERS, k.LAST]] = [
            _address(a) for a in (chunk.hashes, chunk.orders, chunk.last)
        ]
        work[[k.PLACE, k.WANTED]] = _address(chunk.place), _address(chunk.wanted)
        work[k.WANTED_SIZE] = 0 if chunk.wanted is None else len(chunk.wanted)
        work[[k.INPUTS, k.N_INPUTS, k.NULLS]] = held.ctypes.data, len(inputs), nulls.ctypes.data
        work[[k.OUT, k.PLACES, k.CLICK]] = _address(chunk.out), places, _address(chunk.click)
        while True:
            status = run(self._program.ops, work, self._masks, self._states, self._pool)
            if status == DONE:
                return nulls
            if status == DISORDER:
                raise DisorderError
            if status == POOL_FULL:
                self._grow_pool()
            else:
                self._grow_slots()

    def _grow_pool(self) -> None:
        larger = np.zeros(2 * self._pool.size, np.int64)
        larger[: self._pool.size] = self._pool
        self._pool = larger

    def _grow_slots(self) -> None:
        self._slots *= 2
        larger = _table(2 * self._slots)
        k.rehash(self._table, larger)
        self._table = larger
        self._free = np.resize(self._free, self._slots)
        self._states = np.resize(self._states, self._slots * self._width)
        self._point()


def _table(size: int) -> Words:
    """Return an empty table of (hash, slot)."""
    return np.full(2 * size, -1, np.int64)


def _address(array: npt.NDArray[Any] | None) -> int:
    """Return where a contiguous array begins; 0 for none."""
    if array is None:
        return 0
    assert array.flags.c_contiguous
    return int(array.ctypes.data)
