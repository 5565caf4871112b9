"""The sessions behind a figure: a list, what happened in one, and what to make of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import filters, scoring, ui
from cartcast.app.parts.columns import event_types
from cartcast.app.parts.kept import offer_segment
from cartcast.app.state import Data
from cartcast.charts.theme import number
from cartcast.features.words import event_words, in_words
from cartcast.insights.listing import Listing, list_visitors
from cartcast.insights.source import Slice
from cartcast.segments import Condition, Did, Range, Segment, Values, condition_from
from cartcast.segments.steps import step_words

__all__ = ["open_condition", "open_sessions", "reached", "show_sessions", "take_over"]

_HIDDEN = {"utc_offset", "known_time", "visitor_id", "event_id"}


_ANYTHING = "anything"


def open_sessions(**asked: Any) -> None:
    """Turn to the sessions that a mark of a chart stands for.

    `did` and `did_not` are event types, `reached` and `last` as on the page; others are filters.
    """
    state = st.session_state
    if "topic" in state:
        # On the page itself, whose address is bound to what is drawn already: see `take_over`.
        state["asked_sessions"] = asked
        st.rerun()
    # What was chosen there before would win over the address, which names events in words.
    for name in ("did", "did_not", "reached", "last", *asked):
        state.pop(name, None)
    kinds = ("did", "did_not", "last")
    told = {k: event_words(v) if k in kinds else v for k, v in asked.items()}
    st.switch_page("views/analysis.py", query_params={"topic": "Sessions", **told})


def take_over() -> bool:
    """Set the controls of the page to the sessions that were turned to, before they are drawn.

    Return whether any were.
    """
    asked = st.session_state.pop("asked_sessions", None)
    if asked is None:
        return False
    state = st.session_state
    state["topic"] = "Sessions"
    for name in ("did", "did_not"):
        state[name] = [asked.pop(name)] if name in asked else []
    for name in ("reached", "last"):
        state[name] = asked.pop(name, _ANYTHING)
    st.query_params.pop("ask", None)
    if (figure := asked.pop("ask", None)) is not None:
        st.query_params["ask"] = figure
    state.update(asked)
    return True


def open_condition(condition: Condition, **filters: str) -> None:
    """Turn to the sessions that fulfil a condition, and filters; the address holds them."""
    open_sessions(ask=json.dumps(condition.as_dict()), **filters)


def asked_in_address() -> Condition | None:
    """Return the condition that the address holds, if it holds one.

    Raises:
        DefinitionError: it is none.
    """
    text = st.query_params.get("ask")
    if not text:
        return None
    try:
        data = json.loads(text)
    except ValueError:
        data = text
    return condition_from(data, "the address")


def reached(step: str) -> str:
    """Return what the sessions are called that reached a step of the usual funnel."""
    return f"reached {step_words(step)}"


def show_sessions(view: ui.View, data: Data, top: Any) -> None:
    """List the sessions that did, and did not do, what is asked; show one of them."""
    kinds = event_types(data)
    steps = [s for s, _ in filters.insight("overview", data, Slice()).funnel]
    a, b, c, d = st.columns(4)
    did = a.multiselect("Did", kinds, key="did", bind="query-params", format_func=event_words)
    did_not = b.multiselect(
        "Did not", kinds, key="did_not", bind="query-params", format_func=event_words
    )
    named = [_ANYTHING, *map(reached, steps)]
    place = c.selectbox("Usual funnel", named, key="reached", bind="query-params")
    ends = d.selectbox(
        "Ends with", [_ANYTHING, *kinds], key="last", bind="query-params", format_func=event_words
    )
    conditions: list[Condition] = [Did(k) for k in did]
    conditions += [Did(k, negated=True) for k in did_not]
    if (least := named.index(place)) > 0:
        conditions.append(Range("reach", least))
    if ends != _ANYTHING:
        conditions.append(Values("last_event", (ends,)))
    figure = asked_in_address()
    if figure is not None:
        conditions.append(figure)
    where, _ = filters.row(view, data)
    if figure is not None:
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            if st.button("All sessions", key="drop_ask", type="tertiary", icon=":material/close:"):
                del st.query_params["ask"]
                st.rerun()
            ui.note(f"Only: {figure.describe()}.")
    if conditions:
        own = filters.ready(view, data, Segment("asked", tuple(conditions)))
        where = replace(where, segments=(*where.segments, own))
    found: Listing = filters.insight("list_sessions", data, where)
    with top:
        shown = f"The latest {number(len(found.rows))} are listed." if len(found.rows) else ""
        ui.headline(
            f"{number(found.sessions)} sessions of {number(found.visitors)} visitors.",
            shown or None,
        )
    if found.rows.empty:
        ui.note("No session is like that: choose fewer conditions.")
        return
    units = {"start": "", "last_event": "event", "seconds": "seconds", "revenue": "money"}
    rows, settings = ui.written(found.rows, units, view.currency)
    chosen = st.dataframe(
        rows, hide_index=True, key="listed", on_select="rerun", selection_mode="single-row",
        height=320, column_config=settings, placeholder="–",
    )  # fmt: skip
    with st.container(horizontal=True, gap="small"):
        ui.export(found.rows, view, "sessions")
        ui.export(lambda: list_visitors(data.log, where, sessions=data.sessions), view, "visitors")
        offer_segment(view, where)
    picked = chosen["selection"]["rows"]
    if picked:
        one_session(view, data, str(found.rows["session_id"].iloc[picked[0]]))
    else:
        ui.note("Choose a row to see what happened in that session.")


def one_session(view: ui.View, data: Data, session: str) -> None:
    """Show the events of a session, with what the model says after each."""
    from cartcast.insights import timeline

    st.header(ui.plain(f"Session {session}"), anchor=False)
    rows = timeline(data.log.path, session)
    if view.run is not None:
        said = scoring.score_clicks(view.run, data, session)
        if len(said):
            rows = rows.merge(said, on="event_order", how="left")
            rows["probability"] = _until_outcome(rows, view.run.outcome)
            ui.note(
                f"After each event: the probability of {in_words(view.run.target)}, as known "
                "then; none after the outcome."
            )
    order = ["event_order", "event_time", "event_type", "probability"]
    first = [c for c in order if c in rows]
    rest = [c for c in rows.columns if c not in {*first, *_HIDDEN}]
    ui.table(rows[first + rest], view, "timeline", shares=("probability",),
             units={"event_type": "event"})  # fmt: skip


def _until_outcome(rows: pd.DataFrame, outcome: Any) -> pd.Series[Any]:
    """Return the probabilities up to the outcome: after it there is nothing to foretell."""
    kind = getattr(outcome, "event_type", "")
    over = (rows["event_type"] == kind).cummax()
    return rows["probability"].mask(over)
