"""The record of an experiment: who looked when, what was decided, and whether it still holds."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from cartcast import experiments
from cartcast.app import ui
from cartcast.app.parts.tested import Looked
from cartcast.app.state import Data
from cartcast.experiments import Journal, Plan, words
from cartcast.features.words import in_words


def show_record(view: ui.View, data: Data, plan: Plan, top: Any) -> None:
    """Show the looks and decisions so far, and what became of them."""
    journal = Journal.of(view.project.folder, plan)
    entries = journal.entries()
    made = [e for e in entries if e["kind"] == "decision"]
    with top.container():
        ui.headline(words.of_record(plan, entries), "Kept with the project, for everybody.")
    held = st.session_state.get("looked")
    now = held.analysis if isinstance(held, Looked) and held.what[0] == repr(plan) else None
    rows = []
    for e in made:
        later = experiments.since(e, now) if now is not None else None
        effect = e.get("effect") or {}
        rows.append(
            {
                "at": e["at"][:16].replace("T", " "), "who": e.get("who"), "decision": e["action"],
                "arm": e["arm"], "metric": in_words(e["metric"]), "looks": e["looks"],
                "change then": effect.get("value"), "from": effect.get("low"),
                "to": effect.get("high"), "change now": later and later.now and later.now[0],
                "holds": {True: "yes", False: "no", None: None}[later.holds if later else None],
            }
        )  # fmt: skip
    if rows:
        ui.table(
            pd.DataFrame(rows[::-1]), view, "decisions",
            shares=("change then", "from", "to", "change now"),
        )  # fmt: skip
        if now is None:
            ui.note("Look at the results again, and each decision is compared with what they say.")
    looks = [
        {"at": e["at"][:16].replace("T", " "), "who": e.get("who"), "share of the units":
         e.get("progress"), "units": sum((e.get("units") or {}).values())}
        for e in entries if e["kind"] == "look"
    ]  # fmt: skip
    if looks:
        st.header("Looks", anchor=False)
        ui.table(pd.DataFrame(looks[::-1]), view, "looks", shares=("share of the units",))
