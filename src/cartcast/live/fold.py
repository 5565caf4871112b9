"""A feature set folding `Event`s: columns are read once for all folds, then packed as registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter, itemgetter
from struct import Struct
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cartcast.errors import DataError
from cartcast.events.schema import Clock
from cartcast.features import FeatureSet
from cartcast.features.kernels import layout
from cartcast.features.kernels.one import run_one
from cartcast.features.kernels.words import NOTHING
from cartcast.features.live import (
    Handle,
    State,
    _enlarge,
    _key,
    learn,
    seconds_word,
    text_of,
)  # fmt: skip
from cartcast.features.shop_clock import SHOP_TIME, ShopClock
from cartcast.live.event import Event

__all__ = ["Columns", "Fold", "Row"]

_FIELDS = frozenset(Event.__struct_fields__) - {"extra"}
_NAN: Final = float("nan")
_LOOK = dict.get
_MOST_SHARED: Final = 50_000
_FIRST_REGISTER: Final = layout.WORD * layout.FIRST
"""Bytes of a handle's work before its event registers."""


class Row(NamedTuple):
    """Features as they lie in memory: feature `k` is `words[places[k]]`; texts are hashes."""

    words: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]

    def in_order(self) -> npt.NDArray[np.int64]:
        """Return a copy of the words in the order of the features."""
        return self.words[self.places]


class Fold(Handle):
    """A feature set's handle whose registers are filled by `Columns`.

    Attributes:
        last: the features of the state that was folded or read last.
        held: places in `Columns.texts` of what text features may give out.
    """

    def __init__(self, features: FeatureSet, clock: Clock, zone: str | None = None) -> None:
        super().__init__(features, clock)
        self.shop_clock = ShopClock(zone)
        self.pick: Callable[[Any], tuple[Any, ...]]
        self.held: tuple[int, ...]
        self.columns = Columns([self])
        self.last = Row(self._values, np.ascontiguousarray(self.program.outputs))
        kinds = [("d" if i.kind == "number" else "q") for i in self.program.inputs]
        self._pack = Struct("=" + "".join(kinds)).pack_into
        self._buffer: Any = self._work
        self._arguments = (self.program.ops, self._work, self._masks)

    def fold_read(self, state: State) -> None:
        """Fold the event that `columns` has read last into `state`, in place, but for its texts."""
        if state.features != self._fingerprint:
            self.own(state)
        columns = self.columns
        registers = self.pick(columns.values)
        if state.past is not None:
            registers = self._with_history(registers, state, columns.time)
        self._pack(self._buffer, _FIRST_REGISTER, *registers)
        ops, work, masks = self._arguments
        while not run_one(ops, work, masks, state.words, state.pool):
            _enlarge(state)

    def row(self, state: State) -> Row:
        """Return the features of a state; valid until the next event or state."""
        self._read(state)
        return self.last

    def named(self, state: State) -> dict[str, float | str | None]:
        """Return the features of a state by name."""
        words = self.row(state).in_order()
        numbers = words.view(np.float64).tolist()
        found: dict[str, float | str | None] = {}
        for k, (name, text) in enumerate(zip(self.program.names, self.program.text, strict=True)):
            if text:
                found[name] = text_of(state, int(words[k]))
            else:
                found[name] = None if numbers[k] != numbers[k] else numbers[k]
        return found

    def _with_history(
        self, registers: tuple[Any, ...], state: State, time: int | None
    ) -> tuple[Any, ...]:
        """Return the registers of a session's first event, the visitor's history in them."""
        past, state.past = state.past, None
        if past is None or not self._calendar or time is None:
            return registers
        filled = list(registers)
        for place, name in self._past:
            value: float | None
            if name == "@earlier_sessions":
                value = float(past.sessions)
            elif name == "@days_since":
                value = None if past.latest is None else (time - past.latest) / 86_400e6
            else:
                value = float(past.counts.get(name.removeprefix("@earlier:"), 0))
            if value is not None:
                filled[place - layout.FIRST] = value
        return tuple(filled)


class Columns:
    """The columns that some folds need, read once per event.

    Args:
        folds: whose registers are to be filled; their `columns` becomes this object.

    Attributes:
        values: of the event read last, as words and numbers; each fold picks its registers.
        texts: of the event read last; their hashes come first in `values`.
        time: of the event read last.
    """

    def __init__(self, folds: Sequence[Fold]) -> None:
        from cartcast.features.encode import clock_columns

        self.time: int | None = None
        self._clock = folds[0].clock
        self._shop_time = folds[0].shop_clock.local
        clocks = clock_columns(self._clock)
        texts: dict[str, int] = {}
        numbers: dict[str, int] = {}
        keys: dict[str, int] = {}
        times: dict[Any, int] = {"event_time": 0, SHOP_TIME: 1, "@history": 2}
        wanted: list[tuple[Fold, list[tuple[dict[Any, int], Any]]]] = []
        for fold in folds:
            places: list[tuple[dict[Any, int], Any]] = []
            for column in fold.program.inputs:
                group: dict[Any, int]
                name: Any = column.name
                if column.name in clocks:
                    group, name = times, clocks[column.name]
                elif column.name.startswith("@"):
                    group, name = times, "@history"
                elif column.kind == "number":
                    group = numbers
                elif column.kind in ("text", "member"):
                    group = texts
                else:
                    group = keys
                group.setdefault(name, len(group))
                places.append((group, name))
            wanted.append((fold, places))
        starts = {id(texts): 0, id(numbers): len(texts)}
        starts[id(keys)] = starts[id(numbers)] + len(numbers)
        starts[id(times)] = starts[id(keys)] + len(keys)
        for fold, places in wanted:
            at = [starts[id(group)] + group[name] for group, name in places]
            fold.pick = _picker(at)
            fold.held = tuple(sorted({at[k] for k in fold._kept}))
            fold.columns = self
        self._get_texts = _getter(list(texts))
        self._get_numbers = _getter(list(numbers))
        self._get_keys = _getter(list(keys))
        self._known: tuple[dict[Any, int], ...] = tuple({None: NOTHING} for _ in texts)
        self._names = (tuple(texts), tuple(numbers))
        self._times = tuple(times)
        self.reads_extra = any(n not in _FIELDS for n in (*texts, *numbers, *keys))
        # The usual case: a clock, so that every event has a time, and the log's own columns.
        self._plain = self._clock == "time" and len(times) == 3 and not keys
        self._plain = self._plain and not self.reads_extra
        self.texts: tuple[Any, ...] = ()
        self._shared: dict[str, str] = {}
        self.values: tuple[Any, ...] = ()

    def read(self, event: Event) -> None:
        """Read an event; each fold's `fold_read` then takes its registers.

        Raises:
            DataError: an own column is of the wrong type.
        """
        texts = self._get_texts(event)
        words = list(map(_LOOK, self._known, texts))
        if None in words:
            for k, word in enumerate(words):
                if word is None:
                    words[k] = learn(texts[k], self._known[k], self._names[0][k])
        numbers = [_NAN if v is None else v for v in self._get_numbers(event)]
        moment: Any = event.event_time
        self.time = moment
        self.texts = texts
        if self._plain:
            if moment is None:
                self.values = (*words, *numbers, NOTHING, NOTHING, _NAN)
            else:
                self.values = (*words, *numbers, moment, self._shop_time(moment), _NAN)
            return
        if self.reads_extra:
            for name, number in zip(self._names[1], numbers, strict=True):
                if isinstance(number, str):
                    raise DataError(f"{name}: needs a number, got {number[:80]!r}.")
        keys = [_key(v) for v in self._get_keys(event)]
        self.values = (*words, *numbers, *keys, *[self._time(t, event) for t in self._times])

    def share(self, text: str) -> str:
        """Return an equal text, so that the states of a shop hold each text once."""
        shared = self._shared
        if len(shared) >= _MOST_SHARED:
            shared.clear()
        return shared.setdefault(text, text)

    def _time(self, column: str | None, event: Event) -> Any:
        if column == "event_time":
            return NOTHING if self.time is None else self.time
        if column == SHOP_TIME:
            return NOTHING if self.time is None else self._shop_time(self.time)
        if column == "@history":
            return _NAN
        word = seconds_word(event.session_seconds) if column is not None else None
        return NOTHING if word is None else word


def _picker(at: list[int]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that picks these positions as a tuple."""
    if len(at) == 1:
        only = at[0]
        return lambda values: (values[only],)
    return itemgetter(*at) if at else lambda _: ()


def _getter(names: list[str]) -> Callable[[Event], tuple[Any, ...]]:
    """Return a function that reads these columns of an event: its fields, or its extras."""
    if not names:
        return lambda _: ()
    if all(name in _FIELDS for name in names):
        get = attrgetter(*names)
        return get if len(names) > 1 else lambda event: (get(event),)

    def read(event: Event) -> tuple[Any, ...]:
        extra = event.extra or {}
        return tuple(getattr(event, n) if n in _FIELDS else extra.get(n) for n in names)

    return read
