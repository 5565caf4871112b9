"""Who is reached when only the best are contacted: gain, lift and profit."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.theme import (
    PALETTES,
    Theme,
    axis,
    band,
    colour_of,
    column,
    figure,
    number,
    span_of,
    text,
    words,
)  # fmt: skip

__all__ = ["gain", "lift", "profit"]


def _lines(
    made: go.Figure,
    table: pd.DataFrame,
    value: str,
    unit: str,
    subject: Any,
    span: tuple[float, float],
    theme: Theme,
    currency: str | None = None,
    start: float | None = None,
    named: bool = True,
) -> None:
    models = list(dict.fromkeys(table["model"])) if "model" in table.columns else [""]
    ends = []
    for model in sorted(models, key=lambda m: m == subject):
        part = (table[table["model"] == model] if model else table).sort_values("contacted")
        colour, dash, width = colour_of(model, subject, models, theme)
        accented = colour == PALETTES[theme].accent
        low = _first(part, "low", f"{value}_low")
        high = _first(part, "high", f"{value}_high")
        if accented and low is not None and high is not None:
            band(made, part["contacted"], low, high, colour)
        x, y = list(part["contacted"]), list(part[value])
        if start is not None:
            x, y = [0.0, *x], [start, *y]
        shown = [
            f"best {number(a, 'share')}: {number(b, unit, currency)}"
            for a, b in zip(x, y, strict=True)
        ]
        made.add_scatter(
            x=x, y=y, mode="lines", line={"color": colour, "width": width, "dash": dash},
            customdata=shown, hovertemplate="%{customdata}<extra>" + words(model) + "</extra>",
        )  # fmt: skip
        if named and len(models) > 1:
            middle = part.iloc[min(len(part) - 1, len(part) // 2)]
            ink = colour if accented else PALETTES[theme].muted
            ends.append((float(middle["contacted"]), float(middle[value]), words(model), ink))
    for x_at, y_at, name, ink in ends:
        made.add_annotation(
            x=x_at, y=y_at, text=name, showarrow=False, xanchor="left", yanchor="top", xshift=6,
            font={"size": 12, "color": ink},
        )  # fmt: skip
    made.update_yaxes(range=list(span))


def _first(table: pd.DataFrame, *names: str) -> Any:
    for name in names:
        found = column(table, name)
        if found is not None:
            return found
    return None


def gain(
    table: pd.DataFrame, *, of: str = "buyers", subject: Any = None, theme: Theme = "light"
) -> go.Figure:
    """Draw the share `of` buyers (or revenue) `reached` over the share of sessions `contacted`."""
    p = PALETTES[theme]
    made = figure(
        theme,
        height=360,
        x=axis("share contacted, best first", "share", range=[0, 1.005], dtick=0.2),
        y=axis(f"share of {text(of)} reached", "share"),
    )
    made.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", hoverinfo="skip",
        line={"color": p.grey, "width": 1.2, "dash": "dot"},
    )  # fmt: skip
    _lines(made, table, "reached", "share", subject, (0.0, 1.02), theme, start=0.0, named=False)
    _names(made, table, subject, theme)
    return made


def _names(made: go.Figure, table: pd.DataFrame, subject: Any, theme: Theme) -> None:
    """Name the lines in the corner below the diagonal, where there are none."""
    p = PALETTES[theme]
    models = list(dict.fromkeys(table["model"])) if "model" in table.columns else []
    rows = []
    for model in sorted(models, key=lambda m: m != subject):
        colour, _, _ = colour_of(model, subject, models, theme)
        ink = colour if colour == p.accent else p.muted
        rows.append(f'{words(model)} <span style="color:{ink}">━</span>')
    rows.append("at random ┈")
    made.add_annotation(
        x=0.985, y=0.03, xref="paper", yref="paper", xanchor="right", yanchor="bottom",
        align="right", showarrow=False, text="<br>".join(rows),
        font={"size": 12, "color": p.muted},
    )  # fmt: skip


def lift(table: pd.DataFrame, *, subject: Any = None, theme: Theme = "light") -> go.Figure:
    """Draw how many times more buyers there are among the `contacted` than at random."""
    p = PALETTES[theme]
    high = _first(table, "lift_high", "high")
    span = span_of(table["lift"], high, zero=True)
    made = figure(
        theme,
        height=320,
        x=axis("share contacted, best first", "share", range=[0, 1]),
        y=axis("times the average share of buyers", "factor"),
    )
    made.add_shape(
        type="line", x0=0, x1=1, y0=1, y1=1, line={"color": p.grey, "width": 1.2, "dash": "dot"}
    )
    made.add_annotation(
        x=1, y=1, text="at random", showarrow=False, xanchor="right", yanchor="top",
        font={"size": 11, "color": p.muted},
    )  # fmt: skip
    _lines(made, table, "lift", "factor", subject, span, theme)
    return made


def profit(
    table: pd.DataFrame, *, currency: str | None = None, theme: Theme = "light"
) -> go.Figure:
    """Draw `profit` per session over the share contacted, and mark where it is highest."""
    p = PALETTES[theme]
    span = span_of(table["profit"], column(table, "low"), column(table, "high"), zero=True)
    made = figure(
        theme,
        height=320,
        x=axis("share contacted, best first", "share", range=[0, 1]),
        y=axis("profit at most, per session", "money", currency, tickformat=",.3~f"),
    )
    made.add_shape(type="line", x0=0, x1=1, y0=0, y1=0, line={"color": p.grey, "width": 1.2})
    _lines(made, table, "profit", "money", None, span, theme, currency, start=0.0)
    if table["profit"].notna().any():
        best = table.iloc[int(table["profit"].argmax())]
        made.add_scatter(
            x=[best["contacted"]], y=[best["profit"]], mode="markers", hoverinfo="skip",
            marker={"size": 10, "color": p.accent},
        )  # fmt: skip
        what = f"best: contact {number(best['contacted'], 'share')}"
        made.add_annotation(
            x=best["contacted"], y=best["profit"], text=what, showarrow=False,
            xanchor="left", yanchor="bottom", xshift=8, font={"size": 12, "color": p.accent},
        )  # fmt: skip
    return made
