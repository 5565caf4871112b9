"""The validation report of the log looked at."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from cartcast.app import actions, ui
from cartcast.app.parts.counted import count_tiles, offer_rejects
from cartcast.app.state import Data


def report(view: ui.View, data: Data) -> None:
    """Show the validation report of the current log."""
    facts = data.log.summary
    count_tiles(facts, view.currency)
    offer_rejects(view, data.log.rejects, f"rejects_{data.key}")
    ui.findings(data.log.findings, title="What the checks found", most=5)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Events by type", anchor=False)
        kinds = pd.DataFrame(
            {"event type": list(facts.event_types), "events": list(facts.event_types.values())}
        ).sort_values("events", ascending=False)
        ui.table(kinds, view, "event_types")
    with right:
        st.header("First rows, as read", anchor=False)
        with data.log.connect() as con:
            rows = con.execute("SELECT * FROM events LIMIT 50").df()
        st.dataframe(rows.dropna(axis=1, how="all"), hide_index=True, height=300, key="first_rows")
    if view.may("delete"):
        with st.popover("Delete this log", icon=":material/delete:"):
            st.write("The clean copy is deleted; the source file and all runs stay.")
            if st.button("Delete", type="primary", key="delete_log"):
                actions.delete_data(view.project, view.person, data)
                st.session_state.pop("data", None)
                st.rerun()
