"""Scores of a decision: yes when the probability is at least the threshold.

>>> f1([0, 1, 1, 0], [0.2, 0.9, 0.4, 0.6], threshold=0.5)
0.5
>>> precision([0, 1], [0.1, 0.2], threshold=0.5) is None  # nobody chosen: undefined, not 0
True
"""

from __future__ import annotations

import numpy as np

from cartcast.evaluate.arrays import Array
from cartcast.evaluate.score import Score, ratio

__all__ = ["accuracy", "f1", "precision", "recall"]


def _cells(y: Array, p: Array, w: Array, threshold: float) -> list[Array]:
    """Return the confusion cells of each row, weighted: true and false positives and negatives."""
    yes = (p >= threshold).astype(np.float64)
    return [w * y * yes, w * (1 - y) * yes, w * y * (1 - yes), w * (1 - y) * (1 - yes)]


def _right(y: Array, p: Array) -> Array:
    return np.asarray(((p >= 0.5) == (y == 1.0)).astype(np.float64))


def _accuracy(s: list[Array]) -> Array:
    return ratio(s[0] + s[3], s[0] + s[1] + s[2] + s[3])


def _precision(s: list[Array]) -> Array:
    return ratio(s[0], s[0] + s[1])


def _recall(s: list[Array]) -> Array:
    return ratio(s[0], s[0] + s[2])


def _f1(s: list[Array]) -> Array:
    return ratio(2 * s[0], 2 * s[0] + s[1] + s[2])


accuracy = Score(
    name="accuracy",
    title="Accuracy",
    better="higher",
    functional="decision",
    tasks=("classifier",),
    unit="share",
    about="Share of right decisions; with few buyers, saying no to all is already high.",
    pieces=_cells,
    formula=_accuracy,
    loss=_right,
    rule=True,
)
precision = Score(
    name="precision",
    title="Precision",
    better="higher",
    functional="decision",
    tasks=("classifier",),
    unit="share",
    about="Share of buyers among the chosen; undefined when nobody is chosen.",
    pieces=_cells,
    formula=_precision,
    rule=True,
)
recall = Score(
    name="recall",
    title="Recall",
    better="higher",
    functional="decision",
    tasks=("classifier",),
    unit="share",
    about="Share of the buyers that is chosen; undefined when nobody buys.",
    pieces=_cells,
    formula=_recall,
    rule=True,
)
f1 = Score(
    name="f1",
    title="F1",
    better="higher",
    functional="decision",
    tasks=("classifier",),
    unit="points",
    about="Harmonic mean of precision and recall; undefined when nobody buys or is chosen.",
    pieces=_cells,
    formula=_f1,
    rule=True,
)
