"""Activation: whom each rule contacts, holds out and leaves alone, and what waits for delivery."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from cartcast.activation import Activation, Outbox, activate, read_activations
from cartcast.activation.counts import Counts, counts
from cartcast.app import files, plans, ui
from cartcast.app.parts import activated
from cartcast.errors import CartcastError


def show(view: ui.View) -> None:
    """Draw the page."""
    places = plans.activations(view.project)
    if not places:
        ui.empty(
            "No activation yet. This page will show whom a rule contacts, and what it brings.",
            "Declare one under activations: in a YAML file of the project, beside its experiment; "
            "`cartcast activate` takes lists, `cartcast serve --activation` decides live.",
            "Plan an experiment", "experiments",
        )  # fmt: skip
        return
    top, outbox = st.empty(), activated.outbox_of(view.project)
    seen: list[Counts] = []
    for title, place in places.items():
        with st.container(border=True), ui.boundary():
            st.header(ui.plain(title), anchor=False)
            try:
                one = read_activations(place.path, posts=False)[place.name or ""]
            except CartcastError as error:
                ui.refused(place.path.name, error)
                continue
            told = counts(outbox, one, activated.since())
            seen.append(told)
            draw(view, title, one, told, outbox)
    with top.container():
        dead = sum(t.waiting.dead for t in seen)
        held = sum(t.held for t in seen)
        ui.headline(
            activated.headline(sum(t.contacted for t in seen), held, dead),
            "Lists and the live service count together; one who was asked about several times "
            "counts as often where nobody was contacted.",
        )


def draw(view: ui.View, title: str, one: Activation, told: Counts, outbox: Outbox) -> None:
    """Draw one activation: its rule in words, its figures, and the way to its effect."""
    st.write(ui.plain(" ".join(activated.in_sentences(one))))
    if told.waiting.dead:
        st.warning(
            ui.plain(
                "Messages were refused or given up. Mend the receiver, then send them again: "
                f"cartcast activate PLAN --name {one.key} --again"
            )
        )
    ui.figures(activated.figures(one, told), width=144)
    with st.container(horizontal=True):
        if st.button("Its measured effect", key=f"effect_{title}", icon=":material/science:"):
            st.session_state["plan"] = one.experiment.allocation.key
            st.switch_page("views/experiments.py")
    if rows := activated.left_out(told.left):
        with st.expander(f"Why others were left alone, in {activated.DAYS} days"):
            ui.table(pd.DataFrame(rows), view, f"left_{title}")
    if one.page is None:
        with st.expander("How many would it contact now?"), ui.boundary():
            ahead(view, title, one, outbox)


def ahead(view: ui.View, title: str, one: Activation, outbox: Outbox) -> None:
    """Count what a list would do; nothing is kept or sent."""
    found = [
        f for f in files.project_files(view.project.folder) if f.endswith((".csv", ".parquet"))
    ]
    if not found:
        ui.note("Needs a list in the project folder, as `cartcast predict` writes it.")
        return
    left, right = st.columns(2, vertical_alignment="bottom")
    scores = left.selectbox("Scores", found, key=f"scores_{title}")
    beside = right.multiselect(
        "Tables beside", [f for f in found if f != scores], key=f"beside_{title}"
    )
    if not st.button("Count", key=f"count_{title}"):
        return
    folder = view.project.folder
    with st.spinner("Judging each score …"):
        done = activate(
            one, files.resolve_inside(folder, scores), outbox, dry_run=True,
            tables=[files.resolve_inside(folder, f) for f in beside],
            opt_outs=activated.opted_out(one, view.project),
        )  # fmt: skip
    told = [("Would contact", done.reasons.get("contact", 0)),
            ("Would hold out", done.reasons.get("holdout", 0)), ("Scored", done.units)]  # fmt: skip
    ui.figures([(label, f"{n:,}", None) for label, n in told], width=144)
    others = {k: n for k, n in done.reasons.items() if k not in ("contact", "holdout")}
    if rows := activated.left_out(others):
        ui.table(pd.DataFrame(rows), view, f"ahead_{title}")
    ui.findings(done.findings)


ui.serve(show)
