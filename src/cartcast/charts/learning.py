"""Learning curves: what more data would bring."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.theme import (
    PALETTES,
    Theme,
    axis,
    band,
    colour_of,
    column,
    figure,
    label_ends,
    number,
    span_of,
    words,
)  # fmt: skip

__all__ = ["learning"]


def learning(
    table: pd.DataFrame,
    *,
    label: str,
    unit: str = "points",
    subject: Any = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw `value` over the number of training `rows` (log scale), a line for each `model`."""
    from math import log10

    low, high = column(table, "low"), column(table, "high")
    span = span_of(table["value"], low, high)
    made = figure(
        theme,
        x=axis("training sessions", "count", type="log"),
        y=axis(label, unit, range=list(span)),
    )
    models = list(dict.fromkeys(table["model"])) if "model" in table.columns else [""]
    ends = []
    for model in sorted(models, key=lambda m: m == subject):
        part = (table[table["model"] == model] if model else table).sort_values("rows")
        colour, dash, width = colour_of(model, subject, models, theme)
        if low is not None and high is not None:
            known = part.dropna(subset=["low", "high"])
            band(made, known["rows"], known["low"], known["high"], colour)
        made.add_scatter(
            x=part["rows"], y=part["value"], mode="lines+markers",
            line={"color": colour, "width": width, "dash": dash}, marker={"color": colour},
            customdata=[number(v, unit) for v in part["value"]],
            hovertemplate="%{x:,} sessions: %{customdata}<extra>" + words(model) + "</extra>",
        )  # fmt: skip
        if len(part) and model:
            ink = colour if colour == PALETTES[theme].accent else PALETTES[theme].muted
            at = log10(float(part["rows"].iloc[-1]))
            ends.append((at, float(part["value"].iloc[-1]), words(model), ink))
    label_ends(made, ends, span)
    return made
