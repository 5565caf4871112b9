"""A histogram: bars from zero over the ranges of a value."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.theme import PALETTES, Theme, axis, figure, number, words

__all__ = ["distribution"]


def distribution(
    table: pd.DataFrame,
    *,
    label: str,
    unit: str = "count",
    log: bool = False,
    theme: Theme = "light",
) -> go.Figure:
    """Draw `count` between `left` and `right`; with `series`, bars lie side by side.

    `name` says what a bar holds, where its ends do not.

    `label` and `unit` are those of the value on the x axis; the y axis counts.
    """
    p = PALETTES[theme]
    made = figure(theme, x=axis(label, unit), y=axis("number", "count", rangemode="tozero"))
    if log:
        made.update_yaxes(type="log", title_text="number (log scale)")
    named = "series" in table.columns
    parts = list(table.groupby("series", sort=False)) if named else [("", table)]
    for k, (name, part) in enumerate(parts):
        left, right = part["left"].astype(float), part["right"].astype(float)
        ends = zip(left, right, strict=True)
        spans = [f"{number(a, unit)} to {number(b, unit)}" for a, b in ends]
        told = part.get("name", spans)
        shown = [f"{span}: {number(n)}" for span, n in zip(told, part["count"], strict=True)]
        made.add_bar(
            x=(left + right) / 2, y=part["count"], width=(right - left) * (0.94 / len(parts)),
            offset=(right - left) * (k / len(parts) - 0.47),
            marker={"color": p.accent if len(parts) == 1 else p.series[k % len(p.series)]},
            name=words(name), customdata=shown,
            hovertemplate="%{customdata}<extra>" + words(name) + "</extra>",
        )  # fmt: skip
    if len(parts) > 1:
        made.update_layout(
            showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}
        )
    return made
