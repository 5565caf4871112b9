"""Cohorts: who comes back, by age of the cohort."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.heatmap import ramp
from cartcast.charts.theme import Theme, figure, number, text

__all__ = ["heatmap"]


def heatmap(
    table: pd.DataFrame,
    *,
    label: str,
    unit: str = "share",
    currency: str | None = None,
    age: str = "weeks since the first session",
    theme: Theme = "light",
) -> go.Figure:
    """Draw `value` for each `cohort` (row) and `age` (column); cells not yet known stay empty."""
    grid = table.pivot_table(index="cohort", columns="age", values="value", aggfunc="first")
    rows = [text(c) for c in grid.index]
    cells = [
        [number(v, unit, currency) if pd.notna(v) else "" for v in row] for row in grid.to_numpy()
    ]
    made = figure(
        theme,
        height=90 + 26 * max(len(rows), 1),
        x={"title": {"text": age}, "dtick": 1},
        y={"autorange": "reversed", "type": "category", "showgrid": False},
    )
    made.add_heatmap(
        z=grid.to_numpy(float), x=[int(c) for c in grid.columns], y=rows, text=cells,
        texttemplate="%{text}", textfont={"size": 11}, colorscale=ramp(theme), xgap=2, ygap=2,
        showscale=False, hovertemplate="%{y}, %{x}: %{text}<extra>" + text(label) + "</extra>",
    )  # fmt: skip
    return made
