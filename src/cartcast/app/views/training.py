"""Data and training: bring data in, see what the contract says, train, watch, cancel."""

from __future__ import annotations

import streamlit as st

from cartcast.app import jobs, ui
from cartcast.app.parts.ask import show_train
from cartcast.app.parts.bring import bring
from cartcast.app.parts.mapped import show_columns
from cartcast.app.parts.people import show_people
from cartcast.app.parts.trainings import show_jobs
from cartcast.app.parts.validation import report
from cartcast.charts.theme import number


def show(view: ui.View) -> None:
    """Draw the page."""
    top = st.container()
    parts = ["Data", "Columns", "Train", "Trainings"] + (["People"] if view.may("people") else [])
    if wanted := st.session_state.pop("wanted_part", None):
        st.session_state["part"] = wanted
    part = st.segmented_control(
        "Part", parts, default=None if wanted else "Data", required=True, key="part",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    if part != "Columns":
        with top:
            ui.headline(*answer(view))
    with ui.boundary():
        {
            "Data": show_data,
            "Columns": lambda view: show_columns(view, top),
            "Train": show_train,
            "Trainings": show_jobs,
            "People": show_people,
        }[part or "Data"](view)


def answer(view: ui.View) -> tuple[str, str | None]:
    """Return the headline: what there is, what is running, what is next."""
    running = [j for j in jobs.jobs(view.project) if j.state in jobs.OPEN]
    if running:
        job = running[0]
        more = f" ({len(running)} trainings in all)" if len(running) > 1 else ""
        return (
            f"Training {job.target}: {job.message}{more}.",
            "It continues if you close this page.",
        )
    if view.data is None:
        return (
            "No data yet: bring in a log of clicks, or a table with one row per session.",
            "Then train a model: it comes with intervals, warnings and predictions.",
        )
    facts = view.data.log.summary
    text = f"{view.data.name}: {number(facts.events)} events in {number(facts.sessions)} sessions"
    sold = (
        f", {number(facts.purchase_sessions)} of them buy" if facts.purchases else ", no purchases"
    )
    return f"{text}{sold}.", (
        f"Layout {view.data.log.layout}; {number(facts.rejects)} rows rejected; clock: "
        f"{view.data.log.clock}."
    )


def show_data(view: ui.View) -> None:
    """Bring data in, and show what the contract says."""
    if view.may("upload"):
        bring(view)
    else:
        ui.note("Your role can look, but not add data; ask an analyst.")
    if view.data is not None:
        report(view, view.data)


ui.serve(show)
