"""Learning curves: what more data would bring."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.lines import lines
from cartcast.charts.theme import Theme, axis

__all__ = ["learning"]


def learning(
    table: pd.DataFrame,
    *,
    label: str,
    unit: str = "points",
    subject: Any = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw `value` over the number of training `rows` (log scale), a line for each `model`."""
    return lines(
        table, "rows", x=axis("training sessions", "count"), hover="%{x:,} sessions",
        label=label, unit=unit, subject=subject, theme=theme, bands=True,
    )  # fmt: skip
