"""A value over time, with its interval and marked days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.theme import (
    PALETTES,
    Theme,
    axis,
    band,
    column,
    figure,
    label_ends,
    number,
    span_of,
    text,
    words,
)  # fmt: skip

__all__ = ["trend"]


def trend(
    table: pd.DataFrame,
    *,
    label: str,
    unit: str = "count",
    currency: str | None = None,
    markers: Sequence[tuple[Any, str]] | None = None,
    across: str | None = None,
    null: float | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw `value` over `time` with its interval; one line for each `series`, labelled directly.

    `label` names the value with its unit; counts and money start at zero. `across` is the title of
    the other axis where it is no calendar; `null` is drawn as the line of no difference. Where a
    first or last row is `partial`, the line to it is dashed.
    """
    p = PALETTES[theme]
    low, high = column(table, "low"), column(table, "high")
    span = span_of(table["value"], low, high, zero=unit in ("count", "money", "share"))
    x = {"title": {"text": across}, "dtick": 1} if across else {}
    made = figure(theme, x=x, y=axis(label, unit, currency, range=list(span)))
    named = "series" in table.columns
    parts = list(table.groupby("series", sort=False)) if named else [("", table)]
    ends = []
    for k, (name, part) in enumerate(parts):
        colour = p.accent if len(parts) == 1 else p.series[k % len(p.series)]
        if low is not None and high is not None:
            band(made, part["time"], part["low"], part["high"], colour)
        shown = [number(v, unit, currency) for v in part["value"]]
        whole = part[~part["partial"]] if "partial" in part.columns else part
        mode = "lines" if len(part) > 1 else "markers"
        if len(whole) < len(part):
            # The values of partial periods can be read all the same.
            mode = "markers"
            for rows, line in ((part, {"width": 1.6, "dash": "dot"}), (whole, {"width": 2.4})):
                made.add_scatter(
                    x=rows["time"], y=rows["value"], mode="lines", hoverinfo="skip",
                    line={"color": colour, **line},
                )  # fmt: skip
        made.add_scatter(
            x=part["time"], y=part["value"], mode=mode, line={"color": colour, "width": 2.4},
            marker={"color": colour, "size": 4 if len(part) > 1 else 6}, customdata=shown,
            name=text(name), hovertemplate="%{x}<br>%{customdata}<extra>" + text(name) + "</extra>",
        )  # fmt: skip
        if len(parts) > 1 and len(part):
            ends.append((part["time"].iloc[-1], float(part["value"].iloc[-1]), words(name), colour))
    label_ends(made, ends, span)
    if null is not None:
        made.add_hline(y=null, line={"color": p.muted, "width": 1.2, "dash": "dot"})
    for when, what in markers or ():
        made.add_shape(
            type="line", x0=when, x1=when, y0=0, y1=1, yref="paper",
            line={"color": p.muted, "width": 1, "dash": "dot"},
        )  # fmt: skip
        made.add_annotation(
            x=when, y=1, yref="paper", text=text(what), showarrow=False, xanchor="left",
            yanchor="top", xshift=4, font={"color": p.muted, "size": 11},
        )  # fmt: skip
    return made
