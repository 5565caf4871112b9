"""Segments of sessions: found, measured, told in plain words.

>>> import pandas as pd
>>> table = pd.DataFrame({"clicks": [1, 2, 1, 30, 31, 29] * 20, "sale": [0, 0, 0, 1, 1, 1] * 20})
>>> found = fit_segments(table, method="kmeans", k=2, rounds=2)
>>> found.k, [p.size for p in found.profiles]
(2, [60, 60])
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin, clone

from cartcast.errors import DataError, UsageError, did_you_mean
from cartcast.findings import Finding, declare, finding
from cartcast.models.encoding import as_frame
from cartcast.models.segments.families import FAMILIES, NOISE, Density
from cartcast.models.segments.profiles import Profile, profiles
from cartcast.models.segments.quality import (
    SILHOUETTE_ROWS,
    bootstrap_stability,
    choose_k,
    over_time,
    separation,
)
from cartcast.models.segments.space import Space

__all__ = ["FAMILIES", "NOISE", "Profile", "Segments", "TableSegments", "fit_segments"]

STABILITY_ROWS = 8_000

UNSTABLE = declare(
    "SG101", "warn", "Segments are not stable",
    "A segment that another sample of the same sessions would not show is a chance result.",
    "Take fewer segments, other columns, or kmeans with k chosen by stability.",
)  # fmt: skip
DRIFTING = declare(
    "SG102", "warn", "Segments change over time",
    "Models of the first and second half of the period sort the same sessions differently.",
    "Fit again on recent sessions, and do not compare segment sizes across the period.",
)  # fmt: skip
SAMPLED = declare(
    "SG103", "note", "Segment measures are taken on a sample",
    "The silhouette compares all pairs of sessions, and density methods all neighbours.",
    "Nothing to do; the seed of the sample is recorded.",
)  # fmt: skip


class TableSegments(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """A space and a model of segments in one; `predict` returns labels, -1 for noise."""

    def __init__(self, space: Space, model: Any) -> None:
        self.space = space
        self.model = model

    def fit(self, X: Any, y: Any = None) -> TableSegments:
        """Learn the space, then the segments."""
        frame = as_frame(X)
        self.feature_names_in_ = np.asarray([str(c) for c in frame.columns], dtype=object)
        self.space_ = clone(self.space).fit(frame)
        self.model_ = clone(self.model).fit(self.space_.transform(frame))
        self.labels_ = np.asarray(self.model_.labels_)
        return self

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the segment of each session."""
        return np.asarray(self.model_.predict(self.space_.transform(X)), dtype=np.int64)


@dataclass(frozen=True)
class Segments:
    """Segments with their evidence.

    Attributes:
        method: name of the family.
        k: number of segments (noise is not one).
        model: fitted `TableSegments`.
        labels: segment of each row, -1 for noise.
        noise: share of sessions in no segment.
        silhouette, davies_bouldin: separation, None when undefined.
        silhouette_rows: sessions that the silhouette was taken on.
        stability: mean adjusted Rand index over bootstraps; stability_low: the lowest.
        over_time: adjusted Rand index between models of both halves, None without an order.
        candidates: (k, stability, silhouette) for each k tried, empty when k was given.
        profiles: one for each segment, the largest first.
        findings: what to know.
        seconds: time of each step.
    """

    method: str
    k: int
    model: TableSegments
    labels: NDArray[np.int64]
    noise: float
    silhouette: float | None
    davies_bouldin: float | None
    silhouette_rows: int
    stability: float | None
    stability_low: float | None
    over_time: float | None
    candidates: tuple[tuple[int, float, float | None], ...]
    profiles: tuple[Profile, ...]
    findings: tuple[Finding, ...]
    seconds: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, without the model and the labels."""
        left = {"model", "labels", "profiles", "findings", "candidates", "seconds"}
        out = {k: v for k, v in self.__dict__.items() if k not in left}
        out["candidates"] = [
            {"k": k, "stability": s, "silhouette": w} for k, s, w in self.candidates
        ]
        out["profiles"] = [p.as_dict() for p in self.profiles]
        out["findings"] = [f.as_dict() for f in self.findings]
        return {**out, "seconds": dict(self.seconds)}


def fit_segments(
    X: Any,
    method: str = "kmeans",
    k: int | None = None,
    *,
    columns: Sequence[str] | None = None,
    order: Any = None,
    outcome: Any = None,
    amount: Any = None,
    groups: Any = None,
    words: Mapping[str, str] | None = None,
    currency: str | None = None,
    seed: int = 42,
    rounds: int = 10,
    progress: Callable[[str, float | None], None] | None = None,
) -> Segments:
    """Find segments in a table with one row per session, and measure them.

    Args:
        X: session table; `columns` of it are used (None: all that tell behaviour).
        method: a name in `FAMILIES`.
        k: number of segments; None chooses by stability and silhouette.
        columns: names of the columns to compare sessions by.
        order: sorts the sessions in time, for the stability over time.
        outcome: 0/1 per session (a purchase), for the profiles only.
        amount: money per session, for the profiles only.
        groups: visitor of each session, for the intervals of the profiles.
        words: names of columns for people.
        currency: unit of `amount`.
        seed: seed of everything random.
        rounds: bootstraps.
        progress: called with what is being done and the share done.

    Raises:
        UsageError: unknown method, or a `k` below 2.
        DataError: too few sessions, or a density method that returns hundreds of segments.
    """
    if method not in FAMILIES:
        raise UsageError(f"unknown segment method {method!r}.{did_you_mean(method, FAMILIES)}")
    if k is not None and k < 2:
        raise UsageError(f"the number of segments must be at least 2, got {k}.")
    frame, family = as_frame(X), FAMILIES[method]
    if len(frame) < 20:
        raise DataError(f"segments need at least 20 sessions, got {len(frame)}.")
    say = progress or _silent
    clock = _Clock()
    space = Space(None if columns is None else tuple(columns))
    Z = clone(space).fit(frame).transform(frame)
    clock.lap("space")
    candidates: tuple[tuple[int, float, float | None], ...] = ()
    if family.takes_k and k is None:
        say("choosing the number of segments", 0.1)
        chosen = choose_k(Z, family.make, rounds=min(rounds, 5), seed=seed)
        k, candidates = chosen.k, chosen.candidates
        clock.lap("choose k")
    say(f"fitting {family.title}", 0.5)
    model = TableSegments(space, family.make(k or 0, seed)).fit(frame)
    labels = model.predict(frame)
    clock.lap("fit")
    say("measuring stability", 0.7)
    apart = separation(Z, labels, seed)
    stability, later = _steadiness(Z, labels, family, k or 0, order, seed, rounds)
    clock.lap("measure")
    return Segments(
        method=method,
        k=int(labels.max(initial=-1)) + 1,
        model=model,
        labels=labels,
        noise=float((labels == NOISE).mean()),
        silhouette=apart.silhouette,
        davies_bouldin=apart.davies_bouldin,
        silhouette_rows=apart.rows,
        stability=None if stability is None else float(stability.mean()),
        stability_low=None if stability is None else float(stability.min()),
        over_time=later,
        candidates=candidates,
        profiles=profiles(frame, labels, model.space_, outcome, amount, words, currency, groups),
        findings=_findings(stability, later, apart.rows, len(frame), model.model_),
        seconds=clock.laps,
    )


def _steadiness(
    Z: Any, labels: Any, family: Any, k: int, order: Any, seed: int, rounds: int
) -> tuple[NDArray[np.float64] | None, float | None]:
    def make(round_seed: int) -> Any:
        return family.make(k, round_seed)

    rows = np.random.default_rng(seed).permutation(len(Z))[:STABILITY_ROWS]
    try:
        stability = bootstrap_stability(Z[rows], labels[rows], make, rounds, seed)
        later = None if order is None else over_time(Z, order, make, seed)
    except DataError:
        # A resampled density model may be refused: then nothing can be said about stability.
        return None, None
    return stability, later


def _silent(what: str, share: float | None) -> None:
    """Show nothing: no person is watching."""


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now


def _findings(
    stability: NDArray[np.float64] | None, later: float | None, rows: int, total: int, model: Any
) -> tuple[Finding, ...]:
    out: list[Finding] = []
    if stability is not None and stability.mean() < 0.8:
        text = f"adjusted Rand index over bootstraps is {stability.mean():.2f}, below 0.80."
        out.append(finding(UNSTABLE, text, adjusted_rand=float(stability.mean())))
    if later is not None and later < 0.8:
        text = f"adjusted Rand index between both halves of the period is {later:.2f}, below 0.80."
        out.append(finding(DRIFTING, text, adjusted_rand=later))
    if total > SILHOUETTE_ROWS:
        text = f"the silhouette is taken on {rows:,} of {total:,} sessions."
        out.append(finding(SAMPLED, text, count=rows))
    if isinstance(model, Density) and model.sampled_ < total:
        text = f"the density is taken from {model.sampled_:,} of {total:,} sessions."
        out.append(finding(SAMPLED, text, count=model.sampled_))
    return tuple(out)
