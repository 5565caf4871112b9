"""The feature states of sessions: some hundred lie open for folding, the others are few bytes.

A session's states are two blocks of words for each of two feature sets (the model's and the
segments'). They are only needed as such while an event is folded, so a scorer has as many desks as
sessions are busy at one moment; the session that was put on a desk first gives way, packed by
`cartcast.live.codec`. A session of very many different things is not packed again and again: it
keeps arrays of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cartcast.features.kernels.layout import POOL_HEAD
from cartcast.features.live import History
from cartcast.features.live import State as FoldState
from cartcast.live.fold import Fold

__all__ = ["Desks", "LiveState", "Pair"]

DESKS: Final = 512
LARGE: Final = 2_048
"""Words of the pools from which states are not packed."""
_OBJECT: Final = 130
_USUAL: Final = 1_000
"""Bytes of a state that lies on a desk, once it is packed."""
_NO_WORDS: Final = np.zeros(0, np.int64)


class Pair(NamedTuple):
    """The states of a session, open: the model's, and the segments' or None."""

    model: FoldState
    segment: FoldState | None


class LiveState:
    """The states of one session.

    Attributes:
        desks: whose layout the states have.
        open: the states where they lie open, else None.
        data: the states packed, else None; a session without either has had no event.
        texts: that text features may still give out.
        past: the visitor's history, until the first event has taken it in.
        over: the outcome came; no row of training lies after it.
    """

    __slots__ = ("data", "desks", "open", "over", "past", "texts")

    def __init__(self, desks: Desks, past: History | None = None) -> None:
        self.desks = desks
        self.open: Pair | None = None
        self.data: bytes | None = None
        self.texts: tuple[str, ...] = ()
        self.past = past
        self.over = False

    @property
    def pair(self) -> Pair:
        """The states, open; until another session takes the desk."""
        return self.open or self.desks.lay_open(self)


class Desks:
    """Opens and packs states of one layout.

    Args:
        model: fold of the model's features.
        segment: fold of the segments' own, or None.
        declared: fingerprint of the segments' feature set, empty without.
    """

    def __init__(self, model: Fold, segment: Fold | None, declared: str) -> None:
        from cartcast.live import codec

        self.declared = declared
        self._pack, self._unpack = codec.pack_states, codec.unpack_states
        self._folds = [model] if segment is None else [model, segment]
        self._inits = [fold.program.init for fold in self._folds]
        while len(self._inits) < 2:
            self._inits.append(_NO_WORDS)
        self._ring: list[LiveState | None] = [None] * DESKS
        self._arrays: list[list[npt.NDArray[np.int64]]] = []
        self._next = 0
        self._buffer = np.zeros(0, np.uint8)
        self._view = memoryview(self._buffer)
        self._make_room(9 * (2 * LARGE + sum(init.size for init in self._inits)) + 8)

    def _new(self) -> list[npt.NDArray[np.int64]]:
        made = []
        for init in self._inits:
            made += [init.copy(), np.zeros(POOL_HEAD + 16 if init.size else 1, np.int64)]
        return made

    def _make_room(self, size: int) -> None:
        if size > self._buffer.size:
            self._buffer = np.zeros(size, np.uint8)
            self._view = memoryview(self._buffer)

    def lay_open(self, state: LiveState) -> Pair:
        """Put a state on the next desk; return it open."""
        at = self._next
        self._next = at + 1 if at + 1 < DESKS else 0
        leaving = self._ring[at]
        if leaving is not None:
            self._clear(at, leaving)
        if at == len(self._arrays):
            self._arrays.append(self._new())
        arrays = self._arrays[at]
        self._ring[at] = state
        self._write(state, arrays)
        state.open = pair = self._pair(state, arrays)
        state.data = None
        return pair

    def _write(self, state: LiveState, arrays: list[npt.NDArray[np.int64]]) -> None:
        first, second = self._inits
        if state.data is None:
            for words, pool, init in ((*arrays[:2], first), (*arrays[2:], second)):
                words[:] = init
                pool[:POOL_HEAD] = 0
                pool[0] = POOL_HEAD if init.size else 0
            return
        size = len(state.data)
        self._make_room(size)
        self._view[:size] = state.data
        words, pool, words_2, pool_2 = arrays
        while need := self._unpack(self._buffer, words, pool, first, words_2, pool_2, second):
            arrays[1] = pool = np.zeros(need, np.int64)
            if second.size:
                arrays[3] = pool_2 = np.zeros(need, np.int64)

    def _pair(self, state: LiveState, arrays: Sequence[npt.NDArray[np.int64]]) -> Pair:
        parts = [
            FoldState(arrays[2 * k], arrays[2 * k + 1], state.past, fold.clock, fold.features.fingerprint)
            for k, fold in enumerate(self._folds)
        ]
        return Pair(parts[0], parts[1] if len(parts) > 1 else None)

    def _clear(self, at: int, state: LiveState) -> None:
        """Take a state off its desk."""
        pair = state.open
        if pair is None or state.desks is not self:
            return
        arrays = [pair.model.words, pair.model.pool, *self._arrays[at][2:]]
        if pair.segment is not None:
            arrays[2:] = [pair.segment.words, pair.segment.pool]
        if sum(int(a[0]) for a in arrays[1::2]) > LARGE:
            self._arrays[at] = self._new()  # it keeps what it has
            return
        state.data = self.packed(state)
        state.open = None
        self._arrays[at] = arrays

    def packed(self, state: LiveState) -> bytes | None:
        """Return the states as bytes; None before the first event."""
        return state.data if state.open is None else self.pack(*state.open)

    def pack(self, model: FoldState, segment: FoldState | None) -> bytes:
        """Return states as bytes."""
        first, second = self._inits
        words_2, pool_2 = _NO_WORDS, np.zeros(1, np.int64)
        if segment is not None:
            words_2, pool_2 = segment.words, segment.pool
        used = model.words.size + words_2.size + int(model.pool[0]) + int(pool_2[0])
        self._make_room(9 * used + 8)
        size = self._pack(model.words, model.pool, first, words_2, pool_2, second, self._buffer)
        return bytes(self._view[:size])

    def weight(self, state: LiveState) -> int:
        """Return about how many bytes a state takes, where it does not lie on a desk."""
        texts = 48 + 8 * len(state.texts)
        if state.data is not None:
            return _OBJECT + len(state.data) + texts
        pair = state.open
        if pair is None or int(pair.model.pool[0]) <= LARGE:
            return _OBJECT + _USUAL + texts
        segment = 0 if pair.segment is None else int(pair.segment.pool.nbytes)
        return _OBJECT + int(pair.model.words.nbytes + pair.model.pool.nbytes) + segment + texts
