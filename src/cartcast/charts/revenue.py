"""Revenue: predicted against observed, and whether the intervals hold."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.bars import whiskers
from cartcast.charts.theme import PALETTES, Theme, axis, figure, number, span_of, text

__all__ = ["coverage", "deciles"]


def deciles(
    table: pd.DataFrame, *, currency: str | None = None, theme: Theme = "light"
) -> go.Figure:
    """Draw observed money per session by decile of the prediction, and what was predicted."""
    p = PALETTES[theme]
    span = span_of(table["predicted"], table["observed"], table.get("high"), zero=True)
    made = figure(
        theme,
        height=340,
        x={"title": {"text": "tenth by predicted revenue, 10 = highest"},
           "dtick": 1},
        y=axis("revenue per session", "money", currency, range=list(span)),
    )  # fmt: skip
    shown = [
        f"observed {number(a, 'money', currency)}, predicted {number(b, 'money', currency)}"
        for a, b in zip(table["observed"], table["predicted"], strict=True)
    ]
    made.add_bar(
        x=table["decile"], y=table["observed"], marker={"color": p.grey_soft}, customdata=shown,
        error_y=whiskers(table, "observed", p.muted), hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
    made.add_scatter(
        x=table["decile"], y=table["predicted"], mode="lines+markers", customdata=shown,
        line={"color": p.accent, "width": 2.2}, marker={"size": 8, "color": p.accent},
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
    made.add_annotation(
        x=0.02, y=0.98, xref="paper", yref="paper", xanchor="left", yanchor="top", align="left",
        showarrow=False, font={"size": 12, "color": p.muted},
        text=f'<span style="color:{p.accent}">●</span> predicted   '
        f' <span style="color:{p.grey}">▮</span> observed',
    )  # fmt: skip
    return made


def coverage(table: pd.DataFrame, *, theme: Theme = "light") -> go.Figure:
    """Draw the inside the interval for each `part`, against the nominal."""
    p = PALETTES[theme]
    known = table.dropna(subset=["coverage"])
    names = [
        f"{text(part)} ({number(int(n))})"
        for part, n in zip(known["part"], known["n"], strict=True)
    ]
    made = figure(
        theme,
        height=80 + 34 * max(len(known), 1),
        x=axis("inside the interval", "share", range=[0, 1.02]),
        y={"autorange": "reversed", "type": "category", "showgrid": True},
    )
    nominal = float(known["nominal"].iloc[0]) if len(known) else 0.9
    made.add_shape(
        type="line", x0=nominal, x1=nominal, y0=0, y1=1, yref="paper",
        line={"color": p.muted, "width": 1.2, "dash": "dot"},
    )  # fmt: skip
    made.add_annotation(
        x=nominal, y=1, yref="paper", yanchor="bottom", showarrow=False,
        xanchor="right" if nominal > 0.7 else "center",
        text=f"promised {number(nominal, 'share')}", font={"size": 11, "color": p.muted},
    )  # fmt: skip
    made.add_scatter(
        x=known["coverage"], y=names, mode="markers", marker={"size": 11, "color": p.accent},
        error_x=whiskers(known, "coverage", p.grey),
        customdata=[number(v, "share") for v in known["coverage"]],
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )  # fmt: skip
    made.update_layout(margin_t=28)
    return made
