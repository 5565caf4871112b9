"""The feature states of sessions: some lie open for folding, the others are few bytes.

A session's states are two blocks of words for each of two feature sets (the model's and the
segments'). They are only needed as such while an event is folded, so there are desks for as many
sessions as are busy at one moment; the session that was put on a desk first gives way, packed by
`cartcast.live.codec`. A session of very many different things is not packed again and again: it
keeps arrays of its own.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection
from typing import Final, NamedTuple

import numpy as np

from cartcast.features.kernels.layout import POOL_HEAD
from cartcast.features.live import History
from cartcast.features.live import State as FoldState
from cartcast.live.fold import Fold

__all__ = ["Desks", "LiveState", "Pair"]

DESKS: Final = 2_048
LARGE: Final = 2_048
"""Words of the pools from which states are not packed."""
_OBJECT: Final = 130
_ARRAYS: Final = 300
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

    __slots__ = ("__weakref__", "data", "desks", "open", "over", "past", "texts")

    def __init__(self, desks: Desks, past: History | None = None) -> None:
        self.desks = desks
        self.open: Pair | None = None
        self.data: bytes | None = None
        self.texts: Collection[str] = ()
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
        self._exchange = codec.exchange
        self._codes = codec.PACK, codec.UNPACK, codec.EMPTY
        self._folds = (model, segment)
        self._inits = (model.program.init, _NO_WORDS if segment is None else segment.program.init)
        self._desks: list[tuple[Pair, FoldState]] = []
        self._spare = self._new()
        # A session that is gone is not kept by its desk, nor packed for nobody.
        self._ring: list[weakref.ref[LiveState] | None] = [None] * DESKS
        self._next = 0
        size = 9 * (LARGE + sum(init.size for init in self._inits)) + 8
        self._in, self._out = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        self._in_view, self._out_view = self._in.data, self._out.data

    def _new(self) -> tuple[Pair, FoldState]:
        """Return a desk: its states, and the second of them, or what stands for it."""
        model, segment = self._folds
        first, second = (
            FoldState(
                init.copy(), np.zeros(POOL_HEAD + 16, np.int64), None, model.clock,
                (segment or model if k else model).features.fingerprint,
            )
            for k, init in enumerate(self._inits)
        )  # fmt: skip
        second.pool[0] = POOL_HEAD if segment is not None else 0
        return Pair(first, None if segment is None else second), second

    def lay_open(self, state: LiveState) -> Pair:
        """Put a state on the next desk; return it open."""
        at = self._next
        self._next = at + 1 if at + 1 < DESKS else 0
        if at == len(self._desks):
            self._desks.append(self._new())
        pair, second = self._desks[at]
        held = self._ring[at]
        leaving = None if held is None else held()
        if leaving is not None and leaving.open is not pair:
            leaving = None
        pack, unpack, empty = self._codes
        wanted = pack if leaving is not None else 0
        if (data := state.data) is None:
            wanted |= empty
        else:
            wanted |= unpack
            self._bring(data)
        model = pair.model
        size = self._call(model, second, wanted)
        if leaving is not None:
            if size < 0:  # it keeps what it has
                self._desks[at] = pair, second = self._new()
                model = pair.model
                size = self._call(model, second, wanted & ~pack)
            else:
                leaving.data = bytes(self._out_view[: size & 0xFFFFFFFF])
                leaving.open = None
        self._unpack(model, second, size >> 32)
        self._ring[at] = weakref.ref(state)
        model.past = second.past = state.past
        state.open, state.data = pair, None
        return pair

    def _bring(self, data: bytes) -> None:
        """Put packed states where they are unpacked from."""
        if len(data) > self._in.size:
            self._in = np.zeros(len(data), np.uint8)
            self._in_view = self._in.data
        self._in_view[: len(data)] = data

    def _unpack(self, model: FoldState, second: FoldState, need: int) -> None:
        """Unpack into larger pools as long as they are too small by `need`."""
        while need:
            model.pool, second.pool = np.zeros(need, np.int64), np.zeros(need, np.int64)
            need = self._call(model, second, self._codes[1]) >> 32

    def _call(self, model: FoldState, second: FoldState, wanted: int) -> int:
        first, other = self._inits
        found: int = self._exchange(
            model.words, model.pool, first, second.words, second.pool, other, self._in, self._out,
            wanted,
        )  # fmt: skip
        return found

    def copy(self, state: LiveState) -> LiveState:
        """Return a copy that can be folded apart; it is packed unless it is large."""
        copied = LiveState(self, state.past)
        copied.texts, copied.over = state.texts, state.over  # never changed in place
        pair = state.open
        if pair is not None and pair.model.pool[0] + (pair.segment or pair.model).pool[0] > LARGE:
            segment = None if pair.segment is None else pair.segment.copy()
            copied.open = Pair(pair.model.copy(), segment)
        else:
            copied.data = self.packed(state)
        return copied

    def packed(self, state: LiveState) -> bytes | None:
        """Return the states as bytes; None before the first event."""
        return state.data if state.open is None else self.pack(*state.open)

    def pack(self, model: FoldState, segment: FoldState | None) -> bytes:
        """Return states as bytes."""
        # Without segments the second state has no words, on any desk.
        second = segment or self._spare[1]
        out, pack = self._out, self._codes[0]
        try:
            while (size := self._call(model, second, pack)) < 0:
                self._out = np.zeros(2 * self._out.size, np.uint8)
            return bytes(self._out.data[:size])
        finally:
            self._out = out  # as large as it was: it tells which states are large

    def read(self, state: LiveState) -> list[FoldState]:
        """Return the states, to be read at once: no desk is taken. None before the first event."""
        pair = state.open
        if pair is None:
            if state.data is None:
                return []
            pair, second = self._spare
            self._bring(state.data)
            self._unpack(pair.model, second, self._call(pair.model, second, self._codes[1]) >> 32)
        return [part for part in pair if part is not None]

    def of_plain(self, data: bytes) -> LiveState:
        """Return the state of whole words, without states that this layout has not."""
        state = LiveState(self)
        if not data:
            return state
        whole, parts, at = np.frombuffer(data, np.int64).copy(), [], 0
        for fold in filter(None, self._folds):
            begin = at + fold.program.init.size
            words, pool, at = whole[at:begin], whole[begin:], begin + int(whole[begin])
            parts.append(FoldState(words, pool, None, fold.clock, fold.features.fingerprint))
        state.data = self.pack(parts[0], parts[1] if len(parts) > 1 else None)
        return state

    def weight(self, state: LiveState) -> int:
        """Return about how many bytes a state takes, its desk included."""
        own = _OBJECT + 48 + 8 * len(state.texts)
        if state.data is not None:
            return own + len(state.data)
        if state.open is None:
            return own
        parts = [part for part in state.open if part is not None]
        return own + sum(_ARRAYS + int(part.words.nbytes + part.pool.nbytes) for part in parts)
