"""A feature set folding `Event`s: columns are read once for all folds, then picked as registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter, getitem
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cartcast.errors import DataError
from cartcast.events.schema import Clock
from cartcast.features import FeatureSet
from cartcast.features.encode import clock_columns
from cartcast.features.kernels import layout
from cartcast.features.kernels.one import run_one
from cartcast.features.kernels.words import NOTHING
from cartcast.features.live import Handle
from cartcast.features.registers import key_of, learn, seconds_word
from cartcast.features.shop_clock import SHOP_TIME, ShopClock
from cartcast.features.state import History, State, enlarge, past_value, text_of
from cartcast.live.event import Event

__all__ = ["Columns", "Fold", "Row"]

_FIELDS = frozenset(Event.__struct_fields__) - {"extra"}
_NAN: Final = float("nan")
_MOST_SHARED: Final = 50_000


class Row(NamedTuple):
    """Features as they lie in memory: feature `k` is `words[places[k]]`; texts are hashes."""

    words: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]

    def in_order(self) -> npt.NDArray[np.int64]:
        """Return a copy of the words in the order of the features."""
        return self.words[self.places]


class Fold(Handle):
    """A feature set's handle whose registers are picked from `Columns`.

    Attributes:
        masks: of the kernel.
        picks: place in `Columns.values` of each input.
        held: places in `Columns.texts` of what text features may give out.
        columns: by which events are read.
    """

    def __init__(self, features: FeatureSet, clock: Clock, zone: str | None = None) -> None:
        super().__init__(features, clock)
        self.shop_clock = ShopClock(zone)
        self.masks = self._masks
        self.picks: list[int]
        self.held: tuple[int, ...]
        self.columns = Columns([self])
        self._row = Row(self._values, np.ascontiguousarray(self.program.outputs))

    def step_words(self, registers: npt.NDArray[np.int64], state: State) -> npt.NDArray[np.int64]:
        """Fold one event, whose inputs are given, into a state; return its values in memory."""
        self._work[layout.FIRST : layout.FIRST + registers.size] = registers
        while not run_one(self.program.ops, self._work, self._masks, state.words, state.pool):
            enlarge(state)
        return self._values

    def row(self, state: State) -> Row:
        """Return the features of a state; valid until the next state."""
        self._read(state)
        return self._row

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


class Columns:
    """The columns that some folds need, read once per event.

    Args:
        folds: whose inputs are to be picked; their `columns` becomes this object.

    Attributes:
        texts: of the event read last; their hashes come first in its values.
        kinds: of the values, a letter each: `q` a word, `d` a number.
        reads_extra: whether a column is not the log's own.
    """

    def __init__(self, folds: Sequence[Fold]) -> None:
        self._clock = folds[0].clock
        self._shop_time = folds[0].shop_clock.local
        clocks = clock_columns(self._clock)
        texts: dict[Any, int] = {}
        numbers: dict[Any, int] = {}
        keys: dict[Any, int] = {}
        times: dict[Any, int] = {"event_time": 0, SHOP_TIME: 1}
        past: dict[Any, int] = {}
        groups = (texts, numbers, keys, times, past)
        wanted: list[list[tuple[dict[Any, int], Any]]] = []
        for fold in folds:
            places: list[tuple[dict[Any, int], Any]] = []
            for column in fold.program.inputs:
                group: dict[Any, int] = keys
                name: Any = column.name
                if column.name in clocks:
                    group, name = times, clocks[column.name]
                elif column.name.startswith("@"):
                    group = past
                elif column.kind == "number":
                    group = numbers
                elif column.kind in ("text", "member"):
                    group = texts
                group.setdefault(name, len(group))
                places.append((group, name))
            wanted.append(places)
        starts = {id(g): sum(map(len, groups[:k])) for k, g in enumerate(groups)}
        for fold, places in zip(folds, wanted, strict=True):
            fold.picks = [starts[id(group)] + group[name] for group, name in places]
            fold.held = tuple(sorted({fold.picks[k] for k in fold._kept}))
            fold.columns = self
        self.kinds = "".join(kind * len(g) for kind, g in zip("qdqqd", groups, strict=True))
        self._get_texts = _getter(list(texts))
        self._get_numbers = _getter(list(numbers))
        self._get_keys = _getter(list(keys))
        self._known = tuple(_Hashes(name) for name in texts)
        self._numbers = tuple(numbers)
        self._times, self._past = tuple(times), tuple(past)
        self._no_past = (_NAN,) * len(past)
        self.reads_extra = any(n not in _FIELDS for n in (*texts, *numbers, *keys))
        # The usual case: a clock, so that every event has a time, and the log's own columns.
        self._plain = self._clock == "time" and len(times) == 2 and not keys
        self._plain = self._plain and not self.reads_extra
        self.texts: tuple[Any, ...] = ()
        self._shared: dict[str, str] = {}

    def read(self, event: Event, history: History | None = None) -> tuple[Any, ...]:
        """Return an event's columns as words and numbers; `history` is read at a first event.

        Raises:
            DataError: an own column is of the wrong type.
        """
        self.texts = texts = self._get_texts(event)
        words = map(getitem, self._known, texts)
        numbers = [_NAN if v is None else v for v in self._get_numbers(event)]
        time: Any = event.event_time
        past = self._no_past
        if history is not None and time is not None and self._clock in ("time", "day"):
            past = tuple(past_value(name, history, time) for name in self._past)
        if self._plain and time is not None:
            return (*words, *numbers, time, self._shop_time(time), *past)
        if self.reads_extra:
            for name, number in zip(self._numbers, numbers, strict=True):
                if isinstance(number, str):
                    raise DataError(f"{name}: needs a number, got {number[:80]!r}.")
        keys = [key_of(v) for v in self._get_keys(event)]
        times = [self._time(name, event) for name in self._times]
        return (*words, *numbers, *keys, *times, *past)

    def share(self, text: str) -> str:
        """Return an equal text, so that the states of a shop hold each text once."""
        shared = self._shared
        if len(shared) >= _MOST_SHARED:
            shared.clear()
        return shared.setdefault(text, text)

    def _time(self, column: str | None, event: Event) -> int:
        time: Any = event.event_time
        if column in ("event_time", SHOP_TIME):
            if time is None:
                return NOTHING
            return time if column == "event_time" else self._shop_time(time)
        word = seconds_word(event.session_seconds) if column is not None else None
        return NOTHING if word is None else word


class _Hashes(dict[Any, int]):
    """Hashes of a column's texts; those not seen yet are learnt."""

    def __init__(self, name: str) -> None:
        super().__init__({None: NOTHING})
        self._name = name

    def __missing__(self, text: Any) -> int:
        return learn(text, self, self._name)


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
