# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,arg-type"
"""The fold: one compiled function for a chunk of a log and for one live event.

One function and not two, because compiling the stages is what a first process waits for.
"""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.block import Block
from cartcast.features.kernels.compiled import kernel
from cartcast.features.kernels.events import event_stage
from cartcast.features.kernels.fold import (
    AT,
    BLOCK_EMIT,
    BLOCK_M,
    BLOCK_N,
    BLOCK_STATE,
    CAPACITY,
    EV,
    EVENT,
    N_FREE,
    NEXT,
    OPERATION,
    PHASE,
    REGISTERS,
    RG,
    ROWS,
    SIZE,
    STAGE_1,
    STAGE_2,
    STAGE_3,
    TABLE_SIZE,
    USED,
    enter,
    leave,
    write,
)
from cartcast.features.kernels.memory import set_word, word
from cartcast.features.kernels.reduce import reduce_stage
from cartcast.features.kernels.values import value_stage

__all__ = ["DISORDER", "DONE", "POOL_FULL", "SLOTS_FULL", "run"]

POOL_FULL, DONE, SLOTS_FULL, DISORDER = range(4)  # POOL_FULL is false, for the live loop

_STATE, _EMIT, _FIRST = 7, 8, 9
_EVENTS, _REDUCTIONS, _NEXT_BLOCK = range(3)


@kernel
def run(ops, work, masks, state, pool):
    """Fold events and write their values; return DONE, or why it stopped short.

    After POOL_FULL (0) the caller enlarges the pool and calls again with the same arguments.

    One live event: `work` begins with the ends of the three stages, the number of event registers,
    and the phase, operation and event to continue from (zeroed when done); words 7 and 8 are the
    kernel's own; then come the event registers, then the value registers. Called in phase 1 with
    all inputs null it only reads the state.

    A chunk: word 3 is -1, the other words are those of `kernels.fold`; `state` is not used.
    """
    w, live = np.int64(work.ctypes.data), work[REGISTERS] >= 0
    if live:
        work[_STATE], work[_EMIT] = state.ctypes.data, 0
        size, ev, at_state, emit = np.int64(1), w + 8 * _FIRST, w + 8 * _STATE, w + 8 * _EMIT
        rg = ev + 8 * work[REGISTERS]
    else:
        size, ev, at_state, emit = work[SIZE], work[EV], work[BLOCK_STATE], work[BLOCK_EMIT]
        rg = work[RG]
    mk, words, pool_words = np.int64(masks.ctypes.data), np.int64(pool.ctypes.data), pool.size
    b = Block(size, np.int64(ops.ctypes.data), ev, mk, at_state, emit, rg, words, pool_words)
    n, m = np.int64(1), np.int64(1)
    while True:
        phase = word(w, PHASE)
        if not live:
            if phase == _NEXT_BLOCK:
                if word(w, AT) >= word(w, ROWS):
                    return DONE
                room = word(w, N_FREE) + word(w, CAPACITY) - word(w, NEXT)
                if room < size or (word(w, USED) + size) * 2 > word(w, TABLE_SIZE):
                    return SLOTS_FULL
                if enter(w) < 0:
                    return DISORDER
                phase = np.int64(_EVENTS)
            n, m = word(w, BLOCK_N), word(w, BLOCK_M)
        if phase == _EVENTS:
            k, j = event_stage(word(w, OPERATION), word(w, EVENT), word(w, STAGE_1), n, b)
            set_word(w, OPERATION, k)
            set_word(w, EVENT, j)
            if k < word(w, STAGE_1):
                set_word(w, PHASE, _EVENTS)
                return POOL_FULL
            set_word(w, PHASE, _REDUCTIONS)
        k, j = reduce_stage(word(w, OPERATION), word(w, EVENT), word(w, STAGE_2), n, b)
        set_word(w, OPERATION, k)
        set_word(w, EVENT, j)
        if k < word(w, STAGE_2):
            return POOL_FULL
        value_stage(word(w, STAGE_2), word(w, STAGE_3), m, b)
        set_word(w, OPERATION, 0)
        set_word(w, EVENT, 0)
        if live:
            set_word(w, PHASE, _EVENTS)
            return DONE
        set_word(w, PHASE, _NEXT_BLOCK)
        write(w)
        leave(w, words)
