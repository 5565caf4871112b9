"""Data analysis: funnel, paths, cohorts, items, breakdowns, distributions, hours."""

from __future__ import annotations

import streamlit as st

from cartcast.app import ui
from cartcast.app.parts.funnels import show_funnel
from cartcast.app.parts.listed import show_sessions, take_over
from cartcast.app.parts.sold import show_items
from cartcast.app.parts.spread import (
    show_breakdown,
    show_correlations,
    show_distribution,
    show_hours,
)
from cartcast.app.parts.ways import show_cohorts, show_paths

TOPICS = (
    "Funnel", "Paths", "Cohorts", "Items", "Conversion by", "Distributions", "Hours",
    "Correlations", "Sessions",
)  # fmt: skip


def show(view: ui.View) -> None:
    """Draw the page."""
    if view.data is None:
        ui.empty(
            "No data yet. This page will show funnels, paths, cohorts and what drives conversion.",
            "This project has no clean log. Upload a file, or pick one of the project.",
            "Add data",
        )
        return
    taken = take_over()
    topic = st.segmented_control(
        "Topic", TOPICS, default=None if taken else TOPICS[0], required=True, key="topic",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    top = st.container(key="answer")
    draw = {
        "Funnel": show_funnel,
        "Paths": show_paths,
        "Cohorts": show_cohorts,
        "Items": show_items,
        "Conversion by": show_breakdown,
        "Distributions": show_distribution,
        "Hours": show_hours,
        "Correlations": show_correlations,
        "Sessions": show_sessions,
    }[topic or TOPICS[0]]
    # What this log cannot tell is explained in place of the chart; the controls stay.
    with ui.boundary():
        draw(view, view.data, top)


ui.serve(show)
