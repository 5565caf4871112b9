"""Does the ranking by uplift pay? Gain curves, their area, and calibration, all with intervals.

Libraries disagree on Qini and uplift curves, and a random ranking can look good; here everything is
a mean of the units' doubly robust effects, so its interval is that of a mean. The curve's area is
the rank-weighted effect of Yadlowsky et al. (2025), doi:10.1080/01621459.2024.2393466, with the
weights of Qini. The ranking must come from models that did not see the units, and for the test of
the area to be valid from earlier folds alone (`fit_uplift(sequential=True)`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import DataError
from cartcast.experiments.difference import Estimate, mean_estimate

__all__ = ["Band", "GainCurve", "GainPoint", "calibration", "gain_curve"]

Floats = NDArray[np.float64]


class GainPoint(NamedTuple):
    """Treating the best share of the units.

    Attributes:
        share: of the units treated, those with the highest predicted uplift.
        gain: effect over treating nobody, per unit of all.
        over_random: gain less that of treating as many at random.
    """

    share: float
    gain: Estimate
    over_random: Estimate | None


@dataclass(frozen=True)
class GainCurve:
    """Gain by share treated.

    Attributes:
        points: from few to all.
        qini: area between the curve and a random ranking's; zero where the ranking knows nothing.
        average: effect of treating all.
    """

    points: tuple[GainPoint, ...]
    qini: Estimate
    average: Estimate


class Band(NamedTuple):
    """Units of alike predicted uplift.

    Attributes:
        units: how many.
        predicted: mean predicted uplift.
        effect: mean effect that they had.
    """

    units: int
    predicted: float
    effect: Estimate


def _ranked(uplift: Any, effects: Any, folds: Any = None) -> tuple[Floats, Floats, Floats, Floats]:
    """Return uplifts, effects, and the shares ranked before each unit and through its ties.

    Ranks are within folds: other models, other levels. Units of fold -1 are left out.
    """
    from scipy.stats import rankdata

    u, e = np.asarray(uplift, dtype=np.float64), np.asarray(effects, dtype=np.float64)
    fold = np.zeros(len(u), dtype=np.int64) if folds is None else np.asarray(folds)
    if u.shape != e.shape or fold.shape != u.shape:
        raise DataError(f"{len(u)} uplifts, {len(e)} effects and {len(fold)} folds.")
    u, e, fold = u[fold >= 0], e[fold >= 0], fold[fold >= 0]
    if len(u) < 2 or not np.isfinite(u).all() or not np.isfinite(e).all():
        raise DataError(f"uplifts and effects must be finite, 2 or more; got {len(u)}.")
    before, through = np.zeros(len(u)), np.zeros(len(u))
    for k in np.unique(fold):
        mine = fold == k
        before[mine] = (rankdata(-u[mine], method="min") - 1) / mine.sum()
        through[mine] = rankdata(-u[mine], method="max") / mine.sum()
    return u, e, before, through


def gain_curve(
    uplift: Any, effects: Any, *, folds: Any = None, points: int = 10, level: float = 0.95
) -> GainCurve:
    """Return the gain of treating by predicted uplift.

    Args:
        uplift: predicted by models that did not see the unit, shape (n,).
        effects: doubly robust effect of each unit, shape (n,): `Uplift.effects`.
        folds: fold of each unit, shape (n,): `Uplift.fold`.
        points: shares at which the curve is told.
        level: confidence of the intervals.

    Raises:
        DataError: shapes differ or values are not finite.
    """
    _, e, before, through = _ranked(uplift, effects, folds)
    told = []
    for k in range(1, points + 1):
        share = k / points
        # Ties on the edge of the share count in part, so that the order of rows is no matter.
        inside = np.clip((share - before) / (through - before), 0, 1)
        beyond = None if k == points else mean_estimate(e * (inside - share), level=level)
        told.append(GainPoint(share, mean_estimate(e * inside, level=level), beyond))
    qini = mean_estimate(e * (0.5 - (before + through) / 2), level=level)
    return GainCurve(tuple(told), qini, mean_estimate(e, level=level))


def calibration(
    uplift: Any, effects: Any, *, folds: Any = None, bands: int = 5, level: float = 0.95
) -> tuple[Band, ...]:
    """Return predicted against real effects in bands of alike prediction, the lowest first.

    Raises:
        DataError: shapes differ or values are not finite.
    """
    u, e, before, through = _ranked(uplift, effects, folds)
    place = 1 - (before + through) / 2
    band = np.minimum((place * bands).astype(int), bands - 1)
    inside = [band == k for k in range(bands)]
    return tuple(
        Band(int(k.sum()), float(u[k].mean()), mean_estimate(e[k], level=level))
        for k in inside
        if k.sum() > 1
    )
