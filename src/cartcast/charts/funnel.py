"""A funnel: bars from zero, each with its share and what is lost before the next."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.heatmap import cells
from cartcast.charts.theme import PALETTES, Theme, axis, column, figure, number, text

__all__ = ["funnel", "split"]


def split(table: pd.DataFrame, *, label: str, theme: Theme = "light") -> go.Figure:
    """Draw `value` of each `segment` (a row, with its `n`) at each `step` (a column, in words)."""
    named = table.assign(
        row=[f"{s} ({number(int(n))})" for s, n in zip(table["segment"], table["n"], strict=True)],
        place=table.groupby("segment", sort=False).cumcount(),
    )
    heads = list(table["step"][: named["place"].nunique()])
    return cells(named, row="row", across="place", label=label, heads=heads, theme=theme)


def funnel(table: pd.DataFrame, *, unit: str = "sessions", theme: Theme = "light") -> go.Figure:
    """Draw `count` and `share` of each `step` (in words); the step that loses most is accented.

    The table is in the order of the steps; `share` is of the first step, `seconds`, if given, is
    the median time since the step before.
    """
    p = PALETTES[theme]
    steps = [text(s) for s in table["step"]]
    counts = [float(c) for c in table["count"]]
    kept = [b / a if a else None for a, b in pairwise(counts)]
    worst = min(
        (k for k, share in enumerate(kept) if share is not None),
        key=lambda k: kept[k] or 0.0,
        default=-1,
    )
    places = list(range(len(steps)))
    colours = [p.accent if k == worst else p.grey_soft for k in places]
    made = figure(
        theme,
        height=60 + 46 * max(len(steps), 1),
        x=axis(unit, "count", rangemode="tozero"),
        # By place: two steps may read alike.
        y={"tickvals": places, "ticktext": steps, "range": [len(steps) - 0.5, -0.5],
           "showgrid": False},
    )  # fmt: skip
    spread = None
    if column(table, "low") is not None and counts and counts[0]:
        first = counts[0]
        ends = zip(table["low"], counts, table["high"], strict=True)
        sides = [(max(c - lo * first, 0.0), max(hi * first - c, 0.0)) for lo, c, hi in ends]
        spread = {
            "type": "data",
            "symmetric": False,
            "array": [up for _, up in sides],
            "arrayminus": [down for down, _ in sides],
            "color": p.muted,
            "thickness": 1.2,
            "width": 4,
        }
    shown = [
        f"{number(c)} · {number(s, 'share')}" for c, s in zip(counts, table["share"], strict=True)
    ]
    made.add_bar(
        x=counts, y=places, orientation="h", marker={"color": colours}, error_x=spread,
        hovertext=shown, hovertemplate="%{y}: %{hovertext}<extra></extra>",
    )  # fmt: skip
    took = column(table, "seconds")
    for k, what in enumerate(shown):
        share = kept[k] if k < len(kept) else None
        lost = "" if share is None else f"<br>{number(1 - share, 'share')} lost next"
        if took is not None and pd.notna(took.iloc[k]):
            what += f" · {number(float(took.iloc[k]), 'seconds')} later"
        made.add_annotation(
            x=counts[k], y=k, text=what + lost, xanchor="left", showarrow=False, xshift=8,
            font={"size": 12, "color": p.ink if k == worst else p.muted},
        )  # fmt: skip
    top = max(counts, default=1.0) or 1.0
    made.update_xaxes(range=[0, top * 1.55], nticks=5)
    return made
