"""One metric in every slice: a dot with its interval, grouped by column."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.bars import whiskers, whole
from cartcast.charts.theme import PALETTES, Theme, axis, figure, number, span_of, text, words

__all__ = ["slices"]


def slices(
    table: pd.DataFrame,
    *,
    label: str,
    unit: str = "share",
    overall: float | None = None,
    named: str | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw `value` with `low`, `high` of each `slice` under its `slice_by`, with its `n`.

    A slice whose interval leaves out the whole is accented; the others are grey. `named` is what
    stands at the line of the whole, where that is not the value of all.
    """
    p = PALETTES[theme]
    rows: list[str] = []
    groups: list[str] = []
    for by, slice_, n in zip(table["slice_by"], table["slice"], table["n"], strict=True):
        groups.append(words(by))
        rows.append(f"{text(slice_, 24)} ({number(int(n))})")
    away = [
        overall is not None and pd.notna(low) and pd.notna(high) and not low <= overall <= high
        for low, high in zip(table["low"], table["high"], strict=True)
    ]
    made = figure(
        theme,
        height=80 + 28 * max(len(rows), 1),
        x=axis(label, unit, showgrid=True, gridcolor=p.grid),
        y={"autorange": "reversed", "showgrid": False, "type": "multicategory"},
    )
    colours = [p.accent if a else p.grey for a in away]
    made.add_scatter(
        x=table["value"], y=[groups, rows], mode="markers", marker={"color": colours, "size": 10},
        error_x=whiskers(table, "value", p.grey),
        customdata=[
            f"{number(v, unit)} ({number(a, unit)} to {number(b, unit)})"
            for v, a, b in zip(table["value"], table["low"], table["high"], strict=True)
        ],
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )  # fmt: skip
    made.update_yaxes(dividercolor=p.grid)
    whole_at = [overall] if overall is not None else None
    left, right = span_of(table["value"], table["low"], table["high"], whole_at)
    made.update_xaxes(range=[left, right])
    if overall is not None:
        whole(made, overall, named or f"all {number(overall, unit)}", theme)
        # Beside an edge the words would be cut on a phone.
        at = (overall - left) / (right - left)
        side = "left" if at < 0.15 else "right" if at > 0.85 else "center"
        made.layout.annotations[-1].xanchor = side
    return made
