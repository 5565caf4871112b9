"""Post-stratification: each stratum is compared with itself, and the strata are weighted.

Arms drawn by chance differ a little in their mix of countries or of new and known visitors;
weighting the strata of both arms by their units together takes that out. The means of an arm are
then sums of weight times stratum mean (Miratrix, Sekhon and Yu 2013,
doi:10.1111/j.1467-9868.2012.01048.x), from which a metric's value comes as from any other means.
The mix is itself a sample: where the effect differs by stratum, that adds variance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartcast.experiments.difference import Linear, Mix
from cartcast.experiments.metrics import Mean, Ratio
from cartcast.experiments.moments import Moments

__all__ = ["LEAST", "stratified"]

Floats = NDArray[np.float64]
LEAST = 10
"""Units that each arm must have in a stratum; smaller strata are put together."""


def stratified(
    metric: Mean | Ratio, control: Mapping[Any, Moments], treatment: Mapping[Any, Moments]
) -> tuple[Linear, Linear, Mix]:
    """Return both arms, weighted by stratum, and what the mix adds.

    Args:
        metric: what is compared.
        control: moments of the control by stratum.
        treatment: of the other arm, the same columns.

    >>> a = {"new": Moments(30, ("y",), np.ones(1), np.eye(1)),
    ...      "known": Moments(10, ("y",), np.full(1, 5.0), np.eye(1))}
    >>> b = {"new": Moments(10, ("y",), np.ones(1), np.eye(1)),
    ...      "known": Moments(30, ("y",), np.full(1, 5.0), np.eye(1))}
    >>> [arm.value for arm in stratified(Mean("y"), a, b)[:2]]
    [3.0, 3.0]
    """
    pairs = _large(control, treatment)
    if isinstance(metric, Mean) and metric.covariate is not None:
        pairs = [_own_slope(metric, a, b) for a, b in pairs]
    units = np.array([a.n + b.n for a, b in pairs], dtype=float)
    weights = units / units.sum()
    a, b = (_weighted([pair[k] for pair in pairs], weights) for k in (0, 1))
    pooled = _weighted([one + other for one, other in pairs], weights)
    (raw, own), (_, other) = metric.parts(a, pooled), metric.parts(b, pooled)
    mix = Mix(
        n=int(units.sum()),
        weights=weights,
        control=np.array([own.gradient @ x.mean for x, _ in pairs]),
        treatment=np.array([other.gradient @ x.mean for _, x in pairs]),
        raw=np.array([raw.gradient @ x.mean for x, _ in pairs]),
    )
    return metric.linear(a, pooled), metric.linear(b, pooled), mix


def _large(
    control: Mapping[Any, Moments], treatment: Mapping[Any, Moments]
) -> list[tuple[Moments, Moments]]:
    """Return the strata of both arms; those with few units make one, or join the smallest."""
    columns = next(iter(control.values())).columns
    k = len(columns)
    none = Moments(0, columns, np.zeros(k), np.zeros((k, k)))
    pairs = [
        (control.get(value, none), treatment.get(value, none))
        for value in dict.fromkeys([*control, *treatment])
    ]
    pairs.sort(key=_fewest)
    small = [pair for pair in pairs if _fewest(pair) < LEAST]
    large = pairs[len(small) :]
    if not small:
        return large
    rest = Moments.total([a for a, _ in small]), Moments.total([b for _, b in small])
    if large and _fewest(rest) < LEAST:
        (a, b), *large = large
        rest = rest[0] + a, rest[1] + b
    return [rest, *large]


def _own_slope(metric: Mean, a: Moments, b: Moments) -> tuple[Moments, Moments]:
    """Return a stratum with its covariate centred and times its own weight.

    The weight over all strata is then 1: each is adjusted by what foretells in it.
    """
    both = a + b
    place = both.columns.index(metric.covariate or "")
    scale = np.ones(len(both.columns))
    scale[place] = metric.theta(both)
    centre = np.zeros(len(both.columns))
    centre[place] = both.mean[place]
    one, other = (
        Moments(m.n, m.columns, (m.mean - centre) * scale, m.cov * np.outer(scale, scale))
        for m in (a, b)
    )
    return one, other


def _fewest(pair: tuple[Moments, Moments]) -> int:
    return min(pair[0].n, pair[1].n)


def _weighted(parts: Sequence[Moments], weights: Floats) -> Moments:
    """Return moments whose means are the weighted ones, and cov / n their variance."""
    n = sum(m.n for m in parts)
    mean = sum((w * m.mean for w, m in zip(weights, parts, strict=True)), start=np.zeros(1))
    cov = sum((w * w * n / m.n * m.cov for w, m in zip(weights, parts, strict=True)),
              start=np.zeros((1, 1)))  # fmt: skip
    return Moments(n, parts[0].columns, mean, cov)
