"""What a score is: sums over rows, and a formula over the sums.

Because each score is a formula over weighted sums, a bootstrap draw is only another weighting of
the same sums, and the value, its interval and a paired comparison come from one definition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from cartcast.errors import UsageError
from cartcast.evaluate.arrays import Array, Task, Vectors, summed, vectors

__all__ = ["Better", "Ranked", "Score", "ratio"]

Better: TypeAlias = Literal["higher", "lower", "zero"]
Pieces: TypeAlias = Callable[[Array, Array, Array, float], Sequence[Array]]
Ranked: TypeAlias = Sequence[Sequence[Array]]


def ratio(numerator: Any, denominator: Any) -> npt.NDArray[np.float64]:
    """Return numerator / denominator; NaN, which is "undefined", where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    out = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=out, where=bottom != 0.0)
    return out


@dataclass(frozen=True)
class Score:
    """One score, declared once; call it with observations and predictions.

    Attributes:
        name: name in `run.json` and on the command line.
        title: name for people.
        better: `higher`, `lower`, or nearest to `zero`.
        functional: what the score judges: the `mean`, the `ranking`, a `decision` at a threshold.
        tasks: kinds of model that it applies to.
        unit: `points`, `share`, `nats`, `money` or `factor`.
        about: definition and source.
        pieces: (y_obs, y_pred, weights, threshold) -> weighted values for each row.
        formula: from sums to the score. Without `order`: list of arrays (draws,) -> (draws,).
            With `order`: for each ordering a list of arrays (bins, draws), ascending -> (draws,).
        order: what rows are ranked by: `pred`, or `pred` and `obs`.
        loss: (y_obs, y_pred) -> the score of each observation, where one exists.
        rule: the prediction becomes a yes or no at the threshold.
    """

    name: str
    title: str
    better: Better
    functional: str
    tasks: tuple[Task, ...]
    unit: str
    about: str
    pieces: Pieces
    formula: Callable[[Any], Array]
    order: tuple[Literal["pred", "obs"], ...] = ()
    loss: Callable[[Array, Array], Array] | None = None
    rule: bool = False

    def __call__(
        self, y_obs: Any, y_pred: Any, weights: Any = None, *, threshold: float = 0.5
    ) -> float | None:
        """Return the score of predictions, shapes (n,); None where it is undefined.

        Raises:
            DataError: the arrays break their rules (see `arrays.vectors`).
        """
        task: Task | None = "classifier" if self.tasks == ("classifier",) else None
        return self.of(vectors(y_obs, y_pred, weights, task=task), threshold)

    def of(self, v: Vectors, threshold: float = 0.5) -> float | None:
        """Return the score of checked arrays; None where it is undefined."""
        if not len(v.y_obs):
            return None
        parts = self.pieces(v.y_obs, v.y_pred, v.weights, threshold)
        if self.order:
            value = self.formula([_binned(parts, _key(v, by)) for by in self.order])
        else:
            value = self.formula([np.array([part.sum()]) for part in parts])
        return float(value[0]) if np.isfinite(value[0]) else None

    def per_observation(self, y_obs: Any, y_pred: Any) -> Array:
        """Return the score of each observation, shape (n,), whose weighted mean is the score.

        Raises:
            UsageError: the score exists only for a set of observations.
        """
        if self.loss is None:
            raise UsageError(f"{self.name} has no value for one observation.")
        v = vectors(y_obs, y_pred)
        return self.loss(v.y_obs, v.y_pred)


def _key(v: Vectors, by: str) -> Array:
    return v.y_pred if by == "pred" else v.y_obs


def _binned(parts: Sequence[Array], key: Array) -> list[Array]:
    """Sum each part over the rows with the same key; shapes (distinct keys, 1), ascending."""
    _, codes = np.unique(key, return_inverse=True)
    return [summed(codes, part)[:, None] for part in parts]
