"""Scores of the ranking: they ask only which of two sessions is put first.

>>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
0.75
>>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
0.8333
>>> roc_auc([1, 1], [0.3, 0.6]) is None  # one class: undefined, not 0
True
"""

from __future__ import annotations

import numpy as np

from cartcast.evaluate.arrays import Array, summed
from cartcast.evaluate.score import Ranked, Score, ratio

__all__ = ["average_precision", "gini", "lift_top_decile", "roc_auc", "spearman"]

TOP = 0.1
"""Share of the rows that is the top decile."""


def _classes(y: Array, p: Array, w: Array, threshold: float) -> list[Array]:
    return [w * y, w * (1.0 - y)]


def _amounts(y: Array, p: Array, w: Array, threshold: float) -> list[Array]:
    return [w, w * y]


def _roc_auc(ranked: Ranked) -> Array:
    positive, negative = ranked[0]
    below = np.cumsum(negative, axis=0) - negative / 2.0
    pairs = positive.sum(axis=0) * negative.sum(axis=0)
    return ratio((positive * below).sum(axis=0), pairs)


def _average_precision(ranked: Ranked) -> Array:
    positive, negative = ranked[0][0][::-1], ranked[0][1][::-1]
    hits = np.cumsum(positive, axis=0)
    precision = ratio(hits, hits + np.cumsum(negative, axis=0))
    gained = np.where(positive > 0.0, positive * precision, 0.0)
    return ratio(gained.sum(axis=0), positive.sum(axis=0))


def _lift(ranked: Ranked) -> Array:
    weight, amount = ranked[0][0][::-1], ranked[0][1][::-1]
    total, room = amount.sum(axis=0), TOP * weight.sum(axis=0)
    before = np.cumsum(weight, axis=0) - weight
    taken = np.clip(ratio(room - before, weight), 0.0, 1.0)  # ties at the edge share what is left
    top = np.where(weight > 0.0, taken * amount, 0.0).sum(axis=0)
    return ratio(top, TOP * total)


def _area(weight: Array, amount: Array) -> Array:
    """Return the area between the diagonal and the concentration curve, rows ascending."""
    total = amount.sum(axis=0)
    before = np.cumsum(amount, axis=0) - amount / 2.0
    under = ratio((weight * before).sum(axis=0), weight.sum(axis=0) * total)
    return np.asarray(0.5 - under)


def _gini(ranked: Ranked) -> Array:
    by_pred, by_obs = ranked
    best = _area(by_obs[0], by_obs[1])
    # A difference of equal sums: a perfect order of equal amounts leaves only rounding noise.
    best = np.where(np.abs(best) < 1e-12, 0.0, best)
    return ratio(_area(by_pred[0], by_pred[1]), best)


def _mid_ranks(x: Array, w: Array) -> Array:
    """Return weighted mid-ranks, centred: the weight below plus half of the weight that ties."""
    _, codes = np.unique(x, return_inverse=True)
    mass = summed(codes, w)
    rank = (np.cumsum(mass) - mass / 2.0)[codes] / mass.sum()
    return np.asarray(rank - 0.5)


def _rank_moments(y: Array, p: Array, w: Array, threshold: float) -> list[Array]:
    a, b = _mid_ranks(y, w), _mid_ranks(p, w)
    return [w, w * a, w * b, w * a * a, w * b * b, w * a * b]


def _spearman(sums: list[Array]) -> Array:
    w, a, b, aa, bb, ab = sums
    var_a, var_b = aa - a * a / w, bb - b * b / w
    tiny = 1e-12 * w
    spread = np.sqrt(np.where((var_a > tiny) & (var_b > tiny), var_a * var_b, 0.0))
    return ratio(ab - a * b / w, spread)


roc_auc = Score(
    name="roc_auc",
    title="ROC AUC",
    better="higher",
    functional="ranking",
    tasks=("classifier",),
    unit="points",
    about="Chance that a buyer is ranked above a non-buyer, ties counting half; 0.5 is no "
    "ranking. Fawcett 2006, https://doi.org/10.1016/j.patrec.2005.10.010",
    pieces=_classes,
    formula=_roc_auc,
    order=("pred",),
)
average_precision = Score(
    name="average_precision",
    title="PR AUC (average precision)",
    better="higher",
    functional="ranking",
    tasks=("classifier",),
    unit="points",
    about="Mean precision over the buyers, each at its own rank; the prevalence is no ranking. "
    "Davis and Goadrich 2006, https://doi.org/10.1145/1143844.1143874",
    pieces=_classes,
    formula=_average_precision,
    order=("pred",),
)
lift_top_decile = Score(
    name="lift_top_decile",
    title="Lift in the top decile",
    better="higher",
    functional="ranking",
    tasks=("classifier", "regressor"),
    unit="factor",
    about="Share of buyers (or of money) among the best tenth, over a tenth; 1 is no ranking. "
    "Ties at the edge share the room that is left.",
    pieces=_amounts,
    formula=_lift,
    order=("pred",),
)
gini = Score(
    name="gini",
    title="Normalised Gini",
    better="higher",
    functional="ranking",
    tasks=("regressor",),
    unit="points",
    about="Area of the concentration curve ordered by prediction, over the same ordered by the "
    "amounts themselves; 1 is the perfect order, 0 none. Frees, Meyers and Cummings 2011, "
    "https://doi.org/10.1198/jasa.2011.tm10506",
    pieces=_amounts,
    formula=_gini,
    order=("pred", "obs"),
)
spearman = Score(
    name="spearman",
    title="Spearman rank correlation",
    better="higher",
    functional="ranking",
    tasks=("regressor",),
    unit="points",
    about="Correlation of mid-ranks. Spearman 1904, https://doi.org/10.2307/1412159",
    pieces=_rank_moments,
    formula=_spearman,
)
