"""ROC and precision-recall curves."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.theme import PALETTES, Theme, axis, colour_of, figure, number, words

__all__ = ["precision_recall", "roc"]


def _curves(
    made: go.Figure, table: pd.DataFrame, x: str, y: str, subject: Any, theme: Theme
) -> None:
    models = list(dict.fromkeys(table["model"])) if "model" in table.columns else [""]
    for k, model in enumerate(sorted(models, key=lambda m: m == subject)):
        part = table[table["model"] == model] if model else table
        if part.empty:
            continue
        colour, dash, width = colour_of(model, subject, models, theme)
        accented = colour == PALETTES[theme].accent
        made.add_scatter(
            x=part[x], y=part[y], mode="lines", name=words(model),
            line={"color": colour, "width": width, "dash": dash},
            hovertemplate="%{x:.3f}, %{y:.3f}<extra>" + words(model) + "</extra>",
        )  # fmt: skip
        if len(models) > 1:
            at = part.iloc[(len(part) * (2 + k % 3)) // 6]
            made.add_annotation(
                x=at[x], y=at[y], text=words(model), showarrow=False, xanchor="left",
                yanchor="top", xshift=5,
                font={"size": 12, "color": colour if accented else PALETTES[theme].muted},
            )  # fmt: skip


def roc(table: pd.DataFrame, *, subject: Any = None, theme: Theme = "light") -> go.Figure:
    """Draw `tpr` over `fpr` against the diagonal of no ranking."""
    p = PALETTES[theme]
    made = figure(
        theme,
        height=360,
        x=axis("share of non-buyers chosen", "share", range=[0, 1]),
        y=axis("share of buyers chosen", "share", range=[0, 1.02]),
    )
    made.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", hoverinfo="skip",
        line={"color": p.grey, "width": 1.2, "dash": "dot"},
    )  # fmt: skip
    _curves(made, table, "fpr", "tpr", subject, theme)
    return made


def precision_recall(
    table: pd.DataFrame, *, prevalence: float | None, subject: Any = None, theme: Theme = "light"
) -> go.Figure:
    """Draw `precision` over `recall`; the prevalence is what choosing at random would give."""
    p = PALETTES[theme]
    made = figure(
        theme,
        height=360,
        x=axis("share of buyers chosen (recall)", "share", range=[0, 1]),
        y=axis("share of buyers among the chosen (precision)", "share", range=[0, 1.02]),
    )
    if prevalence is not None:
        made.add_shape(
            type="line", x0=0, x1=1, y0=prevalence, y1=prevalence,
            line={"color": p.grey, "width": 1.2, "dash": "dot"},
        )  # fmt: skip
        made.add_annotation(
            x=1, y=prevalence, text=f"at random {number(prevalence, 'share')}", showarrow=False,
            xanchor="right", yanchor="bottom", font={"size": 11, "color": p.muted},
        )  # fmt: skip
    _curves(made, table, "recall", "precision", subject, theme)
    return made
