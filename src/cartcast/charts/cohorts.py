"""Cohorts: who comes back, by age of the cohort."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.heatmap import ink_on, ramp
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
    ages = [int(c) for c in grid.columns]
    made.add_heatmap(
        z=grid.to_numpy(float), x=ages, y=rows, text=cells, colorscale=ramp(theme), xgap=2, ygap=2,
        showscale=False, hovertemplate="%{y}, %{x}: %{text}<extra>" + text(label) + "</extra>",
    )  # fmt: skip
    known = table["value"].dropna()
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    spots = [
        (a, y, cells[i][k], ink_on((float(v) - low) / (high - low) if high > low else 0.0, theme))
        for i, y in enumerate(rows)
        for k, (a, v) in enumerate(zip(ages, grid.to_numpy(float)[i], strict=True))
        if cells[i][k]
    ]
    made.add_scatter(
        x=[s[0] for s in spots], y=[s[1] for s in spots], text=[s[2] for s in spots], mode="text",
        textfont={"size": 12, "color": [s[3] for s in spots]}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    return made
