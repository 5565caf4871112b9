"""A metric by click number: what is known early, what only late."""

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

__all__ = ["by_click"]


def by_click(
    table: pd.DataFrame,
    *,
    label: str,
    unit: str = "points",
    subject: Any = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw `value` after each `click` with its interval; the subject accented, baselines grey."""
    low, high = column(table, "low"), column(table, "high")
    span = span_of(table["value"], low, high)
    clicks = sorted(int(c) for c in table["click"].dropna().unique())
    made = figure(
        theme,
        x={
            "title": {"text": "after click"}, "type": "log", "tickvals": clicks,
            "ticktext": [str(c) for c in clicks],
        },
        y=axis(label, unit, range=list(span)),
    )  # fmt: skip
    models = list(dict.fromkeys(table["model"])) if "model" in table.columns else [""]
    ends = []
    for model in sorted(models, key=lambda m: m == subject):
        part = table[table["model"] == model] if model else table
        part = part.dropna(subset=["value"]).sort_values("click")
        if part.empty:
            continue
        colour, dash, width = colour_of(model, subject, models, theme)
        accented = colour == PALETTES[theme].accent
        if accented and low is not None and high is not None:
            known = part.dropna(subset=["low", "high"])
            band(made, known["click"], known["low"], known["high"], colour)
        made.add_scatter(
            x=part["click"].astype(int), y=part["value"], mode="lines+markers",
            line={"color": colour, "width": width, "dash": dash},
            marker={"size": 7 if accented else 5, "color": colour},
            customdata=[number(v, unit) for v in part["value"]],
            hovertemplate="click %{x}: %{customdata}<extra>" + words(model) + "</extra>",
        )  # fmt: skip
        ink = colour if accented else PALETTES[theme].muted
        last = part.iloc[-1]
        # On a log axis an annotation is placed at the logarithm.
        ends.append((_log10(int(last["click"])), float(last["value"]), words(model), ink))
    if models != [""]:
        label_ends(made, ends, span)
    return made


def _log10(x: int) -> float:
    import math

    return math.log10(x)
