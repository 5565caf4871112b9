"""The network: a gated recurrent unit over the events of a session, one log-odds after each.

Cho et al. 2014, https://doi.org/10.48550/arXiv.1406.1078. Each category enters by a table of
vectors, each number by a matrix; both are added into the three gates at once:

    r, z = sigmoid(u[:2H] + h W[:2H]);  n = tanh(u[2H:] + r (h W[2H:]));  h' = (1 - z) n + z h

Parameters are plain arrays by name. The gradient is written out below, since at this size numpy
learns faster than a framework would, and nothing has to be installed (docs/models.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import DataError

__all__ = ["Batch", "Learning", "cut", "fit", "gradient", "padded", "scores", "start"]

Array = NDArray[Any]
Weights = dict[str, Array]
SHORTEST = 4


@dataclass(frozen=True)
class Batch:
    """Sessions side by side, padded to one length.

    Attributes:
        codes: row of `table` of each category, shape (sessions, clicks, categories).
        numbers: shape (sessions, clicks, width).
        target, weight: of each click, shape (sessions, clicks); weight 0 where none is judged.
    """

    codes: NDArray[np.int32]
    numbers: Array
    target: Array
    weight: Array


@dataclass(frozen=True)
class Learning:
    """How the network learns: most passes, rate, decay, and passes without gain before it stops."""

    epochs: int
    rate: float
    seed: int
    decay: float = 1e-3
    patience: int = 3


def start(levels: int, width: int, hidden: int, odds: float, seed: int) -> Weights:
    """Return the weights before learning; `odds` are the log-odds of the prevalence."""
    rng = np.random.default_rng(seed)

    def random(*shape: int, scale: float) -> Array:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    return {
        "table": random(levels, 3 * hidden, scale=0.1),
        "numbers": random(width, 3 * hidden, scale=0.1),
        "bias": np.zeros(3 * hidden, dtype=np.float32),
        "state": random(hidden, 3 * hidden, scale=hidden**-0.5),
        "out": random(hidden, scale=hidden**-0.5),
        "odds": np.full(1, odds, dtype=np.float32),
    }


def _inputs(w: Weights, codes: Array, numbers: Array) -> Array:
    """Return what events add to the gates, shape (..., 3 H)."""
    u = numbers @ w["numbers"] + w["bias"]
    for j in range(codes.shape[-1]):
        u += w["table"][codes[..., j]]
    return u


def _sigmoid(x: Array) -> Array:
    # By way of tanh, which cannot overflow.
    return 0.5 * (1 + np.tanh(0.5 * x))


def _step(w: Weights, h: Array, u: Array) -> tuple[Array, Array, Array, Array]:
    """Return the state after one event, the gates r and z, n, and what r let through."""
    hidden = h.shape[1]
    v = h @ w["state"]
    gates = _sigmoid(u[:, : 2 * hidden] + v[:, : 2 * hidden])
    kept = v[:, 2 * hidden :]
    n = np.tanh(u[:, 2 * hidden :] + gates[:, :hidden] * kept)
    return n + gates[:, hidden:] * (h - n), gates, n, kept


def scores(w: Weights, codes: Array, numbers: Array) -> Array:
    """Return the log-odds after each click, shape (sessions, clicks)."""
    h = np.zeros((len(codes), len(w["out"])), dtype=w["out"].dtype)
    out = np.empty(codes.shape[:2], dtype=h.dtype)
    for t in range(codes.shape[1]):
        h = _step(w, h, _inputs(w, codes[:, t], numbers[:, t]))[0]
        out[:, t] = h @ w["out"] + w["odds"]
    return out


def gradient(w: Weights, batch: Batch) -> tuple[float, Weights]:
    """Return the mean log loss of a batch and its derivative by every weight."""
    sessions, clicks = batch.target.shape
    hidden = len(w["out"])
    # Time first, so that each step reads one block of memory.
    codes, numbers = batch.codes.swapaxes(0, 1), batch.numbers.swapaxes(0, 1)
    u = _inputs(w, codes, numbers)
    h = np.zeros((clicks + 1, sessions, hidden), dtype=u.dtype)
    kept: list[tuple[Array, Array, Array]] = []
    for t in range(clicks):
        h[t + 1], *rest = _step(w, h[t], u[t])
        kept.append((rest[0], rest[1], rest[2]))
    odds = h[1:] @ w["out"] + w["odds"]
    target, weight = batch.target.T, batch.weight.T
    total = max(float(weight.sum()), 1e-9)
    loss = float((weight * (np.logaddexp(0, odds) - target * odds)).sum() / total)
    slope = weight * (_sigmoid(odds) - target) / total

    du, dv = np.empty_like(u), np.empty_like(u)
    dh = np.zeros_like(h[0])
    for t in reversed(range(clicks)):
        gates, n, let = kept[t]
        r, z = gates[:, :hidden], gates[:, hidden:]
        dh = dh + slope[t][:, None] * w["out"]
        dn = dh * (1 - z) * (1 - n * n)
        du[t, :, :hidden] = dn * let * r * (1 - r)
        du[t, :, hidden : 2 * hidden] = dh * (h[t] - n) * z * (1 - z)
        du[t, :, 2 * hidden :] = dn
        dv[t, :, : 2 * hidden] = du[t, :, : 2 * hidden]
        dv[t, :, 2 * hidden :] = dn * r
        dh = dh * z + dv[t] @ w["state"].T
    flat = du.reshape(-1, 3 * hidden)
    return loss, {
        "table": _added(codes, flat, len(w["table"])),
        "numbers": numbers.reshape(len(flat), -1).T @ flat,
        "bias": flat.sum(axis=0),
        "state": h[:-1].reshape(-1, hidden).T @ dv.reshape(-1, 3 * hidden),
        "out": np.tensordot(slope, h[1:], 2),
        "odds": slope.sum(keepdims=True)[0],
    }


def _added(codes: Array, flat: Array, levels: int) -> Array:
    """Return the rows of `flat` added up by code, shape (levels, 3 H)."""
    from scipy.sparse import csr_array

    per = codes.shape[-1]
    ends = np.arange(0, per * len(flat) + 1, per)
    ones = np.ones(per * len(flat), dtype=flat.dtype)
    chosen = csr_array((ones, codes.reshape(-1), ends), shape=(len(flat), levels))
    return np.asarray(chosen.T @ flat)


class _Adam:
    """Adam with decoupled decay: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101."""

    def __init__(self, weights: Weights, rate: float, decay: float) -> None:
        self.rate, self.decay, self.steps = rate, decay, 0
        self.mean = {k: np.zeros_like(v) for k, v in weights.items()}
        self.square = {k: np.zeros_like(v) for k, v in weights.items()}

    def step(self, weights: Weights, slope: Weights) -> None:
        """Move the weights in place, against a gradient whose length is held below 1."""
        self.steps += 1
        length = float(np.sqrt(sum(float((g * g).sum()) for g in slope.values())))
        shrink = 1 / max(length, 1.0)
        for name, value in weights.items():
            g = slope[name] * shrink
            self.mean[name] += 0.1 * (g - self.mean[name])
            self.square[name] += 0.001 * (g * g - self.square[name])
            mean = self.mean[name] / (1 - 0.9**self.steps)
            spread = np.sqrt(self.square[name] / (1 - 0.999**self.steps)) + 1e-8
            value -= self.rate * (mean / spread + self.decay * value)


def fit(weights: Weights, used: list[Batch], held: list[Batch], how: Learning) -> Weights:
    """Return the weights after the pass with the lowest loss on `held` batches.

    Raises:
        DataError: no loss is finite.
    """
    now = {name: value.copy() for name, value in weights.items()}
    rule = _Adam(now, how.rate, how.decay)
    rng = np.random.default_rng(how.seed)
    best, kept, since = np.inf, None, 0
    for _ in range(how.epochs):
        for k in rng.permutation(len(used)):
            rule.step(now, gradient(now, used[k])[1])
        loss = _loss(now, held)
        since += 1
        if loss < best:
            best, since, kept = loss, 0, {name: value.copy() for name, value in now.items()}
        if since >= how.patience:
            break
    if kept is None:
        raise DataError("the sequence model has no finite loss; check the numbers it reads.")
    return kept


def _loss(w: Weights, batches: list[Batch]) -> float:
    loss = weight = 0.0
    for b in batches:
        odds = scores(w, b.codes, b.numbers)
        loss += float((b.weight * (np.logaddexp(0, odds) - b.target * odds)).sum())
        weight += float(b.weight.sum())
    return loss / max(weight, 1e-9)


def padded(length: int) -> int:
    """Return the length that a session of `length` clicks is padded to.

    >>> [padded(n) for n in (1, 4, 5, 8, 9, 40)]
    [4, 4, 8, 8, 16, 64]
    """
    return max(SHORTEST, 1 << (max(length, 1) - 1).bit_length())


def cut(
    sessions: NDArray[np.int64], length: NDArray[np.int64], size: int
) -> Iterator[NDArray[np.int64]]:
    """Yield groups of at most `size` sessions of like length, so that little is padding."""
    order = sessions[np.argsort(length[sessions], kind="stable")]
    buckets = np.array([padded(int(n)) for n in length[order]])
    for bucket in np.unique(buckets):
        inside = order[buckets == bucket]
        for first in range(0, len(inside), size):
            yield inside[first : first + size]
