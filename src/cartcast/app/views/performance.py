"""Model performance: how good the models are, where, and how far to trust it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cartcast.app import headlines, ui
from cartcast.app.parts.measured import show_clicks, show_drivers, show_models, show_slices
from cartcast.app.parts.registered import show_card, show_findings, show_runs
from cartcast.app.parts.worth import show_calibration, show_lift, show_revenue
from cartcast.charts.theme import number

PARTS = ("Models", "By click", "Calibration", "Lift and profit", "Slices", "Drivers", "Revenue",
         "Findings", "Card", "All runs")  # fmt: skip


def show(view: ui.View) -> None:
    """Draw the page."""
    if view.run is None:
        ui.empty(
            "No model yet. This page will show how good it is, after which click, and for whom.",
            "This project has no run. Every figure here is measured, so one must be trained first.",
            "Train",
        )
        return
    run = view.run
    facts = run.data
    ui.headline(headlines.performance(facts), about(facts))
    blocking = [f for f in run.findings if f.severity == "block"]
    ui.findings(blocking)
    part = st.segmented_control(
        "Part", PARTS, default=PARTS[0], required=True, key="view", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    with ui.boundary():
        {
            "Models": show_models,
            "By click": show_clicks,
            "Calibration": show_calibration,
            "Lift and profit": show_lift,
            "Slices": show_slices,
            "Drivers": show_drivers,
            "Revenue": show_revenue,
            "Findings": show_findings,
            "Card": show_card,
            "All runs": show_runs,
        }[part or PARTS[0]](view, run)


def about(facts: dict[str, Any]) -> str:
    """Return what was predicted, on what it was measured."""
    test = facts["split"]["parts"].get("test", {})
    measured = f"{number(test.get('rows'))} test rows, {number(test.get('positives'))} positive"
    if (positive := test.get("positive_sessions")) is not None:
        # Rows are moments: a session has several.
        measured = (
            f"{number(test.get('sessions'))} test sessions, {number(positive)} of them positive "
            f"({number(test.get('rows'))} moments)"
        )
    return (
        f"Target: {facts['target']['describe']}. Measured on {measured}, that no model saw. "
        f"Split {facts['split']['describe'].split(':')[0]}."
    )


ui.serve(show)
