"""Bayesian reading of an effect: chance to be better, expected loss, posterior; priors are stated.

The effect's likelihood is normal (its estimate and standard error), the prior normal or flat, so
the posterior is normal in closed form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtr, ndtri

from cartcast.errors import UsageError
from cartcast.experiments.difference import Estimate, check_level

__all__ = ["FLAT", "Posterior", "Prior", "posterior"]


@dataclass(frozen=True)
class Prior:
    """What is believed of an effect before the data, on the scale of the estimate it is used on.

    Attributes:
        mean: expected effect.
        deviation: standard deviation, above 0; inf is the flat prior.
    """

    mean: float = 0.0
    deviation: float = math.inf

    def __post_init__(self) -> None:
        if not self.deviation > 0 or not math.isfinite(self.mean):
            raise UsageError(
                f"a prior needs a finite mean and a deviation above 0, got {self.mean} and "
                f"{self.deviation}."
            )


FLAT = Prior()
"""Nothing is believed."""


@dataclass(frozen=True)
class Posterior:
    """What is believed of an effect after the data.

    Attributes:
        prior: what was believed before.
        mean: expected effect.
        deviation: its standard deviation.
        low: lower end of the central credible interval.
        high: upper end.
        chance_better: chance that the effect is on the good side of zero.
        loss_if_shipped: expected loss of choosing the treatment, in units of the effect.
        loss_if_kept: expected loss of keeping the control.
        level: of the credible interval.
    """

    prior: Prior
    mean: float
    deviation: float
    low: float
    high: float
    chance_better: float
    loss_if_shipped: float
    loss_if_kept: float
    level: float


def posterior(
    effect: Estimate, prior: Prior = FLAT, *, level: float = 0.95, higher: bool = True
) -> Posterior:
    """Return the posterior of an effect.

    Args:
        effect: its estimate and standard error.
        prior: flat without.
        level: of the credible interval.
        higher: whether more is better.

    Raises:
        UsageError: the level is not within 0 and 1.

    >>> p = posterior(Estimate(0.05, 0.035721, 0, 0, 0), Prior(0.1, 0.1**0.5))
    >>> round(p.mean, 5), round(p.chance_better, 5)
    (0.05063, 0.92312)
    """
    check_level(level)
    of_prior = 0.0 if math.isinf(prior.deviation) else prior.deviation**-2
    of_data = effect.error**-2
    deviation = (of_prior + of_data) ** -0.5
    mean = (of_prior * prior.mean + of_data * effect.value) * deviation**2
    z = mean / deviation
    density = math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * deviation
    above, below = (
        density + mean * float(ndtr(z)),
        density - mean * float(ndtr(-z)),
    )
    half = -float(ndtri((1 - level) / 2)) * deviation
    return Posterior(
        prior=prior,
        mean=mean,
        deviation=deviation,
        low=mean - half,
        high=mean + half,
        chance_better=float(ndtr(z if higher else -z)),
        loss_if_shipped=below if higher else above,
        loss_if_kept=above if higher else below,
        level=level,
    )
