"""Folding what waits and scoring it in one compiled call: for one event, or a batch of them.

A call of a kernel costs a live event more than the kernel itself, and its five calls (two folds,
probability, amount, segment) are one here. Models that are no arrays are asked one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cartcast.features.kernels.compiled import kernel
from cartcast.features.kernels.run import run
from cartcast.live.arrays import RowModel, SegmentModel
from cartcast.live.kernels import nearest, predict
from cartcast.live.queue import ROWS, Queue
from cartcast.live.states import LiveState

__all__ = ["AtOnce"]

_AMOUNT, _SEGMENT = 1, 2
_NONE: Any = (np.zeros(1, np.int64), np.zeros((1, 1)), np.zeros(1))


@kernel
def fold_and_score(  # type: ignore[no-untyped-def]
    count, what,
    ops, work, masks, rows, plan, values, starts, places,
    ops_2, work_2, masks_2, plan_2, values_2, starts_2, places_2,
    model, xs, out, amount, xs_2, out_2, space, centres, z, out_3,
):  # fmt: skip
    """Fold two feature sets' queues and write scores of `count` rows; 0: a pool is full."""
    if run(ops, work, masks, rows, plan) == 0 or run(ops_2, work_2, masks_2, rows, plan_2) == 0:
        return 0
    predict(values, starts, count, places, model, xs, out, True)
    if what & _AMOUNT:
        predict(values, starts, count, places, amount, xs_2, out_2, False)
    if what & _SEGMENT:
        nearest(values_2, starts_2, count, places_2, space, centres, z, out_3)
    return 1


class AtOnce:
    """Scores sessions whose last events are in a queue.

    Args:
        queue: of two feature sets, or of one.
        model, amount, segments: the champion, and what else a run has.
    """

    def __init__(
        self, queue: Queue, model: RowModel, amount: RowModel | None, segments: SegmentModel | None
    ) -> None:
        self._queue = queue
        self._segments = segments
        self._what = (amount is not None) * _AMOUNT | (segments is not None) * _SEGMENT
        self._starts = np.zeros((2, ROWS), np.int64)
        first, second = queue.parts[0], queue.parts[-1]
        self._strides = (first.stride, second.stride)
        self._views: Any = (self._starts[0].data, self._starts[1].data)
        self._out, self._amounts = np.zeros(ROWS), np.zeros(ROWS)
        self._nearest = np.zeros(ROWS, np.int64)
        self._arguments = (
            *first.arguments, first.values, self._starts[0], first.outputs,
            *(given for given in second.arguments if given is not queue.rows), second.values,
            self._starts[1], second.outputs,
            model.words, np.zeros((ROWS, model.columns)), self._out,
            (model if amount is None else amount).words,
            np.zeros((ROWS if amount else 1, (amount or model).columns)), self._amounts,
            *(_NONE if segments is None else segments.arguments), self._nearest,
        )  # fmt: skip
        self._for_one = (1, self._what, *self._arguments)
        self._said: Any = (self._out.data, self._amounts.data, self._nearest.data)

    def one(self, state: LiveState) -> tuple[float, float | None, str | None]:
        """Return what the models say of one such state."""
        starts, starts_2 = self._views
        starts[0], starts_2[0] = state.row * self._strides[0], state.row * self._strides[1]
        self._queue.run_by(fold_and_score, self._for_one)
        p, amount, segment = self._said
        name = None if self._segments is None else self._segments.names.get(segment[0])
        return p[0], amount[0] if self._what & _AMOUNT else None, name

    def __call__(
        self, states: Sequence[LiveState]
    ) -> tuple[Sequence[float], Sequence[float | None], Sequence[str | None]]:
        """Return what the models say of at most `ROWS` states whose `queue` is this one's.

        Probabilities, logarithms of amounts, and names of segments; None without such a model.
        """
        count = len(states)
        (starts, starts_2), (stride, stride_2) = self._views, self._strides
        for k, state in enumerate(states):
            starts[k], starts_2[k] = state.row * stride, state.row * stride_2
        self._queue.run_by(fold_and_score, (count, self._what, *self._arguments))
        nothing = (None,) * count
        amounts = self._amounts[:count].tolist() if self._what & _AMOUNT else nothing
        names: Sequence[str | None] = nothing
        if self._segments is not None:
            names = [self._segments.names.get(k) for k in self._nearest[:count].tolist()]
        return self._out[:count].tolist(), amounts, names
