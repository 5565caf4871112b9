"""Intervals by a bootstrap over visitors: each draw is another weighting of the visitors.

>>> rng = np.random.default_rng(0)
>>> p = rng.uniform(size=2000); y = (rng.uniform(size=2000) < p) * 1.0
>>> found = bootstrap(y, p, scores=("roc_auc",))["roc_auc"]
>>> found.low < found.value < found.high
True
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cartcast.errors import UsageError
from cartcast.evaluate.arrays import Array, Codes, Task, Vectors, summed, vectors
from cartcast.evaluate.auc import FEWEST, auc_difference, auc_interval, carriers
from cartcast.evaluate.calibration import ece_interval
from cartcast.evaluate.score import Score
from cartcast.evaluate.scores import find
from cartcast.evaluate.share import Clusters, effective_count, wilson

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DRAWS",
    "LEVEL",
    "OWN",
    "TOO_FEW",
    "Interval",
    "bootstrap",
    "compare",
    "multipliers",
    "observations",
    "percentiles",
    "sayable",
    "unsaid",
]

DRAWS = 300
"""Draws of a bootstrap."""
LEVEL = 0.9
"""Confidence of the intervals of scores."""
BAGS = 5_000
"""Visitors beyond this number are put at random into this many bags, which are drawn instead: the
variance keeps its expectation, and its own error (2 %) stays below that of 300 draws (8 %)."""
BINS = 20_000
"""Different predictions beyond this number are grouped, for the spread of the draws only."""
_CHUNK = 50
_TOO_MANY_UNDEFINED = 0.2


class Interval(NamedTuple):
    """A value with the ends of its interval; None where undefined."""

    value: float | None
    low: float | None
    high: float | None

    def pair(self) -> list[float | None]:
        """Return [low, high], as `run.json` keeps it."""
        return [self.low, self.high]


def multipliers(
    groups: Codes, draws: int = DRAWS, seed: int = 0
) -> tuple[Codes, npt.NDArray[np.float64]]:
    """Return the bag of each row, shape (n,), and how often each draw has it, (bags, draws).

    Rows of one group are always drawn together. The same groups and seed give the same draws, so
    that differences between models are paired.
    """
    bag_of, times = _drawn(int(groups.max()) + 1 if len(groups) else 0, draws, seed)
    return groups if bag_of is None else bag_of[groups], times


@lru_cache(maxsize=2)
def _drawn(count: int, draws: int, seed: int) -> tuple[Codes | None, npt.NDArray[np.float64]]:
    """Return the bag of each group where they are too many, and the draws: of all scores the same.

    To draw takes longer than most scores; a report asks for dozens of the same groups.
    """
    rng = np.random.default_rng(seed)
    bags = min(count, BAGS)
    bag_of = None if count <= BAGS else rng.permutation(count) % BAGS
    if not bags:
        return bag_of, np.zeros((0, draws))
    drawn = rng.multinomial(bags, np.full(bags, 1.0 / bags), size=draws)
    times = np.ascontiguousarray(drawn.T, dtype=np.float64)
    times.flags.writeable = False  # it is handed out more than once
    return bag_of, times


def _codes(key: Array) -> tuple[Codes, int]:
    """Return the ascending code of each distinct key, at most BINS codes of about equal size."""
    distinct, codes, counts = np.unique(key, return_inverse=True, return_counts=True)
    if len(distinct) <= BINS:
        return codes.astype(np.int64), len(distinct)
    before = np.cumsum(counts) - counts
    return (before * BINS // len(key))[codes].astype(np.int64), BINS


def _draws_of(
    scores: Sequence[Score], v: Vectors, threshold: float, bags: Codes, times: Array
) -> dict[str, Array]:
    """Return each score in every draw, shape (draws,); NaN where a draw leaves it undefined.

    Scores made of the same pieces share their sums.
    """
    families: dict[tuple[Any, ...], list[Score]] = {}
    for score in scores:
        families.setdefault((score.pieces, score.order), []).append(score)
    found: dict[str, Array] = {}
    for (pieces, order), members in families.items():
        parts = pieces(v.y_obs, v.y_pred, v.weights, threshold)
        if order:
            found |= _ranked_draws(members, parts, v, bags, times)
        else:
            sums = [summed(bags, part, len(times)) @ times for part in parts]
            found |= {score.name: score.formula(sums) for score in members}
    return found


def _ranked_draws(
    scores: Sequence[Score], parts: Sequence[Array], v: Vectors, bags: Codes, times: Array
) -> dict[str, Array]:
    from scipy import sparse

    tables = []
    for by in scores[0].order:
        codes, rows = _codes(v.y_pred if by == "pred" else v.y_obs)
        shape = (rows, len(times))
        tables.append([sparse.csr_array((part, (codes, bags)), shape=shape) for part in parts])
    out: dict[str, list[Array]] = {score.name: [] for score in scores}
    for start in range(0, times.shape[1], _CHUNK):
        chunk = times[:, start : start + _CHUNK]
        sums = [[np.asarray(table @ chunk) for table in ranked] for ranked in tables]
        for score in scores:
            out[score.name].append(score.formula(sums))
    return {name: np.concatenate(values) for name, values in out.items()}


def observations(v: Vectors, task: Task, power: int = 1) -> float:
    """Return how many visitors of equal weight carry what is judged: the rarer class, or money.

    A few great baskets carry a mean all but alone, and more so its error: `power` is that of the
    amounts. Without amounts (`y_obs` all 0) the predictions are what is averaged.
    """
    if task == "classifier":
        return min(carriers(v))
    amounts = np.abs(v.y_obs if v.y_obs.any() else v.y_pred)
    carried = v.weights * amounts**power
    return effective_count(carried if carried.any() else v.weights, v.groups)


def percentiles(drawn: Array, level: float, size: float) -> tuple[float, float] | None:
    """Return the ends of draws, or None where more than a fifth of them is undefined.

    With few observations the draws are too narrow by sqrt((n - 1) / n) and their tails too thin:
    the percentiles are taken further out (Hesterberg 2015,
    https://doi.org/10.1080/00031305.2015.1089789). `size`: independent observations.

    >>> draws = np.linspace(0, 1, 101)
    >>> [round(percentiles(draws, 0.9, size)[0], 3) for size in (1000, 10)]
    [0.05, 0.027]
    """
    from scipy.stats import norm, t

    defined = drawn[np.isfinite(drawn)]
    if len(defined) < len(drawn) * (1 - _TOO_MANY_UNDEFINED) or not len(defined) or size < 2:
        return None
    side = float(norm.cdf(np.sqrt(size / (size - 1)) * t.ppf((1 - level) / 2, size - 1)))
    low, high = np.quantile(defined, [side, 1 - side])
    return float(low), float(high)


def _check(level: float, draws: int) -> None:
    if not 0.0 < level < 1.0:
        raise UsageError(f"level must fulfil 0 < level < 1, got {level:g}.")
    if draws < 20:
        raise UsageError(f"draws must be at least 20, got {draws}.")


def bootstrap(
    y_obs: Any,
    y_pred: Any,
    weights: Any = None,
    groups: Any = None,
    *,
    task: Task = "classifier",
    scores: Iterable[str] | None = None,
    threshold: float = 0.5,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
    drawn: tuple[Codes, Array] | None = None,
) -> dict[str, Interval]:
    """Return each score with its interval, from draws of whole groups (visitors).

    Arrays have shape (n,); `groups` None draws rows. Percentile intervals (`percentiles`); the ROC
    AUC and the calibration error have their own (`auc_interval`, `ece_interval`). None where fewer
    than two groups, more than a fifth of the draws undefined, or too few buyers leave nothing to
    say. `drawn`, from `multipliers`, spares drawing again for each of several models. Efron and
    Tibshirani 1993, https://doi.org/10.1201/9780429246593

    Raises:
        DataError: the arrays break their rules.
        UsageError: an unknown score, a level outside 0 and 1, or fewer than 20 draws.
    """
    _check(level, draws)
    chosen = find(scores, task)
    v = vectors(y_obs, y_pred, weights, groups, task=task)
    bags, times = drawn if drawn is not None else multipliers(v.groups, draws, seed)
    values = {score.name: score.of(v, threshold) for score in chosen}
    known = [score for score in chosen if values[score.name] is not None and len(times) > 1]
    several = _draws_of(
        [s for s in known if s.name not in (*OWN, *_SHARES)], v, threshold, bags, times
    )
    found: dict[str, Interval] = {}
    for score in chosen:
        ends = None
        if score.name in several:
            ends = _from_draws(score.name, several[score.name], v, task, level)
        elif score in known and score.name in OWN:
            ends = OWN[score.name](v, level)
        elif score in known:
            ends = _of_share(*_SHARES[score.name](v.y_obs > 0, v.y_pred >= threshold), v, level)
        found[score.name] = Interval(values[score.name], *(ends or (None, None)))
    return found


def compare(
    y_obs: Any,
    y_preds: Mapping[str, Any],
    weights: Any = None,
    groups: Any = None,
    *,
    against: str,
    score: str = "log_loss",
    task: Task = "classifier",
    threshold: float = 0.5,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return score(model) - score(against) for every other model, with paired intervals.

    Raises:
        UsageError: `against` is not among the models, or as `bootstrap`.
        DataError: the arrays break their rules.
    """
    _check(level, draws)
    if against not in y_preds:
        raise UsageError(f"unknown model {against!r} to compare against; known: {list(y_preds)}.")
    (chosen,) = find((score,), task)
    base = vectors(y_obs, y_preds[against], weights, groups, task=task)
    bags, times = multipliers(base.groups, draws, seed)
    found: dict[str, Interval] = {}
    base_value = chosen.of(base, threshold)
    for name, y_pred in y_preds.items():
        if name == against:
            continue
        v = vectors(y_obs, y_pred, weights, groups, task=task)
        value = chosen.of(v, threshold)
        if value is None or base_value is None or len(times) < 2:
            found[name] = Interval(None, None, None)
            continue
        if chosen.name == "roc_auc":
            ends = auc_difference(v, base, level)
        elif chosen.name == "ece":
            ends = _from_ends(value, base_value, ece_interval(v, level), ece_interval(base, level))
        else:
            mine, theirs = (
                _draws_of([chosen], x, threshold, bags, times)[chosen.name] for x in (v, base)
            )
            ends = _from_draws(chosen.name, mine - theirs, v, task, level)
        found[name] = Interval(value - base_value, *(ends or (None, None)))
    return found


def _from_draws(
    score: str, drawn: Array, v: Vectors, task: Task, level: float
) -> tuple[float, float] | None:
    if task == "classifier":
        return percentiles(drawn, level, observations(v, task))
    # The error of a mean is that of squares; ranks do not care how great a basket is.
    power, least = _AMOUNTS.get(score, (1, FEWEST))
    if observations(v, task, power) < least:
        return None
    size = observations(v, task, 2 * power if score in _AMOUNTS else 1)
    return percentiles(drawn, level, max(size, 2.0))


def _from_ends(
    a: float, b: float, of_a: tuple[float, float] | None, of_b: tuple[float, float] | None
) -> tuple[float, float] | None:
    """Return the ends of a - b from the ends of each.

    Zou and Donner 2008, https://doi.org/10.1002/sim.3095; as if a and b were independent, which
    is wide where they are not.
    """
    if of_a is None or of_b is None:
        return None
    below = float(np.hypot(a - of_a[0], of_b[1] - b))
    above = float(np.hypot(of_a[1] - a, b - of_b[0]))
    return a - b - below, a - b + above


def _of_share(hits: Array, of: Array, v: Vectors, level: float) -> tuple[float, float] | None:
    """Return the ends of a share of some rows: a draw of 12 right ones never has a wrong one."""
    known = Clusters.of(hits[of].astype(np.float64), v.weights[of], v.groups[of])
    low, high = wilson(known.x / known.n, known.size, level, known.freedom)
    return float(low), float(high)


_SHARES: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "recall": lambda bought, chosen: (chosen, bought),
    "precision": lambda bought, chosen: (bought, chosen),
    "accuracy": lambda bought, chosen: (bought == chosen, np.ones(len(bought), bool)),
}
"""Scores that are shares of rows: which rows hit, and of which."""
OWN: dict[str, Callable[[Vectors, float], tuple[float, float] | None]] = {
    "roc_auc": auc_interval,
    "ece": ece_interval,
}
"""Scores whose interval is not that of the draws."""
_AMOUNTS = {"mae": (1, FEWEST), "bias": (1, FEWEST), "rmse": (2, 30), "r2": (2, 30)}
"""Means of amounts, or of their squares: the power, and the least observations for an interval."""
TOO_FEW = "too few buyers"
"""What a reader sees instead of such a score when its interval cannot be told."""


def unsaid(score: str, value: float | None, low: float | None) -> bool:
    """Return whether a score stands without its interval because too few buyers carry it.

    >>> unsaid("roc_auc", 0.9, None), unsaid("roc_auc", 0.9, 0.8), unsaid("f1", 0.5, None)
    (True, False, False)
    """
    known = value is not None and value == value
    return score in OWN and known and (low is None or low != low)


def sayable(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """Return the rows of a table of `value`, `low`, `high` whose score a reader may see."""
    known = table.dropna(subset=["value"])
    return known.dropna(subset=["low"]) if score in OWN else known
