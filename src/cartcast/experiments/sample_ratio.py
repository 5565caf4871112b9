"""Sample ratio: do the arms hold the shares of units that they were meant to?

The fixed test is Pearson's chi-squared. Looked at every day it alarms too often; the sequential
one may be looked at always: a Dirichlet mixture about the intended shares against the multinomial
with them (Lindon and Malek 2022, https://arxiv.org/abs/2011.03567). By Ville's inequality its
evidence exceeds 1/alpha with a chance of at most alpha, whenever one looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, gammaln

from cartcast.errors import DataError, UsageError

__all__ = ["ALARM", "SampleRatio", "chi_squared", "sample_ratio", "sequential"]

ALARM = 0.001
"""p-value below which the ratio is called wrong: a wrong ratio voids an experiment."""
CONCENTRATIONS = (100.0, 10_000.0, 1_000_000.0)
"""Of the prior about the intended shares: faults of some 10 %, 1 % and 0.1 %, weighed alike."""


@dataclass(frozen=True)
class SampleRatio:
    """Units by arm against the intended shares.

    Attributes:
        units: units of each arm.
        shares: intended share of each arm.
        p_value: of the chi-squared test, valid for one look.
        always_valid: p-value that holds at every look; None without the counts by day.
        wrong: whether the alarm is given: by the sequential test where there is one.
    """

    units: Mapping[str, int]
    shares: Mapping[str, float]
    p_value: float
    always_valid: float | None
    wrong: bool


def _used(units: Sequence[float], weights: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    counts, shares = np.asarray(units, dtype=float), np.asarray(weights, dtype=float)
    if counts.shape[-1:] != shares.shape or counts.ndim not in (1, 2):
        raise DataError(f"{counts.shape[-1:]} counts for {shares.shape} weights.")
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise DataError(f"units must be counts, got {counts.tolist()}.")
    if not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() <= 0:
        raise UsageError(f"weights must be shares with a positive sum, got {shares.tolist()}.")
    keep = shares > 0
    return counts[..., keep], shares[keep] / shares[keep].sum()


def chi_squared(units: Sequence[float], weights: Sequence[float]) -> float:
    """Return the p-value of Pearson's test; 1 with one arm, or without units.

    Arms of weight 0 are left out.

    Raises:
        DataError: the units are no counts. UsageError: the weights are no shares.

    >>> round(chi_squared([1000, 1200], [0.5, 0.5]), 9)
    2.0079e-05
    """
    counts, shares = _used(units, weights)
    total = counts.sum()
    if len(counts) < 2 or total == 0:
        return 1.0
    expected = total * shares
    return float(chdtrc(len(counts) - 1, ((counts - expected) ** 2 / expected).sum()))


def sequential(daily: Sequence[Sequence[float]], weights: Sequence[float]) -> list[float]:
    """Return the always valid p-value after each day.

    `daily` are the new units of each day, shape (days, arms).

    Raises:
        DataError: the units are no counts. UsageError: the weights are no shares.

    >>> [round(p, 4) for p in sequential([[500, 600], [500, 600]], [0.5, 0.5])]
    [0.1413, 0.0024]
    """
    counts, shares = _used(daily, weights)  # type: ignore[arg-type] # two-dimensional
    if counts.ndim != 2 or not counts.size:
        return []
    sums = counts.cumsum(axis=0)
    total = sums.sum(axis=1)
    null = sums @ np.log(shares)
    logs = [
        gammaln(k)
        - gammaln(k + total)
        + (gammaln(k * shares + sums) - gammaln(k * shares)).sum(axis=1)
        - null
        for k in CONCENTRATIONS
    ]
    evidence = np.logaddexp.reduce(logs, axis=0) - np.log(len(CONCENTRATIONS))
    p = np.exp(-np.maximum.accumulate(np.maximum(evidence, 0.0)))
    return [float(v) for v in p]


def sample_ratio(
    units: Mapping[str, int],
    shares: Mapping[str, float],
    daily: Sequence[Sequence[float]] | None = None,
) -> SampleRatio:
    """Return whether the arms hold their shares.

    Args:
        units: units of each arm of `shares`; an arm without units counts 0.
        shares: intended share of each arm.
        daily: new units of each day by arm, in the order of `shares`, shape (days, arms).

    Raises:
        DataError: the units are no counts. UsageError: the weights are no shares.
    """
    counts = [units.get(arm, 0) for arm in shares]
    p = chi_squared(counts, list(shares.values()))
    valid = sequential(daily, list(shares.values()))[-1] if daily else None
    alarm = p if valid is None else valid
    return SampleRatio(
        dict(zip(shares, counts, strict=True)), dict(shares), p, valid, alarm < ALARM
    )
