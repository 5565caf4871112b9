"""Saving what is looked at as a segment, and turning to a target list of it."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from cartcast.app import actions, ui
from cartcast.insights.source import Slice
from cartcast.segments import Condition, Found, Scored, Segment, Values

__all__ = ["offer_segment", "open_list"]


def open_list(name: str) -> None:
    """Turn to the target list of a saved segment."""
    st.session_state.pop("list_segment", None)
    told = {"kind": "Batch", "list_segment": name}
    st.switch_page("views/predictions.py", query_params=told)


def conditions_of(where: Slice) -> tuple[Condition, ...] | None:
    """Return what a slice asks as conditions of sessions; None where it asks of visitors, too.

    The period is no part of them: a segment is asked of any log.
    """
    if any(s.of == "visitor" for s in where.segments):
        return None
    own: list[Condition] = [Values(name, (value,)) for name, value in where.values.items()]
    own += [c for s in where.segments for c in s.where]
    # Where a run's scores of this log lie is no part of the definition.
    return tuple(
        replace(c, table=None) if isinstance(c, Scored | Found) else c for c in dict.fromkeys(own)
    )


def offer_segment(view: ui.View, where: Slice) -> None:
    """Offer to save the sessions of a slice as a segment, and to make a target list of it."""
    if not view.may("segment"):
        return
    conditions = conditions_of(where)
    with st.popover("Make this a segment", icon=":material/bookmark_add:", disabled=not conditions):
        if not conditions:
            return
        described = Segment("new", conditions).describe()
        ui.note(f"{described} The period is not part of it.")
        name = st.text_input("Name", key="segment_name", placeholder="such as warm-carts")
        listed = st.checkbox("Then build a target list of it", key="segment_list")
        if not st.button("Save", type="primary", key="segment_save", disabled=not name.strip()):
            return
        with ui.boundary():
            segment = Segment(name.strip(), conditions)
            kept = actions.keep_segment(view.project, view.person, segment)
            if listed:
                open_list(kept.name)
            st.success(ui.plain(f"Saved as {kept.name}, version {kept.version}."))
