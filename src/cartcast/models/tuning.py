"""Tuning: several models side by side within one time budget, resumable, forward in time."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import DataError, UsageError
from cartcast.models.classifiers import CLASSIFIERS
from cartcast.models.declaration import Declaration, pick
from cartcast.models.encoding import as_frame
from cartcast.models.fitting import Recipe
from cartcast.models.folds import Fold, inner_folds
from cartcast.models.judge import Judge
from cartcast.models.regressors import REGRESSORS
from cartcast.models.search import SEARCHES, search
from cartcast.models.table import amounts, binary_labels, row_weights
from cartcast.models.trials import Trial, Trials

__all__ = ["LEAST_BUDGET", "Tuned", "Tuning", "tune"]

Floats = NDArray[np.float64]
Progress = Callable[[str, float | None], None]

LEAST_BUDGET = 5.0
"""Seconds; with less not even the defaults of a few models can be judged."""

NO_TIME = "no time was left for this model: it keeps its defaults"


@dataclass(frozen=True)
class Tuned:
    """The best parameters found for one model.

    Attributes:
        name: the model.
        params: the best parameters by path; empty when the default was best or nothing is tuned.
        loss: mean inner-validation loss with them (log loss, or root mean squared error).
        default_loss: the same with the default parameters.
        trials: trials judged, the default included; pruned: those given up early.
        seconds: time spent on this model.
        resumed: trials that were taken over from an earlier, interrupted search.
        note: what was left out for lack of time, or an empty text.
    """

    name: str
    params: Mapping[str, Any]
    loss: float
    default_loss: float
    trials: int
    pruned: int
    seconds: float
    resumed: int
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**self.__dict__, "params": dict(self.params)}


@dataclass(frozen=True)
class Tuning(Mapping[str, Mapping[str, Any]]):
    """The best parameters by model name; `models` holds the evidence.

    >>> found = Tuning({"lasso": Tuned("lasso", {"model__alpha": 1.0}, 2.0, 3.0, 4, 1, 0.5, 0)})
    >>> found["lasso"]
    {'model__alpha': 1.0}
    """

    models: Mapping[str, Tuned]

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        return self.models[name].params

    def __iter__(self) -> Iterator[str]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {name: tuned.as_dict() for name, tuned in self.models.items()}


def tune(
    names: Sequence[str],
    kind: str,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    order: Any = None,
    budget: float | None = None,
    trials: int | None = None,
    method: str = "optuna",
    folds: int = 3,
    grid_points: int = 3,
    categorical: Sequence[str] | None = None,
    seed: int = 42,
    n_jobs: int = 1,
    folder: Path | str | None = None,
    resample: str | None = None,
    clock: Callable[[], float] = time.perf_counter,
    progress: Progress | None = None,
) -> Tuning:
    """Search the parameters of several models side by side; return the best of each.

    The models take turns: the next trial belongs to the one that has used the least time, the
    simplest first. Each starts with its default; on a large table two small fits tell beforehand
    how long that takes, and a model that would need more than twice its share of the budget keeps
    its default unjudged. No fold is begun that would end after the budget. A trial whose mean
    loss after a fold is above the median of the others at that fold is pruned. A trial depends on
    the seed and on the trials before it only, so a search with `trials` that was killed and
    continues from `folder` finds what an unbroken one finds; a `budget` continues with its rest.

    Args:
        names: the models, as in CLASSIFIERS or REGRESSORS.
        kind: `classifier` or `regressor`.
        X: training rows.
        y: their labels or amounts.
        sample_weight: their weights.
        groups: visitor of each row: kept in one fold.
        order: sorts the rows in time; then every fold judges rows after those fitted on.
        budget: seconds for all models together.
        trials: trials for each model; this or `budget` is needed.
        method: `optuna` (tree-structured Parzen estimator) or `grid`.
        folds: inner folds.
        grid_points: values of each number in a grid.
        categorical: columns treated as categories.
        seed: seed of everything random.
        n_jobs: threads of a model.
        folder: where the trials are kept, to continue after a kill.
        resample: how classes are balanced inside each fold.
        clock: seconds that grow.
        progress: called with what is being done and the share done.

    Raises:
        UsageError: a budget below `LEAST_BUDGET`, neither budget nor trials, unknown method.
        DataError: fewer positives than folds, one class, missing labels.
    """
    _check(names, kind, budget, trials, method)
    known = CLASSIFIERS if kind == "classifier" else REGRESSORS
    declarations = [known[n] for n in pick(known, list(names))]
    frame = as_frame(X)
    classify = kind == "classifier"
    target = binary_labels(y) if classify else amounts(y)
    weights = row_weights(sample_weight, len(target))
    # Other folds than those by which the models are judged afterwards.
    parts = inner_folds(target, folds, groups=groups, order=order, seed=seed + 1)
    forced = None if categorical is None else tuple(categorical)
    question = _question(declarations, frame, target, parts, method, seed, forced)
    record = Trials(None if folder is None else Path(folder) / "trials.jsonl", question)
    before = {d.name: len(record.of(d.name)) for d in declarations}
    used = sum(t.seconds for t in record.all)
    searches = {d.name: search(d, method, grid_points, seed) for d in declarations}
    recipe = Recipe(forced, resample, seed, n_jobs)
    judge = Judge(frame, target, weights, groups, order, parts, classify, recipe, clock)
    begin = clock() - used
    waiting = list(declarations)
    notes: dict[str, str] = {}
    while waiting:
        spent = clock() - begin
        left = math.inf if budget is None else budget - spent
        turn = min(
            waiting,
            key=lambda d: (sum(t.seconds for t in record.of(d.name)), d.simplicity, d.name),
        )
        past = record.of(turn.name)
        params = searches[turn.name](past)
        longest = max((t.seconds for t in past), default=0.0)
        if params is None or (trials is not None and len(past) >= trials) or longest > left:
            waiting.remove(turn)
            continue
        if left <= 0:
            # Without one trial a model has nothing to compare: it keeps its default.
            waiting.remove(turn)
            continue
        if budget is not None and not past:
            needed = judge.needed(turn)
            if needed > min(left, 2 * budget / len(declarations)):
                notes[turn.name] = (
                    f"judging its defaults would take about {needed:.0f} s, more than its share "
                    "of the budget: it keeps them"
                )
                waiting.remove(turn)
                continue
        if progress is not None:
            share = None if budget is None else min(spent / budget, 1.0)
            progress(f"tuning {turn.title}, trial {len(past) + 1}", share)
        record.add(judge(turn, params, past, begin + budget if budget is not None else math.inf))
    return Tuning(
        {
            d.name: _best(
                d, record.of(d.name), len(parts), before[d.name], notes.get(d.name, NO_TIME)
            )
            for d in declarations
        }
    )


def _check(
    names: Sequence[str], kind: str, budget: float | None, trials: int | None, method: str
) -> None:
    if not names:
        raise UsageError("there is no model to tune; name one.")
    if kind not in ("classifier", "regressor"):
        raise UsageError(f"kind must be classifier or regressor, got {kind!r}.")
    if method not in SEARCHES:
        raise UsageError(f"search must be one of {', '.join(SEARCHES)}, got {method!r}.")
    if budget is None and trials is None:
        raise UsageError("tuning needs a budget in seconds or a number of trials.")
    if budget is not None and budget < LEAST_BUDGET:
        raise UsageError(
            f"budget must be at least {LEAST_BUDGET:g} seconds, got {budget:g}: below that "
            "nothing can be tuned; train without a budget to use the defaults."
        )
    if trials is not None and trials < 1:
        raise UsageError(f"trials must be at least 1, got {trials}.")


def _question(
    declarations: Sequence[Declaration],
    frame: Any,
    target: NDArray[Any],
    parts: Sequence[Fold],
    method: str,
    seed: int,
    names: tuple[str, ...] | None,
) -> str:
    """Return a hash of what decides the trials: another question starts again."""
    digest = hashlib.sha256()
    models = sorted((d.name, repr(dict(d.search_space))) for d in declarations)
    digest.update(json.dumps([models, method, seed, names, list(frame.columns)]).encode())
    digest.update(np.ascontiguousarray(target).tobytes())
    for fit, held in parts:
        digest.update(fit.tobytes() + held.tobytes())
    return digest.hexdigest()


def _best(
    declaration: Declaration, past: Sequence[Trial], folds: int, resumed: int, note: str
) -> Tuned:
    whole = [t for t in past if len(t.losses) == folds and math.isfinite(t.loss)]
    default = next((t.loss for t in whole if not t.params), math.nan)
    if not whole:
        if any(len(t.losses) == folds for t in past):
            raise DataError(f"{declaration.name}: no trial had a finite loss; check the features.")
        spent = sum(t.seconds for t in past)
        pruned = sum(t.pruned for t in past)
        return Tuned(
            declaration.name, {}, math.nan, default, len(past), pruned, spent, resumed, note
        )
    best = min(whole, key=lambda t: t.loss)
    return Tuned(
        declaration.name,
        best.params,
        best.loss,
        default,
        len(past),
        sum(t.pruned for t in past),
        sum(t.seconds for t in past),
        resumed,
    )
