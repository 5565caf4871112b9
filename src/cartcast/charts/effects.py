"""The effect of one feature on the prediction."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.bars import whiskers
from cartcast.charts.theme import PALETTES, Theme, axis, band, column, figure, number, span_of, text

__all__ = ["effect"]


def effect(
    table: pd.DataFrame,
    *,
    label: str,
    unit: str = "",
    currency: str | None = None,
    predicted: str = "predicted share",
    predicted_unit: str = "share",
    theme: Theme = "light",
) -> go.Figure:
    """Draw `prediction` over `value`: a line for numbers, dots for categories.

    `label` and `unit` are those of the feature, `predicted` and `predicted_unit` those of the
    prediction; `share` of the sessions, if given, is drawn as grey bars from zero at the foot, so
    that a thin end of the line is seen as thin.
    """
    p = PALETTES[theme]
    numeric = pd.api.types.is_numeric_dtype(table["value"])
    low, high = column(table, "low"), column(table, "high")
    top = span_of(table["prediction"], high, zero=True)[1]
    made = figure(
        theme,
        height=280,
        x=axis(label, unit, currency)
        if numeric
        else {"title": {"text": label}, "type": "category"},
        y=axis(predicted, predicted_unit, currency, range=[0, top * 1.05]),
    )
    x = table["value"] if numeric else [text(v, 18) for v in table["value"]]
    share = column(table, "share")
    if share is not None:
        made.add_bar(
            x=x, y=share / share.max() * top * 0.22, marker={"color": p.grey_soft},
            customdata=[number(s, "share") for s in share], width=None,
            hovertemplate="%{customdata} of sessions<extra></extra>",
        )  # fmt: skip
    shown = [number(v, predicted_unit, currency) for v in table["prediction"]]
    if numeric and low is not None and high is not None:
        band(made, x, low, high, p.accent)
    made.add_scatter(
        x=x, y=table["prediction"], mode="lines+markers" if numeric else "markers",
        line={"color": p.accent, "width": 2.4}, marker={"size": 6 if numeric else 10},
        marker_color=p.accent, customdata=shown,
        error_y=None if numeric else whiskers(table, "prediction", p.grey),
        hovertemplate="%{x}: %{customdata}<extra></extra>",
    )  # fmt: skip
    return made
