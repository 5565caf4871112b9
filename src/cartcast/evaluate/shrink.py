"""Rates of many things at once, each drawn towards what all have in common: empirical Bayes.

A rate of three of four says less than one of 300 of 400. Rates are taken to be spread as a beta
distribution, whose two numbers maximise the likelihood of all counts (the beta-binomial model);
each rate is then the mean of its own posterior (Efron and Morris 1975,
https://doi.org/10.1080/01621459.1975.10479864; Casella 1985,
https://doi.org/10.1080/00031305.1985.10479400).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cartcast.errors import UsageError

__all__ = ["Prior", "Shrunk", "fit_prior", "shrunk"]


class Prior(NamedTuple):
    """How rates are spread: Beta(a, b); their mean is a / (a + b), its weight a + b trials."""

    a: float
    b: float


class Shrunk(NamedTuple):
    """A rate drawn towards the others', from 0 to 1, with the interval of its posterior."""

    value: float
    low: float
    high: float


def fit_prior(did: Sequence[float], of: Sequence[float]) -> Prior | None:
    """Return the spread of rates `did` / `of` that makes all of them most likely.

    It weighs no more than all trials together, since its mean is known no better than by these.
    None where nothing was done, or everything: then there is no rate to be drawn to.

    Raises:
        UsageError: a count is negative, or larger than that of its trials.

    >>> prior = fit_prior([1, 2, 3, 4, 5], [10, 10, 10, 10, 10])
    >>> round(prior.a / (prior.a + prior.b), 2)
    0.3
    """
    from scipy.optimize import minimize
    from scipy.special import betaln

    x, n = np.asarray(did, float), np.asarray(of, float)
    if x.shape != n.shape or (x < 0).any() or (x > n).any():
        raise UsageError("counts must lie between 0 and those of their trials.")
    x, n = x[n > 0], n[n > 0]
    if not 0 < x.sum() < n.sum():
        return None

    def loss(at: Any) -> float:
        mean, weight = 1 / (1 + np.exp(-at[0])), np.exp(at[1])
        a, b = mean * weight, (1 - mean) * weight
        return -float((betaln(x + a, n - x + b) - betaln(a, b)).sum())

    mean = x.sum() / n.sum()
    begin = (np.log(mean / (1 - mean)), np.log(min(10.0, n.sum())))
    bounds = ((-20.0, 20.0), (np.log(1e-2), np.log(n.sum())))
    found = minimize(loss, begin, method="L-BFGS-B", bounds=bounds)
    mean, weight = 1 / (1 + np.exp(-found.x[0])), np.exp(found.x[1])
    return Prior(float(mean * weight), float((1 - mean) * weight))


def shrunk(did: float, of: float, prior: Prior, level: float = 0.95) -> Shrunk:
    """Return the rate of `did` of `of` under a prior.

    >>> shrunk(3, 4, Prior(5.0, 95.0)).value
    0.07692307692307693
    """
    from scipy.stats import beta

    a, b = prior.a + did, prior.b + of - did
    low, high = (float(beta.ppf((1 + side * level) / 2, a, b)) for side in (-1, 1))
    return Shrunk(a / (a + b), low, high)
