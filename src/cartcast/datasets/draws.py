"""Streams of random numbers for compiled code: one for each (seed, visitor, visit, purpose).

Results depend neither on the size of chunks nor on the order of work.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

__all__ = ["compiled", "draw", "key", "normal", "uniform", "uniforms"]

F = TypeVar("F", bound=Callable[..., Any])

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


def compiled(function: F) -> F:
    """Compile `function`; the machine code is kept on disk."""
    machine: F = numba.njit(cache=True)(function)
    return machine


@compiled
def _mix(x: Any) -> Any:
    # The finalizer of SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195).
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


@compiled
def key(seed: Any, visitor: Any, visit: Any, stream: Any) -> Any:
    """Return the state that a stream starts from."""
    x = _mix(np.uint64(seed) + _GOLDEN)
    x = _mix(x ^ (np.uint64(visitor) + _GOLDEN))
    x = _mix(x ^ (np.uint64(visit) * _M1 + _GOLDEN))
    return _mix(x ^ (np.uint64(stream) * _M2 + _GOLDEN))


@compiled
def uniform(rng: Any) -> Any:
    """Return a uniform in (0, 1); `rng` holds one state, which continues."""
    rng[0] += _GOLDEN
    return (float(_mix(rng[0]) >> _S11) + 0.5) * (1.0 / 9007199254740992.0)


@compiled
def normal(rng: Any) -> Any:
    """Return a standard normal (Box and Muller 1958, doi:10.1214/aoms/1177706645)."""
    radius = math.sqrt(-2.0 * math.log(uniform(rng)))
    return radius * math.cos(2.0 * math.pi * uniform(rng))


@compiled
def draw(rng: Any, weights: Any) -> Any:
    """Return an index drawn from `weights`, which sum to one; never one of weight 0."""
    left = uniform(rng)
    last = 0
    for i in range(len(weights)):
        if weights[i] > 0.0:
            last = i
            left -= weights[i]
            if left < 0.0:
                return i
    return last


@compiled
def uniforms(seed: Any, visitors: Any, visits: Any, stream: Any, n: Any) -> Any:
    """Return `n` uniforms for each (visitor, visit), shape (len(visitors), n)."""
    out = np.empty((len(visitors), n))
    rng = np.zeros(1, dtype=np.uint64)
    for i in range(len(visitors)):
        rng[0] = key(seed, visitors[i], visits[i], stream)
        for j in range(n):
            out[i, j] = uniform(rng)
    return out
