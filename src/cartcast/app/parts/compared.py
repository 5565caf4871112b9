"""The arms of an experiment compared, in pictures and tables; what they are measured from."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from cartcast import experiments
from cartcast.app import files, ui
from cartcast.app.state import Data
from cartcast.charts import slices, trend
from cartcast.experiments import Analysis, Comparison, Decision, Mean, Measured, Plan, words
from cartcast.experiments.measure import DayEffect
from cartcast.features.words import in_words

HASH = "the arms of the plan's hash"
"""In place of a file of exposures."""
_MOST_DAYS = 14


def pictures(
    view: ui.View, data: Data, plan: Plan, analysis: Analysis, decision: Decision, exposures: str
) -> None:
    """Draw every metric and arm, and the effect by day since the exposure."""
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Every metric and arm", anchor=False)
        _compared(view, analysis)
    with right:
        st.header("The effect by day since the exposure", anchor=False)
        with ui.boundary():
            _by_day(view, data, plan, decision, exposures)


def tables(view: ui.View, analysis: Analysis) -> None:
    """Show every comparison: of all units, then by segment."""
    shares = ("change", "low", "high")
    whole = [c for c in analysis.comparisons if c.segment is None]
    ui.table(_table(analysis, whole), view, "experiment", shares=shares)
    parts = [c for c in analysis.comparisons if c.segment is not None]
    if parts:
        st.header("By segment", anchor=False)
        ui.table(_table(analysis, parts), view, "experiment_segments", shares=shares)


def _compared(view: ui.View, analysis: Analysis) -> None:
    table = pd.DataFrame(
        [
            (in_words(c.metric), c.arm, r.value, r.low, r.high, c.units)
            for c in analysis.comparisons
            if c.segment is None
            if (r := experiments.relative_of(analysis, c)) is not None
        ],
        columns=["slice_by", "slice", "value", "low", "high", "n"],
    )
    if table.empty:
        ui.note("No metric has a relative effect yet; see the findings.")
        return
    drawn = slices.slices(
        table, label="change against the control", overall=0.0, named="no difference",
        theme=view.theme,
    )  # fmt: skip
    # As tall as the chart beside it: few metrics left half of the row empty.
    drawn.layout.height = max(drawn.layout.height, 320)
    ui.chart(drawn, "compared", "relative change of each metric and arm, with its interval")
    ui.note(words.holds_when(analysis))


def _by_day(view: ui.View, data: Data, plan: Plan, decision: Decision, exposures: str) -> None:
    metric = plan.metrics[decision.metric]
    quantity = plan.quantities.get(metric.value) if isinstance(metric, Mean) else None
    if not isinstance(metric, Mean) or quantity is None or quantity.kind not in ("count", "sum"):
        ui.note("Only counts and sums have a value by day; choose such a metric to see it.")
        return
    days = int(min(quantity.end / 86_400, _MOST_DAYS)) or 1
    found = _effects(*_place(view, data, plan, exposures), metric.value, decision.arm, days, plan)
    table = pd.DataFrame(
        [
            (e.day, a.value, a.low, a.high)
            for e in found
            if (a := e.difference.absolute) is not None
        ],
        columns=["time", "value", "low", "high"],
    )
    if table.empty:
        ui.note("No day since the exposure has been seen whole yet.")
        return
    money = decision.metric in plan.money
    drawn = trend.trend(
        table, label=f"difference in {in_words(decision.metric)} a unit", theme=view.theme,
        unit="money" if money else "points", currency=view.currency if money else None,
        across="whole days since the exposure", null=0.0,
    )  # fmt: skip
    ui.chart(drawn, "by_day", "the difference on each day since the exposure")
    ui.note("A lift that falls from day to day is novelty; one that rises has not arrived yet.")


def _table(analysis: Analysis, found: list[Comparison]) -> pd.DataFrame:
    rows = []
    for c in found:
        r = experiments.relative_of(analysis, c)
        row: dict[str, Any] = {}
        if c.segment is not None:
            row["segment"] = f"{in_words(c.segment[0])} {c.segment[1]}"
        row |= {
            "metric": in_words(c.metric), "arm": c.arm, "units": c.units,
            "control": c.difference.control, "value": c.difference.treatment,
            "change": r and r.value, "low": r and r.low, "high": r and r.high,
        }  # fmt: skip
        if c.segment is not None and c.shrunk is not None:
            row["difference, shrunk"] = c.shrunk.value
        p = c.adjusted
        told = None if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
        rows.append({**row, "p, corrected": told})
    return pd.DataFrame(rows)


def measured_of(view: ui.View, data: Data, plan: Plan, exposures: str) -> Measured:
    """Return the table of units of an experiment, measured once for all looks and pages."""
    found: Measured = _measured(*_place(view, data, plan, exposures), plan)
    return found


def _place(view: ui.View, data: Data, plan: Plan, exposures: str) -> tuple[Any, ...]:
    """Return what decides a measurement: the plan, the files, and when they were written."""
    path = None
    if exposures != HASH:
        path = files.resolve_inside(view.project.folder, exposures)
    stamps = tuple(p.stat().st_mtime for p in (data.log.path, path) if p is not None)
    return repr(plan), str(data.log.path), path and str(path), stamps


def _units(key: str, log: str, exposures: str | None, stamps: Any, _plan: Plan) -> Measured:
    given = None
    if exposures is not None:
        key_, version = _plan.allocation.key, _plan.allocation.version
        given = experiments.read_exposures([exposures], key_, version, _plan.unit)
    return experiments.measure(log, _plan, given)


_measured = st.cache_resource(_units, max_entries=4, show_spinner=False)


def _over_time(
    key: str, log: str, exposures: str | None, stamps: Any, quantity: str, arm: str, days: int,
    _plan: Plan,
) -> tuple[DayEffect, ...]:  # fmt: skip
    measured = _measured(key, log, exposures, stamps, _plan)
    return experiments.effect_over_time(_plan, measured, quantity, arm, days)


_effects = st.cache_data(_over_time, max_entries=50, show_spinner=False)
