"""Judging one set of parameters fold by fold, and telling beforehand how long that takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartcast.models.declaration import Declaration
from cartcast.models.fitting import Recipe
from cartcast.models.folds import Fold
from cartcast.models.selection import log_losses, squared_errors
from cartcast.models.trials import Trial

__all__ = ["Judge"]

Floats = NDArray[np.float64]

PROBED_ROWS = 40_000
"""From this many rows over the folds, a trial's time is told beforehand from small fits."""

PROBES = (1000, 4000)
"""Rows of the two small fits."""


@dataclass(frozen=True)
class Judge:
    """Fits one set of parameters fold by fold, and gives up when it falls behind."""

    frame: Any
    target: Any
    weights: Floats | None
    groups: Any
    order: Any
    parts: Sequence[Fold]
    classify: bool
    recipe: Recipe
    clock: Callable[[], float] = time.perf_counter

    def __call__(
        self,
        declaration: Declaration,
        params: Mapping[str, Any],
        past: Sequence[Trial],
        deadline: float,
    ) -> Trial:
        """Return the trial; it ends early when it falls behind or the deadline comes."""
        begin = last = self.clock()
        losses: list[float] = []
        pruned = False
        for number, (fit, held) in enumerate(self.parts, 1):
            losses.append(self._fold(declaration, params, fit, held))
            now = self.clock()
            rows = len(self.parts[number][0]) if number < len(self.parts) else 0
            late = now + (now - last) * rows / len(fit) > deadline
            last = now
            others = [sum(t.losses[:number]) / number for t in past if len(t.losses) >= number]
            behind = len(others) >= 5 and sum(losses) / number > float(np.median(others))
            if number < len(self.parts) and (behind or late):
                pruned = True
                break
        seconds = self.clock() - begin
        return Trial(declaration.name, dict(params), tuple(losses), pruned, seconds)

    def needed(self, declaration: Declaration) -> float:
        """Return about how many seconds one trial takes; 0 where the table is small."""
        total = sum(len(fit) for fit, _ in self.parts)
        if total < PROBED_ROWS:
            return 0.0
        fit = self.parts[-1][0]
        seconds = []
        for size in PROBES:
            rows = np.random.default_rng(self.recipe.seed).choice(fit, size, replace=False)
            if self.classify and len(np.unique(self.target[rows])) < 2:
                return 0.0
            begin = self.clock()
            self._fold(declaration, {}, rows, rows[:100])
            seconds.append(self.clock() - begin)
        slope = max(0.0, (seconds[1] - seconds[0]) / (PROBES[1] - PROBES[0]))
        return len(self.parts) * seconds[0] + slope * (total - len(self.parts) * PROBES[0])

    def _fold(
        self,
        declaration: Declaration,
        params: Mapping[str, Any],
        fit: NDArray[np.intp],
        held: NDArray[np.intp],
    ) -> float:
        w, groups, order = (
            None if v is None else np.asarray(v)[fit]
            for v in (self.weights, self.groups, self.order)
        )
        model = self.recipe.fit(
            declaration, self.frame.iloc[fit], self.target[fit], params=params,
            sample_weight=w, groups=groups, order=order,
        )  # fmt: skip
        judged = self.frame.iloc[held]
        v = None if self.weights is None else self.weights[held]
        if self.classify:
            p = model.predict_proba(judged)[:, 1]
            return float(np.average(log_losses(self.target[held], p), weights=v))
        errors = squared_errors(self.target[held], model.predict(judged))
        return float(np.sqrt(np.average(errors, weights=v)))
