"""The one visual language: palettes, axes with units, direct labels, intervals, number formats.

Grey is context, the accent is the subject, red is only for what blocks. The colours of a series
are told apart by colour-blind readers (after Okabe and Ito 2008) and keep 3:1 on their paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import plotly.graph_objects as go

from cartcast.features.words import in_words
from cartcast.numbers import SYMBOLS, number

__all__ = [
    "FONT",
    "PALETTES",
    "Palette",
    "Theme",
    "axis",
    "band",
    "fade",
    "figure",
    "label_ends",
    "number",
    "recolour",
    "show",
    "text",
    "words",
]

Theme: TypeAlias = Literal["light", "dark"]

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
"""Fonts of the reader's own system: nothing is fetched."""


@dataclass(frozen=True)
class Palette:
    """Colours by role, each as #rrggbb."""

    paper: str
    ink: str
    muted: str
    grid: str
    grey: str
    grey_soft: str
    accent: str
    accent_soft: str
    block: str
    warn: str
    series: tuple[str, ...]


PALETTES: dict[Theme, Palette] = {
    "light": Palette(
        paper="#ffffff",
        ink="#1b2430",
        muted="#5a6573",
        grid="#e4e8ed",
        grey="#8b95a1",
        grey_soft="#d6dbe1",
        accent="#0b62a8",
        accent_soft="#cfe2f3",
        block="#c22b2b",
        warn="#9a6200",
        series=("#0b62a9", "#c96a00", "#00806b", "#8653a3", "#3f93cb", "#7a5230", "#6a737d"),
    ),
    "dark": Palette(
        paper="#14181e",
        ink="#e8ecf1",
        muted="#a3adb9",
        grid="#2a313a",
        grey="#7f8a97",
        grey_soft="#3a434e",
        accent="#63b3ee",
        accent_soft="#1d3d57",
        block="#ff7a75",
        warn="#e5b04b",
        series=("#63b3ef", "#f0a040", "#3fc4a8", "#c08fdc", "#9ad0f5", "#c99a6e", "#a7b0ba"),
    ),
}
_DASHES = ("solid", "dot", "dash", "dashdot", "longdash")


def text(value: Any, length: int = 34) -> str:
    """Return words from data as plain label text: markup shown as it is, long text cut.

    >>> text("<b>x</b>")
    '&lt;b>x&lt;/b>'
    """
    shown = "unknown" if value is None else str(value)
    shown = shown if len(shown) <= length else shown[: length - 1] + "…"
    return shown.replace("&", "&amp;").replace("<", "&lt;")


def words(name: Any) -> str:
    """Return the name of a model, feature or column as the text of a label.

    >>> words("logistic_regression")
    'logistic regression'
    """
    return text(in_words(name))


def fade(colour: str, opacity: float) -> str:
    """Return #rrggbb with an opacity, for bands that let the grid through.

    >>> fade("#0b62a8", 0.2)
    'rgba(11,98,168,0.2)'
    """
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def recolour() -> dict[str, str]:
    """Return the light colour of each role with the dark one, for a page that follows a theme."""
    pairs: dict[str, str] = {}
    for role, light in asdict(PALETTES["light"]).items():
        dark = getattr(PALETTES["dark"], role)
        both = zip(light, dark, strict=True) if role == "series" else [(light, dark)]
        for a, b in both:
            pairs[a] = b
            pairs[fade(a, 0)[:-2]] = fade(b, 0)[:-2]
    return pairs


def axis(
    title: str, unit: str = "count", currency: str | None = None, **more: Any
) -> dict[str, Any]:
    """Return an axis with its title and the unit on it."""
    made: dict[str, Any] = {"title": {"text": title}}
    if unit == "share":
        made["tickformat"] = ",.2~%"
    elif unit == "money":
        made["tickprefix"] = SYMBOLS.get(currency or "", "")
        made |= _steps(more)
        if not made["tickprefix"]:
            made["title"]["text"] = f"{title} ({currency})" if currency else title
    elif unit == "count":
        made |= _steps(more)
    elif unit == "seconds":
        made["title"]["text"] = f"{title} (s)"
    return {**made, **more}


def _steps(more: dict[str, Any]) -> dict[str, Any]:
    """Return tick formats: thousands as k, but below 1 a plain fraction (SI would say 500m)."""
    if "tickformat" in more:
        return {}
    small = {"dtickrange": [None, 0.999], "value": ",.2~f"}
    large = {"dtickrange": [0.999, None], "value": ",.3~s"}
    return {"tickformat": ",.3~s", "tickformatstops": [small, large]}


def figure(
    theme: Theme,
    *,
    height: int = 320,
    x: dict[str, Any] | None = None,
    y: dict[str, Any] | None = None,
) -> go.Figure:
    """Return an empty figure in the language: no title, no legend, quiet grid, system fonts."""
    p = PALETTES[theme]
    quiet = {
        "showgrid": False,
        "zeroline": False,
        "linecolor": p.grid,
        "tickfont": {"color": p.muted, "size": 12},
        "title": {"font": {"color": p.muted, "size": 12}},
        "automargin": True,
    }
    made = go.Figure()
    made.update_layout(
        template=go.layout.Template(),  # the default one has colours of its own
        height=height,
        margin={"l": 8, "r": 16, "t": 12, "b": 8},
        paper_bgcolor=p.paper,  # a picture that is pasted elsewhere takes it along
        plot_bgcolor=fade(p.paper, 0),
        font={"family": FONT, "size": 13, "color": p.ink},
        showlegend=False,
        hoverlabel={
            "bgcolor": p.paper,
            "bordercolor": p.grey,
            "font": {"family": FONT, "color": p.ink},
        },
        colorway=list(p.series),
        dragmode=False,
        bargap=0.25,
    )
    made.update_xaxes(**quiet)
    made.update_yaxes(**{**quiet, "showgrid": True, "gridcolor": p.grid})
    made.update_xaxes(**(x or {}))
    made.update_yaxes(**(y or {}))
    return made


def show(made: go.Figure, name: str, picture: str = "png") -> dict[str, Any]:
    """Return the arguments that show a figure in the app: full width, no clutter.

    Under the pointer there is one button, which saves it as a picture (`png` or `svg`) of `name`.
    """
    return {
        "figure_or_data": made,
        "config": {
            "displaylogo": False,
            "displayModeBar": "hover",
            "modeBarButtons": [["toImage"]],
            "toImageButtonOptions": {"format": picture, "filename": name, "scale": 2},
            "responsive": True,
        },
        "theme": None,
    }


def colour_of(
    model: Any, subject: Any, order: Sequence[Any], theme: Theme
) -> tuple[str, str, float]:
    """Return (colour, dash, width) of a series: the subject accented, the others grey."""
    p = PALETTES[theme]
    if model == subject or len(order) == 1:
        return p.accent, "solid", 2.6
    others = [m for m in order if m != subject]
    return p.grey, _DASHES[others.index(model) % len(_DASHES)], 1.6


def band(made: go.Figure, x: Any, low: Any, high: Any, colour: str) -> None:
    """Draw an interval as a soft band behind a line."""
    both = [*list(x), *list(x)[::-1]]
    ends = [*list(high), *list(low)[::-1]]
    made.add_scatter(
        x=both,
        y=ends,
        fill="toself",
        fillcolor=fade(colour, 0.16),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
    )


def label_ends(
    made: go.Figure, ends: Sequence[tuple[Any, float, str, str]], y_range: tuple[float, float]
) -> None:
    """Label lines directly at their right end: (x, y, words, colour), moved apart if they touch."""
    if not ends:
        return
    span = (y_range[1] - y_range[0]) or 1.0
    gap = span * 16.0 / max(float(made.layout.height) - 60.0, 80.0)
    order = sorted(range(len(ends)), key=lambda k: ends[k][1])
    placed: list[float] = []
    for k in order:
        placed.append(max(ends[k][1], placed[-1] + gap) if placed else ends[k][1])
    over = placed[-1] - y_range[1]
    if over > 0:
        placed = [y - over for y in placed]
    for at, k in zip(placed, order, strict=True):
        x, _, shown, colour = ends[k]
        made.add_annotation(
            x=x, y=at, text=shown, showarrow=False, xanchor="left", xshift=7,
            font={"color": colour, "size": 12}, align="left",
        )  # fmt: skip
    longest = max(len(e[2]) for e in ends)
    made.update_layout(margin_r=min(14 + 7 * longest, 150))
    made.update_yaxes(range=list(y_range))


def span_of(*columns: Any, zero: bool = False, room: float = 0.06) -> tuple[float, float]:
    """Return a range that holds all finite values of the columns, with some room."""
    values = [float(v) for c in columns if c is not None for v in c if _finite(v)]
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    wide = (high - low) or abs(high) or 1.0
    return (low if zero and low == 0.0 else low - room * wide), high + room * wide


def _finite(value: Any) -> bool:
    return value is not None and value == value and math.isfinite(float(value))


def column(table: Any, name: str) -> Any:
    """Return a column if the table has it and it holds a value, else None."""
    return table[name] if name in table.columns and table[name].notna().any() else None
