"""A scorer of the user's own: any of scikit-learn's, asked of predictions that are at hand.

It is told beside the figures of a run, and chooses the champion where that was asked. A model is
fitted and calibrated by its log loss whatever the scorer: what is chosen stays a probability.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer, get_scorer_names

from cartcast.errors import UsageError, did_you_mean
from cartcast.models.own import one_line
from cartcast.models.selection import Candidate, Chosen, settle
from cartcast.train.fit import BASELINES, Fitted
from cartcast.train.task import Part, Task

__all__ = ["Scorer", "choose_by", "scored", "scorer_of", "told"]

Floats = NDArray[np.float64]
GROUPS = 20
"""Groups of visitors of which the jackknife leaves one out in turn."""
Z = 1.645


@dataclass(frozen=True)
class Scorer:
    """A scorer; more is better.

    Attributes:
        name: what it is called.
        call: `(estimator, X, y)`, and `sample_weight` where it takes them, to a number.
        own: whether it was given as an object: its name alone does not bring it back.
    """

    name: str
    call: Callable[..., Any]
    own: bool = False


class Scored(NamedTuple):
    """A score, and the scores without one group of the visitors each; NaN where undefined."""

    value: float
    without: Floats

    @property
    def interval(self) -> dict[str, float | None]:
        """The value with its 90 % interval over visitors; None where undefined."""
        error = _error(self.without)
        ends = (self.value - Z * error, self.value + Z * error)
        found = dict(zip(("value", "low", "high"), (self.value, *ends), strict=True))
        return {name: v if np.isfinite(v) else None for name, v in found.items()}


def scorer_of(given: Any) -> Scorer:
    """Return the scorer of a name of scikit-learn's, of `make_scorer`, or of one's own function.

    Raises:
        UsageError: there is no such name, or it cannot be called.

    >>> scorer_of("average_precision").name
    'average_precision'
    """
    if isinstance(given, str):
        if given not in get_scorer_names():
            raise UsageError(
                f"scikit-learn has no scorer {given!r}.{did_you_mean(given, get_scorer_names())}"
            )
        return Scorer(given, get_scorer(given))
    if isinstance(given, type) or not callable(given):
        raise UsageError(
            "scorer must be a name of scikit-learn's, what make_scorer returns, or a function of "
            f"(estimator, X, y), got {type(given).__name__}."
        )
    inner = getattr(given, "_score_func", given)
    lower = "neg_" if getattr(given, "_sign", 1) < 0 else ""
    return Scorer(lower + str(getattr(inner, "__name__", type(inner).__name__)), given, own=True)


def choose_by(scorer: Scorer, models: Sequence[Fitted], task: Task, judged: Any) -> Chosen:
    """Return the simplest model whose score is within one standard error of the best one's.

    The error is that of the difference to the best, by a jackknife over groups of visitors.

    Raises:
        UsageError: the scorer fails, or is undefined for every model.
    """
    rows = task.train.take(np.flatnonzero(judged))
    found = {m.name: scored(scorer, task.kind, rows, m.held[judged]) for m in models}
    found = {name: s for name, s in found.items() if np.isfinite(s.value)}
    if not found:
        raise UsageError(f"scorer {scorer.name!r} is undefined for every model; take another.")
    best = max(found.values(), key=lambda s: s.value)
    candidates = [
        Candidate(
            m.name, -s.value, best.value - s.value, _error(best.without - s.without, 0.0),
            m.declaration.simplicity,
        )
        for m in models
        if (s := found.get(m.name)) is not None
    ]  # fmt: skip
    return settle(candidates, BASELINES[task.kind], scorer.name)


def scored(scorer: Scorer, kind: str, rows: Part, said: Floats) -> Scored:
    """Return the score of predictions for `rows`, and what it is without a group of visitors."""
    over = _over(scorer, kind, rows, said)
    group = pd.util.hash_array(rows.groups, categorize=True) % GROUPS
    present = [g for g in range(GROUPS) if 0 < (group == g).sum() < len(rows)]

    def without(g: int) -> float:
        try:
            return over(np.flatnonzero(group != g))
        except UsageError:
            return np.nan  # what is left may hold one outcome only

    return Scored(over(np.arange(len(rows))), np.array([without(g) for g in present]))


def _over(scorer: Scorer, kind: str, rows: Part, said: Floats) -> Callable[[Any], float]:
    """Return what scores predictions for some of the rows, by their places."""
    # Scikit-learn's own look at no feature: these need not be cut out again and again.
    looks = not hasattr(scorer.call, "_score_func")
    X = rows.X if looks else pd.DataFrame(index=range(len(rows)))
    stand_in = _Classifier(said) if kind == "classifier" else _Regressor(said)
    label = rows.label.astype(np.int64) if kind == "classifier" else rows.label
    uneven = float(np.ptp(rows.weight)) > 1e-9 and _takes_weights(scorer.call)

    def over(at: Any) -> float:
        told = {"sample_weight": rows.weight[at]} if uneven else {}
        try:
            return float(scorer.call(stand_in, X.iloc[at], label[at], **told))
        except Exception as error:
            raise UsageError(
                f"scorer {scorer.name!r} failed: {type(error).__name__}: {one_line(error)}."
            ) from error

    return over


def told(
    scorer: Scorer | None, task: Task, said: Mapping[str, Floats], chooses: bool
) -> dict[str, Any] | None:
    """Return what `run.json` holds of a scorer: its scores on test, and in each fold."""
    if scorer is None:
        return None
    found = {name: scored(scorer, task.kind, task.test, p).interval for name, p in said.items()}
    place = np.full(len(task.rows.table), -1)
    place[task.test.index] = np.arange(len(task.test))
    folds = {}
    for name, p in said.items():
        over = _over(scorer, task.kind, task.test, p)
        folds[name] = [over(place[held]) for _, held in task.folds or ()]
    return {"name": scorer.name, "chooses": chooses, "test": found, "folds": folds}


def _error(without: Floats, otherwise: float = np.nan) -> float:
    """Return the standard error of a grouped jackknife (Wolter 2007, ch. 4)."""
    n = len(without)
    if n < 2 or not np.isfinite(without).all():
        return otherwise
    return float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))


def _takes_weights(call: Any) -> bool:
    inner = getattr(call, "_score_func", call)
    try:
        return "sample_weight" in inspect.signature(inner).parameters
    except (TypeError, ValueError):
        return False


class _Said(BaseEstimator):  # type: ignore[misc]
    """Stands in for a fitted model whose predictions are known, by the place of a row."""

    def __init__(self, said: Floats) -> None:
        self.said = said

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _of(self, X: Any) -> Floats:
        return self.said[np.asarray(X.index)] if hasattr(X, "index") else self.said


class _Classifier(ClassifierMixin, _Said):  # type: ignore[misc]
    classes_ = np.array([0, 1])

    def predict_proba(self, X: Any) -> Floats:
        p = self._of(X)
        return np.column_stack([1 - p, p])

    def predict(self, X: Any) -> NDArray[np.int64]:
        return (self._of(X) >= 0.5).astype(np.int64)


class _Regressor(RegressorMixin, _Said):  # type: ignore[misc]
    def predict(self, X: Any) -> Floats:
        return self._of(X)
