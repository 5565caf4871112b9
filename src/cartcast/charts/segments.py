"""Segments: how large they are, what they convert, and a map."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.bars import whiskers
from cartcast.charts.theme import PALETTES, Theme, axis, figure, number, span_of, text

__all__ = ["scatter", "sizes"]


def sizes(table: pd.DataFrame, *, theme: Theme = "light") -> go.Figure:
    """Draw the share of sessions of each `name` (grey) beside what it converts (accent)."""
    p = PALETTES[theme]
    names = [text(n) for n in table["name"]]
    top = span_of(table["share"], table["conversion"], table.get("high"), zero=True)[1]
    made = figure(
        theme,
        height=100 + 46 * max(len(names), 1),
        x=axis("", "share", range=[0, 1.5 * top], showticklabels=False),
        y={"autorange": "reversed", "type": "category", "showgrid": False},
    )
    for column, colour, what in (
        ("share", p.grey_soft, "of sessions"),
        ("conversion", p.accent, "buy"),
    ):
        shown = [f"{number(v, 'share')} {what}" for v in table[column]]
        made.add_bar(
            x=table[column], y=names, orientation="h", marker={"color": colour}, name=what,
            error_x=whiskers(table, column, p.ink) if column == "conversion" else None,
            customdata=shown, hovertemplate="%{y}: %{customdata}<extra></extra>",
        )  # fmt: skip
        # Behind the whisker: beside the bar it would strike the words through.
        ends = table["high"] if column == "conversion" and "high" in table else table[column]
        for name, value, end, words in zip(names, table[column], ends, shown, strict=True):
            made.add_annotation(
                x=end if pd.notna(end) else value, y=name, text=words, xanchor="left", xshift=5,
                yshift=9 if column == "share" else -9, showarrow=False,
                font={"size": 12, "color": p.ink},
            )  # fmt: skip
    made.update_layout(barmode="group")
    return made


def scatter(table: pd.DataFrame, *, theme: Theme = "light") -> go.Figure:
    """Draw the map: `x`, `y` of each session, coloured and labelled by `segment`."""
    p = PALETTES[theme]
    made = figure(
        theme,
        height=420,
        x={"title": {"text": "first direction"}, "showticklabels": False},
        y={"title": {"text": "second direction"}, "showticklabels": False, "showgrid": False},
    )
    names = sorted(set(table["segment"]))
    colours = {name: p.series[k % len(p.series)] for k, name in enumerate(names)}
    # One series, in the order of the table: a dot can be clicked by it.
    made.add_scattergl(
        x=table["x"], y=table["y"], mode="markers", text=[text(n) for n in table["segment"]],
        marker={"size": 5, "opacity": 0.45, "color": [colours[n] for n in table["segment"]]},
        hovertemplate="%{text}<extra></extra>", showlegend=False,
    )  # fmt: skip
    for name, part in table.groupby("segment", sort=True):
        made.add_annotation(
            x=part["x"].median(), y=part["y"].median(), text=f"<b>{text(name)}</b>",
            showarrow=False, font={"size": 12, "color": p.ink}, bgcolor=p.paper, opacity=0.9,
        )  # fmt: skip
    return made
