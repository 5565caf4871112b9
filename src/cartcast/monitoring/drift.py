"""Drift as explanation: which features have moved, more than in the shop's own past weeks.

A week's shift of a feature is its population stability index against the pooled weeks before,
less what chance makes of it. It is compared with the shifts that those weeks had among themselves,
so a shop that always moves must move more. One e-value a feature, corrected over all of them
(e-BH), gives one list; it is in the order of shift times importance to the model, and explains an
alarm but is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from cartcast.findings import Finding, finding
from cartcast.monitoring.codes import DRIFT
from cartcast.monitoring.distances import psi, quantile_edges
from cartcast.monitoring.evalues import e_bh, e_value

__all__ = ["Bins", "Drift", "bins_of", "count_days", "drifted"]

Floats = NDArray[np.float64]
Bins = dict[str, list[Any]]
"""Feature to inner edges (numbers) or known words (strings)."""

_WORDS = 12
_LEAST_WEEKS = 5
_MOST_WEEKS = 26


class Drift(NamedTuple):
    """One feature's shift in the newest week.

    Attributes:
        feature: its name.
        size: population stability index less its bias; about 0 where nothing has changed.
        usual: the same in past weeks, on average.
        e: evidence that this week's is larger.
        weight: share of the importance of all features, 0 to 1.
        named: whether the correction over features lets it be named.
    """

    feature: str
    size: float
    usual: float
    e: float
    weight: float
    named: bool


def bins_of(features: pd.DataFrame) -> Bins:
    """Return bins of each feature: tenths, or its 12 most frequent words; fixed from then on."""
    found: Bins = {}
    for name in features.columns:
        column = features[name]
        if pd.api.types.is_numeric_dtype(column):
            found[name] = quantile_edges(column.to_numpy(dtype=np.float64)).tolist()
        else:
            found[name] = [str(v) for v in column.dropna().value_counts().index[:_WORDS]]
    return found


def count_days(
    features: pd.DataFrame, moments: pd.DataFrame, bins: Bins
) -> dict[pd.Timestamp, dict[str, Any]]:
    """Return, for each day, its visitors and each feature's counts by bin; the last bin is null.

    Args:
        features: features at each moment.
        moments: the same rows, with `time` and `visitor_id`.
        bins: of `bins_of`; features without bins are left out.
    """
    place = {name: _places(features[name], bins[name]) for name in features.columns if name in bins}
    day = moments["time"].dt.floor("D")
    out: dict[pd.Timestamp, dict[str, Any]] = {}
    for value, rows in moments.groupby(day).indices.items():
        counts = {
            name: np.bincount(where[rows], minlength=_size(features[name], bins[name])).tolist()
            for name, where in place.items()
        }
        visitors = int(moments["visitor_id"].iloc[rows].nunique()) or len(rows)
        out[pd.Timestamp(str(value))] = {"visitors": visitors, "counts": counts}
    return out


def _size(column: pd.Series, edges: list[Any]) -> int:
    return len(edges) + 2


def _places(column: pd.Series, edges: list[Any]) -> NDArray[np.int64]:
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(dtype=np.float64)
        where = np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="right")
        return np.where(np.isnan(values), len(edges) + 1, where).astype(np.int64)
    known = {word: k for k, word in enumerate(edges)}
    codes = column.map(
        lambda v: len(edges) + 1 if v is None or v != v else known.get(v, len(edges))
    )
    return codes.to_numpy(dtype=np.int64)


def drifted(
    days: Mapping[pd.Timestamp, Mapping[str, Any]], importance: Mapping[str, float],
    level: float = 0.05,
) -> tuple[list[Drift], tuple[Finding, ...]]:  # fmt: skip
    """Return the shift of each feature in the newest seven days, and one finding that names some.

    Args:
        days: of `count_days`, of all days kept.
        importance: feature to what the model loses without it; negative ones count as none.
        level: share of wrongly named features that is accepted.

    Returns:
        Nothing before there are five whole weeks besides the newest.
    """
    weeks = _weeks(days)
    if len(weeks) <= _LEAST_WEEKS:
        return [], ()
    weeks = weeks[-_MOST_WEEKS - 1 :]
    total = sum(max(v, 0.0) for v in importance.values()) or 1.0
    sizes = {}
    for name in weeks[-1][1]:
        counts = [np.asarray(w[1][name], dtype=np.float64) for w in weeks if name in w[1]]
        if len(counts) == len(weeks) and all(c.sum() > 0 for c in counts):
            sizes[name] = _compare(counts, [w[0] for w in weeks])
    evidence = {name: e for name, (_, _, e) in sizes.items()}
    named = set(e_bh(evidence, level)) if evidence else set()
    found = [
        Drift(name, size, usual, e, max(importance.get(name, 0.0), 0.0) / total, name in named)
        for name, (size, usual, e) in sizes.items()
    ]
    found.sort(key=lambda d: (not d.named, -d.weight * max(d.size, 0.0), -d.size))
    return found, _finding([d for d in found if d.named])


def _weeks(
    days: Mapping[pd.Timestamp, Mapping[str, Any]],
) -> list[tuple[float, dict[str, Floats]]]:
    """Return visitors and counts of runs of seven days, the newest last; gaps end the history."""
    if not days:
        return []
    last = max(days)
    weeks: list[tuple[float, dict[str, Floats]]] = []
    while True:
        span = [last - pd.Timedelta(days=7 * len(weeks) + k) for k in range(7)]
        if any(d not in days for d in span):
            return weeks[::-1]
        counts: dict[str, Floats] = {}
        for d in span:
            for name, c in days[d]["counts"].items():
                counts[name] = counts.get(name, 0.0) + np.asarray(c, dtype=np.float64)
        weeks.append((float(sum(days[d]["visitors"] for d in span)), counts))


def _compare(counts: Sequence[Floats], visitors: Sequence[float]) -> tuple[float, float, float]:
    """Return the newest week's shift, the usual one, and the e-value that it is larger."""
    *past, now = counts
    *n_past, n_now = visitors
    pooled, n_pooled = np.sum(past, axis=0), float(sum(n_past))
    size = psi(pooled, now, (n_pooled, n_now)).size
    among = [
        psi(pooled - week, week, (n_pooled - n, n)).size
        for week, n in zip(past, n_past, strict=True)
    ]
    # The index of chance is a chi-square over n: its deviation is a floor to what weeks show.
    chance = (2 * (len(now) - 1)) ** 0.5 * (1 / n_now + 1 / n_pooled)
    spread = max(float(np.var(among, ddof=1)), chance**2)
    t = (size - float(np.mean(among))) / (spread * (1 + 1 / len(among))) ** 0.5
    return size, float(np.mean(among)), float(e_value(float(stats.t.sf(t, len(among) - 1))))


def _finding(named: Sequence[Drift]) -> tuple[Finding, ...]:
    if not named:
        return ()
    said = ", ".join(f"{d.feature} ({d.size:.2f}, weight {d.weight:.0%})" for d in named[:5])
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return (
        finding(
            DRIFT,
            f"{len(named)} features moved more this week than in past weeks: {said}{more}.",
            count=len(named),
            features=[d._asdict() for d in named],
        ),
    )
