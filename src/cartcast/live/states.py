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
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cartcast.features.kernels.layout import POOL_HEAD
from cartcast.features.kernels.work import address
from cartcast.features.state import History
from cartcast.features.state import State as FoldState
from cartcast.live.fold import Fold

if TYPE_CHECKING:
    from cartcast.live.queue import Queue

__all__ = ["Desk", "Desks", "LiveState"]

DESKS: Final = 2_048
LARGE: Final = 2_048
"""Words of the pools from which states are not packed."""
_OBJECT: Final = 130
_ARRAYS: Final = 300
_PLACES: Final = Struct("=6q")
_NO_WORDS: Final = np.zeros(0, np.int64)


class Desk:
    """Room for the states of one session, open.

    Attributes:
        states: the model's, and the segments' where there are such.
        second: the segments' state, or what stands for it.
        places: addresses of words and pool and the pool's size, of each state; 0 for none. As
            bytes, since these numbers are read for every event and would be six objects.
        holder: the session's state that was put here last.
    """

    __slots__ = ("holder", "places", "second", "states")

    def __init__(self, states: list[FoldState], second: FoldState) -> None:
        self.states = states
        self.second = second
        self.places: bytes
        # A session that is gone is not kept by its desk, nor packed for nobody.
        self.holder: weakref.ref[LiveState] | None = None
        self.point()

    def point(self) -> None:
        """Note where the states lie; to be called when a pool has become another array."""
        found = [0] * 6
        for k, state in enumerate(self.states):
            pool = state.pool
            found[3 * k : 3 * k + 3] = address(state.words), address(pool), pool.size
        self.places = _PLACES.pack(*found)

    def copy(self) -> Desk:
        """Return a desk of its own with equal states."""
        states = [state.copy() for state in self.states]
        return Desk(states, states[1] if len(states) > 1 else self.second)


class LiveState:
    """The states of one session.

    Attributes:
        desks: whose layout the states have.
        open: the states where they lie open, else None.
        data: the states packed, else None; a session without either has had no event.
        queue: where its last events wait, or were folded; None when that is long ago.
        row: of its last event in the queue.
        texts: that text features may still give out.
        past: the visitor's history, until the first event has taken it in.
        over: the outcome came; no row of training lies after it.
    """

    __slots__ = ("__weakref__", "data", "desks", "open", "over", "past", "queue", "row", "texts")

    def __init__(self, desks: Desks, past: History | None = None) -> None:
        self.desks = desks
        self.open: Desk | None = None
        self.data: bytes | None = None
        self.queue: Queue | None = None
        self.row = 0
        self.texts: Collection[str] = ()
        self.past = past
        self.over = False

    @property
    def desk(self) -> Desk:
        """The states, open; until another session takes the desk."""
        return self.open or self.desks.lay_open(self)

    def fold(self) -> None:
        """Fold the events that wait."""
        if self.queue is not None:
            self.queue.run()


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
        self._codec: Any = codec
        self._folds = (model, segment)
        self._inits = (model.program.init, _NO_WORDS if segment is None else segment.program.init)
        self._desks: list[Desk] = []
        self._spare = self._new()
        self._next = 0
        size = 9 * (LARGE + sum(init.size for init in self._inits)) + 8
        self._in, self._out = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        self._in_view, self._out_view = self._in.data, self._out.data

    def _new(self) -> Desk:
        model, segment = self._folds
        first, second = (
            FoldState(
                init.copy(), np.zeros(POOL_HEAD + 16, np.int64), None, model.clock,
                (segment or model if k else model).features.fingerprint,
            )
            for k, init in enumerate(self._inits)
        )  # fmt: skip
        second.pool[0] = POOL_HEAD if segment is not None else 0
        return Desk([first] if segment is None else [first, second], second)

    def lay_open(self, state: LiveState) -> Desk:
        """Put a state on the next desk; return it open."""
        at = self._next
        self._next = at + 1 if at + 1 < DESKS else 0
        if at == len(self._desks):
            self._desks.append(self._new())
        desk = self._desks[at]
        leaving = None if desk.holder is None else desk.holder()
        if leaving is not None and leaving.open is not desk:
            leaving = None
        codec, wanted = self._codec, 0
        if leaving is not None:
            leaving.fold()
            wanted = codec.PACK
        if (data := state.data) is None:
            wanted |= codec.EMPTY
        else:
            wanted |= codec.UNPACK
            self._bring(data)
        size = self._call(desk, wanted)
        if leaving is not None:
            if size < 0:  # it keeps what it has
                self._desks[at] = desk = self._new()
                size = self._call(desk, wanted & ~codec.PACK)
            else:
                leaving.data = bytes(self._out_view[: size & 0xFFFFFFFF])
                leaving.open = None
        self._unpack(desk, size >> 32)
        desk.holder = weakref.ref(state)
        state.open, state.data = desk, None
        return desk

    def _bring(self, data: bytes) -> None:
        """Put packed states where they are unpacked from."""
        if len(data) > self._in.size:
            self._in = np.zeros(len(data), np.uint8)
            self._in_view = self._in.data
        self._in_view[: len(data)] = data

    def _unpack(self, desk: Desk, need: int) -> None:
        """Unpack into larger pools as long as they are too small by `need`."""
        while need:
            for state in (desk.states[0], desk.second):
                state.pool = np.zeros(need, np.int64)
            desk.point()
            need = self._call(desk, self._codec.UNPACK) >> 32

    def _call(self, desk: Desk, wanted: int) -> int:
        first, second = desk.states[0], desk.second
        found: int = self._codec.exchange(
            first.words, first.pool, self._inits[0], second.words, second.pool, self._inits[1],
            self._in, self._out, wanted,
        )  # fmt: skip
        return found

    def copy(self, state: LiveState) -> LiveState:
        """Return a copy that can be folded apart; it is packed unless it is large."""
        state.fold()
        copied = LiveState(self, state.past)
        copied.texts, copied.over = state.texts, state.over  # never changed in place
        desk = state.open
        if desk is not None and sum(int(part.pool[0]) for part in desk.states) > LARGE:
            copied.open = desk.copy()
        else:
            copied.data = self.packed(state)
        return copied

    def packed(self, state: LiveState) -> bytes | None:
        """Return the states as bytes; None before the first event."""
        state.fold()
        return state.data if state.open is None else self._pack(state.open)

    def of(self, states: list[FoldState]) -> LiveState:
        """Return the state of open ones, which keep their arrays until it is copied or packed."""
        made = LiveState(self)
        # Without segments the second state has no words, on any desk.
        made.open = Desk(states, states[1] if len(states) > 1 else self._spare.second)
        return made

    def _pack(self, desk: Desk) -> bytes:
        out = self._out
        try:
            while (size := self._call(desk, self._codec.PACK)) < 0:
                self._out = np.zeros(2 * self._out.size, np.uint8)
            return bytes(self._out.data[:size])
        finally:
            self._out = out  # as large as it was: it tells which states are large

    def read(self, state: LiveState) -> list[FoldState]:
        """Return the states, to be read at once: no desk is taken. None before the first event."""
        state.fold()
        desk = state.open
        if desk is None:
            if state.data is None:
                return []
            desk = self._spare
            self._bring(state.data)
            self._unpack(desk, self._call(desk, self._codec.UNPACK) >> 32)
        return desk.states

    def of_plain(self, data: bytes) -> LiveState:
        """Return the state of whole words, without states that this layout has not."""
        if not data:
            return LiveState(self)
        whole, parts, at = np.frombuffer(data, np.int64).copy(), [], 0
        for fold in filter(None, self._folds):
            begin = at + fold.program.init.size
            end = begin + int(whole[begin])
            words, pool, at = whole[at:begin], whole[begin:end], end
            parts.append(FoldState(words, pool, None, fold.clock, fold.features.fingerprint))
        return self.copy(self.of(parts))

    def weight(self, state: LiveState) -> int:
        """Return about how many bytes a state takes, its desk included."""
        own = _OBJECT + 48 + 8 * len(state.texts)
        if state.data is not None:
            return own + len(state.data)
        if state.open is None:
            return own
        parts = state.open.states
        return own + sum(_ARRAYS + int(part.words.nbytes + part.pool.nbytes) for part in parts)
