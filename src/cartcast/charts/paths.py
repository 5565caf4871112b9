"""Paths: what comes next, as flows."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from cartcast.charts.theme import PALETTES, Theme, fade, figure, number, text
from cartcast.features.words import event_words

__all__ = ["MARKS", "sankey"]

MARKS = 7
"""Marks along each flow, in the order of the table: a flow can be clicked by them."""
_NODE = 0.05
_GAP = 20.0


def sankey(table: pd.DataFrame, *, unit: str = "sessions", theme: Theme = "light") -> go.Figure:
    """Draw `count` flowing from `source` to `target`, between the columns `step` and `step` + 1.

    Large nodes carry their share of the largest column; flows into a purchase are accented, all
    others grey. Flows are drawn here, since those of the library cannot be clicked.
    """
    p = PALETTES[theme]
    flows = [
        ((int(k), str(a)), (int(k) + 1, str(b)), float(n))
        for k, a, b, n in zip(
            table["step"], table["source"], table["target"], table["count"], strict=True
        )
    ]
    sizes: dict[tuple[int, str], list[float]] = {}
    for source, target, n in flows:
        sizes.setdefault(source, [0.0, 0.0])[1] += n
        sizes.setdefault(target, [0.0, 0.0])[0] += n
    columns: dict[int, list[tuple[int, str]]] = {}
    for node in sorted(sizes, key=lambda x: (_rank(x[1]), -max(sizes[x]), x[1])):
        columns.setdefault(node[0], []).append(node)
    most = max(map(len, columns.values()), default=1)
    total = max((sum(max(sizes[x]) for x in c) for c in columns.values()), default=1.0) or 1.0
    # One pixel of height is one unit of y: gaps between nodes leave room for their names.
    height = max(320.0, 2.2 * _GAP * most)
    scale = height / total
    top: dict[tuple[int, str], float] = {}
    for nodes in columns.values():
        y = 0.0
        for node in nodes:
            top[node] = y
            y -= max(sizes[node]) * scale + _GAP
    low = min((top[x] - max(sizes[x]) * scale for x in top), default=-height)
    made = figure(theme, height=round(-low) + 60)
    first, last = min(columns, default=0), max(columns, default=1)
    hidden = {"visible": False, "fixedrange": True}
    # Names stand right of their nodes, those of the last column too.
    made.update_xaxes(range=[first - 0.02, last + 1.0], **hidden)
    made.update_yaxes(range=[low - 8, 8], **hidden)
    sources, targets = [f[0] for f in flows], [f[1] for f in flows]
    ends: list[tuple[float, float]] = [(0.0, 0.0)] * len(flows)
    begins = ends.copy()
    for side, own, other in ((begins, sources, targets), (ends, targets, sources)):
        used = dict(top)
        for k in sorted(range(len(flows)), key=[-top[n] for n in other].__getitem__):
            thick = flows[k][2] * scale
            side[k] = (used[own[k]], used[own[k]] - thick)
            used[own[k]] -= thick
    x: list[float] = []
    y_: list[float] = []
    told: list[str] = []
    size: list[float] = []
    shapes = list[dict[str, Any]]()
    for (source, target, n), (a, b), (c, d) in zip(flows, begins, ends, strict=True):
        left, right = source[0] + _NODE, float(target[0])
        middle = (left + right) / 2
        bought = target[1] == "purchase"
        shapes.append({
            "type": "path", "line": {"width": 0},
            "path": f"M {left},{a} C {middle},{a} {middle},{c} {right},{c} L {right},{d} "
            f"C {middle},{d} {middle},{b} {left},{b} Z",
            "fillcolor": fade(p.accent, 0.45) if bought else fade(p.grey, 0.28),
        })  # fmt: skip
        words = f"{event_words(source[1])} → {event_words(target[1])}: {number(int(n))} {unit}"
        for m in range(MARKS):
            t = (m + 1) / (MARKS + 1)
            x.append(left + (right - left) * (1.5 * t * (1 - t) + t**3))
            ease = 3 * t * t - 2 * t**3
            y_.append((a + b) / 2 * (1 - ease) + (c + d) / 2 * ease)
            told.append(text(words, 120))
            size.append(min(max(n * scale, 8.0), 60.0))
    made.add_scatter(
        x=x, y=y_, mode="markers", text=told, hovertemplate="%{text}<extra></extra>",
        showlegend=False, marker={"size": size, "symbol": "square", "opacity": 0},
    )  # fmt: skip
    for node, y in top.items():
        thick = max(sizes[node]) * scale
        shapes.append({
            "type": "rect", "x0": node[0], "x1": node[0] + _NODE, "y0": y, "y1": y - thick,
            "fillcolor": p.accent if node[1] == "purchase" else p.muted, "line": {"width": 0},
        })  # fmt: skip
        share = number(max(sizes[node]) / total, "share")
        # A thin node has room for its name only, also on a phone; the flows tell their numbers.
        more = f"<br>{share}" if thick > 2 * _GAP else ""
        made.add_annotation(
            x=node[0] + _NODE, y=y - thick / 2, showarrow=False, xanchor="left", xshift=5,
            text=text(event_words(node[1].replace(" of session", "")), 16) + more, align="left",
            font={"size": 12, "color": p.ink},
        )  # fmt: skip
    made.update_layout(shapes=shapes, margin={"l": 0, "r": 0, "t": 8, "b": 8})
    return made


def _rank(name: str) -> int:
    """Return the place of a node in its column: the purchase first, what is no event last."""
    return 0 if name == "purchase" else 2 if name.startswith("(") else 1
