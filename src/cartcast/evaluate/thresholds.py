"""From a probability to a decision: thresholds by F1, by capacity, or by profit.

Choose on validation, report on test.

>>> best_f1([0, 1, 1, 0], [0.2, 0.9, 0.6, 0.4]).threshold
0.6
>>> capacity([0, 1, 1, 0], [0.2, 0.9, 0.6, 0.4], share=0.25).threshold
0.9
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cartcast.errors import DataError, UsageError
from cartcast.evaluate.arrays import Array, summed, vectors
from cartcast.evaluate.score import ratio

__all__ = ["Threshold", "best_f1", "best_profit", "capacity"]


@dataclass(frozen=True)
class Threshold:
    """A threshold and what it does on the rows that it was chosen on.

    Attributes:
        by: `f1`, `capacity` or `profit`.
        threshold: contact when the probability is at least this; above 1 contacts nobody.
        contacted: share of weight contacted.
        precision: share of buyers among the contacted; None when nobody is.
        recall: share of buyers contacted; None when nobody buys.
        value: the F1, the share asked for, or the profit per session.
    """

    by: str
    threshold: float
    contacted: float
    precision: float | None
    recall: float | None
    value: float | None

    def as_dict(self) -> dict[str, float | str | None]:
        """Return plain data for JSON."""
        return dict(vars(self))


def _steps(y_obs: Any, y_pred: Any, weights: Any) -> tuple[Array, Array, Array]:
    v = vectors(y_obs, y_pred, weights, task="classifier")
    if not len(v.y_obs):
        raise DataError("a threshold needs at least one row, got 0.")
    distinct, codes = np.unique(-v.y_pred, return_inverse=True)
    contacted = np.cumsum(summed(codes, v.weights))
    hits = np.cumsum(summed(codes, v.weights * v.y_obs))
    return -distinct, contacted, hits


def _at(
    by: str, k: int | None, steps: tuple[Array, Array, Array], value: float | None
) -> Threshold:
    thresholds, contacted, hits = steps
    if k is None:
        recall = 0.0 if hits[-1] > 0 else None
        return Threshold(by, float(np.nextafter(1.0, 2.0)), 0.0, None, recall, value)
    return Threshold(
        by,
        float(thresholds[k]),
        float(contacted[k] / contacted[-1]),
        float(hits[k] / contacted[k]) if contacted[k] > 0 else None,
        float(hits[k] / hits[-1]) if hits[-1] > 0 else None,
        value,
    )


def best_f1(y_obs: Any, y_pred: Any, weights: Any = None) -> Threshold:
    """Return the threshold with the highest F1; the highest of several.

    Raises:
        DataError: no rows, nobody buys, or the arrays break their rules.
    """
    steps = _steps(y_obs, y_pred, weights)
    _, contacted, hits = steps
    if hits[-1] <= 0:
        raise DataError("a threshold by F1 needs at least one buyer, got 0.")
    score = ratio(2 * hits, contacted + hits[-1])
    k = int(np.nanargmax(score))
    return _at("f1", k, steps, float(score[k]))


def capacity(
    y_obs: Any,
    y_pred: Any,
    weights: Any = None,
    *,
    share: float | None = None,
    count: float | None = None,
) -> Threshold:
    """Return the lowest threshold that contacts at most a share (0 to 1), or a count, of rows.

    `count` is in units of weight: sessions, when a session's rows weigh 1 together.

    Raises:
        UsageError: not exactly one of share and count, or one outside its range.
        DataError: no rows, or the arrays break their rules.
    """
    if (share is None) == (count is None):
        raise UsageError("capacity needs exactly one of share and count.")
    if share is not None and not 0.0 < share <= 1.0:
        raise UsageError(f"share must fulfil 0 < share <= 1, got {share:g}.")
    if count is not None and count <= 0:
        raise UsageError(f"count must be above 0, got {count:g}.")
    steps = _steps(y_obs, y_pred, weights)
    total = steps[1][-1]
    room = share * total if share is not None else float(count or 0.0)
    fits = np.flatnonzero(steps[1] <= room * (1 + 1e-12))
    return _at("capacity", int(fits[-1]) if len(fits) else None, steps, float(room / total))


def best_profit(
    y_obs: Any, y_pred: Any, weights: Any = None, *, cost: float, value: float
) -> Threshold:
    """Return the threshold with the highest profit at a cost per contact and a value per buyer.

    Contacting nobody, with profit 0, is among the choices.

    Raises:
        UsageError: cost or value is negative.
        DataError: no rows, or the arrays break their rules.
    """
    if cost < 0.0 or value < 0.0:
        raise UsageError(f"cost and value must be at least 0, got {cost:g} and {value:g}.")
    steps = _steps(y_obs, y_pred, weights)
    _, contacted, hits = steps
    gained = (value * hits - cost * contacted) / contacted[-1]
    k = int(np.argmax(gained))
    if gained[k] <= 0.0:
        return _at("profit", None, steps, 0.0)
    return _at("profit", k, steps, float(gained[k]))
