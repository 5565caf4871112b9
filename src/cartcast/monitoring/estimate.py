"""Before the outcomes are there: what calibrated probabilities say of the model that said them.

Each score counts as a fraction p of a positive and 1 - p of a negative outcome (NannyML calls this
CBPE). It is arithmetic on the probabilities alone, so it follows a shift of the visitors, and it
cannot see a changed relation between features and outcome: it is labelled so wherever it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cartcast.errors import UsageError

__all__ = ["BLIND", "Expected", "LossEstimate", "estimate_loss", "expected_quality"]

Floats = NDArray[np.float64]

BLIND = (
    "estimated from the probabilities alone; cannot see a changed relation between features and "
    "outcome"
)
"""Said beside every estimate."""
_WEEKS = 6


class Expected(NamedTuple):
    """What probabilities say of themselves; None where it is not defined.

    Attributes:
        true_positives, false_positives, false_negatives, true_negatives: fractional counts.
        accuracy, precision, recall, f1, roc_auc: 0 to 1.
        log_loss, brier: expected losses of a moment.
    """

    true_positives: float
    false_positives: float
    false_negatives: float
    true_negatives: float
    accuracy: float
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    log_loss: float
    brier: float


def expected_quality(
    p: Floats, yes: NDArray[np.bool_], weight: Floats | None = None, score: Floats | None = None
) -> Expected:
    """Return the expected quality of decisions and ranks, outcomes being unknown.

    Args:
        p: calibrated probabilities, shape (n,).
        yes: whether the decision was yes, shape (n,).
        weight: how many moments each stands for.
        score: what moments are ranked by; `p` where not given.

    Raises:
        UsageError: no moment, or a probability outside 0 and 1.

    >>> e = expected_quality(np.array([0.75, 0.25]), np.array([True, False]))
    >>> e.accuracy, e.true_positives, round(e.brier, 4)
    (0.75, 0.75, 0.1875)
    """
    p = np.asarray(p, dtype=np.float64)
    if not len(p) or not ((p >= 0) & (p <= 1)).all():
        raise UsageError("probabilities must lie within 0 and 1, and there must be one.")
    w = np.ones(len(p)) if weight is None else np.asarray(weight, dtype=np.float64)
    tp, fp = float((w * p)[yes].sum()), float((w * (1 - p))[yes].sum())
    fn, tn = float((w * p)[~yes].sum()), float((w * (1 - p))[~yes].sum())
    total = float(w.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(p > 0, p * np.log(p), 0) - np.where(p < 1, (1 - p) * np.log1p(-p), 0)
    return Expected(
        tp, fp, fn, tn, (tp + tn) / total,
        _ratio(tp, tp + fp), _ratio(tp, tp + fn), _ratio(2 * tp, 2 * tp + fp + fn),
        _roc_auc(p, p if score is None else np.asarray(score), w),
        float((w * entropy).sum() / total), float((w * p * (1 - p)).sum() / total),
    )  # fmt: skip


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _roc_auc(p: Floats, score: Floats, w: Floats) -> float | None:
    """Return the expected AUC: a tie of scores counts half, whatever the order of rows."""
    _, place = np.unique(score, return_inverse=True)
    yes, no = np.bincount(place, w * p), np.bincount(place, w * (1 - p))
    if yes.sum() <= 0 or no.sum() <= 0:
        return None
    below = np.cumsum(no) - no
    return float((yes * (below + no / 2)).sum() / (yes.sum() * no.sum()))


class LossEstimate(NamedTuple):
    """Log loss of a week whose outcomes are not known, with an interval for the realised one.

    Attributes:
        value, low, high: mean log loss of a moment.
        moments: how many.
        level: nominal coverage.
        label: what it cannot see.
    """

    value: float
    low: float
    high: float
    moments: float
    level: float = 0.9
    label: str = BLIND


def _weekly(days: Mapping[str, Floats], name: str) -> Floats:
    values = np.asarray(days[name], dtype=np.float64)
    whole = len(values) // 7 * 7
    return np.asarray(values[len(values) - whole :].reshape(-1, 7).sum(axis=1))


def estimate_loss(
    past: Mapping[str, Floats], now: Mapping[str, Floats], level: float = 0.9
) -> LossEstimate | None:
    """Return the loss to be expected of days `now`, from days `past` whose outcomes are known.

    The estimate is the loss that the probabilities expect, times the quotient of realised and
    expected loss so far. Its interval holds what a week of visitors varies by chance (squares over
    visitors), the doubt in that quotient, and how much past weeks have differed beyond chance.

    Args:
        past: daily sums (`days.COLUMNS`), each of shape (T,).
        now: the same; only what is known without outcomes is read.
        level: nominal coverage.

    Returns:
        The estimate; None when nothing was scored, or nothing is known of the past.
    """
    expected = float(np.sum(now["log_loss_expected"]))
    before = float(np.sum(past["log_loss_expected"]))
    moments = float(np.sum(now["moments"]))
    scale_before = float(np.sum(past["excess_scale"]))
    if not (expected > 0 and before > 0 and moments > 0 and scale_before > 0):
        return None
    ratio = float(np.sum(past["log_loss"])) / before
    design = float(np.sum(past["excess_var"])) / scale_before
    chance = design * float(np.sum(now["excess_scale"])) / expected**2
    doubt = design * scale_before / before**2
    quantile = float(stats.norm.isf((1 - level) / 2))
    spread = chance + doubt
    weeks = _weekly(past, "log_loss_expected")
    if len(weeks) >= _WEEKS and (weeks > 0).all():
        ratios = _weekly(past, "log_loss") / weeks
        by_chance = float(np.mean(design * _weekly(past, "excess_scale") / weeks**2))
        # What weeks differ by beyond chance: the shop's moods, which no visitor's doing explains.
        mood = max(float(np.var(ratios, ddof=1)) - by_chance, 0.0)
        spread = (chance + mood) * (1 + 1 / len(weeks))
        quantile = float(stats.t.isf((1 - level) / 2, len(weeks) - 1))
    half = quantile * spread**0.5
    mean = expected / moments
    return LossEstimate(mean * ratio, mean * max(ratio - half, 0.0), mean * (ratio + half), moments)
