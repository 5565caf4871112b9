"""Experiments: what was tested, whether to trust it, what it is worth, and what to do."""

from __future__ import annotations

import streamlit as st

from cartcast.app import plans, ui
from cartcast.app.parts.planned import show_design, show_new
from cartcast.app.parts.recorded import show_record
from cartcast.app.parts.tested import show_results
from cartcast.errors import CartcastError

PARTS = ("Results", "Design", "Record", "New plan")


def show(view: ui.View) -> None:
    """Draw the page."""
    if view.data is None:
        ui.empty(
            "No log yet. This page will show which change works, and what it is worth.",
            "An experiment is designed and analysed on the log that is loaded here.",
            "Add data",
        )
        return
    top = st.empty()
    known = plans.places(view.project)
    if not known:
        with top.container():
            ui.headline(
                "No experiment yet: bring its plan, or make one from this log.",
                "A plan says before the start what is compared, with whom, and for how long.",
                empty=True,
            )
        show_new(view, view.data)
        return
    state = st.session_state
    wanted = state.pop("wanted_plan", None)
    if wanted in known:
        state["plan"], state["experiment_part"] = wanted, "Design"
    elif state.get("plan") not in known:
        state.pop("plan", None)
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    title = left.selectbox("Experiment", list(known), key="plan", bind="query-params")
    part = right.segmented_control(
        "Part", PARTS, default=PARTS[0], required=True, key="experiment_part",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    if part == "New plan":
        with top.container():
            ui.headline("Plan a new experiment from this log.")
        show_new(view, view.data)
        return
    try:
        plan = plans.read(known[title])
    except CartcastError as error:
        with top.container():
            ui.headline("This plan cannot be used; mend it, or choose another.")
        ui.refused(title, error)
        return
    with ui.boundary():
        {"Results": show_results, "Design": show_design, "Record": show_record}[part or "Results"](
            view, view.data, plan, top
        )


ui.serve(show)
