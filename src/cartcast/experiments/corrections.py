"""Corrections for many comparisons: over which of them is chosen, not assumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import UsageError, did_you_mean

__all__ = ["CORRECTIONS", "adjust", "adjust_within"]

Floats = NDArray[np.float64]
Key = TypeVar("Key")


def _down(p: Floats, left: Floats, sidak: bool) -> Floats:
    """Return the adjusted value of each ascending p with `left` hypotheses to test."""
    if sidak:
        # log1p keeps the digits of small values that 1 - (1 - p)^m would lose.
        with np.errstate(divide="ignore"):
            return np.asarray(-np.expm1(left * np.log1p(-p)), dtype=np.float64)
    return p * left


def _holm(p: Floats, sidak: bool = False) -> Floats:
    return np.maximum.accumulate(_down(p, np.arange(len(p), 0.0, -1.0), sidak))


def _hochberg(p: Floats, sidak: bool = False) -> Floats:
    return np.minimum.accumulate(_down(p, np.arange(len(p), 0.0, -1.0), sidak)[::-1])[::-1]


def _false_discovery(p: Floats, method: Literal["bh", "by"]) -> Floats:
    # Takes a second to load, and is seldom asked for.
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p, method=method))


CORRECTIONS: dict[str, Callable[[Floats], Floats]] = {
    "none": lambda p: p,
    "bonferroni": lambda p: p * len(p),
    "holm": _holm,
    "holm-sidak": lambda p: _holm(p, sidak=True),
    "hochberg": _hochberg,
    "hochberg-sidak": lambda p: _hochberg(p, sidak=True),
    "bh": lambda p: _false_discovery(p, "bh"),
    "by": lambda p: _false_discovery(p, "by"),
}
"""By name, from ascending p-values. Bonferroni, Holm (1979) and Hochberg (1988) keep the chance
of any false alarm, the last under independence; BH (1995) and BY (2001) the share of false ones."""


def adjust(p_values: Sequence[float | None], method: str = "holm") -> list[float | None]:
    """Return the adjusted p-values, in the order given; what is None stays None and counts not.

    Raises:
        UsageError: no such method, or a p-value outside 0 and 1.

    >>> adjust([0.01, 0.04, None, 0.03], "holm")
    [0.03, 0.06, None, 0.06]
    """
    if method not in CORRECTIONS:
        raise UsageError(f"unknown correction {method!r}.{did_you_mean(method, CORRECTIONS)}")
    known = np.array([p for p in p_values if p is not None], dtype=np.float64)
    if not ((known >= 0) & (known <= 1)).all():
        raise UsageError(f"p-values must lie within 0 and 1, got {known.tolist()}.")
    if not len(known):
        return list(p_values)
    order = np.argsort(known, kind="stable")
    out = np.empty(len(known))
    out[order] = np.minimum(CORRECTIONS[method](known[order]), 1.0)
    rest = iter(out.tolist())
    return [None if p is None else next(rest) for p in p_values]


def adjust_within(
    p_values: Mapping[Key, float | None], scope: Callable[[Key], object], method: str = "holm"
) -> dict[Key, float | None]:
    """Return p-values adjusted within each group of keys that `scope` maps to the same value.

    >>> found = {("revenue", "a"): 0.03, ("revenue", "b"): 0.02, ("clicks", "a"): 0.04}
    >>> adjust_within(found, lambda key: key[0])
    {('revenue', 'a'): 0.04, ('revenue', 'b'): 0.04, ('clicks', 'a'): 0.04}
    """
    groups: dict[object, list[Key]] = {}
    for key in p_values:
        groups.setdefault(scope(key), []).append(key)
    found: dict[Key, float | None] = {}
    for keys in groups.values():
        found |= zip(keys, adjust([p_values[k] for k in keys], method), strict=True)
    return {key: found[key] for key in p_values}
