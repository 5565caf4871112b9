"""Models side by side: a dot with its interval for each."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.bars import whiskers
from cartcast.charts.theme import PALETTES, Theme, axis, figure, number, span_of, words

__all__ = ["scores"]


def scores(
    table: pd.DataFrame,
    *,
    label: str,
    subject: Any = None,
    better: str = "higher",
    unit: str = "points",
    currency: str | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw `value` with `low`, `high` of each `model`, best on top, the subject accented."""
    p = PALETTES[theme]
    known = table.dropna(subset=["value"])
    key = known["value"].abs() if better == "zero" else known["value"]
    known = known.loc[key.sort_values(ascending=better != "higher").index]
    made = figure(
        theme,
        height=76 + 30 * max(len(known), 1),
        x=axis(f"{label} ({better} is better)" if better != "zero" else label, unit, currency),
        y={"autorange": "reversed", "type": "category", "showgrid": True},
    )
    colours = [p.accent if m == subject else p.grey for m in known["model"]]
    names = [words(m) for m in known["model"]]
    made.add_scatter(
        x=known["value"], y=names, mode="markers", marker={"size": 11, "color": colours},
        error_x=whiskers(known, "value", p.grey),
        customdata=[number(v, unit, currency) for v in known["value"]],
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )  # fmt: skip
    ends = known["high"].fillna(known["value"]) if "high" in known else known["value"]
    for name, value, end, colour in zip(names, known["value"], ends, colours, strict=True):
        made.add_annotation(
            x=end, y=name, text=number(value, unit, currency), xanchor="left", xshift=8,
            showarrow=False, font={"size": 12, "color": colour if colour == p.accent else p.muted},
        )  # fmt: skip
    low, high = span_of(known["value"], known.get("low"), known.get("high"))
    made.update_xaxes(range=[low, high + 0.14 * (high - low)], nticks=6)
    return made
