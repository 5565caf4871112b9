"""One thread's open sessions and registers, and the calls into the compiled fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cartcast.features.build import Program
from cartcast.features.kernels import layout as k
from cartcast.features.kernels.fold import rehash
from cartcast.features.kernels.pool import new_pool
from cartcast.features.kernels.run import DISORDER, DONE, POOL_FULL, run
from cartcast.features.kernels.work import Work
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


_OF_A_CHUNK = (
    k.HASHES, k.ORDERS, k.LAST, k.PLACE, k.WANTED, k.INPUTS, k.OUTS, k.CLICK, k.NULLS,
)  # fmt: skip


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
        self._work = work = Work(k.CHUNK)
        words = work.words
        words[[k.STAGE_1, k.STAGE_2, k.STAGE_3]] = program.stages
        words[[k.REGISTERS, k.PHASE]] = -1, k.NEXT_BLOCK
        words[[k.PART, k.PARTS, k.SIZE]] = part, parts, BLOCK
        for place in (k.BLOCK_ROW, k.BLOCK_STATE, k.BLOCK_EMIT, k.BLOCK_PLACE):
            work.point(place, _registers(1), BLOCK)
        work.point(k.EV, _registers(1 + program.n_events), BLOCK)
        work.point(k.RG, _registers(program.n_values), BLOCK)
        work.point(k.INIT, program.init)
        work.point(k.OUTPUTS, program.outputs)
        work.point(k.POOLED_AT, program.pooled)
        words[[k.INIT_WORDS, k.N_OUTPUTS]] = program.words, len(program.outputs)
        words[[k.N_POOLED, k.STATE_WORDS]] = len(program.pooled), self._width
        self._point()

    def _point(self) -> None:
        """Tell the kernel where the sessions are."""
        self._work.point(k.TABLE, self._table, row=2)
        self._work.point(k.FREE, self._free)
        self._work.point(k.STATES, self._states, row=self._width)
        self._work.words[[k.TABLE_SIZE, k.CAPACITY]] = self._table.size >> 1, self._slots

    def fold(self, chunk: Chunk) -> Words:
        """Fold the rows of a chunk that belong to this part; return the nulls of each feature.

        Raises:
            DisorderError: a session's events are not in the order that was counted on.
        """
        work, words, (n_out, places) = self._work, self._work.words, chunk.out.shape
        nulls = np.zeros(n_out, np.int64)
        words[[k.AT, k.ROWS, k.STRICT]] = 0, len(chunk.hashes), chunk.strict
        words[[k.N_INPUTS, k.PLACES]] = len(chunk.inputs), places
        words[k.WANTED_SIZE] = 0 if chunk.wanted is None else len(chunk.wanted)
        work.point(k.HASHES, chunk.hashes)
        work.point(k.ORDERS, chunk.orders)
        work.point(k.LAST, chunk.last)
        work.point(k.PLACE, chunk.place)
        work.point(k.WANTED, chunk.wanted)
        work.point_pairs(k.INPUTS, chunk.inputs)
        work.point(k.OUTS, chunk.out, row=places)
        work.point(k.CLICK, chunk.click)
        work.point(k.NULLS, nulls)
        try:
            self._run()
        finally:
            work.let_go(_OF_A_CHUNK)
        return nulls

    def _run(self) -> None:
        while True:
            ops, words = self._program.ops, self._work.words
            status = run(ops, words, self._masks, self._states, self._pool)
            if status == DONE:
                return
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
        larger, move = _table(2 * self._slots), Work(k.MOVE)
        move.point(k.M_OLD, self._table, row=2)
        move.point(k.M_NEW, larger, row=2)
        move.words[[k.M_OLD_SIZE, k.M_NEW_SIZE]] = self._table.size >> 1, larger.size >> 1
        rehash(move.words)
        self._table = larger
        self._free = np.resize(self._free, self._slots)
        self._states = np.resize(self._states, self._slots * self._width)
        self._point()


def _table(size: int) -> Words:
    """Return an empty table of (hash, slot)."""
    return np.full(2 * size, -1, np.int64)


def _registers(rows: int) -> Words:
    return np.zeros(rows * BLOCK, np.int64)
