"""How good the models are: side by side, after each click, by slice, and what they need."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import ui
from cartcast.charts import by_click, heads, importance, scores, slices
from cartcast.evaluate.intervals import sayable
from cartcast.runs.run import Run

METRICS = {
    "roc_auc": ("ROC AUC (1 is perfect, 0.5 is chance)", "higher"),
    "average_precision": ("average precision", "higher"),
    "log_loss": ("log loss (lower is better)", "lower"),
    "brier": ("Brier score (lower is better)", "lower"),
    "ece": ("calibration error ECE (lower is better)", "lower"),
    "f1": ("F1 at the threshold chosen on validation", "higher"),
    "accuracy": ("accuracy at that threshold", "higher"),
    "precision": ("precision at that threshold", "higher"),
    "recall": ("recall at that threshold", "higher"),
    "mae": ("mean absolute error (money; lower is better)", "lower"),
    "rmse": ("root mean squared error (money; lower is better)", "lower"),
    "r2": ("R2", "higher"),
    "spearman": ("Spearman rank correlation", "higher"),
    "gini": ("normalised Gini", "higher"),
    "bias": ("bias (money)", "zero"),
}


def metric_table(facts: dict[str, Any], metric: str) -> pd.DataFrame:
    """Return model, value, low, high of one metric."""
    rows = []
    for model, figures in facts["metrics"].items():
        ends = (facts.get("intervals", {}).get(model) or {}).get(metric) or (None, None)
        rows.append((model, figures.get(metric), ends[0], ends[1]))
    table = pd.DataFrame(rows, columns=["model", "value", "low", "high"])
    return sayable(table.astype({"value": float, "low": float, "high": float}), metric)


def choose_metric(facts: dict[str, Any], key: str) -> str:
    """Draw the choice of a metric; only those that the run measured."""
    known = {
        m for figures in facts["metrics"].values() for m, v in figures.items() if v is not None
    }
    names = [m for m in METRICS if m in known]
    a, _ = st.columns([1, 2])
    chosen: str = a.selectbox(
        "Metric", names, format_func=lambda m: METRICS[m][0], key=key, bind="query-params"
    )
    return chosen


def show_models(view: ui.View, run: Run) -> None:
    """All models of the run side by side, with intervals."""
    facts = run.data
    metric = choose_metric(facts, "metric")
    label, better = METRICS[metric]
    table = metric_table(facts, metric)
    drawn = scores.scores(
        table, label=label, subject=facts["champion"], better=better, theme=view.theme
    )
    ui.chart(drawn, "scores", f"{label} of each model with its interval")
    every = pd.DataFrame(facts["metrics"]).T.rename_axis("model").reset_index()
    every["seconds"] = [(facts["models"].get(m) or {}).get("seconds") for m in every["model"]]
    ui.table(every, view, "models", currency=view.run_currency)
    if "positive_sessions" in facts["split"]["parts"].get("test", {}):
        ui.note(
            "Counted over moments, of which a session has several, and weighted for the visitors "
            "that the split left out. By click counts each session once."
        )
    ui.findings(run.findings, title="What you should know before you trust this")


def show_clicks(view: ui.View, run: Run) -> None:
    """How good the models are after each click."""
    rows = pd.DataFrame(run.data.get("by_click") or [])
    if rows.empty:
        ui.note("This run was trained on a ready table: it has no clicks.")
        return
    metrics = [m for m in METRICS if m in rows.columns]
    a, _ = st.columns([1, 2])
    metric = a.selectbox(
        "Metric", metrics, format_func=lambda m: METRICS[m][0], key="click_metric",
        bind="query-params",
    )  # fmt: skip
    champion = run.data["champion"]
    keep = [champion, *run.data["baselines"]]
    told = rows[rows["model"].isin(keep)].rename(columns={metric: "value"})
    ends = told.get(f"{metric}_interval")
    if ends is not None:
        told["low"] = [e[0] if isinstance(e, list) else None for e in ends]
        told["high"] = [e[1] if isinstance(e, list) else None for e in ends]
        told = told.astype({"low": float, "high": float})
    told = told.dropna(subset=["value"]) if ends is None else sayable(told, metric)
    drawn = by_click.by_click(told, label=METRICS[metric][0], subject=champion, theme=view.theme)
    ui.chart(drawn, "clicks", f"{metric} after each click")
    ui.note("A session with few clicks says little: what counts is the distance to the baselines.")
    shown = rows.drop(columns=[c for c in rows.columns if c.endswith("_interval")])
    ui.table(shown, view, "by_click", currency=view.run_currency)


def show_slices(view: ui.View, run: Run) -> None:
    """For whom the champion is good and for whom not."""
    table = run.metric_table
    if "slice_by" not in table or table["slice_by"].dropna().empty:
        ui.note("This run has no slices: the log has no columns to slice by.")
        return
    champion = run.data["champion"]
    mine = table[(table["model"] == champion) & (table["part"] == "test")]
    sliced = mine[mine["slice_by"].notna() & (mine["slice_by"].astype(str) != "")]
    metrics = [m for m in METRICS if m in set(sliced["metric"])]
    if not metrics:
        ui.note("No slice is large enough to be measured.")
        return
    a, _ = st.columns([1, 2])
    metric = a.selectbox(
        "Metric", metrics, format_func=lambda m: METRICS[m][0], key="slice_metric",
        bind="query-params",
    )  # fmt: skip
    rows = sliced[sliced["metric"] == metric].dropna(subset=["value"])
    overall = (run.data["metrics"].get(champion) or {}).get(metric)
    ui.chart(
        slices.slices(
            rows, label=METRICS[metric][0], unit="points", overall=overall, theme=view.theme
        ),
        "slices",
        f"{metric} by slice",
    )
    unit = heads.unit_of(metric)
    ui.table(
        rows[["slice_by", "slice", "value", "low", "high", "n"]], view, "slices",
        units=dict.fromkeys(("value", "low", "high"), unit), currency=view.run_currency,
    )  # fmt: skip


def show_drivers(view: ui.View, run: Run) -> None:
    """Which features the champion needs."""
    rows = pd.DataFrame(run.data.get("importance") or [])
    if rows.empty:
        ui.note("This run measured no importance.")
        return
    drawn = importance.importance(
        rows, label="loss of quality when the feature is shuffled", theme=view.theme
    )
    ui.chart(drawn, "importance", "importance by shuffling")
    ui.note("Shuffling a feature shows what the model needs, not what causes a purchase.")
    ui.table(rows, view, "importance", units=dict.fromkeys(("mean_drop", "low", "high"), "points"))
