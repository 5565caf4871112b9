"""Segments of one's own: what there is, how each does on the loaded log, and a new one."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import actions, filters, ui
from cartcast.app.parts.columns import event_types
from cartcast.app.parts.kept import open_list
from cartcast.app.parts.listed import open_sessions
from cartcast.app.state import Data
from cartcast.charts.theme import number
from cartcast.features.words import event_words, in_words
from cartcast.insights.overview import Overview
from cartcast.insights.source import Slice
from cartcast.segments import (
    COHORT,
    Bought,
    Cohort,
    Condition,
    Did,
    Range,
    Reached,
    Scored,
    Seen,
    Segment,
    Values,
    segment_names,
)
from cartcast.segments.segment import SUMMED


def show_saved(view: ui.View) -> None:
    """List the saved segments with what each converts, and offer to make one."""
    assert view.data is not None
    names = segment_names(view.project.folder)
    many = f"{number(len(names))} saved segments." if names else "No segment is saved yet."
    ui.headline(many, "Each can be chosen on every page, in training and for a target list.")
    found, rows = {}, list[dict[str, Any]]()
    for name in names:
        with ui.boundary():
            found[name] = segment = filters.saved(view, view.data, name)
            rows.append({"segment": name, "which": segment.describe(), **counts(view, segment)})
    if rows:
        ui.table(pd.DataFrame(rows), view, "saved_segments", shares=("low", "high"))
    if names:
        with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
            name = st.selectbox("Segment", names, key="saved", width=320)
            if st.button("Its sessions", key="saved_sessions") and name in found:
                open_sessions(segment=name)
            if st.button("Build a target list", key="saved_list"):
                open_list(name)
            if view.may("segment") and st.button("Remove", key="saved_remove", type="tertiary"):
                actions.remove_segment(view.project, view.person, name)
                st.rerun()
    if view.may("segment"):
        new_segment(view, view.data)
    else:
        ui.note("Your role can look, but not save segments; ask an analyst.")


def counts(view: ui.View, segment: Segment) -> dict[str, Any]:
    """Return the figures of a segment on the loaded log."""
    assert view.data is not None
    o: Overview = filters.insight("overview", view.data, Slice(segments=(segment,)))
    c = o.conversion
    return {
        "sessions": o.sessions,
        "visitors": o.visitors,
        "conversion": c.value if c else None,
        "low": c.low if c else None,
        "high": c.high if c else None,
        "revenue": o.revenue,
    }


def new_segment(view: ui.View, data: Data) -> None:
    """Ask for conditions, count what fulfils them, and save them under a name."""
    st.header("A new segment", anchor=False)
    a, b = st.columns([1, 3])
    of = a.selectbox("Of", ["session", "visitor"], key="new_of", format_func=lambda u: f"{u}s",
                     help="sessions each by itself, or all that a visitor did")  # fmt: skip
    name = b.text_input("Name", key="new_name", placeholder="such as warm-carts")
    conditions = [*of_values(data), *of_events(data), *of_ways(data), *of_numbers(view)]
    if not conditions:
        ui.note("Choose at least one condition; all of them hold together.")
        return
    # Counted under one name: another one typed asks for nothing new.
    segment = Segment("new", tuple(conditions), "session" if of == "session" else "visitor")
    ui.note(segment.describe())
    told = counts(view, filters.ready(view, data, segment))
    bought = "" if told["conversion"] is None else f"; {number(told['conversion'], 'share')} buy"
    st.write(
        ui.plain(f"{number(told['sessions'])} sessions of {number(told['visitors'])} "
                 f"visitors{bought}.")
    )  # fmt: skip
    if st.button("Save", type="primary", key="new_save", disabled=not name.strip()):
        actions.keep_segment(view.project, view.person, replace(segment, name=name.strip()))
        st.rerun()


def of_values(data: Data) -> list[Condition]:
    """Ask for values of the columns that describe a session."""
    found: list[Condition] = []
    every = filters.choices(data)
    for place, (column, words) in zip(st.columns(max(len(every), 1)), every.items(), strict=False):
        chosen = place.multiselect(in_words(column).capitalize(), words, key=f"new_{column}")
        out = place.toggle("but these", key=f"new_not_{column}") if chosen else False
        if chosen:
            told = tuple(None if w == filters.UNKNOWN else w for w in chosen)
            found.append(Values(column, told, out))
    return found


def of_events(data: Data) -> list[Condition]:
    """Ask for what was done, and not done, and bought."""
    kinds = event_types(data)
    a, b, c, d = st.columns(4)
    did = a.multiselect("Did", kinds, key="new_did", format_func=event_words)
    times = b.number_input("How many times, at least", 1, 100, 1, key="new_times")
    did_not = c.multiselect("Did not", kinds, key="new_did_not", format_func=event_words)
    sold = d.selectbox("Bought", ["either", "yes", "no"], key="new_bought")
    found: list[Condition] = [Did(k, int(times)) for k in did]
    found += [Did(k, negated=True) for k in did_not]
    return [*found, *([] if sold == "either" else [Bought(sold == "yes")])]


def of_ways(data: Data) -> list[Condition]:
    """Ask for what was done in order, and for the week in which a visitor came first."""
    a, b, c, d = st.columns(4)
    steps = a.multiselect(
        "Did in this order", event_types(data), key="new_order", format_func=event_words,
        help="all in one session, with anything between; chosen in their order",
    )  # fmt: skip
    found: list[Condition] = [Reached(tuple(steps), len(steps))] if len(steps) > 1 else []
    days = filters.period(data)
    if days is None:
        return found
    first = b.date_input("First came in the week of", None, *days, key="new_cohort")
    did = c.selectbox(
        "And then", list(COHORT), index=None, key="new_cohort_did", format_func=in_words,
        placeholder="anything", disabled=first is None,
    )  # fmt: skip
    after = d.number_input("Weeks later", 0, 520, 1, key="new_after", disabled=did is None)
    if not isinstance(first, date):
        return found
    monday = str(first - timedelta(days=first.weekday()))
    return [*found, Cohort(monday, int(after) if did else 0, did)]


def of_numbers(view: ui.View) -> list[Condition]:
    """Ask for a range of a number, for a score, and for when a visitor was seen."""
    a, b, c, d, e = st.columns(5)
    column = a.selectbox(
        "Number", SUMMED, index=None, key="new_number", format_func=in_words, placeholder="any"
    )
    least = b.number_input("From", value=None, key="new_from")
    most = c.number_input("To", value=None, key="new_to")
    score = d.number_input("Score from", value=None, min_value=0.0, key="new_score",
                           disabled=view.run is None)  # fmt: skip
    days = e.number_input("Seen in the last days", value=None, min_value=1, key="new_seen")
    found: list[Condition] = []
    if column and (least is not None or most is not None):
        found.append(Range(column, least, most))
    if score is not None and view.run is not None:
        found.append(Scored(view.run.id, float(score)))
    return [*found, *([] if days is None else [Seen(86_400.0 * days)])]
