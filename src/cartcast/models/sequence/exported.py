"""The exported form of the network: weights by name in plain arrays, scored by numpy alone.

The names are those of the modules in `network`, which learns them; a test holds both together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["HEADS", "WINDOW", "line", "purchase", "slopes", "states"]

Floats = NDArray[np.float64]
Weights = dict[str, NDArray[Any]]
HEADS = 4
WINDOW = 64
"""Events that the transformer looks back on, the one itself among them."""


def slopes() -> list[float]:
    """Return how much less each head attends to an event for each one further back.

    Press et al. 2022, https://arxiv.org/abs/2108.12409: no place is learnt, so none is unknown.
    """
    return [2.0 ** (-8 * (k + 1) / HEADS) for k in range(HEADS)]


def states(w: Weights, codes: NDArray[np.int64], numbers: Floats) -> Floats:
    """Return the state after each event, shape (sessions, events, size)."""
    x = line(w, "numbers", numbers)
    for j in range(codes.shape[-1]):
        x += w["table.weight"][codes[..., j]]
    return _gru(w, x) if "gru.weight_ih_l0" in w else _transformer(w, x)


def purchase(w: Weights, state: Floats, features: Floats) -> tuple[Floats, Floats]:
    """Return the log-odds of each row, and the hidden layer that the other head reads."""
    hidden = np.maximum(line(w, "state", state) + line(w, "features", features), 0.0)
    return (line(w, "odds", hidden) + line(w, "straight", features))[:, 0], hidden


def line(w: Weights, name: str, x: Floats) -> Floats:
    """Return what a linear layer makes of `x`."""
    return np.asarray(x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0), dtype=np.float64)


def _gru(w: Weights, x: Floats) -> Floats:
    """Cho et al. 2014, https://doi.org/10.48550/arXiv.1406.1078, in the form of PyTorch."""
    size = x.shape[2]
    given = x @ w["gru.weight_ih_l0"].T + w["gru.bias_ih_l0"]
    h, out = np.zeros((len(x), size)), np.empty_like(x)
    for t in range(x.shape[1]):
        own = h @ w["gru.weight_hh_l0"].T + w["gru.bias_hh_l0"]
        # By way of tanh, which cannot overflow.
        gates = 0.5 + 0.5 * np.tanh(0.5 * (given[:, t, : 2 * size] + own[:, : 2 * size]))
        new = np.tanh(given[:, t, 2 * size :] + gates[:, :size] * own[:, 2 * size :])
        h = out[:, t] = new + gates[:, size:] * (h - new)
    return out


def _transformer(w: Weights, x: Floats) -> Floats:
    """Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; norms first, nothing ahead seen."""
    n, events, size = x.shape
    back = np.arange(WINDOW)[::-1]
    far = -np.outer(slopes(), back)
    far = np.where(np.arange(events)[:, None, None] >= back, far, -np.inf)
    for k in range(sum(name.endswith(".both.weight") for name in w)):
        q, keys, values = (
            part.reshape(n, events, HEADS, -1)
            for part in np.split(
                line(w, f"blocks.{k}.both", _normed(w, f"blocks.{k}.first", x)), 3, -1
            )
        )
        keys, values = (
            sliding_window_view(np.pad(part, ((0, 0), (WINDOW - 1, 0), (0, 0), (0, 0))), WINDOW, 1)
            for part in (keys, values)
        )
        score = np.einsum("nthd,nthdw->nthw", q, keys) / np.sqrt(size // HEADS) + far
        share = np.exp(score - score.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        seen = np.einsum("nthw,nthdw->nthd", share, values).reshape(n, events, size)
        x = x + line(w, f"blocks.{k}.seen", seen)
        inner = np.maximum(line(w, f"blocks.{k}.wide", _normed(w, f"blocks.{k}.second", x)), 0.0)
        x = x + line(w, f"blocks.{k}.narrow", inner)
    return _normed(w, "last", x)


def _normed(w: Weights, name: str, x: Floats) -> Floats:
    away = x - x.mean(-1, keepdims=True)
    scaled = away / np.sqrt((away**2).mean(-1, keepdims=True) + 1e-5)
    return np.asarray(scaled * w[f"{name}.weight"] + w[f"{name}.bias"], dtype=np.float64)
