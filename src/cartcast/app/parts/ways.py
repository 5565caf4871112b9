"""Ways through the shop: funnel, paths, cohorts."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import filters, frames, headlines, ui
from cartcast.app.parts.columns import event_types, filled, split_columns
from cartcast.app.parts.listed import open_condition
from cartcast.app.state import Data
from cartcast.charts import bars, cohorts, funnel, paths
from cartcast.charts.theme import number
from cartcast.features.words import event_words, in_words
from cartcast.insights.paths import END, OTHER, START, Flow, Paths
from cartcast.insights.source import Slice
from cartcast.segments import Cohort, Reached, Walk

WINDOWS = {"no limit": None, "10 minutes": 600.0, "30 minutes": 1800.0, "1 day": 86_400.0,
           "7 days": 604_800.0, "30 days": 2_592_000.0}  # fmt: skip


def show_funnel(view: ui.View, data: Data, top: Any) -> None:
    """Draw a funnel: steps, unit, order, window, split."""
    kinds = event_types(data)
    usual = [s for s, _ in filters.insight("overview", data, Slice()).funnel]
    steps = st.multiselect(
        "Steps, in order", kinds, default=usual or kinds[:2], key="steps", bind="query-params",
        format_func=event_words,
    )  # fmt: skip
    a, b, c, d = st.columns(4)
    unit = a.selectbox("Count", ["session", "visitor"], key="unit", bind="query-params")
    order = b.selectbox("Order", ["ordered", "any"], key="order", bind="query-params")
    window = c.selectbox("Within", list(WINDOWS), key="window", bind="query-params")
    by = d.selectbox(
        "Split by", ["nothing", *split_columns(data)], key="by", bind="query-params",
        format_func=in_words,
    )  # fmt: skip
    where, (place,) = filters.row(view, data, extra=1)
    if not steps:
        with top:
            ui.headline("Choose at least one step.")
        return
    with st.spinner("Following sessions …"):
        f = filters.insight(
            "funnel", data, where, steps=steps, unit=unit, order=order, window=WINDOWS[window],
            by=None if by == "nothing" else by,
        )  # fmt: skip
    with top:
        ui.headline(headlines.of_funnel(f), f"{number(f.units)} {f.unit}s have any of the steps.")
        ui.findings(f.findings)
    against = filters.held_against(view, data, where, place)
    if against is not None and len(steps) > 1:
        found = filters.insight(
            "compare_funnels", data, where, there=against[0], steps=steps, unit=unit, order=order,
            window=WINDOWS[window],
        )  # fmt: skip
        ui.note(headlines.share_differences(found, against[1]))
    plain = False
    if f.by is None:
        drawn = funnel.funnel(frames.funnel(f.steps), unit=f"{unit}s", theme=view.theme)
        # A segment follows the steps of sessions, in order and without a window.
        plain = unit == "session" and order == "ordered" and WINDOWS[window] is None
        told = tuple(steps)
        ui.chart(
            drawn, "funnel", headlines.of_funnel(f),
            on_click=(lambda k: open_condition(Reached(told, k + 1))) if plain else None,
        )  # fmt: skip
        if plain:
            ui.note(
                "Click a bar to see its sessions; choose a row for those lost before that step."
            )
    else:
        last = [s for s in f.steps if s.step == f.steps[-1].step]
        table = pd.DataFrame(
            {
                "name": [s.segment or "unknown" for s in last],
                "value": [s.of_first.value for s in last],
                "low": [s.of_first.low for s in last],
                "high": [s.of_first.high for s in last],
                "n": [s.of_first.of for s in last],
            }
        )
        label = f"share of {unit}s that reach {event_words(last[0].step)}"
        ui.chart(bars.bars(table, label=label, theme=view.theme), "funnel", headlines.of_funnel(f))
    ui.table(
        frames.funnel_table(f), view, "funnel",
        shares=("share of first", "low", "high", "share of step before"),
        units={"step": "event", **dict.fromkeys(frames.SECONDS, "seconds")},
        on_row=(lambda k: open_condition(Reached(told, max(k, 1), lost=k > 0))) if plain else None,
    )  # fmt: skip


def show_paths(view: ui.View, data: Data, top: Any) -> None:
    """Draw the next steps from an event, or the last ones to it."""
    columns = ["event_type", *[c for c in ("page", "category") if c in filled(data)]]
    a, b, c, d = st.columns(4)
    column = a.selectbox(
        "Steps are", columns, key="column", bind="query-params", format_func=in_words
    )
    values = event_types(data) if column == "event_type" else _values(data, column)
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
        table = frames.paths(p)
        ui.chart(paths.sankey(table, theme=view.theme), "paths", headlines.of_paths(p))
        told = table.assign(share=[f.share for f in p.flows])[
            ["step", "source", "target", "count", "share"]
        ]
        kinds = dict.fromkeys(("source", "target"), "event" if column == "event_type" else "")

        def turn(k: int) -> None:
            if (walk := walk_of(p, p.flows[k])) is not None:
                open_condition(walk)

        ui.note("Choose a row to see the sessions that go this way.")
        ui.table(
            told.rename(columns={"count": "sessions"}), view, "paths", units=kinds, on_row=turn
        )


def walk_of(p: Paths, flow: Flow) -> Walk | None:
    """Return the condition of the sessions of a flow; None where it is of several values."""
    near, far = (flow.source, flow.target)[:: -1 if p.direction == "to" else 1]
    if OTHER in (near, far):
        return None
    end = None if far in (START, END) else far
    return Walk(p.anchor, flow.step, near, end, p.direction == "to", p.column)


def _values(data: Data, column: str) -> list[str]:
    found = filters.insight("distribution", data, Slice(), column=column, largest=60)
    return [b.label for b in found.bars if b.label and b.label != "other"]


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
