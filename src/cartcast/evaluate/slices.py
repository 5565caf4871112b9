"""Scores within slices: by click number, by country, device, channel, returning or not.

Every function returns the same tidy table, so that they can be stacked into `metrics.parquet`:
model, part, slice_by, slice, click, metric, value, low, high, n.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import UsageError
from cartcast.evaluate.arrays import Task, codes_of
from cartcast.evaluate.intervals import DRAWS, LEVEL, bootstrap, multipliers

__all__ = ["COLUMNS", "by_click", "by_slice", "measure"]

COLUMNS = (
    "model", "part", "slice_by", "slice", "click", "metric", "value", "low", "high", "n",
)  # fmt: skip
CLASSIFIER = ("roc_auc", "average_precision", "log_loss", "brier", "ece")
REGRESSOR = ("mae", "rmse", "r2", "spearman", "gini", "bias")
_OTHER = "other"


def measure(
    y_obs: Any,
    y_preds: Mapping[str, Any],
    weights: Any = None,
    groups: Any = None,
    *,
    task: Task = "classifier",
    scores: Iterable[str] | None = None,
    thresholds: Mapping[str, float] | None = None,
    part: str = "test",
    slice_by: str | None = None,
    value: str | None = None,
    click: int | None = None,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> pd.DataFrame:
    """Return all scores of all models on the same rows as a tidy table; `n` counts rows.

    For classifiers the row `prevalence` (weighted share of 1) is added for every model; draws 0
    leaves out the intervals.

    Raises:
        DataError: the arrays break their rules.
        UsageError: a score is unknown.
    """
    names = (
        tuple(scores) if scores is not None else (CLASSIFIER if task == "classifier" else REGRESSOR)
    )
    y = np.asarray(y_obs, float)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, float)
    rows: list[tuple[Any, ...]] = []
    drawn = multipliers(codes_of(groups, len(y)), max(draws, 20), seed)
    for model, y_pred in y_preds.items():
        threshold = (thresholds or {}).get(model, 0.5)
        found = bootstrap(
            y, y_pred, w, groups, task=task, scores=names, threshold=threshold,
            draws=max(draws, 20), level=level, seed=seed, drawn=drawn,
        )  # fmt: skip
        head = (model, part, slice_by, value, click)
        if task == "classifier" and len(y):
            rows.append((*head, "prevalence", float(np.average(y, weights=w)), None, None, len(y)))
        for name, interval in found.items():
            ends = (interval.low, interval.high) if draws else (None, None)
            rows.append((*head, name, interval.value, *ends, len(y)))
    return _table(rows)


def _table(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = dict.fromkeys(("value", "low", "high"), float)
    texts = dict.fromkeys(("model", "part", "slice_by", "slice", "metric"), "string")
    return table.astype({**numbers, **texts, "click": "Int64", "n": "int64"})


def by_click(
    y_obs: Any,
    y_preds: Mapping[str, Any],
    click: Any,
    weights: Any = None,
    groups: Any = None,
    *,
    minimum: int = 50,
    **options: Any,
) -> pd.DataFrame:
    """Return the scores at each click number, `slice_by` "click"; options as for `measure`.

    Within one click number each session has one row. Clicks with fewer than `minimum` rows are
    left out.

    Raises:
        DataError: the arrays break their rules.
    """
    at = pd.Series(np.asarray(click)).astype("Int64")
    tables = []
    for number in sorted(at.dropna().unique()):
        inside = (at == number).fillna(False).to_numpy(bool)
        if int(inside.sum()) < minimum:
            continue
        chosen = _within(inside, y_obs, y_preds, weights, groups)
        tables.append(
            measure(*chosen, slice_by="click", value=str(number), click=int(number), **options)
        )
    return pd.concat(tables, ignore_index=True) if tables else _table([])


def by_slice(
    y_obs: Any,
    y_preds: Mapping[str, Any],
    values: Any,
    weights: Any = None,
    groups: Any = None,
    *,
    name: str,
    top: int = 8,
    minimum: int = 100,
    **options: Any,
) -> pd.DataFrame:
    """Return the scores for each value of a column; the rarer values together are "other".

    `values` has shape (n,), null is a value of its own ("unknown"). The `top` most frequent values
    with at least `minimum` rows are kept apart. Options as for `measure`.

    Raises:
        DataError: the arrays break their rules.
        UsageError: top is below 1.
    """
    if top < 1:
        raise UsageError(f"top must be at least 1, got {top}.")
    column = pd.Series(values).reset_index(drop=True).astype("string").fillna("unknown")
    counts = column.value_counts()
    kept = set(counts[counts >= minimum].index[:top])
    column = column.where(column.isin(kept), _OTHER)
    tables = []
    for value in column.value_counts().index:
        inside = (column == value).to_numpy(bool)
        if int(inside.sum()) < minimum:
            continue
        chosen = _within(inside, y_obs, y_preds, weights, groups)
        tables.append(measure(*chosen, slice_by=name, value=str(value), **options))
    return pd.concat(tables, ignore_index=True) if tables else _table([])


def _within(
    inside: Any, y_obs: Any, y_preds: Mapping[str, Any], weights: Any, groups: Any
) -> tuple[Any, dict[str, Any], Any, Any]:
    w = None if weights is None else np.asarray(weights, float)[inside]
    g = None if groups is None else pd.Series(groups).to_numpy()[inside]
    preds = {model: np.asarray(p, float)[inside] for model, p in y_preds.items()}
    return np.asarray(y_obs, float)[inside], preds, w, g
