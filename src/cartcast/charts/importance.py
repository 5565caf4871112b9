"""What drives the model, and why one session got its score."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.bars import whiskers
from cartcast.charts.theme import PALETTES, Theme, axis, figure, number, span_of, text, words

__all__ = ["contributions", "importance"]


def importance(
    table: pd.DataFrame,
    *,
    label: str,
    unit: str = "points",
    top: int = 15,
    theme: Theme = "light",
) -> go.Figure:
    """Draw `mean_drop` of each `feature` with its interval, most important first.

    Features whose interval holds 0 are grey: nothing is shown of them. `direction` ("raises",
    "lowers", "mixed") is written behind the name if the table has it.
    """
    p = PALETTES[theme]
    chosen = table.dropna(subset=["mean_drop"]).nlargest(top, "mean_drop")
    names = [words(f) for f in chosen["feature"]]
    if "low" in chosen:
        sure = [pd.isna(low) or low > 0 for low in chosen["low"]]
    else:
        sure = [True] * len(chosen)
    made = figure(
        theme,
        height=80 + 26 * max(len(names), 1),
        x=axis(label, "", showgrid=True, gridcolor=p.grid, nticks=5),
        y={"autorange": "reversed", "type": "category", "showgrid": False},
    )
    made.add_bar(
        x=chosen["mean_drop"], y=names, orientation="h",
        marker={"color": [p.accent if s else p.grey_soft for s in sure]},
        error_x=whiskers(chosen, "mean_drop", p.ink),
        customdata=[number(v, unit) for v in chosen["mean_drop"]],
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )  # fmt: skip
    ends = chosen["high"].fillna(chosen["mean_drop"]) if "high" in chosen else chosen["mean_drop"]
    for name, end, word in zip(
        names, ends, chosen.get("direction", pd.Series([None] * len(chosen))), strict=True
    ):
        if isinstance(word, str) and word:
            made.add_annotation(
                x=end, y=name, text=text(word), xanchor="left", xshift=7, showarrow=False,
                font={"size": 11, "color": p.muted},
            )  # fmt: skip
    low, high = span_of(chosen["mean_drop"], chosen.get("low"), chosen.get("high"), zero=True)
    made.update_xaxes(range=[low, high + 0.16 * (high - low)])
    return made


def contributions(
    table: pd.DataFrame, *, unit: str = "points", theme: Theme = "light"
) -> go.Figure:
    """Draw what each feature adds to one session's score: accent raises, grey lowers.

    `text` is the feature in words with its value and unit ("6 carts").
    """
    p = PALETTES[theme]
    names = [text(t, 44) for t in table["text"]]
    made = figure(
        theme,
        height=80 + 28 * max(len(names), 1),
        x=axis(
            "change of the probability" if unit == "share" else "change of the score",
            unit if unit == "share" else "", nticks=5, zeroline=True, zerolinecolor=p.muted,
        ),
        y={"autorange": "reversed", "type": "category", "showgrid": False},
    )  # fmt: skip
    made.add_bar(
        x=table["contribution"], y=names, orientation="h",
        marker={"color": [p.accent if c > 0 else p.grey for c in table["contribution"]]},
        customdata=[number(c, unit) for c in table["contribution"]],
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )  # fmt: skip
    return made
