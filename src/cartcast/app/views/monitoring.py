"""Monitoring: is the model still right, is the feed whole, and what is to be done."""

from __future__ import annotations

import streamlit as st

from cartcast.app import headlines, jobs, ui
from cartcast.app.parts import watched
from cartcast.app.parts.alarms import show_alarms
from cartcast.app.parts.ask import usable
from cartcast.app.parts.said import proxy
from cartcast.app.parts.trainings import show_jobs
from cartcast.config import STATE_FOLDER
from cartcast.live.watched import STATE_FILE
from cartcast.monitoring.store import open_store
from cartcast.runs.run import Run

PARTS = ("Alarms", "Risk", "Calibration", "Feed", "Drift", "Checks")


def show(view: ui.View) -> None:
    """Draw the page."""
    if view.run is None:
        ui.empty(
            "No model yet. This page will show whether it stays right, and what goes wrong.",
            "What is watched is a trained run; this project has none.",
            "Train",
        )
        return
    top = st.empty()
    run = choose(view)
    proxy(run)
    # Opening the state would make the file: a look at the page writes nothing.
    kept = (view.project.folder / STATE_FOLDER / STATE_FILE).is_file()
    store = open_store(view.project.folder if kept else None)
    newest = store.newest_look(run.id)
    if newest is None:
        with top.container():
            ui.headline(
                "This run is not watched yet: check it on a log that is newer than its own.",
                f"Run {run.title}. A check can be repeated with every new log; it adds whole days.",
                empty=True,
            )
        show_checks(view, run)
        return
    at, told = newest
    alarms = [a for a in store.alarms() if a.run == run.id]
    with top.container():
        ui.headline(headlines.of_watch(alarms, told["days"]), watched.about(run, at, told))
    watched.figures(run, told)
    part = st.segmented_control(
        "Part", PARTS, default=PARTS[0], required=True, key="watch", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    with ui.boundary():
        if part == "Alarms":
            show_alarms(view, store, alarms)
        elif part == "Checks":
            show_checks(view, run)
        else:
            {
                "Risk": watched.show_risk,
                "Calibration": watched.show_calibration,
                "Feed": watched.show_feed,
                "Drift": watched.show_drift,
            }[part](view, store, run, told)


def choose(view: ui.View) -> Run:
    """Offer the runs that hold an alias; without any, the run that is looked at."""
    assert view.run is not None
    entries = {e.run_id: e for e in view.project.runs()}
    held = {
        f"{target} · {alias}": entries[run_id]
        for (target, alias), run_id in view.project.registry.aliases().items()
        if run_id in entries
    }
    if not held:
        return view.run
    own = [title for title, e in held.items() if e.run_id == view.run.id]
    place = list(held).index(own[0]) if own else 0
    left, _ = st.columns([1, 2])
    title = left.selectbox("Watched", list(held), index=place, key="watched", bind="query-params")
    return Run.open(view.project.registry.fetch(held[title]))


def show_checks(view: ui.View, run: Run) -> None:
    """Offer to check the run on the loaded log, and list the checks so far."""
    if view.data is None:
        ui.note("Load a log first, under Data and training; a check needs one with outcomes.")
        if st.button("Add data", type="primary"):
            st.switch_page("views/training.py")
    elif not view.may("watch"):
        ui.note("Your role can look, but not start a check; ask an analyst.")
    else:
        ui.note(f"Loaded: {view.data.name}. It should reach past the data that the run learnt on.")
        fitting = usable(view)
        chosen = st.multiselect("Calibration by saved segments, too", fitting, key="check_by",
                                width=480) if fitting else []  # fmt: skip
        if st.button("Check on the loaded log", type="primary", key="check"):
            told = {"segments": [fitting[name] for name in chosen]}
            jobs.watch(view.project, view.person, run.dir, [str(view.data.log.path)], told)
            st.rerun()
    show_jobs(view, "watch")


ui.serve(show)
