"""Saved views: what each says of the loaded log now, in the project's own order."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

from cartcast.app import actions, headless, ui
from cartcast.app.parts.share import link, offer_file
from cartcast.app.saved_views import SavedView, read_views
from cartcast.charts.theme import number, recolour
from cartcast.insights.sessions import CONTEXT

_FRESH, _FAILED = 600.0, 60.0
"""Seconds for which a drawing holds (not all that a page shows is of the log), and a failure."""
_MOST = 300
_HEIGHT = 240
_FILTERS = ("days", "period", "segment", "against", "data", "run")


def show(view: ui.View) -> None:
    """Draw the page."""
    views = read_views(view.project.folder)
    if not views:
        ui.empty(
            "No view is saved yet. This page will show the charts and figures that you keep.",
            "Set a page as you want it and choose Save or share this view in the menu.",
            "To the dashboard", page="dashboard",
        )  # fmt: skip
        return
    top = st.container()
    with st.spinner("Drawing the saved views …"):
        drawn = draw(view, views)
    told = [d for d in drawn if d.problem is None]
    whole = len(told) == len(drawn)
    with top:
        ui.headline(
            told[0].headline if told else "None of the saved views can be shown now.",
            f"{number(len(drawn))} saved views"
            + ("." if whole else f", {number(len(drawn) - len(told))} of which cannot be shown.")
            + (f" Counted from {view.data.name}." if view.data else ""),
        )
        if told:
            offer_file(view.project, view.person, views, "saved-views", lambda: drawn)
    for k in range(0, len(views), 2):
        for n, place in enumerate(st.columns(2, gap="medium")):
            if k + n < len(views):
                with place, st.container(border=True, key=f"view_{k + n}"):
                    card(view, views[k + n], drawn[k + n], k + n)


def draw(view: ui.View, views: Sequence[SavedView]) -> list[headless.Drawn]:
    """Return what each view says; what was drawn lately of the same log is not drawn again."""
    held, busy = _held()
    data = view.data
    # A view that names no run is of the usual one, whichever the menu shows.
    usual = view.project.entry()
    of = (data and (data.key, data.sessions.stat().st_mtime), usual and usual.run_id,
          str(view.project.folder))  # fmt: skip
    # One at a time: who comes meanwhile waits for what is being drawn already.
    with busy:
        now = time.monotonic()
        late = {v.address: v for v in views if held.get((v.address, of), (now, None))[0] <= now}
        until = now + _FRESH
        try:
            made = headless.draw(view.project, data, list(late.values()))
        except headless.DrawingError as error:
            made, until = [headless.Drawn(str(error))] * len(late), now + _FAILED
        for address, drawn in zip(late, made, strict=True):
            # What is drawn again is the newest: not the first to be let go.
            held.pop((address, of), None)
            held[(address, of)] = (until, drawn)
        told = [held[(v.address, of)][1] for v in views]
        while len(held) > _MOST:
            del held[next(iter(held))]
        return told


Held = dict[tuple[str, object], tuple[float, headless.Drawn]]
"""Address and what it is of, with until when a drawing holds."""


def _none() -> tuple[Held, threading.Lock]:
    return {}, threading.Lock()


_held = st.cache_resource(_none, show_spinner=False)


def card(view: ui.View, one: SavedView, drawn: headless.Drawn, k: int) -> None:
    """Show one view: its answer, its first figure and chart, and what can be done with it."""
    st.header(ui.plain(one.name), anchor=False)
    if drawn.problem is not None:
        st.warning(ui.plain(drawn.problem), icon=":material/warning:")
    else:
        st.write(ui.plain(drawn.headline))
        if drawn.figures:
            ui.figures(drawn.figures[:1])
        if drawn.charts:
            ui.chart(small(drawn.charts[0].figure, view.theme == "dark"), f"view_chart_{k}",
                     drawn.charts[0].alt)  # fmt: skip
        if drawn.about:
            ui.note(drawn.about)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        known = one.page in ui.PAGES
        if st.button("Open", key=f"view_open_{k}", icon=":material/open_in_full:",
                     disabled=not known):  # fmt: skip
            open_view(one)
        with st.popover("Copy link"):
            st.code(link(one), language=None, wrap_lines=True)
        if view.may("board"):
            with st.popover("Change"):
                change(view, one, k)


def change(view: ui.View, one: SavedView, k: int) -> None:
    """Offer to move a view and to remove it."""
    moves = (("Move up", -1), ("Move down", 1))
    for label, by in moves:
        if st.button(label, key=f"view_{label}_{k}", type="tertiary"):
            actions.move_view(view.project, view.person, one.name, by)
            st.rerun()
    if st.button("Remove", key=f"view_remove_{k}", type="tertiary"):
        actions.remove_view(view.project, view.person, one.name)
        st.rerun()


def open_view(one: SavedView) -> None:
    """Turn to the page of a view in its state; filters chosen elsewhere are no part of it."""
    for name in (*_FILTERS, *CONTEXT, *one.state):
        st.session_state.pop(name, None)
    st.switch_page(f"views/{one.page}.py", query_params=one.state)


def small(figure: str, dark: bool) -> go.Figure:
    """Return a chart for a card: low, and in the colours of the theme."""
    if dark:
        for light, other in recolour().items():
            figure = figure.replace(light, other)
    told = json.loads(figure)
    made = go.Figure(told["data"], told["layout"], skip_invalid=True)
    return made.update_layout(height=_HEIGHT)


ui.serve(show)
