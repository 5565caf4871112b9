"""Figures: every figure of a run, from predictions for rows that no model was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import DataError
from cartcast.evaluate import scores, slices, thresholds
from cartcast.evaluate.once import once
from cartcast.findings import Finding
from cartcast.train.fit import Fitted
from cartcast.train.options import Options
from cartcast.train.task import Part

__all__ = ["SLICED", "measured", "summary", "thresholds_of", "too_good_to_be_true"]

Floats = NDArray[np.float64]
SLICED = ("country", "device", "channel", "returning")
"""Columns by which a run is sliced, where the features have them."""


def thresholds_of(fitted: Fitted, train: Part, options: Options) -> dict[str, Any]:
    """Return the thresholds chosen on held-out rows: by F1, by capacity and by profit if asked."""
    judged = np.isfinite(fitted.held)
    y, p, w = train.label[judged], fitted.held[judged], train.weight[judged]
    chosen = {"f1": thresholds.best_f1(y, p, w).as_dict()}
    if train.keys["click"].notna().any():
        # Whoever acts on a session acts once, however many of its moments are scored.
        places = once(p, train.keys["session_id"].to_numpy()[judged])
        judged = np.flatnonzero(judged)[places]
        y, p, w = train.label[judged], fitted.held[judged], train.weight[judged]
    if options.capacity is not None:
        count = min(float(options.capacity), float(w.sum()))
        chosen["capacity"] = thresholds.capacity(y, p, w, count=count).as_dict()
    if options.costs:
        amount = train.amount[judged]
        bought = amount[(y > 0) & np.isfinite(amount)]
        value = options.costs.get("value", float(bought.mean()) if len(bought) else None)
        if value is None:
            raise DataError(
                "a threshold by profit needs the value of a purchase; give --value MONEY."
            )
        cost = options.costs.get("contact", 0.0)
        chosen["profit"] = thresholds.best_profit(y, p, w, cost=cost, value=value).as_dict()
    return chosen


def measured(
    kind: str, test: Part, said: Mapping[str, Floats], at: Mapping[str, float]
) -> pd.DataFrame:
    """Return all figures on test: overall, by click, by slice; `at` are the thresholds."""
    task: Any = kind
    y, w, g = test.label, test.weight, test.groups
    names = scores.CLASSIFIER_SCORES if kind == "classifier" else scores.REGRESSOR_SCORES
    tables = [slices.measure(y, said, w, g, task=task, scores=names, thresholds=at)]
    click = test.keys["click"]
    if click.notna().any():
        tables.append(slices.by_click(y, said, click, w, g, task=task, draws=100))
    tables += [
        slices.by_slice(y, said, values, w, g, name=name, task=task, draws=100)
        for name, values in _slice_values(test.X).items()
    ]
    return pd.concat([t for t in tables if len(t)], ignore_index=True)


def too_good_to_be_true(
    test: Part, champion: Fitted, models: Sequence[Fitted], said: Mapping[str, Floats]
) -> list[Finding]:
    """Return the findings on how good the champion is against the best baseline, on test."""
    from cartcast.leakage.performance import too_good

    baselines = [m.name for m in models if m.declaration.family == "baseline"]
    if champion.declaration.kind != "classifier" or not baselines:
        return []
    click = test.keys["click"]
    return too_good(
        test.label,
        said[champion.name],
        {name: said[name] for name in baselines},
        click=click if click.notna().any() else None,
        weights=test.weight,
        groups=test.groups,
    )


def _slice_values(X: pd.DataFrame) -> dict[str, pd.Series]:
    found = {name: X[name] for name in SLICED if name in X.columns}
    if "earlier_sessions" in X.columns:
        earlier = X["earlier_sessions"]
        words = pd.Series(np.where(earlier > 0, "returning", "new"), index=earlier.index)
        found["visitor"] = words.where(earlier.notna(), "unknown")
    return {name: values for name, values in found.items() if values.nunique(dropna=False) > 1}


def summary(table: pd.DataFrame) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """Return (metrics, intervals, by_click) of `run.json` from the tidy table."""
    plain = table.astype(object).where(table.notna(), None)
    metrics: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    clicks: dict[tuple[int, str], dict[str, Any]] = {}
    rows: list[dict[Any, Any]] = plain.to_dict("records")
    for row in rows:
        model, metric, value = row["model"], row["metric"], row["value"]
        if row["slice_by"] is None:
            metrics.setdefault(model, {})[metric] = value
            intervals.setdefault(model, {})[metric] = [row["low"], row["high"]]
        elif row["slice_by"] == "click":
            start = {"click": row["click"], "rows": row["n"], "model": model}
            entry = clicks.setdefault((row["click"], model), start)
            entry[metric] = value
            if row["low"] is not None:
                entry[f"{metric}_interval"] = [row["low"], row["high"]]
    return metrics, intervals, list(clicks.values())
