# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""The fold itself: rows of a chunk, block by block, into the states of their sessions.

A session's slot is taken at its first event and given back after its last, so memory follows the
open sessions. Where room runs out the kernel returns, remembers where it stood (`Sessions.control`)
and goes on when it is called again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cartcast.features.kernels.block import Block
from cartcast.features.kernels.compiled import inlined, inner, kernel
from cartcast.features.kernels.events import event_stage
from cartcast.features.kernels.pool import release
from cartcast.features.kernels.reduce import reduce_stage
from cartcast.features.kernels.values import value_stage

__all__ = [
    "DISORDER",
    "DONE",
    "POOL_FULL",
    "SLOTS_FULL",
    "Chunk",
    "Plan",
    "Scratch",
    "Sessions",
    "fold",
    "rehash",
]  # fmt: skip

DONE, SLOTS_FULL, POOL_FULL, DISORDER = range(4)

# Places in `Sessions.control`.
USED, FREE, NEXT, AT, PHASE, OPERATION, EVENT, WANTED = range(8)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Plan(NamedTuple):
    """A program as arrays: operations, ends of stages, initial state, outputs, pooled words."""

    ops: Any
    stages: Any
    init: Any
    outputs: Any
    pooled: Any
    n_inputs: int


class Sessions(NamedTuple):
    """Open sessions: a hash table from the session's hash to its slot, and what a slot holds."""

    control: Any
    keys: Any
    places: Any
    free: Any
    clicks: Any
    orders: Any
    states: Any
    pool: Any


class Scratch(NamedTuple):
    """Registers of one thread, for `size` events."""

    size: int
    ev: Any
    mk: Any
    rg: Any
    slot: Any
    emit: Any
    place: Any


class Chunk(NamedTuple):
    """Encoded events and where their values go.

    Attributes:
        hashes: of the session ids.
        orders: event_order.
        last: 1 on the last event of a session.
        place: row of the output for the event's values, or -1.
        wanted: by click, whether its values are wanted; empty for all.
        strict: 1 when a session must begin with event_order 1 (else its slot was lost).
        inputs: (inputs, events) words.
        out: (features, places) words.
        click: by place, the click; 0 where nothing was written.
    """

    hashes: Any
    orders: Any
    last: Any
    place: Any
    wanted: Any
    strict: int
    inputs: Any
    out: Any
    click: Any


@inlined
def _home(key, size):
    # `size` is a power of two; multiply-shift takes the high bits, which the split by low bits
    # of the same hash over threads leaves alone.
    return np.int64((np.uint64(key) * _GOLDEN) >> np.uint64(40)) & (size - 1)


@inlined
def _seek(keys, places, key):
    at = _home(key, keys.size)
    while places[at] >= 0 and keys[at] != key:
        at = (at + 1) & (keys.size - 1)
    return at


@inner
def _remove(keys, places, at):
    """Delete an entry of linear probing by shifting back those that it kept from home."""
    last = keys.size - 1
    hole = at
    while True:
        at = (at + 1) & last
        if places[at] < 0:
            break
        home = _home(keys[at], keys.size)
        if ((at - home) & last) >= ((at - hole) & last):
            keys[hole] = keys[at]
            places[hole] = places[at]
            hole = at
    places[hole] = -1


@kernel
def rehash(keys, places, new_keys, new_places):
    """Copy a table into a larger, empty one."""
    for at in range(keys.size):
        if places[at] >= 0:
            to = _seek(new_keys, new_places, keys[at])
            new_keys[to] = keys[at]
            new_places[to] = places[at]


@inner
def _enter(index, begin, n, plan, sessions, scratch, chunk):
    """Find or take the slot of each event; return how many values are wanted, -1 on disorder."""
    control, words = sessions.control, plan.init.size
    m = 0
    for j in range(n):
        i = index[begin + j]
        key = chunk.hashes[i]
        at = _seek(sessions.keys, sessions.places, key)
        slot = sessions.places[at]
        if slot < 0:
            if chunk.strict and chunk.orders[i] != 1:
                control[EVENT] = i
                return -1
            if control[FREE] > 0:
                control[FREE] -= 1
                slot = sessions.free[control[FREE]]
            else:
                slot = control[NEXT]
                control[NEXT] += 1
            control[USED] += 1
            sessions.keys[at] = key
            sessions.places[at] = slot
            sessions.clicks[slot] = 0
            for word in range(words):
                sessions.states[slot * words + word] = plan.init[word]
        elif chunk.orders[i] <= sessions.orders[slot]:
            control[EVENT] = i
            return -1
        sessions.orders[slot] = chunk.orders[i]
        click = sessions.clicks[slot] + 1
        sessions.clicks[slot] = click
        scratch.slot[j] = slot * words
        place = chunk.place[i]
        wanted = chunk.wanted
        if place >= 0 and (wanted.size == 0 or (click < wanted.size and wanted[click] != 0)):
            scratch.emit[j] = m
            scratch.place[m] = place
            chunk.click[place] = click
            m += 1
        else:
            scratch.emit[j] = -1
    return m


@inner
def _load(index, begin, n, inputs, scratch):
    for c in range(inputs.shape[0]):
        to = c * scratch.size
        for j in range(n):
            scratch.ev[to + j] = inputs[c, index[begin + j]]


@inner
def _write(m, plan, scratch, out):
    for f in range(plan.outputs.size):
        register = plan.outputs[f] * scratch.size
        for j in range(m):
            out[f, scratch.place[j]] = scratch.rg[register + j]


@inner
def _leave(index, begin, n, plan, sessions, chunk):
    """Give back the slots of sessions that ended in this block; false when one ended twice."""
    words = plan.init.size
    for j in range(n):
        i = index[begin + j]
        if chunk.last[i]:
            at = _seek(sessions.keys, sessions.places, chunk.hashes[i])
            slot = sessions.places[at]
            if slot < 0:
                return False
            for p in range(plan.pooled.shape[0]):
                reference = sessions.states[slot * words + plan.pooled[p, 0]]
                if reference != 0:
                    release(sessions.pool, reference)
            _remove(sessions.keys, sessions.places, at)
            sessions.free[sessions.control[FREE]] = slot
            sessions.control[FREE] += 1
            sessions.control[USED] -= 1
    return True


@inner
def _block(plan, states, pool, scratch):
    return Block(
        scratch.size,
        plan.ops,
        plan.ops.view(np.float64),
        scratch.ev,
        scratch.ev.view(np.float64),
        scratch.mk,
        scratch.slot,
        scratch.emit,
        states,
        states.view(np.float64),
        scratch.rg,
        scratch.rg.view(np.float64),
        pool,
        pool.view(np.float64),
    )


@kernel
def fold(index, plan, sessions, scratch, chunk):
    """Fold the chunk's rows `index`, in this order; return a status (see the module's text)."""
    control = sessions.control
    b = _block(plan, sessions.states, sessions.pool, scratch)
    capacity = sessions.clicks.size
    while control[AT] < index.size:
        begin = control[AT]
        n = min(scratch.size, index.size - begin)
        if control[PHASE] == 0:
            room = control[FREE] + capacity - control[NEXT]
            if room < n or (control[USED] + n) * 2 > sessions.keys.size:
                return SLOTS_FULL
            m = _enter(index, begin, n, plan, sessions, scratch, chunk)
            if m < 0:
                return DISORDER
            control[WANTED] = m
            _load(index, begin, n, chunk.inputs, scratch)
            control[PHASE], control[OPERATION], control[EVENT] = 1, 0, 0
        if control[PHASE] == 1:
            k, j = event_stage(control[OPERATION], control[EVENT], plan.stages[0], n, b)
            control[OPERATION], control[EVENT] = k, j
            if k < plan.stages[0]:
                return POOL_FULL
            control[PHASE] = 2
        k, j = reduce_stage(control[OPERATION], control[EVENT], plan.stages[1], n, b)
        control[OPERATION], control[EVENT] = k, j
        if k < plan.stages[1]:
            return POOL_FULL
        if control[WANTED] > 0:
            value_stage(plan.stages[1], plan.stages[2], control[WANTED], b)
            _write(control[WANTED], plan, scratch, chunk.out)
        if not _leave(index, begin, n, plan, sessions, chunk):
            return DISORDER
        control[PHASE] = 0
        control[AT] = begin + n
    control[AT] = 0
    return DONE
