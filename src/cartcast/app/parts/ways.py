"""Ways through the shop: paths, cohorts."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import filters, frames, headlines, ui
from cartcast.app.parts.columns import event_types, filled
from cartcast.app.parts.listed import open_condition
from cartcast.app.parts.steps import values_of
from cartcast.app.state import Data
from cartcast.charts import cohorts, paths
from cartcast.features.words import event_words, in_words
from cartcast.insights.paths import END, OTHER, START, Flow, Paths
from cartcast.segments import Cohort, Walk


def show_paths(view: ui.View, data: Data, top: Any) -> None:
    """Draw the next steps from an event, or the last ones to it."""
    columns = ["event_type", *[c for c in ("page", "category") if c in filled(data)]]
    a, b, c, d = st.columns(4)
    column = a.selectbox(
        "Steps are", columns, key="column", bind="query-params", format_func=in_words
    )
    values = event_types(data) if column == "event_type" else values_of(data, column)
    direction = b.selectbox("Direction", ["from", "to"], key="direction", bind="query-params")
    start = values.index("purchase") if direction == "to" and "purchase" in values else 0
    spoken = event_words if column == "event_type" else str
    anchor = c.selectbox(
        "Event", values, index=start, key=f"anchor_{direction}_{column}", format_func=spoken,
        bind="query-params",
    )  # fmt: skip
    depth = d.slider("Steps", 1, 6, 3, key="depth", bind="query-params")
    where, _ = filters.row(view, data)
    with st.spinner("Following sessions …"):
        p = filters.insight(
            "paths", data, where, anchor=anchor, direction=direction, column=column, depth=depth,
        )  # fmt: skip
    with top:
        ui.headline(
            headlines.of_paths(p),
            "Repeats in a row count once; at each step small flows are folded into (other).",
        )
        ui.findings(p.findings)
    if p.flows:
        told = pd.DataFrame(
            [(f.step, f.source, f.target, f.sessions, f.share) for f in p.flows],
            columns=["step", "source", "target", "sessions", "share"],
        )
        kinds = dict.fromkeys(("source", "target"), "event" if column == "event_type" else "")

        def turn(k: int) -> None:
            if (walk := walk_of(p, p.flows[k])) is not None:
                open_condition(walk)

        drawn = paths.sankey(frames.paths(p), theme=view.theme)
        alt = headlines.of_paths(p)
        ui.chart(drawn, "paths", alt, on_click=lambda k: turn(k // paths.MARKS))
        ui.note("Click a flow, or choose a row, to see the sessions that go this way.")
        ui.table(told, view, "paths", units=kinds, on_row=turn)


def walk_of(p: Paths, flow: Flow) -> Walk | None:
    """Return the condition of the sessions of a flow; None where it is of several values."""
    near, far = (flow.source, flow.target)[:: -1 if p.direction == "to" else 1]
    if OTHER in (near, far):
        return None
    end = None if far in (START, END) else far
    return Walk(p.anchor, flow.step, near, end, p.direction == "to", p.column)


def show_cohorts(view: ui.View, data: Data, top: Any) -> None:
    """Draw return and repeat purchase by week of first visit."""
    titles = {"returned": "came back", "bought": "bought", "bought_again": "bought again"}
    a, b = st.columns([1, 3])
    measure = a.selectbox(
        "Share of visitors that", list(titles), format_func=titles.__getitem__, key="measure",
        bind="query-params",
    )  # fmt: skip
    periods = b.slider("Weeks to follow", 2, 16, 8, key="weeks", bind="query-params")
    where, _ = filters.row(view, data)
    c = filters.insight("cohorts", data, where, periods=periods)
    with top:
        ui.headline(
            headlines.of_cohorts(c),
            "Cohorts by week of first visit. A cell is empty until its week is over for everyone.",
        )
        ui.findings(c.findings)
    table = frames.cohorts(c, measure)
    if table["value"].notna().any():
        drawn = cohorts.heatmap(table, label=f"visitors that {titles[measure]}", theme=view.theme)
        # Filters choose which of a visitor's sessions is the first: a cell of a part is no segment.
        cells = table.dropna(subset="value").reset_index(drop=True)

        def turn(k: int) -> None:
            open_condition(Cohort(cells["cohort"][k], int(cells["age"][k]), measure))

        ui.chart(drawn, "cohorts", headlines.of_cohorts(c), on_click=None if where else turn)
        if not where:
            ui.note("Click a cell to see the sessions of its visitors.")
    else:
        ui.note("The log is shorter than two weeks: no cohort has a full week yet.")
    told = pd.DataFrame(
        {
            "week of first visit": [k.week for k in c.cohorts],
            "visitors": [k.visitors for k in c.cohorts],
            f"known for {c.within} weeks": [k.returned.of for k in c.cohorts],
            "came back": [k.returned.value for k in c.cohorts],
            "bought": [k.bought.value for k in c.cohorts],
            "bought again, of buyers": [k.bought_again.value for k in c.cohorts],
        }
    )
    ui.table(told, view, "cohorts", shares=("came back", "bought", "bought again, of buyers"))
