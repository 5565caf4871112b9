"""Live events that wait to be folded: those of many sessions in one compiled call per feature set.

An event is encoded when it comes, and folded when somebody asks for a state or the queue is full.
The values after each event stay in a row of their own, so that a session is scored from the row of
its last event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cartcast.features.kernels import layout
from cartcast.features.kernels.compiled import CHECKED
from cartcast.features.kernels.one import run_one
from cartcast.features.kernels.work import address
from cartcast.features.live import live_work
from cartcast.features.state import enlarge
from cartcast.live.fold import Columns, Fold, Row
from cartcast.live.states import LiveState

__all__ = ["ROWS", "Part", "Queue"]

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
        row = Struct(f"={2 * _HEAD * layout.WORD}s{columns.kinds}")
        self._pack, self._bytes = row.pack_into, row.size
        self.rows = np.zeros((ROWS, row.size // layout.WORD), np.int64)
        self._buffer: Any = self.rows.reshape(-1).data.cast("B")
        self.parts = [Part(fold, self.rows, k) for k, fold in enumerate(folds)]
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
        # A value that is no number of its column fails here, and leaves the state as it was.
        self._pack(self._buffer, len(states) * self._bytes, desk.places, *values)
        state.queue, state.row = self, len(states)
        states.append(state)

    def run(self) -> None:
        """Fold what waits."""
        if self._folded < len(self._states):
            self._start()
            self._finish()

    def let_go(self) -> None:
        """Fold what waits, and keep nothing of the events and their sessions."""
        self._begin_again()
        self.rows.fill(0)
        for part in self.parts:
            part.values.fill(0)

    def run_by(self, kernel: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Fold what waits by a kernel that folds all parts and then reads their values."""
        self._read = True
        if self._folded < len(self._states):
            self._start()
        while not kernel(*arguments):
            self._finish()
        self._folded = len(self._states)

    def _start(self) -> None:
        for part in self.parts:
            part.start(self._folded, len(self._states))

    def _finish(self) -> None:
        for part in self.parts:
            part.finish(self._states)
        self._folded = len(self._states)

    def row(self, state: LiveState) -> list[Row] | None:
        """Return the features of each set after a state's last event, None where not kept.

        They are valid until the next event.
        """
        self.run()
        self._read = True
        return [part.row(state.row) for part in self.parts] if state.queue is self else None

    def _begin_again(self) -> None:
        self.run()
        for state in self._states:
            if state.queue is self:
                state.queue = None
        self._states.clear()
        self._folded, self._read = 0, False


class Part:
    """The queue as the kernel folds it into the states of one feature set.

    Attributes:
        arguments: of the kernel: operations, work, masks, rows and plan.
        values: after the events, `stride` words each.
        outputs: places of the features among them.
    """

    def __init__(self, fold: Fold, rows: npt.NDArray[np.int64], number: int) -> None:
        program = fold.program
        self._fold, self._rows, self._number = fold, rows, number
        self.outputs = np.ascontiguousarray(program.outputs)
        self.stride = program.n_values
        self.values = np.empty(ROWS * self.stride, np.int64)
        self._picks = np.array([2 * _HEAD + at for at in fold.picks], np.int64)
        plan = np.zeros(layout.Q_PICKS + self._picks.size, np.int64)
        plan[layout.Q_WORDS : layout.Q_PICKS] = (
            rows.shape[1], _HEAD * number, address(self.values), self.stride, self._picks.size,
        )  # fmt: skip
        plan[layout.Q_PICKS :] = self._picks
        work = live_work(program)
        work[layout.QUEUED] = 1
        self._plan: Any = plan.data
        self.arguments = (program.ops, work, fold.masks, rows, plan)

    def start(self, begin: int, end: int) -> None:
        """Let the kernel fold rows `begin` to `end` when it is called next."""
        self._plan[layout.Q_DONE], self._plan[layout.Q_ROWS] = begin, end

    def finish(self, states: Sequence[LiveState]) -> None:
        """Fold what is left of the rows, which are of these states."""
        plan = self._plan
        if CHECKED:
            self._fold_each(states)
            return
        while not run_one(*self.arguments):
            at = plan[layout.Q_DONE]
            desk = states[at].desk
            enlarge(desk.states[self._number])
            desk.point()
            for row in range(at, len(states)):
                if states[row] is states[at]:
                    self._rows[row, : 2 * _HEAD] = np.frombuffer(desk.places, np.int64)

    def _fold_each(self, states: Sequence[LiveState]) -> None:
        """Fold each row apart: checked kernels are told the arrays of one session."""
        for at in range(self._plan[layout.Q_DONE], len(states)):
            desk = states[at].desk
            if self._number < len(desk.states):
                registers = self._rows[at, self._picks]
                values = self._fold.step_words(registers, desk.states[self._number])
                self.values[at * self.stride : (at + 1) * self.stride] = values

    def row(self, at: int) -> Row:
        """Return the features after the event of a row."""
        return Row(self.values[at * self.stride : (at + 1) * self.stride], self.outputs)
