"""Heat maps: hour by weekday, and correlations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.theme import PALETTES, Theme, figure, number, text, words

__all__ = ["cells", "correlation", "hour_weekday", "ink_on", "ramp"]

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def ramp(theme: Theme) -> list[list[float | str]]:
    """Return the one-hue scale of a theme, from the paper's side to the accent."""
    p = PALETTES[theme]
    return [[0.0, p.grid], [0.5, p.accent_soft], [1.0, p.accent]]


def ink_on(share: float, theme: Theme) -> str:
    """Return the colour of words on a cell `share` (0 to 1) up the scale: near black or white.

    The one with more contrast, as WCAG 2.2 measures it.

    >>> ink_on(0.0, "dark"), ink_on(1.0, "dark"), ink_on(0.0, "light"), ink_on(1.0, "light")
    ('#f7f9fb', '#0b1118', '#0b1118', '#f7f9fb')
    """
    stops = ramp(theme)
    (a, low), (b, high) = (stops[0], stops[1]) if share < 0.5 else (stops[1], stops[2])
    part = (share - float(a)) / (float(b) - float(a))
    channels = []
    for k in (1, 3, 5):
        ends = [int(str(colour)[k : k + 2], 16) / 255 for colour in (low, high)]
        c = ends[0] + part * (ends[1] - ends[0])
        channels.append(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
    light = 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]
    return "#f7f9fb" if 1.0 / (light + 0.05) >= (light + 0.05) / 0.055 else "#0b1118"


def cells(
    table: pd.DataFrame,
    *,
    row: str,
    across: str,
    label: str,
    heads: Sequence[str] | None = None,
    title: str = "",
    unit: str = "share",
    currency: str | None = None,
    short: bool = False,
    theme: Theme = "light",
) -> go.Figure:
    """Draw `value` in a cell of each `row` and place `across`; what is not known stays empty.

    Rows are in the order of the table. Places are whole numbers; with `heads`, words over each,
    they are counted from 0. Rows and heads are told apart by place: they may read alike. With
    `short` a share is written so that many fit on a phone; the whole figure is under the pointer.
    """
    lines = list(dict.fromkeys(table[row]))
    columns = sorted({int(c) for c in table[across]})
    x: dict[str, Any] = {"dtick": 1}
    if heads is not None:
        columns = list(range(len(heads)))
        x = {"tickvals": columns, "ticktext": [text(h) for h in heads], "side": "top"}
    made = figure(
        theme,
        height=90 + 26 * max(len(lines), 1),
        x={"title": {"text": title}, **x},
        y={"tickvals": list(range(len(lines))), "ticktext": [text(c) for c in lines],
           "range": [len(lines) - 0.5, -0.5], "showgrid": False},
    )  # fmt: skip
    known = table.dropna(subset="value")
    values = [float(v) for v in known["value"]]
    rows = [lines.index(c) for c in known[row]]
    places = [int(c) for c in known[across]]
    grid = np.full((len(lines), len(columns)), np.nan)
    grid[rows, [columns.index(c) for c in places]] = values
    made.add_heatmap(
        z=grid, x=columns, y=list(range(len(lines))), colorscale=ramp(theme), xgap=2, ygap=2,
        showscale=False, hoverinfo="skip",
    )  # fmt: skip
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    inks = [ink_on((v - low) / (high - low) if high > low else 0.0, theme) for v in values]
    # A mark for each cell that is known, in the order of the table: cells can be clicked by it.
    made.add_scatter(
        x=places, y=rows, mode="markers+text", showlegend=False,
        text=[_short(v) if short else number(v, unit, currency) for v in values],
        customdata=[number(v, unit, currency) for v in values],
        marker={"size": 24, "symbol": "square", "opacity": 0},
        textfont={"size": 12, "color": inks},
        hovertemplate="%{y}, %{x}: %{customdata}<extra>" + text(label) + "</extra>",
    )  # fmt: skip
    return made


def _short(share: float) -> str:
    """Return a share in few characters.

    >>> _short(0.163), _short(0.004), _short(0.0)
    ('16%', '&lt;1%', '0%')
    """
    return "&lt;1%" if 0 < share < 0.005 else f"{share:.0%}"


def hour_weekday(
    table: pd.DataFrame,
    *,
    label: str,
    unit: str = "share",
    currency: str | None = None,
    least: float = 0,
    theme: Theme = "light",
) -> go.Figure:
    """Draw `value` for each `weekday` (0 = Monday) and `hour` (0 to 23); empty where unknown.

    Cells whose `n` is below `least` are faded, and no colour is spent on how high they are.
    """
    grid = table.pivot_table(index="weekday", columns="hour", values="value", aggfunc="first")
    grid = grid.reindex(index=range(7), columns=range(24))
    counts = None
    if "n" in table.columns:
        counts = table.pivot_table(index="weekday", columns="hour", values="n", aggfunc="first")
        counts = counts.reindex(index=range(7), columns=range(24))
    shown = [
        [
            f"{WEEKDAYS[d]} {h:02d}:00: {number(grid.loc[d, h], unit, currency)}"
            + (f" of {number(counts.loc[d, h])}" if counts is not None else "")
            for h in range(24)
        ]
        for d in range(7)
    ]
    made = figure(
        theme,
        height=300,
        x={"title": {"text": "hour of the day"}, "dtick": 3},
        y={"autorange": "reversed", "tickvals": list(range(7)), "ticktext": list(WEEKDAYS),
           "showgrid": False},
    )  # fmt: skip
    faded = counts < least if counts is not None else grid.isna() & False
    told = grid.mask(faded).stack()
    span = {"zmin": min(0.0, told.min()), "zmax": told.max()} if len(told) else {}
    made.add_heatmap(
        z=grid.to_numpy(float), x=list(range(24)), y=list(range(7)), colorscale=ramp(theme), **span,
        xgap=2, ygap=2, customdata=shown, hovertemplate="%{customdata}<extra></extra>",
        colorbar={
            "title": {"text": label, "side": "right"}, "thickness": 10, "outlinewidth": 0,
            "tickformat": ",.2~%" if unit == "share" else ",.3~s",
        },
    )  # fmt: skip
    if faded.to_numpy().any():
        paper = PALETTES[theme].paper
        made.add_heatmap(
            z=faded.where(faded).to_numpy(float), x=list(range(24)), y=list(range(7)), opacity=0.8,
            colorscale=[[0.0, paper], [1.0, paper]], showscale=False, hoverinfo="skip",
        )  # fmt: skip
    return made


def correlation(table: pd.DataFrame, *, theme: Theme = "light") -> go.Figure:
    """Draw a square table of correlations, -1 to 1: orange below zero, accent above."""
    p = PALETTES[theme]
    names = [words(c) for c in table.columns]
    made = figure(
        theme,
        height=160 + 20 * max(len(names), 1),
        x={"type": "category", "tickangle": -45},
        y={"autorange": "reversed", "type": "category", "showgrid": False},
    )
    made.add_heatmap(
        z=table.to_numpy(float), x=names, y=names, zmin=-1, zmax=1, xgap=1, ygap=1,
        colorscale=[[0.0, p.series[1]], [0.5, p.paper], [1.0, p.accent]],
        hovertemplate="%{y} and %{x}: %{z:.2f}<extra></extra>",
        colorbar={"thickness": 10, "outlinewidth": 0, "title": {"text": "correlation"}},
    )  # fmt: skip
    return made
