"""Live: one event at a time, by the kernels of the bulk fold on a block of one.

`Handle` is the low-level way (see `cartcast.features`); the functions below it are what
`FeatureSet.start / step / value` call, which never change a state that they are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from threading import local
from typing import Any

import numpy as np
import numpy.typing as npt

from cartcast.errors import DataError, DefinitionError
from cartcast.events.schema import Clock
from cartcast.features.build import Program
from cartcast.features.encode import clock_columns, null_word
from cartcast.features.featureset import FeatureSet
from cartcast.features.kernels import codes, layout
from cartcast.features.kernels.one import run_one
from cartcast.features.kernels.pool import new_pool
from cartcast.features.kernels.words import NOTHING
from cartcast.features.registers import key_of, learn, microseconds, seconds_word, shop_time
from cartcast.features.shop_clock import SHOP_TIME
from cartcast.features.state import (
    MOST_KEPT,
    History,
    State,
    Words,
    enlarge,
    past_value,
    text_of,
)  # fmt: skip

__all__ = ["Handle", "handle", "live_work", "start", "step", "value"]


class Handle:
    """A feature set ready to fold live events. Not for several threads at once.

    The row that `encode` returns is the handle's own buffer: give it to `step` before the next
    `encode`.
    """

    def __init__(self, features: FeatureSet, clock: Clock = "time") -> None:
        self.features = features
        self.program = p = features.program
        self.clock = clock
        self._fingerprint = features.fingerprint
        self._work = live_work(p)
        self._values = self._work[layout.FIRST + p.n_events :]
        self._real = self._values.view(np.float64)
        self._masks = np.ones(p.n_masks + 1, np.uint8)
        self._nothing = np.zeros(p.n_masks + 1, np.uint8)
        # Plain numbers go in through memory views, several times faster than through NumPy.
        words: Any = self._work
        self._whole: Any = memoryview(words)
        self._float: Any = memoryview(words.view(np.float64))
        self._null = np.array([null_word("number")] * p.n_events, np.int64)
        for k, wanted in enumerate(p.inputs):
            self._null[k] = null_word(wanted.kind)
        kinds = np.array(p.text)
        self._text = tuple(np.flatnonzero(kinds).tolist())
        self._textual_rows = _textual_rows(p)
        self._kept = frozenset(int(row[layout.A]) for row in self._textual_rows)
        self._seen: list[tuple[int, str]] = []
        self._prepare()

    def _prepare(self) -> None:
        clocks = clock_columns(self.clock)
        numbers: list[tuple[int, str]] = []
        texts: list[tuple[int, str, dict[Any, int], bool]] = []
        keys: list[tuple[int, str]] = []
        times: list[tuple[int, str | None]] = []
        past: list[tuple[int, str]] = []
        for k, wanted in enumerate(self.program.inputs):
            place, name = layout.FIRST + k, wanted.name
            if name in clocks:
                times.append((place, clocks[name]))
            elif name.startswith("@"):
                past.append((place, name))
            elif wanted.kind == "number":
                numbers.append((place, name))
            elif wanted.kind in ("text", "member"):
                texts.append((place, name, {}, k in self._kept))
            else:
                keys.append((place, name))
            self._whole[place] = int(self._null[k])
        self._numbers, self._textual, self._keys = tuple(numbers), tuple(texts), tuple(keys)
        self._times, self._past = tuple(times), tuple(past)
        self._calendar = self.clock in ("time", "day")
        self._time: int | None = None

    def start(self, history: History | None = None) -> State:
        """Return the state of a session before its first event."""
        pool = new_pool(layout.POOL_HEAD + 16)
        return State(self.program.init.copy(), pool, history, self.clock, self._fingerprint)

    def encode(self, event: Mapping[str, Any]) -> Words:
        """Return the event as words: a mapping of canonical (and own) columns, absent = null.

        Raises:
            DataError: a value is of the wrong type.
        """
        get, whole, real = event.get, self._whole, self._float
        self._seen.clear()
        for place, name, known, kept in self._textual:
            text: Any = get(name)
            try:
                word = known.get(text)
            except TypeError as error:
                raise DataError(f"{name}: needs a text, got {text!r}.") from error
            if word is None:
                word = learn(text, known, name)
            whole[place] = word
            if kept and word != NOTHING:
                self._seen.append((word, text))
        for place, name in self._numbers:
            number = get(name)
            try:
                real[place] = np.nan if number is None else number
            except (TypeError, ValueError, OverflowError) as error:
                raise DataError(f"{name}: needs a number, got {number!r}.") from error
        for place, name in self._keys:
            whole[place] = key_of(get(name))
        if self._times or self._past:
            self._encode_times(event)
        return self._work

    def _encode_times(self, event: Mapping[str, Any]) -> None:
        self._time = microseconds(event.get("event_time"))
        for place, column in self._times:
            word: int | None = None
            if column == "event_time":
                word = self._time
            elif column == SHOP_TIME:
                word = shop_time(self._time, event.get("utc_offset"))
            elif column is not None:
                word = seconds_word(event.get("session_seconds"))
            self._whole[place] = NOTHING if word is None else word

    def step(self, row: Words, state: State) -> npt.NDArray[np.float64]:
        """Fold the encoded event into `state`, in place; return the values as after it.

        The values are a new float64 vector in the order of the features: NaN is null, and text
        features are NaN here (see `texts`).

        Raises:
            DefinitionError: the state is of another feature set or clock.
        """
        self.own(state)
        if row is not self._work:
            raise DefinitionError("step needs the row that this handle's encode returned.")
        if state.past is not None:
            self._take_in(state)
        elif state.clock != self.clock:
            raise DefinitionError(
                f"a state of clock {state.clock!r} met a handle of clock {self.clock!r}."
            )
        while not run_one(self.program.ops, row, self._masks, state.words, state.pool):
            enlarge(state)
        for place, _ in self._past:
            self._float[place] = np.nan
        if self._seen:
            state.texts.update(self._seen)
            if len(state.texts) > MOST_KEPT:
                self.prune(state)
        return self._vector()

    def own(self, state: State) -> None:
        """Refuse a state whose words another feature set laid out.

        Raises:
            DefinitionError: it is one.
        """
        if state.features != self._fingerprint:
            raise DefinitionError(
                f"the state belongs to feature set {state.features[:12]}, not to "
                f"{self._fingerprint[:12]}; start the session again."
            )

    def needed(self, state: State) -> set[int]:
        """Return the hashes of the texts that features may give out, now or later."""
        words = state.words
        found: set[int] = set()
        for row in self._textual_rows:
            offset = int(row[layout.OFFSET])
            found.add(int(words[offset]))
            reference = int(words[offset + layout.MODE_MAP]) if row[0] == codes.MODE else 0
            if reference:
                place, k = reference >> 6, reference & 63
                found.update(state.pool[place : place + (1 << k) : 2].tolist())
        return found - {NOTHING}

    def prune(self, state: State) -> None:
        """Forget the texts that no feature of this state needs."""
        state.texts = {w: t for w in self.needed(state) if (t := state.texts.get(w)) is not None}

    def _vector(self) -> npt.NDArray[np.float64]:
        found = self._real[self.program.outputs]
        for k in self._text:
            found[k] = np.nan
        return found

    def _take_in(self, state: State) -> None:
        """Write the visitor's history on the session's first event."""
        past, state.past = state.past, None
        if past is not None and self._calendar and self._time is not None:
            for place, name in self._past:
                self._float[place] = past_value(name, past, self._time)

    def values(self, state: State) -> npt.NDArray[np.float64]:
        """Return the values in a state without an event."""
        self._read(state)
        return self._vector()

    def _read(self, state: State) -> None:
        """Run the reductions over a null event that no mask admits: they only write."""
        self.own(state)
        p = self.program
        self._work[layout.FIRST : layout.FIRST + p.n_events] = self._null
        self._work[layout.PHASE : layout.EVENT + 1] = layout.REDUCTIONS, p.stages[0], 0
        run_one(p.ops, self._work, self._nothing, state.words, state.pool)

    def texts(self, state: State) -> dict[str, str | None]:
        """Return the text features of a state by name."""
        if not self._text:
            return {}
        self._read(state)
        return self._texts_now(state)

    def _texts_now(self, state: State) -> dict[str, str | None]:
        outputs, names = self.program.outputs, self.program.names
        return {names[k]: text_of(state, int(self._values[outputs[k]])) for k in self._text}

    def decode(self, state: State) -> dict[str, float | str | None]:
        """Return all features of a state by name; None is null."""
        numbers = self.values(state).tolist()
        found: dict[str, float | str | None] = {
            name: None if number != number else number
            for name, number in zip(self.program.names, numbers, strict=True)
        }
        found.update(self._texts_now(state))
        return found


def _textual_rows(program: Program) -> Words:
    """Return the reductions whose values are texts that features give out."""
    wanted = [int(r) for r, t in zip(program.outputs, program.text, strict=True) if t]
    rows = program.ops[program.stages[0] : program.stages[1]]
    return rows[np.isin(rows[:, layout.OUT], wanted)]


def live_work(program: Program) -> Words:
    """Return the work of a live event, see `kernels.layout`."""
    work = np.zeros(layout.FIRST + program.n_events + program.n_values, np.int64)
    work[[layout.STAGE_1, layout.STAGE_2, layout.STAGE_3]] = program.stages
    work[layout.REGISTERS] = program.n_events
    return work


_handles = local()


def handle(features: FeatureSet, clock: Clock) -> Handle:
    """Return the handle that the pure functions share within a thread.

    The kernels run without the interpreter's lock: two threads with one handle would fold one
    event into the other's state.
    """
    if not hasattr(_handles, "made"):
        _handles.made = lru_cache(maxsize=64)(Handle)
    found: Handle = _handles.made(features, clock)
    return found


def start(features: FeatureSet, history: History | None, clock: Clock = "time") -> State:
    """Return the state of a session before its first event."""
    return handle(features, clock).start(history)


def step(features: FeatureSet, state: State, event: Mapping[str, Any]) -> State:
    """Return the state after one more event."""
    own, after = handle(features, state.clock), state.copy()
    own.step(own.encode(event), after)
    return after


def value(features: FeatureSet, state: State) -> dict[str, float | str | None]:
    """Return the features as known in this state."""
    return handle(features, state.clock).decode(state)
