"""The five ways to find segments, behind one `fit` and `predict` over coordinates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import DBSCAN, HDBSCAN, KMeans, MiniBatchKMeans
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from cartcast.errors import DataError

__all__ = ["FAMILIES", "NOISE", "Centres", "Density", "Family", "Mixture", "knee_eps"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

NOISE = -1
"""Label of sessions that belong to no segment; never counted as one."""

MAX_SEGMENTS = 30
"""More segments than this cannot be told apart by people: refused."""

MAX_NOISE = 0.5
"""A larger share of noise than this leaves too few sessions in segments: refused."""

DENSITY_ROWS = 20_000
"""Density methods look at a sample of this many sessions; the others join the nearest segment."""


def _needs_rows(Z: Floats, k: int) -> None:
    distinct = len(np.unique(Z, axis=0))
    if distinct < k:
        raise DataError(
            f"{k} segments need at least {k} different sessions, got {distinct}; take a smaller k."
        )


class Centres(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """K-Means; in mini-batches when `batch`. Segments are ordered by size, the largest first."""

    def __init__(self, k: int = 5, batch: bool = False, starts: int = 10, seed: int = 42) -> None:
        self.k = k
        self.batch = batch
        self.starts = starts
        self.seed = seed

    def fit(self, Z: Floats, y: Any = None) -> Centres:
        """Find the centres."""
        _needs_rows(Z, self.k)
        settings = {"n_clusters": self.k, "n_init": self.starts, "random_state": self.seed}
        if self.batch:
            model = MiniBatchKMeans(**settings, batch_size=4096, reassignment_ratio=0.0)
        else:
            model = KMeans(**settings)
        # Its threads wait by spinning, which on a busy machine costs more than they bring.
        with threadpool_limits(1, user_api="openmp"):
            model.fit(Z)
        sizes = np.bincount(model.labels_, minlength=self.k)
        self.centres_ = np.asarray(model.cluster_centers_)[np.argsort(-sizes, kind="stable")]
        self.labels_ = self.predict(Z)
        return self

    def predict(self, Z: Floats) -> Labels:
        """Return the nearest centre of each session."""
        square = (self.centres_**2).sum(axis=1)
        return np.asarray((square - 2 * Z @ self.centres_.T).argmin(axis=1), dtype=np.int64)


class Mixture(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """A mixture of Gaussians with diagonal covariances; segments ordered by size."""

    def __init__(self, k: int = 5, starts: int = 3, seed: int = 42) -> None:
        self.k = k
        self.starts = starts
        self.seed = seed

    def fit(self, Z: Floats, y: Any = None) -> Mixture:
        """Fit by expectation-maximisation."""
        _needs_rows(Z, self.k)
        self.mixture_ = GaussianMixture(
            self.k, covariance_type="diag", n_init=self.starts, reg_covar=1e-2, max_iter=300,
            random_state=self.seed,
        ).fit(Z)  # fmt: skip
        found = self.mixture_.predict(Z)
        self.order_ = np.argsort(-np.bincount(found, minlength=self.k), kind="stable")
        self.labels_ = self.predict(Z)
        return self

    def predict(self, Z: Floats) -> Labels:
        """Return the most probable component of each session."""
        rank = np.empty(self.k, dtype=np.int64)
        rank[self.order_] = np.arange(self.k)
        return np.asarray(rank[self.mixture_.predict(Z)], dtype=np.int64)


def knee_eps(Z: Floats, neighbours: int) -> float:
    """Return the distance at the knee of the sorted distances to the k-th neighbour.

    The knee is the point farthest below the chord of the curve (Ester et al. 1996 pick it by eye).
    """
    distances, _ = NearestNeighbors(n_neighbors=neighbours + 1).fit(Z).kneighbors(Z)
    curve = np.sort(distances[:, -1])
    if curve[-1] == curve[0]:
        return float(curve[-1]) or 1e-9
    x = np.linspace(0.0, 1.0, len(curve))
    y = (curve - curve[0]) / (curve[-1] - curve[0])
    return float(curve[int(np.argmax(x - y))]) or 1e-9


class Density(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """DBSCAN, or HDBSCAN when `hierarchical`; refuses results that nobody could use.

    `eps=None` takes the knee of the k-distance curve. A session that is farther than `reach_`
    from every clustered session is noise (-1), and noise is not a segment.
    """

    def __init__(
        self,
        hierarchical: bool = False,
        eps: float | None = None,
        neighbours: int | None = None,
        seed: int = 42,
    ) -> None:
        self.hierarchical = hierarchical
        self.eps = eps
        self.neighbours = neighbours
        self.seed = seed

    def fit(self, Z: Floats, y: Any = None) -> Density:
        """Find dense regions.

        Raises:
            DataError: no segment, more than `MAX_SEGMENTS`, or mostly noise.
        """
        rng = np.random.default_rng(self.seed)
        self.sampled_ = min(len(Z), DENSITY_ROWS)
        rows = np.sort(rng.choice(len(Z), self.sampled_, replace=False))
        part = Z[rows]
        near = min(self.neighbours or 2 * Z.shape[1], len(part) - 1)
        if self.hierarchical:
            size = max(near, len(part) // 50, 5)
            model = HDBSCAN(min_cluster_size=size, min_samples=near, copy=True)
            labels = model.fit_predict(part)
            kept = labels >= 0
        else:
            self.eps_ = self.eps if self.eps is not None else knee_eps(part, near)
            model = DBSCAN(eps=self.eps_, min_samples=near)
            labels = model.fit_predict(part)
            kept = np.zeros(len(part), dtype=bool)
            kept[model.core_sample_indices_] = True
        self._refuse(labels)
        sizes = np.bincount(labels[labels >= 0])
        rank = np.empty(len(sizes), dtype=np.int64)
        rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
        self.k_ = len(sizes)
        self.points_, self.point_labels_ = part[kept], rank[labels[kept]]
        self.reach_ = self._reach() if self.hierarchical else float(self.eps_)
        self.labels_ = self.predict(Z)
        return self

    def _reach(self) -> float:
        distances, _ = NearestNeighbors(n_neighbors=2).fit(self.points_).kneighbors(self.points_)
        return float(np.quantile(distances[:, 1], 0.99)) + 1e-9

    def _refuse(self, labels: Labels) -> None:
        found = len(set(labels.tolist()) - {NOISE})
        noise = float((labels == NOISE).mean())
        name = "hdbscan" if self.hierarchical else "dbscan"
        if found == 0:
            raise DataError(f"{name} finds no segment at all: every session is noise; use kmeans.")
        if found > MAX_SEGMENTS or noise > MAX_NOISE:
            raise DataError(
                f"{name} is refused: it returns {found} segments with {noise:.1%} of sessions as "
                f"noise; usable are at most {MAX_SEGMENTS} segments and {MAX_NOISE:.0%} noise. "
                "Use kmeans."
            )

    def predict(self, Z: Floats) -> Labels:
        """Return the segment of the nearest clustered session, or -1 beyond `reach_`."""
        distances, index = NearestNeighbors(n_neighbors=1).fit(self.points_).kneighbors(Z)
        labels = self.point_labels_[index[:, 0]]
        return np.where(distances[:, 0] <= self.reach_, labels, NOISE).astype(np.int64)


@dataclass(frozen=True)
class Family:
    """One way to find segments: name, title, maker `(k, seed) -> estimator`, whether it takes k."""

    name: str
    title: str
    make: Callable[[int, int], Any]
    takes_k: bool


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        f.name: f
        for f in (
            Family("kmeans", "K-Means", lambda k, seed: Centres(k, seed=seed), True),
            Family(
                "minibatch_kmeans", "Mini-batch K-Means",
                lambda k, seed: Centres(k, batch=True, seed=seed), True,
            ),
            Family("gaussian_mixture", "Gaussian mixture", lambda k, s: Mixture(k, seed=s), True),
            Family("dbscan", "DBSCAN", lambda k, seed: Density(seed=seed), False),
            Family(
                "hdbscan", "HDBSCAN", lambda k, seed: Density(hierarchical=True, seed=seed), False
            ),
        )
    }
)  # fmt: skip
"""All ways to find segments by name."""
