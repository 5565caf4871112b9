"""Paths: what comes next, as flows."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.theme import PALETTES, Theme, fade, figure, number, text
from cartcast.features.words import event_words

__all__ = ["sankey"]


def sankey(table: pd.DataFrame, *, unit: str = "sessions", theme: Theme = "light") -> go.Figure:
    """Draw `count` flowing from `source` to `target`; with `step`, each step has its own nodes.

    Flows into a purchase are accented, all others grey.
    """
    p = PALETTES[theme]
    steps: list[Any] = list(table["step"]) if "step" in table.columns else [None] * len(table)
    nodes: dict[tuple[Any, str], int] = {}

    def node(step: Any, name: Any) -> int:
        return nodes.setdefault((step, str(name)), len(nodes))

    sources, targets = [], []
    for step, source, target in zip(steps, table["source"], table["target"], strict=True):
        sources.append(node(step, source))
        targets.append(node(None if step is None else step + 1, target))
    bought = [str(t) == "purchase" for t in table["target"]]
    made = figure(theme, height=420)
    made.add_sankey(
        arrangement="snap",
        node={
            "label": [text(event_words(name)) for _, name in nodes], "pad": 16, "thickness": 14,
            "color": [p.accent if n == "purchase" else p.muted for _, n in nodes],
            "line": {"width": 0},
        },
        link={
            "source": sources, "target": targets, "value": table["count"],
            "color": [fade(p.accent, 0.45) if b else fade(p.grey, 0.28) for b in bought],
            "customdata": [f"{number(int(c))} {unit}" for c in table["count"]],
            "hovertemplate": "%{source.label} → %{target.label}: %{customdata}<extra></extra>",
        },
    )  # fmt: skip
    return made
