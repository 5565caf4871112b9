"""Champion and challenger on the same moments: which one is better, whenever one looks.

At each moment both models say a probability before the outcome is known. The gain of the
challenger is the champion's loss less its own, in nats (log loss), or for the Brier score divided
by 2 r (1 - r) with r the mean probability, which makes the two alike in size. Moments of a visitor
depend on each other, so a visitor's gains within a block are summed to one x. A visitor may stake
at most `STAKE`: what a moment can bring at most, whatever the outcome, is known from the two
probabilities, and once a visitor's moments have used up the stake, later ones do not count. So
|x| <= STAKE, and what counts never depends on outcomes.

For a bet b < 1 / STAKE and the sums S of x and V of x^2 over all visitors so far

    exp(b S - psi(b) V),     psi(b) = (-log(1 - b STAKE) - b STAKE) / STAKE^2

has an expected value of at most 1 at every time, as long as the challenger has not been better on
average given the past (Fan, Grama and Liu 2015, https://doi.org/10.1214/EJP.v20-3496; for
forecasts: Choe and Ramdas 2023, https://doi.org/10.1287/opre.2021.0792). So has the mean over the
bets. By Ville's inequality it ever reaches 1 / a with probability a at most, however often one
looks and whenever one stops. Only S and V are kept, block by block.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from cartcast.monitoring.days import CLIP

__all__ = ["BETS", "MEASURES", "STAKE", "Verdict", "block_sums", "judge", "log_evidence", "needed"]

Floats = NDArray[np.float64]

STAKE: Final = 2.0
"""Most that a visitor can add within a block, in nats."""
BETS: Final = (1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)
"""If the challenger knows the truth, 1/2 over the moments of a visitor is the quickest bet."""
MEASURES: Final = ("log_loss", "brier")
_MOST: Final = 1e9


class Verdict(NamedTuple):
    """What a measure says of the challenger so far.

    Attributes:
        champion: mean loss of the champion, over moments.
        challenger: the same of the challenger.
        low, high: bounds of the mean gain of the moments that count, each of which holds at every
            look with the asked level.
        better: evidence that the challenger is better; proof from 1 / (1 - level) on.
        worse: evidence that it is worse.
    """

    champion: float
    challenger: float
    low: float
    high: float
    better: float
    worse: float


def gains(champion: Floats, challenger: Floats, label: Floats) -> dict[str, Floats]:
    """Return the challenger's gain at each moment by measure: nats, and squares (not scaled)."""
    chance = np.where(label > 0, challenger, 1 - challenger)
    held = np.where(label > 0, champion, 1 - champion)
    return {
        "log_loss": np.log(chance / held),
        "brier": (champion - label) ** 2 - (challenger - label) ** 2,
    }


def block_sums(moments: pd.DataFrame, rate: float) -> pd.DataFrame:
    """Return one row a block of moments that both models scored and whose outcome is known.

    Args:
        moments: block, visitor_id (None: each moment is its own), time, champion, challenger
            (probabilities), label.
        rate: mean probability that the champion was found with; the unit of the Brier score.

    Returns:
        By block: visitors, moments, outcomes, and for each measure its columns with `_champion` and
        `_challenger` (sums of losses), `_sum`, `_square` (of x over visitors) and `_weight` (of
        moments that count).
    """
    table = moments.reset_index(drop=True)
    own = "moment " + table.index.to_series().astype(str)
    visitor = pd.factorize(
        table["visitor_id"].astype(object).where(table["visitor_id"].notna(), own)
    )[0]
    block, names = pd.factorize(table["block"], sort=True)
    order = np.lexsort((table["time"].to_numpy(), visitor, block))
    block, visitor = block[order], visitor[order]
    begins = np.r_[True, (np.diff(block) != 0) | (np.diff(visitor) != 0)][: len(block)]
    unit = np.cumsum(begins) - 1
    of_unit = block[begins]
    p, q = (
        np.clip(table[c].to_numpy(dtype=np.float64)[order], CLIP, 1 - CLIP)
        for c in ("champion", "challenger")
    )
    y = table["label"].to_numpy(dtype=np.float64)[order]
    n = len(names)
    out = {
        "visitors": np.bincount(of_unit, minlength=n),
        "moments": np.bincount(block, minlength=n),
        "outcomes": np.bincount(block, y, minlength=n),
    }
    zero, one, found = gains(p, q, np.zeros_like(y)), gains(p, q, np.ones_like(y)), gains(p, q, y)
    losses = {
        "log_loss": (-np.log(np.where(y > 0, p, 1 - p)), 1.0),
        "brier": ((p - y) ** 2, 2 * rate * (1 - rate)),
    }
    for name in MEASURES:
        loss, nat = losses[name]
        most = np.maximum(np.abs(zero[name]), np.abs(one[name])) / nat
        weight = _staked(most, begins)
        x = np.bincount(unit, weight * found[name] / nat, minlength=len(of_unit))
        out[f"{name}_champion"] = np.bincount(block, loss, minlength=n)
        out[f"{name}_challenger"] = np.bincount(block, loss - found[name], minlength=n)
        out[f"{name}_sum"] = np.bincount(of_unit, x, minlength=n)
        out[f"{name}_square"] = np.bincount(of_unit, x**2, minlength=n)
        out[f"{name}_weight"] = np.bincount(block, weight, minlength=n)
    return pd.DataFrame(out, index=pd.Index(names, name="block"), dtype=np.float64)


def _staked(most: Floats, begins: NDArray[np.bool_]) -> Floats:
    """Return the share of each moment that counts; shares times `most` sum to STAKE at most."""
    total = np.cumsum(most)
    starts = np.flatnonzero(begins)
    before = np.repeat((total - most)[starts], np.diff(np.r_[starts, len(most)]))
    up_to = total - before
    used = np.minimum(up_to, STAKE) - np.minimum(up_to - most, STAKE)
    # What stakes nothing (the two say the same) counts whole: its gain is 0.
    return np.where(most > 0, np.clip(used / np.where(most > 0, most, 1.0), 0.0, 1.0), 1.0)


def log_evidence(total: ArrayLike, square: ArrayLike) -> Floats:
    """Return the natural logarithm of the evidence for a positive gain, from S and V.

    >>> log_evidence([0.0, 60.0, -60.0], [0.0, 100.0, 100.0]).round(2).tolist()
    [0.0, 8.59, -2.2]
    """
    s, v = np.asarray(total, dtype=np.float64), np.asarray(square, dtype=np.float64)
    bets = np.asarray(BETS)
    psi = (-np.log1p(-bets * STAKE) - bets * STAKE) / STAKE**2
    powers = bets * s[..., None] - psi * v[..., None]
    return np.asarray(np.logaddexp.reduce(powers, axis=-1) - math.log(len(BETS)))


def judge(blocks: pd.DataFrame, measure: str, rate: float, level: float = 0.95) -> Verdict:
    """Return what a measure says over all blocks of `block_sums`."""
    total = {c: float(blocks[f"{measure}_{c}"].sum()) for c in ("sum", "square", "weight")}
    moments = float(blocks["moments"].sum())
    champion, challenger = (
        float(blocks[f"{measure}_{c}"].sum()) / moments for c in ("champion", "challenger")
    )
    log = math.log(1 / (1 - level))

    def short(s: float) -> float:
        return float(log_evidence(s, total["square"])) - log

    far = 10.0
    while short(far) < 0:
        far *= 2
    half = float(brentq(short, 0.0, far))
    unit = (2 * rate * (1 - rate) if measure == "brier" else 1.0) / max(total["weight"], 1.0)
    s = total["sum"]
    better, worse = np.exp(np.minimum(log_evidence([s, -s], total["square"]), 700.0))
    return Verdict(
        champion, challenger, (s - half) * unit, (s + half) * unit, float(better), float(worse)
    )


def needed(blocks: pd.DataFrame, level: float = 0.95) -> int | None:
    """Return how many more moments a proof by log loss may take if the gain stays as it is.

    None where the gain is not positive, or too small beside its noise to be proven at all.
    """
    s, v = (float(blocks[f"log_loss_{c}"].sum()) for c in ("sum", "square"))
    moments = float(blocks["moments"].sum())
    log = math.log(1 / (1 - level))

    def short(times: float) -> float:
        return float(log_evidence(times * s, times * v)) - log

    if s <= 0 or moments == 0 or short(_MOST / moments) < 0:
        return None
    if short(1.0) >= 0:
        return 0
    return math.ceil((float(brentq(short, 1.0, _MOST / moments)) - 1) * moments)
