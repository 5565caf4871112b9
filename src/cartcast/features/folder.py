"""One thread's open sessions and registers, and the calls into the compiled fold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cartcast.features.build import Program
from cartcast.features.kernels.fold import (
    DISORDER,
    DONE,
    POOL_FULL,
    Chunk,
    Plan,
    Scratch,
    Sessions,
    fold,
    rehash,
)
from cartcast.features.kernels.pool import new_pool
from cartcast.features.passes import DisorderError

__all__ = ["BLOCK", "Folder", "plan_of"]

BLOCK = 1024
"""Events that the kernels take through the whole program at a time: their registers stay in the
second-level cache."""


def plan_of(program: Program) -> Plan:
    """Return a program as the arrays that kernels take."""
    return Plan(
        program.ops,
        np.array(program.stages, dtype=np.int64),
        program.init,
        program.outputs,
        program.pooled,
        len(program.inputs),
    )


class Folder:
    """Open sessions of one thread."""

    def __init__(self, program: Program, plan: Plan) -> None:
        self._plan = plan
        words, size = program.words, 4 * BLOCK
        self._sessions = Sessions(
            control=np.zeros(8, np.int64),
            keys=np.empty(2 * size, np.int64),
            places=np.full(2 * size, -1, np.int64),
            free=np.empty(size, np.int64),
            clicks=np.empty(size, np.int64),
            orders=np.empty(size, np.int64),
            states=np.empty(size * words, np.int64),
            pool=new_pool(1 << 16),
        )
        masks = np.zeros((program.n_masks + 1) * BLOCK, np.uint8)
        masks[program.n_masks * BLOCK :] = 1
        self._scratch = Scratch(
            size=BLOCK,
            ev=np.empty(program.n_events * BLOCK, np.int64),
            mk=masks,
            rg=np.empty(program.n_values * BLOCK, np.int64),
            slot=np.empty(BLOCK, np.int64),
            emit=np.empty(BLOCK, np.int64),
            place=np.empty(BLOCK, np.int64),
        )

    def fold(self, index: npt.NDArray[np.int32], chunk: Chunk) -> None:
        """Fold the rows `index` of a chunk.

        Raises:
            DisorderError: a session's events are not in the order that was counted on.
        """
        while True:
            status = fold(index, self._plan, self._sessions, self._scratch, chunk)
            if status == DONE:
                return
            if status == DISORDER:
                raise DisorderError
            if status == POOL_FULL:
                self._grow_pool()
            else:
                self._grow_slots()

    def _grow_pool(self) -> None:
        pool = self._sessions.pool
        larger = np.zeros(2 * pool.size, np.int64)
        larger[: pool.size] = pool
        self._sessions = self._sessions._replace(pool=larger)

    def _grow_slots(self) -> None:
        s = self._sessions
        keys = np.empty(2 * s.keys.size, np.int64)
        places = np.full(2 * s.keys.size, -1, np.int64)
        rehash(s.keys, s.places, keys, places)
        self._sessions = s._replace(
            keys=keys,
            places=places,
            free=np.resize(s.free, 2 * s.free.size),
            clicks=np.resize(s.clicks, 2 * s.clicks.size),
            orders=np.resize(s.orders, 2 * s.orders.size),
            states=np.resize(s.states, 2 * s.states.size),
        )
