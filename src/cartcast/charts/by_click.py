"""A figure by click number: what is known early, what only late."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.lines import lines
from cartcast.charts.theme import Theme

__all__ = ["by_click"]


def by_click(
    table: pd.DataFrame,
    *,
    label: str,
    unit: str = "points",
    subject: Any = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw `value` after each `click` with its interval; the subject accented, baselines grey."""
    clicks = sorted(int(c) for c in table["click"].dropna().unique())
    ticks = {"tickvals": clicks, "ticktext": [str(c) for c in clicks]}
    return lines(
        table, "click", x={"title": {"text": "after click"}, **ticks}, hover="click %{x}",
        label=label, unit=unit, subject=subject, theme=theme,
    )  # fmt: skip
