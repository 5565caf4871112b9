"""Differences: treatment less control, absolute and relative, with intervals.

Every metric is reduced to a `Linear`: a mean over units with a variance per unit (delta method).
The relative effect is (treatment - control) / raw mean of the control, and its variance counts
that the control stands in both places:

    Var = v_t / (n_t r^2) + (v_c + e^2 v_r + 2 e cov(control, r)) / (n_c r^2)

with r the raw mean of the control, e the relative effect, v_r the raw variance. Taking the
adjusted mean for the raw one in this formula loses coverage: docs/experiments.md shows how much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from cartcast.errors import UsageError

__all__ = [
    "Alternative",
    "Difference",
    "Estimate",
    "Linear",
    "Mix",
    "compare",
    "interval",
    "mean_estimate",
]

Floats = NDArray[np.float64]
Alternative = Literal["two-sided", "greater", "less"]
Scale = Literal["linear", "log"]
LEAST_RATIO = 3.0
"""A control mean within this many standard errors of zero has no relative effect."""


class Linear(NamedTuple):
    """One arm's value of a metric, as a mean over units.

    Attributes:
        n: independent units (clusters, where units come in clusters).
        value: adjusted for covariates; equal to `raw` without.
        variance: of the adjusted value, per unit.
        raw: before the adjustment.
        raw_variance: of the raw value, per unit.
        covariance: of the adjusted with the raw value, per unit.
    """

    n: int
    value: float
    variance: float
    raw: float
    raw_variance: float
    covariance: float

    @classmethod
    def plain(cls, n: int, value: float, variance: float) -> Linear:
        """Return a value without covariates."""
        return cls(n, value, variance, value, variance, variance)


class Mix(NamedTuple):
    """What the mix of strata adds to a difference: it is a sample as well, shared by both arms.

    Attributes:
        n: units of both arms.
        weights: share of each stratum, shape (k,).
        control: value of the control in each stratum, shape (k,), up to a constant.
        treatment: the same of the treatment.
        raw: of the control before the adjustment.
    """

    n: int
    weights: Floats
    control: Floats
    treatment: Floats
    raw: Floats

    def variance(self, effect: float = 0.0) -> float:
        """Return the variance of treatment - control - effect * raw control from the mix."""
        gap = self.treatment - self.control - effect * self.raw
        return float(self.weights @ (gap - self.weights @ gap) ** 2) / self.n


@dataclass(frozen=True)
class Estimate:
    """A value with its uncertainty.

    Attributes:
        value: the estimate.
        error: its standard error.
        low: lower end of the interval; -inf for the alternative `less`.
        high: upper end; inf for the alternative `greater`.
        p_value: of the hypothesis that the truth is `null`.
        degrees: degrees of freedom of Student's t; inf where the normal distribution is used.
        level: confidence of the interval, such as 0.95.
        alternative: what the test looks for.
        null: the value tested against.
    """

    value: float
    error: float
    low: float
    high: float
    p_value: float
    degrees: float = math.inf
    level: float = 0.95
    alternative: Alternative = "two-sided"
    null: float = 0.0

    @property
    def excludes_null(self) -> bool:
        """Whether the interval leaves the tested value out."""
        return self.low > self.null or self.high < self.null


@dataclass(frozen=True)
class Difference:
    """Treatment less control.

    Attributes:
        control: value of the control, adjusted.
        treatment: value of the treatment, adjusted.
        absolute: the difference; None where a variance is not positive.
        relative: the difference over the control's raw mean; None also where that mean is not
            clearly above zero.
    """

    control: float
    treatment: float
    absolute: Estimate | None
    relative: Estimate | None


def check_level(level: float) -> float:
    """Return the level, checked.

    Raises:
        UsageError: not within 0 and 1.
    """
    if not 0 < level < 1:
        raise UsageError(f"level must fulfil 0 < level < 1, got {level}.")
    return level


def _below(z: float, degrees: float) -> float:
    """Return the chance of a value below z, by Student's t or the normal distribution."""
    return float(ndtr(z) if math.isinf(degrees) else stdtr(degrees, z))


def _quantile(p: float, degrees: float) -> float:
    return float(ndtri(p) if math.isinf(degrees) else stdtrit(degrees, p))


def interval(
    value: float,
    error: float,
    degrees: float = math.inf,
    *,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Estimate:
    """Return the estimate with Student's (or the normal) interval and p-value.

    >>> e = interval(1.96, 1.0)
    >>> round(e.low, 3), round(e.p_value, 3)
    (0.0, 0.05)
    """
    alpha = 1 - check_level(level)
    z = (value - null) / error
    if alternative == "two-sided":
        half = -_quantile(alpha / 2, degrees) * error
        low, high, p = value - half, value + half, 2 * _below(-abs(z), degrees)
    else:
        half = -_quantile(alpha, degrees) * error
        greater = alternative == "greater"
        low, high = (value - half, math.inf) if greater else (-math.inf, value + half)
        p = _below(-z if greater else z, degrees)
    return Estimate(value, error, low, high, min(p, 1.0), degrees, level, alternative, null)


def mean_estimate(values: Floats, *, groups: Any = None, level: float = 0.95) -> Estimate:
    """Return the mean of independent values, shape (n,), with its interval.

    `groups` are the visitors of the values, where one has several: their deviations are added up
    first. Where all values are the same there is no test: the p-value is NaN.

    >>> round(mean_estimate(np.array([1.0, 2.0, 3.0])).error, 4)
    0.5774
    """
    n, mean = len(values), float(values.mean())
    sums: Any = values - mean
    if groups is not None:
        _, place = np.unique(np.asarray(groups), return_inverse=True)
        sums = np.bincount(place, weights=sums)
    k = len(sums)
    error = math.sqrt(float(sums @ sums) * k / max(k - 1, 1)) / n
    if error == 0:
        return Estimate(mean, 0.0, mean, mean, math.nan, level=check_level(level))
    return interval(mean, error, level=level)


def welch(control: Linear, treatment: Linear) -> float:
    """Return Welch's degrees of freedom, doi:10.1093/biomet/34.1-2.28."""
    a, b = control.variance / control.n, treatment.variance / treatment.n
    return (a + b) ** 2 / (a * a / (control.n - 1) + b * b / (treatment.n - 1))


def relative_error(control: Linear, treatment: Linear, effect: float) -> float:
    """Return the standard error of the relative effect (the formula above)."""
    own = control.variance + effect**2 * control.raw_variance + 2 * effect * control.covariance
    # Rounding can leave a hair below zero where control and ratio cancel out.
    total = treatment.variance / treatment.n + max(own, 0.0) / control.n
    return math.sqrt(total) / control.raw


def compare(
    control: Linear,
    treatment: Linear,
    mix: Mix | None = None,
    *,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
    margin: float = 0.0,
    scale: Scale = "linear",
    normal: bool = False,
) -> Difference:
    """Return the difference of two arms.

    Args:
        control: the arm compared with.
        treatment: the other arm.
        mix: of the strata, where both are weighted by them.
        level: confidence of the intervals.
        alternative: `greater` and `less` give one-sided intervals and tests.
        margin: relative effect that is tested against, such as -0.01 for non-inferiority.
        scale: `linear` gives a relative interval that is symmetric about the effect, `log` one
            that is symmetric for the logarithm of the ratio and never passes -1.
        normal: use the normal distribution in place of Student's.

    Raises:
        UsageError: the level is not within 0 and 1.
    """
    gap = treatment.value - control.value
    # Not a number where a ratio has nothing to divide by.
    if min(control.n, treatment.n) < 2 or not control.variance + treatment.variance > 0:
        return Difference(control.value, treatment.value, None, None)
    shared = 0.0 if mix is None else mix.variance()
    error = math.sqrt(control.variance / control.n + treatment.variance / treatment.n + shared)
    degrees = math.inf if normal else welch(control, treatment)
    absolute = interval(
        gap, error, degrees, level=level, alternative=alternative, null=margin * control.raw
    )
    relative = None
    if control.raw > LEAST_RATIO * math.sqrt(control.raw_variance / control.n):
        effect = gap / control.raw
        error = relative_error(control, treatment, effect)
        if mix is not None:
            error = math.hypot(error, math.sqrt(mix.variance(effect)) / control.raw)
        if error > 0 and scale == "linear":
            relative = interval(
                effect, error, degrees, level=level, alternative=alternative, null=margin
            )
        elif error > 0 and effect > -1 and margin > -1:
            relative = _by_log(effect, error, degrees, level, alternative, margin)
    return Difference(control.value, treatment.value, absolute, relative)


def _by_log(
    effect: float, error: float, degrees: float, level: float, alternative: Alternative, null: float
) -> Estimate:
    log = interval(
        math.log1p(effect),
        error / (1 + effect),
        degrees,
        level=level,
        alternative=alternative,
        null=math.log1p(null),
    )
    low, high = math.expm1(log.low), math.expm1(log.high)
    return Estimate(effect, error, low, high, log.p_value, degrees, level, alternative, null)
