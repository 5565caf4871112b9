"""The compiled part of a prediction: features to a model's columns, trees, calibration, segments.

A model is one array of words (`cartcast.live.packed` writes it), read here both as whole and as
real numbers: one argument instead of two dozen, since unpacking an argument costs more than a
tree. Imported late: loading Numba takes about a second.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["finish", "nearest", "predict"]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _signed_log(v: float) -> float:
    return float(np.sign(v) * np.log1p(abs(v)))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _encode(words: Any, values: Any, places: Any, model: Any, real: Any, x: Any) -> None:
    """Write one row's columns into `x`, as the training's encoder does."""
    x[:] = 0.0
    scale, keep = model[4] == 1, model[5] == 1
    column = 0
    at = model[2]
    for _ in range(model[3]):
        v = values[places[model[at]]]
        is_null = np.isnan(v)
        if scale:
            v = (_signed_log(v) - real[at + 1]) / real[at + 2]
        x[column] = real[at + 3] if is_null and not keep else v
        column += 1
        if model[at + 4]:
            x[column] = 1.0 if is_null else 0.0
            column += 1
        at += 5
    at = model[6]
    for _ in range(model[7]):
        place = places[model[at]]
        word = words[place]
        found = model[at + 1]
        if word == model[at + 3] or (model[at + 3] == 0 and np.isnan(values[place])):
            found = model[at + 2]
        else:
            for k in range(model[at + 4], model[at + 5], 2):
                if model[k] == word:
                    found = model[k + 1]
                    break
        if found >= 0:
            x[found] = 1.0
        at += 6


@njit(cache=True)  # type: ignore[untyped-decorator]
def _down(node: Any, x: Any, model: Any, real: Any) -> Any:
    """Return the child of a node that the row goes to; a leaf is its own child."""
    rule = model[node + 1]
    v = x[rule >> 35]
    left = (v <= real[node]) | ((v != v) & ((rule >> 34) & 1 != 0))
    return node + ((rule >> 32) & 3 if left else rule & 0xFFFFFFFF)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _trees(xs: Any, count: int, model: Any, real: Any, out: Any) -> None:
    """Add to `out` the sum of one leaf per tree of each row.

    Trees come sorted by depth, and eight are walked at once without a branch: the processor waits
    for eight nodes together. All rows walk the same eight, which stay near it.
    """
    at, trees = model[8], model[9]
    whole = trees - trees % 8
    for t in range(at, at + 2 * whole, 16):
        for i in range(count):
            x = xs[i]
            a, b, c, d = model[t], model[t + 2], model[t + 4], model[t + 6]
            e, f, g, h = model[t + 8], model[t + 10], model[t + 12], model[t + 14]
            for _ in range(model[t + 15]):
                a = _down(a, x, model, real)
                b = _down(b, x, model, real)
                c = _down(c, x, model, real)
                d = _down(d, x, model, real)
                e = _down(e, x, model, real)
                f = _down(f, x, model, real)
                g = _down(g, x, model, real)
                h = _down(h, x, model, real)
            out[i] += real[a] + real[b] + real[c] + real[d]
            out[i] += real[e] + real[f] + real[g] + real[h]
    for t in range(at + 2 * whole, at + 2 * trees, 2):
        for i in range(count):
            a = model[t]
            for _ in range(model[t + 1]):
                a = _down(a, xs[i], model, real)
            out[i] += real[a]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _sigmoid(score: float) -> float:
    return 1.0 / (1.0 + np.exp(-score)) if score > -700.0 else 0.0


@njit(cache=True)  # type: ignore[untyped-decorator]
def _isotonic(p: float, n: int, at: int, real: Any) -> float:
    """Interpolate between `n` points: x from `at`, y after them."""
    if p <= real[at]:
        return float(real[at + n])
    if p >= real[at + n - 1]:
        return float(real[at + 2 * n - 1])
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if p < real[at + middle]:
            high = middle
        else:
            low = middle + 1
    j = at + low - 1
    slope = (real[j + n + 1] - real[j + n]) / (real[j + 1] - real[j])
    return float(slope * (p - real[j]) + real[j + n])


@njit(cache=True)  # type: ignore[untyped-decorator]
def _calibrate(p: float, model: Any, real: Any) -> float:
    at = model[12]
    for _ in range(model[13]):
        kind, n = model[at], model[at + 1]
        if kind == 1:
            up = p * real[at + 3] / real[at + 2]
            down = (1.0 - p) * (1.0 - real[at + 3]) / (1.0 - real[at + 2])
            p = up / (up + down)
        elif kind == 2:
            p = _isotonic(p, n // 2, at + 2, real)
        else:
            q = min(max(p, 1e-6), 1.0 - 1e-6)
            p = _sigmoid(real[at + 2] * np.log(q / (1.0 - q)) + real[at + 3])
        at += 2 + n
    return p


@njit(cache=True)  # type: ignore[untyped-decorator]
def predict(words: Any, starts: Any, count: int, places: Any, model: Any, xs: Any, out: Any,
            calibrated: bool) -> None:  # fmt: skip
    """Write the raw score of each row by trees and a line, or its calibrated probability.

    A row begins at each of the first `count` of `starts` in `words`; `xs` has room for its columns.
    """
    real, values = model.view(np.float64), words.view(np.float64)
    for i in range(count):
        _encode(words[starts[i] :], values[starts[i] :], places, model, real, xs[i])
        out[i] = 0.0
    if model[9]:
        _trees(xs, count, model, real, out)
    at = model[10]
    for i in range(count):
        total = float(real[1]) + out[i]
        for k in range(model[11]):
            total += xs[i, k] * real[at + k]
        out[i] = _calibrate(_sigmoid(total), model, real) if calibrated else total


@njit(cache=True)  # type: ignore[untyped-decorator]
def finish(score: float, model: Any) -> float:
    """Return the calibrated probability of a raw score that was made elsewhere."""
    return float(_calibrate(_sigmoid(score), model, model.view(np.float64)))


@njit(cache=True)  # type: ignore[untyped-decorator]
def nearest(words: Any, starts: Any, count: int, places: Any, space: Any, centres: Any, z: Any,
            out: Any) -> None:  # fmt: skip
    """Write of each row the segment whose centre is nearest.

    `space`: how many numbers and levels, the weight of a level; of each number its feature, centre,
    spread (0 marks a share, which is not scaled), fill and weight; of each level feature and hash.
    """
    real, measures = words.view(np.float64), space.view(np.float64)
    for n in range(count):
        start, at = starts[n], 3
        for i in range(space[0]):
            v = real[start + places[space[at]]]
            if not np.isfinite(v):
                v = measures[at + 3]
            if measures[at + 2] > 0.0:
                v = (_signed_log(v) - measures[at + 1]) / measures[at + 2]
            z[i] = v * measures[at + 4]
            at += 5
        for i in range(space[0], space[0] + space[1]):
            z[i] = measures[2] if words[start + places[space[at]]] == space[at + 1] else 0.0
            at += 2
        best, least = 0, np.inf
        for c in range(centres.shape[0]):
            distance = 0.0
            for i in range(z.size):
                distance += centres[c, i] * centres[c, i] - 2.0 * z[i] * centres[c, i]
            if distance < least:
                best, least = c, distance
        out[n] = best
