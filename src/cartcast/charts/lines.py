"""Lines over a logarithmic axis, each named at its end: what by click and learning curves share."""

from __future__ import annotations

from math import log10
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

__all__ = ["lines"]


def lines(
    table: pd.DataFrame,
    at: str,
    *,
    x: dict[str, Any],
    hover: str,
    label: str,
    unit: str,
    subject: Any,
    theme: Theme,
    bands: bool = False,
) -> go.Figure:
    """Draw `value` over the column `at`, a line for each `model`; the subject accented.

    Args:
        table: `at`, `value` [, `low`, `high`, `model`].
        at: column of the x axis, above 0.
        x: the x axis.
        hover: what is told of a point, before its value.
        label: title of the y axis.
        unit: unit of `value`.
        subject: the accented model.
        theme: light or dark.
        bands: whether every line shows its interval, not only the accented one.
    """
    low, high = column(table, "low"), column(table, "high")
    span = span_of(table["value"], low, high)
    made = figure(theme, x={**x, "type": "log"}, y=axis(label, unit, range=list(span)))
    models = list(dict.fromkeys(table["model"])) if "model" in table.columns else [""]
    ends = []
    # The accented line comes last, so that it lies on top.
    for model in sorted(models, key=lambda m: m == subject):
        part = table[table["model"] == model] if model else table
        part = part.dropna(subset=["value"]).sort_values(at)
        if part.empty:
            continue
        colour, dash, width = colour_of(model, subject, models, theme)
        accented = colour == PALETTES[theme].accent
        if (accented or bands) and low is not None and high is not None:
            known = part.dropna(subset=["low", "high"])
            band(made, known[at], known["low"], known["high"], colour)
        made.add_scatter(
            x=part[at].astype(int), y=part["value"], mode="lines+markers",
            line={"color": colour, "width": width, "dash": dash},
            marker={"size": 7 if accented else 5, "color": colour},
            customdata=[number(v, unit) for v in part["value"]],
            hovertemplate=hover + ": %{customdata}<extra>" + words(model) + "</extra>",
        )  # fmt: skip
        last = part.iloc[-1]
        # On a log axis an annotation is placed at the logarithm.
        ink = colour if accented else PALETTES[theme].muted
        ends.append((log10(float(last[at])), float(last["value"]), words(model), ink))
    if models != [""]:
        label_ends(made, ends, span)
    return made
