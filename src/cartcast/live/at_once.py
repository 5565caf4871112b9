"""Folding what waits and scoring it in one compiled call: for one event, or a batch of them.

A call of a kernel costs a live event more than the kernel, whose five calls (two folds, probability,
amount, segment) are one here. Only for models that are arrays; the others are asked one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cartcast.features.kernels.compiled import kernel
from cartcast.features.kernels.run import run
from cartcast.live.arrays import RowModel, SegmentModel
from cartcast.live.kernels import nearest, predict
from cartcast.live.queue import ROWS, Queue
from cartcast.live.states import LiveState

__all__ = ["AtOnce", "Found"]

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


class Found(NamedTuple):
    """What models say of some sessions, in their order; empty where there is no such model."""

    probabilities: list[float]
    amounts: list[float]
    segments: list[str | None]


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

    def __call__(self, states: Sequence[LiveState]) -> Found:
        """Return what is said of at most `ROWS` states whose `queue` is this one's."""
        count = len(states)
        (starts, starts_2), (stride, stride_2) = self._views, self._strides
        for k, state in enumerate(states):
            starts[k], starts_2[k] = state.row * stride, state.row * stride_2
        self._queue.run_by(fold_and_score, (count, self._what, *self._arguments))
        names: list[str | None] = []
        if self._segments is not None:
            names = self._segments.named(self._nearest[:count])
        amounts = self._amounts[:count].tolist() if self._what & _AMOUNT else []
        return Found(self._out[:count].tolist(), amounts, names)
