"""Predictions: one session click by click, one row of features, or a whole file."""

from __future__ import annotations

import streamlit as st

from cartcast.app import ui
from cartcast.app.parts.batch import batch
from cartcast.app.parts.form import form
from cartcast.app.parts.single import single
from cartcast.runs.run import Run


def _load(path: str, manifest: str) -> Run:
    return Run.open(path).loaded()


_loaded = st.cache_resource(_load, max_entries=4, show_spinner="Loading the model …")


def show(view: ui.View) -> None:
    """Draw the page."""
    if view.run is None:
        ui.empty(
            "No model yet. This page will show who will buy, how much, and why.",
            "This project has no run. Train one first; it takes a minute or two.",
            "Train",
        )
        return
    run = _loaded(str(view.run.dir), view.run.data["model_manifest"])
    kinds = ["Single session", "Features", "Batch"] if run.features else ["Features", "Batch"]
    if run.moment.dated:
        # It is asked of visitors on a list, not of a session that somebody makes up.
        kinds = ["Batch"]
    top = st.container()
    kind = st.segmented_control(
        "Kind", kinds, default=kinds[0], required=True, key="kind", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    with ui.boundary():
        if kind == "Batch":
            batch(view, run, top)
        elif kind == "Features":
            form(view, run, top)
        else:
            single(view, run, top)


ui.serve(show)
