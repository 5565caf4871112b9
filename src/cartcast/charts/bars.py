"""Horizontal bars from zero, with intervals and a line for the whole."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.theme import (
    PALETTES,
    Theme,
    axis,
    column,
    figure,
    number,
    span_of,
    text,
)  # fmt: skip

__all__ = ["bars", "whiskers", "whole"]


def whiskers(table: pd.DataFrame, value: str, colour: str) -> dict[str, Any] | None:
    """Return Plotly error bars from `low` and `high`, or None when the table has none."""
    low, high = column(table, "low"), column(table, "high")
    if low is None or high is None:
        return None
    up = (table["high"] - table[value]).clip(lower=0).fillna(0)
    down = (table[value] - table["low"]).clip(lower=0).fillna(0)
    return {
        "type": "data", "symmetric": False, "array": up, "arrayminus": down, "color": colour,
        "thickness": 1.3, "width": 4,
    }  # fmt: skip


def whole(made: go.Figure, at: float, what: str, theme: Theme) -> None:
    """Draw the value of the whole as a dotted line across horizontal bars or dots."""
    p = PALETTES[theme]
    made.add_shape(
        type="line", x0=at, x1=at, y0=0, y1=1, yref="paper",
        line={"color": p.muted, "width": 1.2, "dash": "dot"},
    )  # fmt: skip
    made.add_annotation(
        x=at, y=1, yref="paper", yanchor="bottom", text=what, showarrow=False,
        font={"size": 11, "color": p.muted},
    )  # fmt: skip
    made.update_layout(margin_t=28)


def bars(
    table: pd.DataFrame,
    *,
    label: str,
    unit: str = "share",
    currency: str | None = None,
    overall: float | None = None,
    subject: Any = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw `value` of each `name`, labelled directly; `n` is shown behind the name if given."""
    p = PALETTES[theme]
    counts = column(table, "n")
    names = [
        text(name) + (f" ({number(int(n))})" if counts is not None and pd.notna(n) else "")
        for name, n in zip(
            table["name"], counts if counts is not None else table["name"], strict=True
        )
    ]
    made = figure(
        theme,
        height=70 + 30 * max(len(names), 1),
        x=axis(label, unit, currency, showgrid=True, gridcolor=p.grid),
        y={"autorange": "reversed", "type": "category", "showgrid": False},
    )
    accented = [subject is None or name == subject for name in table["name"]]
    ends = table["high"] if column(table, "high") is not None else table["value"]
    made.add_bar(
        x=table["value"], y=names, orientation="h", error_x=whiskers(table, "value", p.ink),
        marker={"color": [p.accent if a else p.grey_soft for a in accented]},
        customdata=[number(v, unit, currency) for v in table["value"]],
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )  # fmt: skip
    for name, value, end in zip(names, table["value"], ends, strict=True):
        made.add_annotation(
            x=end if pd.notna(end) else value, y=name, text=number(value, unit, currency),
            xanchor="left", xshift=7, showarrow=False, font={"size": 12, "color": p.ink},
        )  # fmt: skip
    low, high = span_of(table["value"], ends, zero=True)
    made.update_xaxes(range=[low, high + 0.12 * (high - low)])
    if overall is not None:
        whole(made, overall, f"all {number(overall, unit, currency)}", theme)
    return made
