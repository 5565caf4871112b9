# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,arg-type"
"""The fold: one compiled function for a chunk of a log, a live event, and a queue of these.

One function and not two, because compiling the stages is what a first process waits for.
"""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels.compiled import inlined, kernel
from cartcast.features.kernels.events import event_stage
from cartcast.features.kernels.fold import enter, leave, write
from cartcast.features.kernels.layout import (
    AT,
    BLANK,
    BLOCK_EMIT,
    BLOCK_M,
    BLOCK_N,
    BLOCK_STATE,
    CAPACITY,
    EMIT,
    EV,
    EVENT,
    EVENTS,
    FIRST,
    N_FREE,
    NEXT,
    NEXT_BLOCK,
    OPERATION,
    PHASE,
    Q_DONE,
    Q_HEAD,
    Q_INPUTS,
    Q_OUT,
    Q_OUT_WORDS,
    Q_PICKS,
    Q_ROWS,
    Q_WORDS,
    QUEUED,
    REDUCTIONS,
    REGISTERS,
    RG,
    ROWS,
    SIZE,
    STAGE_1,
    STAGE_2,
    STAGE_3,
    STATE,
    TABLE_SIZE,
    USED,
    Block,
)  # fmt: skip
from cartcast.features.kernels.memory import set_word, word
from cartcast.features.kernels.reduce import reduce_stage
from cartcast.features.kernels.values import value_stage

__all__ = ["DISORDER", "DONE", "POOL_FULL", "SLOTS_FULL", "run"]

POOL_FULL, DONE, SLOTS_FULL, DISORDER = range(4)  # POOL_FULL is false, for the live loop


@inlined
def _next_queued(w, plan, rows):
    """Write the inputs of the next event whose session has a state of this set; return its row.

    0: there is none. Called again for the same event it writes the same.
    """
    at, head = word(plan, Q_DONE), 8 * word(plan, Q_HEAD)
    row = rows + 8 * at * word(plan, Q_WORDS)
    while at < word(plan, Q_ROWS) and word(row + head, 0) == 0:
        at += 1
        row = rows + 8 * at * word(plan, Q_WORDS)
    set_word(plan, Q_DONE, at)
    if at == word(plan, Q_ROWS):
        return row & 0
    set_word(w, STATE, word(row + head, 0))
    for k in range(word(plan, Q_INPUTS)):
        set_word(w, FIRST + k, word(row, word(plan, Q_PICKS + k)))
    return row + head


@kernel
def run(ops, work, masks, state, pool):
    """Fold events and write their values; return DONE, or why it stopped short.

    After POOL_FULL (0) the caller enlarges the pool and calls again with the same arguments.

    `work` is that of one live event, or of a chunk (`REGISTERS` is -1, `state` is not used), see
    `kernels.layout`. Called in phase `REDUCTIONS` with all inputs null, a live fold only reads the
    state. With `QUEUED` a queue of live events is folded: `state` is its rows, `pool` its plan.
    """
    w, live = np.int64(work.ctypes.data), work[REGISTERS] >= 0
    if live:
        work[STATE], work[EMIT] = state.ctypes.data, 0
        size, ev, at_state, emit = np.int64(1), w + 8 * BLANK, w + 8 * STATE, w + 8 * EMIT
        rg = w + 8 * (FIRST + work[REGISTERS])
    else:
        size, ev, at_state, emit = work[SIZE], work[EV], work[BLOCK_STATE], work[BLOCK_EMIT]
        rg = work[RG]
    mk, words, pool_words = np.int64(masks.ctypes.data), np.int64(pool.ctypes.data), pool.size
    b = Block(size, np.int64(ops.ctypes.data), ev, mk, at_state, emit, rg, words, pool_words)
    n, m = np.int64(1), np.int64(1)
    queued, plan, rows = live and work[QUEUED] != 0, words, np.int64(state.ctypes.data)
    while True:
        phase = word(w, PHASE)
        if queued:
            row = _next_queued(w, plan, rows)
            if row == 0:
                return DONE
            rg = word(plan, Q_OUT) + 8 * word(plan, Q_DONE) * word(plan, Q_OUT_WORDS)
            b = Block(size, b.ops, ev, mk, at_state, emit, rg, word(row, 1), word(row, 2))
        elif not live:
            if phase == NEXT_BLOCK:
                if word(w, AT) >= word(w, ROWS):
                    return DONE
                room = word(w, N_FREE) + word(w, CAPACITY) - word(w, NEXT)
                if room < size or (word(w, USED) + size) * 2 > word(w, TABLE_SIZE):
                    return SLOTS_FULL
                if enter(w) < 0:
                    return DISORDER
                phase = np.int64(EVENTS)
            n, m = word(w, BLOCK_N), word(w, BLOCK_M)
        if phase == EVENTS:
            k, j = event_stage(word(w, OPERATION), word(w, EVENT), word(w, STAGE_1), n, b)
            set_word(w, OPERATION, k)
            set_word(w, EVENT, j)
            if k < word(w, STAGE_1):
                set_word(w, PHASE, EVENTS)
                return POOL_FULL
            set_word(w, PHASE, REDUCTIONS)
        k, j = reduce_stage(word(w, OPERATION), word(w, EVENT), word(w, STAGE_2), n, b)
        set_word(w, OPERATION, k)
        set_word(w, EVENT, j)
        if k < word(w, STAGE_2):
            return POOL_FULL
        value_stage(word(w, STAGE_2), word(w, STAGE_3), m, b)
        set_word(w, OPERATION, 0)
        set_word(w, EVENT, 0)
        if live:
            set_word(w, PHASE, EVENTS)
            if not queued:
                return DONE
            set_word(plan, Q_DONE, word(plan, Q_DONE) + 1)
            continue
        set_word(w, PHASE, NEXT_BLOCK)
        write(w)
        leave(w, words)
