"""Predictions: one session click by click, one row of features, or a whole file."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cartcast.app import ui
from cartcast.app.parts.batch import batch
from cartcast.app.parts.form import form
from cartcast.app.parts.single import single
from cartcast.score import Scorer, load_scorer


def _load(path: str, manifest: str) -> Scorer:
    return load_scorer(Path(path))


_scorer = st.cache_resource(_load, max_entries=4, show_spinner="Loading the model …")


def show(view: ui.View) -> None:
    """Draw the page."""
    if view.run is None:
        ui.empty(
            "No model yet. This page will show who will buy, how much, and why.",
            "This project has no run. Train one first; it takes a minute or two.",
            "Train",
        )
        return
    scorer = _scorer(str(view.run.entry.path), view.run.entry.manifest)
    kinds = ["Single session", "Features", "Batch"] if scorer.features else ["Features", "Batch"]
    top = st.container()
    kind = st.segmented_control(
        "Kind", kinds, default=kinds[0], required=True, key="kind", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    with ui.boundary():
        if kind == "Batch":
            batch(view, view.run, top)
        elif kind == "Features":
            form(view, view.run, scorer, top)
        else:
            single(view, view.run, scorer, top)


ui.serve(show)
