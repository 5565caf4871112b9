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
    made = figure(
        theme,
        height=90 + 26 * max(len(rows), 1),
        x={"title": {"text": age}, "dtick": 1},
        y={"autorange": "reversed", "type": "category", "showgrid": False},
    )
    ages = [int(c) for c in grid.columns]
    made.add_heatmap(
        z=grid.to_numpy(float), x=ages, y=rows, colorscale=ramp(theme), xgap=2, ygap=2,
        showscale=False, hoverinfo="skip",
    )  # fmt: skip
    known = table.dropna(subset="value")
    values = [float(v) for v in known["value"]]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    inks = [ink_on((v - low) / (high - low) if high > low else 0.0, theme) for v in values]
    # A mark for each cell that is known, in the order of the table: cells can be clicked by it.
    made.add_scatter(
        x=[int(a) for a in known["age"]], y=[text(c) for c in known["cohort"]],
        text=[_short(v) if unit == "share" else number(v, unit, currency) for v in values],
        customdata=[number(v, unit, currency) for v in values], mode="markers+text",
        showlegend=False,
        marker={"size": 24, "symbol": "square", "opacity": 0},
        textfont={"size": 12, "color": inks},
        hovertemplate="%{y}, %{x}: %{customdata}<extra>" + text(label) + "</extra>",
    )  # fmt: skip
    return made


def _short(share: float) -> str:
    """Return a share that fits into a cell on a phone; the whole figure is under the pointer.

    >>> _short(0.163), _short(0.004), _short(0.0)
    ('16%', '&lt;1%', '0%')
    """
    return "&lt;1%" if 0 < share < 0.005 else f"{share:.0%}"
