"""Backtest: what a refit brings, and how fast a model ages.

At the end of each of the latest weeks the champion is fitted to what was known then; every such
model judges the weeks after it. In each week the model of the week before (fresh) stands beside the
first one, which was never fitted again (stale). A week's rows are those of visitors who are new in
it: no model has seen them.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.train.candidates import sampled
from cartcast.train.fit import Plan, fit_one, losses, says
from cartcast.train.task import Part, Task

__all__ = ["Gap", "backtest", "paired_gap", "periods_of"]

Floats = NDArray[np.float64]
WEEK = pd.Timedelta(days=7)
MOST_CUTS = 6
MOST_ROWS = 30_000
"""A fit of the backtest takes a sample of the visitors beyond this many rows."""
LEAST_ROWS = 200
LEAST_POSITIVES = 20
Z = 1.96


class Gap(NamedTuple):
    """A mean difference of losses with its 95 % interval over visitors, and how many rows."""

    value: float
    low: float
    high: float
    rows: int


def paired_gap(stale: Floats, fresh: Floats, weights: Floats, groups: Any) -> Gap:
    """Return the mean of stale - fresh on the same rows; above 0 the fresh model is better.

    The error is clustered on visitors.

    >>> round(paired_gap(np.array([0.3, 0.5]), np.array([0.2, 0.4]), np.ones(2), ["a", "b"])[0], 3)
    0.1
    """
    gap = stale - fresh
    mean = float(np.average(gap, weights=weights))
    codes = pd.factorize(pd.Series(groups))[0]
    sums = np.bincount(codes, weights=weights * (gap - mean))
    n = len(sums)
    error = float(np.sqrt((sums**2).sum() * n / max(n - 1, 1)) / weights.sum())
    return Gap(mean, mean - Z * error, mean + Z * error, len(gap))


def periods_of(start: pd.Series) -> tuple[pd.Timedelta, list[pd.Timestamp]]:
    """Return the length of a period and the moments at which a model is fitted.

    Periods are weeks in the later half of the log, at most `MOST_CUTS`; of a log shorter than six
    weeks they are an eighth of it. The last moment is the end.
    """
    first, end = start.min(), start.max()
    length = WEEK if end - first >= 6 * WEEK else (end - first) / 8
    if not length > pd.Timedelta(0):
        return length, []
    count = min(MOST_CUTS, int((end - first) / 2 / length))
    return length, [end - k * length for k in range(count, -1, -1)]


def backtest(task: Task, champion: str, plan: Plan, share: float = 1.0) -> dict[str, Any]:
    """Return the backtest of a champion as plain data; empty where the rows have no time.

    `share` of the visitors is used. Keys: period_days; weeks: for each judged one start, rows,
    stale and fresh (mean losses), gap (stale - fresh), low, high; ageing: the mean gap by age, in
    periods; words: what to make of it.
    """
    rows = sampled(task.everything, share)[0]
    start = rows.keys["session_start"]
    if not task.split.method.startswith("time") or start.isna().any():
        return {}
    length, cuts = periods_of(start)
    declaration = plan.declaration(champion)
    quick = replace(plan, blocks=1)
    known, begin = rows.keys["known_time"].to_numpy(), start.to_numpy()
    first_seen = pd.Series(begin).groupby(rows.groups).transform("min").to_numpy()
    models: list[Any] = []
    weeks: list[tuple[pd.Timestamp, Part, list[Floats]]] = []
    for cut, end in itertools.pairwise(cuts):
        fit = rows.take(known <= np.datetime64(cut))
        # The very last session belongs to the last week.
        inside = (first_seen > np.datetime64(cut)) & (begin <= np.datetime64(end))
        held = rows.take(inside)
        if min(_enough(fit), _enough(held)) < 1:
            if models:
                break
            continue
        fit = sampled(fit, MOST_ROWS / len(fit))[0]
        models.append(fit_one(champion, fit, quick).model)
        loss = losses(plan.kind)
        said = [loss(held.label, says(m, declaration, held)) for m in models]
        weeks.append((cut, held, said))
    if len(weeks) < 3:
        return {}
    return _told(weeks, length)


def _enough(rows: Part) -> int:
    """Return 1 where there are enough rows with and without the outcome."""
    positive = int((rows.label > 0).sum())
    return int(len(rows) >= LEAST_ROWS and LEAST_POSITIVES <= positive < len(rows))


def _told(
    weeks: list[tuple[pd.Timestamp, Part, list[Floats]]], length: pd.Timedelta
) -> dict[str, Any]:
    days = length / pd.Timedelta(days=1)
    table, by_age = [], []
    for cut, held, said in weeks:
        gap = paired_gap(said[0], said[-1], held.weight, held.groups)
        stale, fresh = (float(np.average(v, weights=held.weight)) for v in (said[0], said[-1]))
        table.append({"start": cut.isoformat(), "stale": stale, "fresh": fresh, **_named(gap)})
    for age in range(1, len(weeks)):
        pairs = [(h, s[-1 - age], s[-1]) for _, h, s in weeks if len(s) > age]
        weight = np.concatenate([h.weight for h, _, _ in pairs])
        groups = np.concatenate([h.groups for h, _, _ in pairs])
        older, newest = (np.concatenate([p[k] for p in pairs]) for k in (1, 2))
        by_age.append({"age": age, **_named(paired_gap(older, newest, weight, groups))})
    aged = next((a for a in by_age if a["low"] > 0), None)
    unit = "weeks" if round(days, 6) == 7 else f"periods of {days:.2g} days"
    if aged is None:
        words = (
            f"No loss by age was found within {len(by_age)} {unit}: in this log a model stays as "
            "good as one fitted afresh."
        )
    else:
        words = (
            f"After {aged['age']} {unit} a model is worse than one fitted afresh (loss "
            f"+{aged['gap']:.4f}, 95 % interval {aged['low']:.4f} to {aged['high']:.4f}): train "
            "again at least that often."
        )
    return {"period_days": days, "weeks": table, "ageing": by_age, "words": words}


def _named(gap: Gap) -> dict[str, float]:
    return {"gap": gap.value, "low": gap.low, "high": gap.high, "rows": gap.rows}
