"""How good and how stable segments are: silhouette, Davies-Bouldin, adjusted Rand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    adjusted_rand_score,
    davies_bouldin_score,
    pairwise_distances,
    silhouette_score,
)

__all__ = [
    "SILHOUETTE_ROWS",
    "ChosenK",
    "bootstrap_stability",
    "choose_k",
    "over_time",
    "separation",
]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

SILHOUETTE_ROWS = 4_000
"""The silhouette compares all pairs; beyond this many sessions it is taken on a sample."""

STABLE = 0.9
"""A number of segments counts as stable when its mean adjusted Rand index reaches this."""


class Separation(NamedTuple):
    """Silhouette and Davies-Bouldin index, None with fewer than two segments; rows looked at."""

    silhouette: float | None
    davies_bouldin: float | None
    rows: int


def separation(
    Z: Floats, labels: Labels, seed: int = 42, apart: dict[int, Floats] | None = None
) -> Separation:
    """Return how well segments are apart; noise is left out, as it is not a segment.

    `apart` keeps the distances between sessions from one call to the next of the same `Z`.
    """
    inside = labels >= 0
    Z, labels = Z[inside], labels[inside]
    found = len(np.unique(labels))
    rows = min(len(labels), SILHOUETTE_ROWS)
    if found < 2 or len(labels) <= found:
        return Separation(None, None, rows)
    bouldin = float(davies_bouldin_score(Z, labels))
    sample = np.random.default_rng(seed).permutation(len(labels))[:rows]
    if len(np.unique(labels[sample])) < 2:
        return Separation(None, bouldin, rows)
    known = {} if apart is None or not inside.all() else apart
    if rows not in known:
        known[rows] = pairwise_distances(Z[sample])
    silhouette = silhouette_score(known[rows], labels[sample], metric="precomputed")
    return Separation(float(silhouette), bouldin, rows)


def bootstrap_stability(
    Z: Floats, labels: Labels, make: Callable[[int], Any], rounds: int = 10, seed: int = 42
) -> Floats:
    """Return the adjusted Rand index of `labels` against models of resampled sessions.

    Each round draws as many sessions with replacement, fits `make(round seed)` to them and
    compares its segments of *all* sessions with `labels` (Hennig 2007,
    doi:10.1016/j.csda.2006.11.025).
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(rounds):
        rows = rng.integers(0, len(Z), len(Z))
        model = make(int(rng.integers(1, 2**31))).fit(Z[rows])
        found.append(adjusted_rand_score(labels, model.predict(Z)))
    return np.asarray(found, dtype=np.float64)


def over_time(Z: Floats, order: Any, make: Callable[[int], Any], seed: int = 42) -> float | None:
    """Return the adjusted Rand index between models of the first and of the second half.

    Both label all sessions. `order` sorts the sessions in time; None without enough of them.
    """
    ranked = np.argsort(np.asarray(order), kind="stable")
    half = len(ranked) // 2
    if half < 50:
        return None
    early, late = make(seed).fit(Z[ranked[:half]]), make(seed).fit(Z[ranked[half:]])
    return float(adjusted_rand_score(early.predict(Z), late.predict(Z)))


class ChosenK(NamedTuple):
    """The number of segments taken, and for each candidate (k, mean adjusted Rand, silhouette)."""

    k: int
    candidates: tuple[tuple[int, float, float | None], ...]
    stable: bool


def choose_k(
    Z: Floats,
    make: Callable[[int, int], Any],
    candidates: tuple[int, ...] = (3, 4, 5, 6, 7, 8),
    rounds: int = 5,
    seed: int = 42,
    rows: int = 5_000,
) -> ChosenK:
    """Choose the number of segments: of the stable ones the one best apart.

    A candidate is stable when its mean adjusted Rand index over bootstraps is at least `STABLE`;
    of these the highest silhouette wins, and without any the most stable one. `rows` sessions at
    most are looked at.
    """
    rng = np.random.default_rng(seed)
    part = Z[rng.permutation(len(Z))[:rows]]
    distinct = len(np.unique(part, axis=0))
    table: list[tuple[int, float, float | None]] = []
    apart: dict[int, Floats] = {}
    for k in candidates:
        if k > distinct:
            continue
        labels = make(k, seed).fit(part).predict(part)
        scores = bootstrap_stability(part, labels, lambda s, k=k: make(k, s), rounds, seed)  # type: ignore[misc]
        table.append((k, float(scores.mean()), separation(part, labels, seed, apart).silhouette))
    if not table:
        return ChosenK(max(1, min(distinct, candidates[0])), (), False)
    steady = [row for row in table if row[1] >= STABLE]
    if steady:
        best = max(steady, key=lambda row: (-1.0 if row[2] is None else row[2], -row[0]))
    else:
        best = max(table, key=lambda row: row[1])
    return ChosenK(best[0], tuple(table), bool(steady))
