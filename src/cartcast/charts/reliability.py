"""Reliability: does it happen as often as predicted?"""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.bars import whiskers
from cartcast.charts.theme import PALETTES, Theme, axis, figure, number, text, words

__all__ = ["reliability"]


def reliability(table: pd.DataFrame, *, of: str = "buyers", theme: Theme = "light") -> go.Figure:
    """Draw observed over predicted share `of` buyers, with intervals, against the diagonal.

    The table is that of `cartcast.evaluate.curves.reliability`; with a column `model` the first
    model is the subject. The axes have the same range, so that the diagonal is 45 degrees.
    """
    p = PALETTES[theme]
    top = float(pd.concat([table["predicted"], table["observed"], table["high"]]).max())
    top = min(1.0, 1.06 * top) if top == top and top > 0 else 1.0
    made = figure(
        theme,
        height=380,
        x=axis(f"predicted share of {text(of)}", "share", range=[0, top], showgrid=True),
        y=axis(f"observed share of {text(of)}", "share", range=[0, top]),
    )
    made.update_xaxes(gridcolor=p.grid)
    made.add_scatter(
        x=[0, top], y=[0, top], mode="lines", hoverinfo="skip",
        line={"color": p.grey, "width": 1.2, "dash": "dot"},
    )  # fmt: skip
    made.add_annotation(
        x=top, y=top, text="as predicted", showarrow=False, xanchor="right", yanchor="top",
        xshift=-4, yshift=-26, font={"size": 11, "color": p.muted},
    )  # fmt: skip
    models = list(dict.fromkeys(table["model"])) if "model" in table.columns else [""]
    for k, model in reversed(list(enumerate(models))):
        part = table[table["model"] == model] if model else table
        colour = p.accent if k == 0 else p.grey
        shown = [
            f"said {number(a, 'share')}, seen {number(b, 'share')} "
            f"({number(c, 'share')} to {number(d, 'share')}), {number(int(n))} rows"
            for a, b, c, d, n in zip(
                part["predicted"],
                part["observed"],
                part["low"],
                part["high"],
                part["n"],
                strict=True,
            )
        ]
        made.add_scatter(
            x=part["predicted"], y=part["observed"], mode="lines+markers", customdata=shown,
            error_y=whiskers(part, "observed", colour),
            line={"color": colour, "width": 1.6}, marker={"size": 8, "color": colour},
            hovertemplate="%{customdata}<extra>" + words(model) + "</extra>",
        )  # fmt: skip
    return made
