"""Cohorts: who comes back, by age of the cohort."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.heatmap import cells
from cartcast.charts.theme import Theme

__all__ = ["heatmap"]


def heatmap(
    table: pd.DataFrame,
    *,
    label: str,
    unit: str = "share",
    currency: str | None = None,
    age: str = "weeks since the first session",
    theme: Theme = "light",
) -> go.Figure:
    """Draw `value` for each `cohort` (row) and `age` (column); cells not yet known stay empty."""
    return cells(
        table, row="cohort", across="age", title=age, label=label, unit=unit, currency=currency,
        short=unit == "share", theme=theme,
    )  # fmt: skip
