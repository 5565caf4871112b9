"""Scores of the probability itself: they punish a forecast that is too bold or too timid.

>>> round(log_loss([0, 1], [0.2, 0.8]), 4)
0.2231
>>> round(brier([0, 1], [0.2, 0.8]), 4)
0.04
>>> round(ece([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5]), 4)
0.0
"""

from __future__ import annotations

import numpy as np

from cartcast.evaluate.arrays import Array
from cartcast.evaluate.score import Ranked, Score, ratio

__all__ = ["ECE_BINS", "brier", "ece", "log_loss"]

ECE_BINS = 10
"""Number of bins of the calibration error, each with a tenth of the weight."""

_EPS = float(np.finfo(np.float64).eps)


def _log_loss_rows(y: Array, p: Array) -> Array:
    """Return -ln of the probability given to what happened.

    A probability of exactly 0 or 1 counts as 2.2e-16 away from it (scikit-learn's rule too), so
    that one certain and wrong forecast costs 36 nats and not infinity.
    """
    q = np.clip(np.where(y == 1.0, p, 1.0 - p), _EPS, 1.0)
    return np.asarray(-np.log(q))


def _brier_rows(y: Array, p: Array) -> Array:
    return np.asarray((p - y) ** 2)


def _mean(sums: list[Array]) -> Array:
    return ratio(sums[1], sums[0])


def _log_loss_pieces(y: Array, p: Array, w: Array, threshold: float) -> list[Array]:
    return [w, w * _log_loss_rows(y, p)]


def _brier_pieces(y: Array, p: Array, w: Array, threshold: float) -> list[Array]:
    return [w, w * _brier_rows(y, p)]


def _ece_pieces(y: Array, p: Array, w: Array, threshold: float) -> list[Array]:
    return [w, w * (y - p)]


def mass_bins(weight: Array, bins: int) -> Array:
    """Return the bin, 0 .. bins-1, of each ascending value so that bins hold equal weight.

    Shape (values, draws). A value is never cut in two, so with many ties a bin can be empty.
    """
    middle = ratio(np.cumsum(weight, axis=0) - weight / 2.0, weight.sum(axis=0))
    return np.asarray(np.minimum(np.floor(np.nan_to_num(middle) * bins), bins - 1))


def _ece(ranked: Ranked) -> Array:
    weight, gap = ranked[0]
    which = mass_bins(weight, ECE_BINS)
    total = np.zeros(weight.shape[1])
    for k in range(ECE_BINS):
        total += np.abs(np.where(which == k, gap, 0.0).sum(axis=0))
    return ratio(total, weight.sum(axis=0))


log_loss = Score(
    name="log_loss",
    title="Log loss",
    better="lower",
    functional="mean",
    tasks=("classifier",),
    unit="nats",
    about="Mean of -ln(probability given to what happened); strictly proper. Good 1952; Gneiting "
    "and Raftery 2007, https://doi.org/10.1198/016214506000001437",
    pieces=_log_loss_pieces,
    formula=_mean,
    loss=_log_loss_rows,
)
brier = Score(
    name="brier",
    title="Brier score",
    better="lower",
    functional="mean",
    tasks=("classifier",),
    unit="points",
    about="Mean squared distance of the probability from what happened; strictly proper. Brier "
    "1950, https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
    pieces=_brier_pieces,
    formula=_mean,
    loss=_brier_rows,
)
ece = Score(
    name="ece",
    title="Calibration error (ECE)",
    better="lower",
    functional="mean",
    tasks=("classifier",),
    unit="points",
    about="Mean gap between predicted and observed share over 10 bins of equal weight. Above 0 "
    "even for a perfect model, by chance: see `curves.reliability`. Naeini et al. 2015, "
    "https://doi.org/10.1609/aaai.v29i1.9602",
    pieces=_ece_pieces,
    formula=_ece,
    order=("pred",),
)
