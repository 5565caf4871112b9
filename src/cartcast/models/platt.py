"""Platt's sigmoid that never turns a ranking round: its slope is above 0, and shrunk to 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SPREAD", "logit", "platt"]

Floats = NDArray[np.float64]

SPREAD = 1.0
"""Standard deviation of the logarithm of the slope, as believed before any row was seen."""


def logit(p: Any) -> Floats:
    """Return log(p / (1 - p)) with p kept within 1e-6 of 0 and 1.

    >>> float(logit(np.array([0.5]))[0])
    0.0
    """
    q = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(q / (1 - q)), dtype=np.float64)


def platt(
    scores: Floats, labels: NDArray[np.int64], weights: Floats | None = None, news: float = 1.0
) -> tuple[float, float]:
    """Return slope and offset of log-odds = slope x score + offset, scores of shape (rows,).

    The slope has a log-normal prior round 1: without signal the likeliest line falls in half of
    the samples and would rank buyers last. `news`: independent rows per row, as rows of one visitor
    say the same. Platt 1999, Advances in Large Margin Classifiers, 61-74.

    >>> rng = np.random.default_rng(0)
    >>> s = rng.normal(size=4000); y = (rng.uniform(size=4000) < 1 / (1 + np.exp(1 - 2 * s))) * 1
    >>> [round(v, 1) for v in platt(s, y)]
    [2.0, -1.0]
    >>> platt(s, 1 - y)[0] > 0
    True
    """
    from scipy.optimize import minimize

    w = np.full(len(labels), news) if weights is None else weights * news
    sign = np.where(labels > 0, 1.0, -1.0)
    mass = max(float(w.sum()), 1.0)

    def cost(at: Floats) -> tuple[float, Floats]:
        log_slope, offset = at
        slope = np.exp(log_slope)
        margin = sign * (slope * scores + offset)
        pull = -w * sign * np.exp(-np.logaddexp(0.0, margin))
        value = w @ np.logaddexp(0.0, -margin) + (log_slope / SPREAD) ** 2 / 2
        slope_pull = slope * (pull @ scores) + log_slope / SPREAD**2
        return float(value / mass), np.array([slope_pull, pull.sum()]) / mass

    base = float(np.average(labels > 0, weights=w))
    start = np.array([0.0, np.log(base / (1 - base)) - float(np.average(scores, weights=w))])
    found = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=[(-8.0, 8.0), (None, None)])
    return float(np.exp(found.x[0])), float(found.x[1])
