"""A feature set compiled to a small program: rows of operations over columns, and a state's layout.

The program is data. The same one is run over blocks of a log, in a Spark partition, and over
single events of a live stream, by the same kernels (`cartcast.features.kernels`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from cartcast.errors import DefinitionError
from cartcast.features.conditions import Condition
from cartcast.features.declared import column_kind
from cartcast.features.kernels import codes, layout
from cartcast.features.kernels.words import NOTHING, bits, hash_text

if TYPE_CHECKING:
    from cartcast.features.algebra import Feature
    from cartcast.features.expressions import Expression

__all__ = ["FORMAT", "Builder", "Input", "Program", "compile_features"]

FORMAT = 3
"""Version of operations and state; part of every fingerprint."""

InputKind = Literal["number", "text", "key", "member", "time"]
Words = npt.NDArray[np.int64]

_INIT = {
    "zero": bits(0.0),
    "zero_int": 0,
    "null": bits(float("nan")),
    "nothing": NOTHING,
}


@dataclass(frozen=True)
class Input:
    """One column that a program reads.

    `name` is a column, or begins with `@`: `@now` (microseconds, for differences), `@date` and
    `@clock` (microseconds since 1970 by the shop's clock, for the calendar), `@earlier_sessions`,
    `@earlier:TYPE`, `@earlier:COLUMN=TEXT`, `@days_since` (history, on the session's first event).
    """

    name: str
    kind: InputKind


@dataclass(frozen=True, eq=False)
class Program:
    """Operations and layout.

    Attributes:
        names: of the features, in order.
        text: which features are text.
        inputs: columns read, the first event registers in this order.
        ops: (operations, 8) words; stages end at `stages`.
        stages: rows at which the event, reduction and value stages end.
        init: the state of a session before its first event, as words.
        outputs: value register of each feature.
        n_events, n_masks, n_values: how many event registers, masks and value registers; the mask
            after the last holds for every event.
        pooled: (k, 2): state offset of each reference to the pool, log2 words of its entries.
    """

    names: tuple[str, ...]
    text: tuple[bool, ...]
    inputs: tuple[Input, ...]
    ops: Words
    stages: tuple[int, int, int]
    init: Words
    outputs: Words
    n_events: int
    n_masks: int
    n_values: int
    pooled: Words

    @property
    def words(self) -> int:
        """Words of one session's state."""
        return len(self.init)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the log that are read, without the clock and the visitor's history."""
        return tuple(dict.fromkeys(i.name for i in self.inputs if not i.name.startswith("@")))

    @property
    def history(self) -> tuple[str, ...]:
        """Inputs of the visitor's history."""
        return tuple(i.name for i in self.inputs if i.name.startswith(("@earlier", "@days")))

    @property
    def history_kinds(self) -> tuple[str, ...]:
        """What is counted of the visitor's history: event types, and texts as `column=text`."""
        return tuple(n.removeprefix("@earlier:") for n in self.history if ":" in n)


class Builder:
    """Collects operations; asked twice for the same thing, it answers with the first."""

    def __init__(self) -> None:
        self.inputs: dict[Input, int] = {}
        self._rows: tuple[list[list[int]], list[list[int]], list[list[int]]] = ([], [], [])
        self._known: dict[Any, int] = {}
        self._n_events = 0
        self._n_masks = 0
        self._n_values = 0
        self._init: list[int] = []
        self._pooled: list[tuple[int, int]] = []
        self._more: list[tuple[list[int], tuple[str, ...]]] = []
        self._collecting = True

    # Inputs -----------------------------------------------------------------------------------

    def column(self, name: str, kind: InputKind) -> int:
        """Return the event register of a column, read as a number, a text or a key."""
        known = column_kind(name)
        if known == "text":
            kind = "text"
        elif known == "time":
            raise DefinitionError(
                f"{name!r} holds times; use SecondsSince, Gap, Hour, DayOfWeek or Month."
            )
        return self._input(Input(name, kind))

    def anything(self, name: str) -> int:
        """Return the event register of a column of which only the presence matters."""
        return self.column(name, "number" if column_kind(name) == "number" else "key")

    def member(self, name: str) -> int:
        """Return the event register of a column whose different values are counted.

        In bulk the first 256 texts of such a column are small codes, see `encode.Members`.
        """
        if column_kind(name) == "text":
            return self._input(Input(name, "member"))
        return self.column(name, "key")

    def now(self) -> int:
        """Return the event register of the clock for differences of time."""
        return self._input(Input("@now", "time"))

    def date(self) -> int:
        """Return the event register of the calendar date, by the shop's clock."""
        return self._input(Input("@date", "time"))

    def time_of_day(self) -> int:
        """Return the event register of the shop's calendar with a time of day."""
        return self._input(Input("@clock", "time"))

    def history(self, name: str) -> int:
        """Return the event register of one value of the visitor's history."""
        return self._input(Input(name, "number"))

    def _input(self, wanted: Input) -> int:
        if wanted not in self.inputs:
            if not self._collecting:
                raise AssertionError(f"input {wanted} was not collected")
            self.inputs[wanted] = len(self.inputs)
        return self.inputs[wanted]

    # Rows -------------------------------------------------------------------------------------

    def _row(
        self, stage: int, code: str, out: int, a: int = -1, b: int = -1, mask: int = -1,
        offset: int = -1, whole: int = 0, real: float = 0.0,
    ) -> None:  # fmt: skip
        number = codes.CODES[code]
        self._rows[stage].append([number, out, a, b, mask, offset, whole, bits(real)])

    def _state(self, code: str, init: tuple[str, ...]) -> int:
        return self._state_at(codes.CODES[code], init)

    def _state_at(self, number: int, init: tuple[str, ...]) -> int:
        """Take the next words of the state."""
        offset = len(self._init)
        self._init.extend(_INIT[word] for word in init)
        if number in layout.POOLED:
            place, entry = layout.POOLED[number]
            self._pooled.append((offset + place, entry))
        return offset

    def _once(self, key: Any, make: Callable[[], int]) -> int:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def _event_register(self) -> int:
        self._n_events += 1
        return len(self.inputs) + self._n_events - 1

    def _mask_register(self) -> int:
        self._n_masks += 1
        return self._n_masks - 1

    # Masks ------------------------------------------------------------------------------------

    def mask(self, condition: Condition | None) -> int:
        """Return the mask of a condition; -1 for every event."""
        if condition is None:
            return -1
        return self._once(("mask", condition), lambda: condition.build(self))

    def equals(self, column: str, values: tuple[str | float, ...]) -> int:
        """Return the mask of `column` having one of the values."""
        text = isinstance(values[0], str)
        register = self.column(column, "text" if text else "number")
        suffix = "I" if text else "F"

        def make() -> int:
            out = self._mask_register()
            for k, value in enumerate(values):
                code = f"EQ_{suffix}" if k == 0 else f"OR_EQ_{suffix}"
                if isinstance(value, str):
                    self._row(0, code, out, register, whole=hash_text(value))
                else:
                    self._row(0, code, out, register, real=float(value))
            return out

        return self._once(("equals", register, values), make)

    def _mask_op(self, code: str, *key: Any, **row: Any) -> int:
        def make() -> int:
            out = self._mask_register()
            self._row(0, code, out, **row)
            return out

        return self._once((code, *key, *sorted(row.items())), make)

    def compare(self, column: str, value: float, *, above: bool) -> int:
        """Return the mask of `column` being above (below) a value."""
        return self._mask_op(
            "ABOVE" if above else "BELOW", a=self.column(column, "number"), real=value
        )

    def not_null(self, register: int) -> int:
        """Return the mask of an event register having a value."""
        kinds = [i.kind for i in self.inputs]
        real = register >= len(kinds) or kinds[register] == "number"
        return self._mask_op("NOT_NULL_F" if real else "NOT_NULL_I", a=register)

    def both(self, first: int, second: int) -> int:
        """Return the mask of two masks holding; -1 counts as every event."""
        if first < 0 or second < 0:
            return max(first, second)
        return self._mask_op("AND", a=first, b=second)

    def combine(self, conditions: tuple[Condition, ...], *, every: bool) -> int:
        """Return the mask of all (any) of the conditions."""
        out = self.mask(conditions[0])
        for condition in conditions[1:]:
            out = self._mask_op("AND" if every else "OR", a=out, b=self.mask(condition))
        return out

    def negate(self, condition: Condition) -> int:
        """Return the mask of the condition not holding."""
        return self._mask_op("NOT", a=self.mask(condition))

    def same_as_previous(self, register: int) -> int:
        """Return the mask of an input repeating the previous event's value."""

        def make() -> int:
            out = self._mask_register()
            self._row(0, "SAME", out, register, offset=self._state("SAME", ("nothing",)))
            return out

        return self._once(("SAME", register), make)

    def previous(self, condition: Condition) -> int:
        """Return the mask of the condition holding on the previous event."""
        mask = self.mask(condition)

        def make() -> int:
            out = self._mask_register()
            self._row(0, "PREVIOUS", out, mask, offset=self._state("PREVIOUS", ("zero_int",)))
            return out

        return self._once(("PREVIOUS", mask), make)

    # Numbers of an event ----------------------------------------------------------------------

    def expression(self, expression: Expression) -> int:
        """Return the event register of an expression."""
        return self._once(("expression", expression), lambda: expression.build(self))

    def _event_op(self, code: str, init: tuple[str, ...] = (), **row: Any) -> int:
        def make() -> int:
            out = self._event_register()
            offset = self._state(code, init) if init else -1
            self._row(0, code, out, offset=offset, **row)
            return out

        return self._once((code, *sorted(row.items())), make)

    def gap(self, mask: int) -> int:
        """Return the register of the seconds since the previous event (of a kind)."""
        return self._event_op("GAP", ("nothing",), a=self.now(), mask=mask)

    def times(self, left: int, right: int, default: float | None) -> int:
        """Return the register of a product."""
        value = float("nan") if default is None else float(default)
        # NaN never equals itself, so it cannot be part of a key: the flag stands for it.
        key = ("TIMES", left, right, default)

        def make() -> int:
            out = self._event_register()
            self._row(0, "TIMES", out, left, right, real=value)
            return out

        return self._once(key, make)

    def negated(self, register: int, mask: int) -> int:
        """Return the register of a number whose sign is turned where the mask holds."""
        return self._event_op("NEGATED", a=register, mask=mask)

    def above_average(self, register: int, by: int, mask: int) -> int:
        """Return the register of 1 above, 0 not above the mean so far of the same `by`."""
        init = ("zero_int", "zero_int")
        return self._event_op("ABOVE_AVERAGE", init, a=register, b=by, mask=mask)

    def decay(self, half_life: float, by: str) -> int:
        """Return the register of the factor by which the past fades at this event."""
        if by == "clicks":
            return self._event_op("DECAY_CLICKS", real=0.5 ** (1.0 / half_life))
        return self._event_op("DECAY_SECONDS", ("nothing",), a=self.now(), real=half_life)

    # Reductions and values --------------------------------------------------------------------

    def feature(self, feature: Feature) -> int:
        """Return the value register of a feature."""
        return self._once(("feature", feature), lambda: feature.build(self))

    def leaf(
        self, code: str, operand: int = -1, mask: int = -1, *, init: tuple[str, ...],
        whole: int = 0, other: int = -1, more: tuple[str, ...] = (),
    ) -> int:  # fmt: skip
        """Return the value register of a reduction with its own words of state.

        `more`: words that few events need, kept behind those of all reductions; b is their place.
        """

        def make() -> int:
            out = self._n_values
            self._n_values += 1
            # What is pooled refers to it from `more`, where there is one.
            offset = self._state("COUNT" if more else code, init)
            self._row(1, code, out, operand, other, mask, offset, whole)
            if more:
                self._more.append((self._rows[1][-1], more))
            return out

        return self._once(("leaf", code, operand, mask, whole, other), make)

    def value(self, code: str, a: int, b: int = -1) -> int:
        """Return the value register of arithmetic on other values."""

        def make() -> int:
            out = self._n_values
            self._n_values += 1
            self._row(2, code.upper(), out, a, b)
            return out

        return self._once(("value", code, a, b), make)

    # The whole --------------------------------------------------------------------------------

    def run(self, features: Mapping[str, Feature]) -> Program:
        """Return the program; inputs are collected first, so that they come first."""
        for f in features.values():
            self.feature(f)
        collected = self.inputs
        self.__init__()  # type: ignore[misc]
        self.inputs, self._collecting = collected, False
        outputs = [self.feature(f) for f in features.values()]
        stages = np.cumsum([len(rows) for rows in self._rows])
        rows = [row for part in self._rows for row in part]
        for row, more in self._more:
            row[layout.B] = self._state_at(row[layout.CODE], more)
        for row in rows:
            if row[layout.MASK] < 0:
                row[layout.MASK] = self._n_masks
        return Program(
            names=tuple(features),
            text=tuple(f.dtype == "string" for f in features.values()),
            inputs=tuple(self.inputs),
            ops=np.array(rows, dtype=np.int64).reshape(len(rows), 8),
            stages=(int(stages[0]), int(stages[1]), int(stages[2])),
            init=np.array(self._init, dtype=np.int64),
            outputs=np.array(outputs, dtype=np.int64),
            n_events=len(self.inputs) + self._n_events,
            n_masks=self._n_masks,
            n_values=self._n_values,
            pooled=np.array(self._pooled, dtype=np.int64).reshape(len(self._pooled), 2),
        )


def compile_features(features: Mapping[str, Feature]) -> Program:
    """Return the program of named features."""
    return Builder().run(features)
