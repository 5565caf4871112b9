# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""One live event: the stages of the bulk fold on a block of one."""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.block import Block
from cartcast.features.kernels.compiled import kernel
from cartcast.features.kernels.events import event_stage
from cartcast.features.kernels.reduce import reduce_stage
from cartcast.features.kernels.values import value_stage

__all__ = ["run_one"]


@kernel
def run_one(ops, work, masks, state, pool):
    """Fold one event into `state` and write the values; return false when the pool is full.

    `work`: words 0-2 the ends of the stages, 3 the number of event registers, 4-6 the stage,
    operation and event to go on from (zeroed when done), 7 the slot (0), 8 the place (0), then
    the event registers, then the value registers. Called with stage 1 and all inputs null it
    only reads the state.
    """
    registers = work[9 : 9 + work[3]]
    values = work[9 + work[3] :]
    b = Block(
        1,
        ops,
        ops.view(np.float64),
        registers,
        registers.view(np.float64),
        masks,
        work[7:8],
        work[8:9],
        state,
        state.view(np.float64),
        values,
        values.view(np.float64),
        pool,
        pool.view(np.float64),
    )
    if work[4] == 0:
        k, j = event_stage(work[5], work[6], work[0], 1, b)
        work[5], work[6] = k, j
        if k < work[0]:
            return False
        work[4] = 1
    k, j = reduce_stage(work[5], work[6], work[1], 1, b)
    work[5], work[6] = k, j
    if k < work[1]:
        return False
    value_stage(work[1], work[2], 1, b)
    work[4] = work[5] = work[6] = 0
    return True
