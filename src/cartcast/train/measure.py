"""Measuring: every figure of a run, from predictions on rows that no model was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import DataError
from cartcast.evaluate import scores, slices, thresholds
from cartcast.train.fit import Fitted
from cartcast.train.options import Options
from cartcast.train.parts import Part

__all__ = ["SLICED", "classifier_tables", "regressor_tables", "summary", "thresholds_of"]

SLICED = ("country", "device", "channel", "returning")
"""Columns by which a run is sliced, where the features have them."""


def thresholds_of(fitted: Fitted, validation: Part, options: Options) -> dict[str, Any]:
    """Return the thresholds chosen on validation: by F1, by capacity and by profit if asked."""
    y, p, w = validation.label, fitted.predictions["validation"], validation.weight
    chosen = {"f1": thresholds.best_f1(y, p, w).as_dict()}
    if options.capacity is not None:
        count = min(float(options.capacity), float(w.sum()))
        chosen["capacity"] = thresholds.capacity(y, p, w, count=count).as_dict()
    if options.costs:
        bought = validation.amount[(y > 0) & np.isfinite(validation.amount)]
        value = options.costs.get("value", float(bought.mean()) if len(bought) else None)
        if value is None:
            raise DataError(
                "a threshold by profit needs the value of a purchase; give --value MONEY."
            )
        cost = options.costs.get("contact", 0.0)
        chosen["profit"] = thresholds.best_profit(y, p, w, cost=cost, value=value).as_dict()
    return chosen


def classifier_tables(
    models: Sequence[Fitted], parts: Mapping[str, Part], at: Mapping[str, float]
) -> pd.DataFrame:
    """Return all figures of the classifiers on test: overall, by click, by slice."""
    test = parts["test"]
    preds = {m.name: m.predictions["test"] for m in models}
    y, w, g = test.label, test.weight, test.groups
    tables = [
        slices.measure(y, preds, w, g, scores=scores.CLASSIFIER_SCORES, thresholds=at),
    ]
    if test.table["click"].notna().any():
        tables.append(slices.by_click(y, preds, test.table["click"], w, g, draws=100))
    tables += [
        slices.by_slice(y, preds, values, w, g, name=name, draws=100)
        for name, values in slice_values(test).items()
    ]
    return pd.concat([t for t in tables if len(t)], ignore_index=True)


def regressor_tables(models: Sequence[Fitted], parts: Mapping[str, Part]) -> pd.DataFrame:
    """Return all figures of the regressors on test: overall, by click, by slice."""
    test = parts["test"]
    preds = {m.name: m.predictions["test"] for m in models}
    y, w, g = test.label, test.weight, test.groups
    task: Any = "regressor"
    names = scores.REGRESSOR_SCORES
    tables = [slices.measure(y, preds, w, g, task=task, scores=names)]
    if test.table["click"].notna().any():
        tables.append(slices.by_click(y, preds, test.table["click"], w, g, task=task, draws=100))
    tables += [
        slices.by_slice(y, preds, values, w, g, name=name, task=task, draws=100)
        for name, values in slice_values(test).items()
    ]
    return pd.concat([t for t in tables if len(t)], ignore_index=True)


def slice_values(part: Part) -> dict[str, pd.Series]:
    """Return the columns that a part is sliced by."""
    found = {name: part.X[name] for name in SLICED if name in part.X.columns}
    if "earlier_sessions" in part.X.columns:
        earlier = part.X["earlier_sessions"]
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
