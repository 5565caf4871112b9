"""States as bytes, and two states of one session as one.

The bytes: `CCS1`, the feature set's fingerprint (32 bytes), an XXH64 checksum of the rest (8), then
the length of a JSON head (4), the head (clock, history, texts by hash, sizes), the state's words
and the used part of its pool.
"""

from __future__ import annotations

import struct
from dataclasses import asdict
from typing import Any, cast

import msgspec
import numpy as np
import xxhash

from cartcast.errors import DefinitionError, NotTrustedError
from cartcast.features.build import Program, compile_features
from cartcast.features.featureset import FeatureSet
from cartcast.features.kernels import codes, layout
from cartcast.features.kernels.run import run
from cartcast.features.kernels.sound import sound
from cartcast.features.kernels.words import NOTHING
from cartcast.features.kernels.work import Work
from cartcast.features.live import handle, live_work
from cartcast.features.state import History, State, Words, enlarge, text_of

__all__ = ["dump", "load", "merge"]

_MAGIC = b"CCS1"
_UNMERGEABLE = {
    codes.SAME, codes.PREVIOUS, codes.GAP, codes.ABOVE_AVERAGE, codes.DECAY_SECONDS,
    codes.DECAY_CLICKS, codes.MODE, codes.WITHIN, codes.DECAY_COUNT, codes.DECAY_SUM,
}  # fmt: skip


def dump(features: FeatureSet, state: State) -> bytes:
    """Return a state as bytes, the fingerprint in front."""
    own = handle(features, state.clock)
    own.own(state)
    used = state.pool[: state.pool[0]]
    head = {
        "clock": state.clock,
        "past": None if state.past is None else asdict(state.past),
        "texts": {str(w): text_of(state, w) for w in sorted(own.needed(state))},
        "words": len(state.words),
    }
    text = msgspec.json.encode(head)
    body = struct.pack("<I", len(text)) + text + state.words.tobytes() + used.tobytes()
    check = struct.pack("<Q", xxhash.xxh64_intdigest(body))
    return _MAGIC + bytes.fromhex(features.fingerprint) + check + body


def load(features: FeatureSet, data: bytes) -> State:
    """Return the state that `dump` wrote.

    Raises:
        NotTrustedError: it is of another feature set, or damaged.
    """
    if len(data) < 48 or data[:4] != _MAGIC:
        raise NotTrustedError("not a stored feature state (wrong first bytes).")
    found = data[4:36].hex()
    if found != features.fingerprint:
        raise NotTrustedError(
            f"the state belongs to feature set {found[:12]}, not to {features.fingerprint[:12]}; "
            "states of another set cannot be read: start the session again."
        )
    body = data[44:]
    if struct.unpack("<Q", data[36:44])[0] != xxhash.xxh64_intdigest(body):
        raise NotTrustedError("the stored feature state is damaged (checksum).")
    size = struct.unpack("<I", body[:4])[0]
    head: dict[str, Any] = msgspec.json.decode(body[4 : 4 + size])
    words = np.frombuffer(body[4 + size :], np.int64)
    n = features.program.words
    if head["words"] != n or len(words) < n + layout.POOL_HEAD:
        raise NotTrustedError("the stored feature state has another size than its feature set.")
    past = None if head["past"] is None else History(**head["past"])
    texts = {int(w): t for w, t in head["texts"].items()}
    state = State(words[:n].copy(), words[n:].copy(), past, head["clock"], found, texts)
    _check_references(features.program, state)
    return state


def _check_references(program: Program, state: State) -> None:
    work = Work(layout.STORED)
    work.point(layout.S_OPS, program.ops, row=8)
    work.point(layout.S_STATE, state.words)
    work.point(layout.S_POOL, state.pool)
    work.point(layout.S_SEEN, np.zeros(state.pool.size, np.uint8))
    work.words[[layout.S_N_OPS, layout.S_POOL_WORDS]] = program.stages[1], state.pool.size
    if not sound(work.words):
        raise NotTrustedError("the stored feature state points outside its pool.")


def merge(features: FeatureSet, earlier: State, later: State) -> State:
    """Return the state of a session from those of its earlier and its later events.

    Raises:
        DefinitionError: a feature depends on the order across the seam and cannot be merged.
    """
    for state in (earlier, later):
        handle(features, state.clock).own(state)
    for name, feature in features.features.items():
        used = set(compile_features({name: feature}).ops[:, 0].tolist())
        if used & _UNMERGEABLE:
            raise DefinitionError(
                f"feature {name!r} ({feature!r}) cannot be merged; replay instead."
            )
    program, merged = features.program, earlier.copy()
    for k in range(program.stages[0], program.stages[1]):
        code, offset = (int(program.ops[k, c]) for c in (layout.CODE, layout.OFFSET))
        if code == codes.NUNIQUE:
            _merge_sets(program, k, merged, later)
        else:
            _merge_words(code, merged.words[offset:], later.words[offset:])
    merged.texts |= later.texts
    merged.past = earlier.past if later.past is not None else None
    return merged


def _merge_words(code: int, a: Words, b: Words) -> None:
    """Merge the few words of one reduction into `a`."""
    x, y = a.view(np.float64), b.view(np.float64)
    if code == codes.COUNT:
        x[0] += y[0]
    elif code == codes.SUM:
        x[0] = y[0] if np.isnan(x[0]) else x[0] + (0.0 if np.isnan(y[0]) else y[0])
    elif code in (codes.MIN, codes.MAX):
        x[0] = (np.fmin if code == codes.MIN else np.fmax)(x[0], y[0])
    elif code in (codes.FIRST_F, codes.LAST_F):
        if np.isnan(x[0]) or (code == codes.LAST_F and not np.isnan(y[0])):
            x[0] = y[0]
    elif code in (codes.FIRST_I, codes.LAST_I):
        if a[0] == NOTHING or (code == codes.LAST_I and b[0] != NOTHING):
            a[0] = b[0]
    elif code == codes.STD:
        _merge_std(x, y)
    else:
        assert code in (codes.SINCE_FIRST, codes.SINCE_LAST)
        if a[0] == NOTHING or (code == codes.SINCE_LAST and b[0] != NOTHING):
            a[0] = b[0]
        a[1] = b[1] if b[1] != NOTHING else a[1]


def _merge_std(x: Any, y: Any) -> None:
    """Merge (n, mean, sum of squares) by Chan, Golub and LeVeque (1983).

    https://doi.org/10.1080/00031305.1983.10483115
    """
    n = x[0] + y[0]
    if n == 0:
        return
    away = y[1] - x[1]
    x[2] += y[2] + away * away * x[0] * y[0] / n
    x[1] += away * y[0] / n
    x[0] = n


def _merge_sets(program: Program, k: int, merged: State, later: State) -> None:
    """Add the values of a later set, by the reduction itself as the only operation."""
    offset, more = int(program.ops[k, layout.OFFSET]), int(program.ops[k, layout.B])
    places = [offset + layout.NUNIQUE_BITS, *range(more, more + layout.SET_MAP)]
    for word in places:
        new = int(later.words[word]) & ~int(merged.words[word])
        merged.words[word] |= new
        merged.words[offset + layout.NUNIQUE_N] += (new & (2**64 - 1)).bit_count()
    work = live_work(program)
    work[[layout.STAGE_1, layout.STAGE_2, layout.STAGE_3]] = 0, 1, 1
    masks = np.ones(program.n_masks + 1, np.uint8)
    for key in _set_values(later, more):
        work[layout.FIRST + program.ops[k, layout.A]] = key
        while not run(program.ops[k : k + 1], work, masks, merged.words, merged.pool):
            enlarge(merged)


def _set_values(state: State, more: int) -> list[int]:
    reference, size = (int(state.words[more + k]) for k in (layout.SET_MAP, layout.SET_SIZE))
    if reference == 0:
        first = more + layout.SET_INLINE
        return cast("list[int]", state.words[first : first + size].tolist())
    place, k = reference >> 6, reference & 63
    block = state.pool[place : place + (1 << k)]
    return cast("list[int]", block[block != NOTHING].tolist())
