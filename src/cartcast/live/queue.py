"""Live events that wait to be folded: those of many sessions in one compiled call per feature set.

An event is encoded when it comes, and folded when somebody asks for a state or the queue is full.
The values after each event stay in a row of their own, so that a session is scored from the row of
its last event.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cartcast.features.kernels import layout
from cartcast.features.kernels.compiled import CHECKED
from cartcast.features.kernels.one import run_one
from cartcast.features.live import live_work
from cartcast.features.state import enlarge
from cartcast.live.fold import Columns, Fold, Row, Rows
from cartcast.live.states import LiveState

__all__ = ["Queue"]

ROWS: Final = 512
"""Events that may wait, and whose values are kept: those of a usual batch."""
_HEAD: Final = 3
"""Words of a row that say where a state lies."""


class Queue:
    """Folds events into the states of some sessions, in the order in which they were added.

    Args:
        folds: of the model's features, then of the segments' own.
        columns: by which the events are read.
    """

    def __init__(self, folds: Sequence[Fold], columns: Columns) -> None:
        row = Struct(f"={2 * _HEAD}q{columns.kinds}")
        self._pack, self._bytes = row.pack_into, row.size
        self._rows = np.zeros((ROWS, row.size // layout.WORD), np.int64)
        self._buffer: Any = self._rows.reshape(-1).data.cast("B")
        self._parts = [_Part(fold, self._rows, k) for k, fold in enumerate(folds)]
        self._states: list[LiveState] = []
        self._folded = 0
        self._read = False

    def add(self, state: LiveState, values: tuple[Any, ...]) -> None:
        """Let an event wait, whose columns were read as `values`."""
        if self._read or len(self._states) == ROWS:
            self._begin_again()
        queue = state.queue
        if queue is not None and queue is not self:
            queue.run()
        desk = state.open or state.desks.lay_open(state)
        states = self._states
        state.queue, state.row = self, len(states)
        self._pack(self._buffer, len(states) * self._bytes, *desk.places, *values)
        states.append(state)

    def run(self) -> None:
        """Fold what waits."""
        begin, states = self._folded, self._states
        if begin < len(states):
            for part in self._parts:
                part.run(begin, states)
            self._folded = len(states)

    def row(self, state: LiveState) -> list[Row] | None:
        """Return the features of each set after a state's last event, None where not kept.

        They are valid until the next event.
        """
        self.run()
        self._read = True
        return [part.row(state.row) for part in self._parts] if state.queue is self else None

    def rows(self, states: Sequence[LiveState]) -> list[Rows]:
        """Return the features of each set after the last events of states whose `queue` this is."""
        self.run()
        self._read = True
        at = np.array([state.row for state in states], np.int64)
        return [part.rows(at) for part in self._parts]

    def _begin_again(self) -> None:
        self.run()
        for state in self._states:
            if state.queue is self:
                state.queue = None
        self._states.clear()
        self._folded, self._read = 0, False


class _Part:
    """The queue as the kernel folds it into the states of one feature set."""

    def __init__(self, fold: Fold, rows: npt.NDArray[np.int64], number: int) -> None:
        program = fold.program
        self._fold, self._rows, self._number = fold, rows, number
        self._outputs = np.ascontiguousarray(program.outputs)
        self._values = np.empty((ROWS, program.n_values), np.int64)
        self._picks = np.array([2 * _HEAD + at for at in fold.picks], np.int64)
        plan = np.zeros(layout.Q_PICKS + self._picks.size, np.int64)
        plan[layout.Q_WORDS : layout.Q_PICKS] = (
            rows.shape[1], _HEAD * number, self._values.ctypes.data, program.n_values,
            self._picks.size,
        )  # fmt: skip
        plan[layout.Q_PICKS :] = self._picks
        work = live_work(program)
        work[layout.QUEUED] = 1
        self._plan: Any = plan.data
        self._made: dict[int, Row] = {}
        self._arguments = (program.ops, work, fold.masks, rows, plan)

    def run(self, begin: int, states: Sequence[LiveState]) -> None:
        """Fold the rows from `begin` on."""
        if CHECKED:
            self._run_each(begin, states)
            return
        plan = self._plan
        plan[layout.Q_DONE], plan[layout.Q_ROWS] = begin, len(states)
        while not run_one(*self._arguments):
            at = plan[layout.Q_DONE]
            desk = states[at].desk
            enlarge(desk.states[self._number])
            desk.point()
            for row in range(at, len(states)):
                if states[row] is states[at]:
                    self._rows[row, : 2 * _HEAD] = desk.places

    def _run_each(self, begin: int, states: Sequence[LiveState]) -> None:
        """Fold each row apart: checked kernels are told the arrays of one session."""
        for at in range(begin, len(states)):
            desk = states[at].desk
            if self._number < len(desk.states):
                registers = self._rows[at, self._picks]
                self._values[at] = self._fold.step_words(registers, desk.states[self._number])

    def row(self, at: int) -> Row:
        """Return the features after the event of a row."""
        row = self._made.get(at)
        if row is None:
            row = self._made[at] = Row(self._values[at], self._outputs)
        return row

    def rows(self, at: npt.NDArray[np.int64]) -> Rows:
        """Return the features after the events of some rows."""
        return Rows(self._values.reshape(-1), at * self._values.shape[1], self._outputs)
