"""Live: what the service that scores visitors does now, read from the service itself."""

from __future__ import annotations

import os
from typing import Any

import streamlit as st

from cartcast.app import service, ui
from cartcast.app.parts import status
from cartcast.charts import distribution, trend
from cartcast.charts.theme import number

EVERY = 3
"""Seconds between two looks at the service."""


def show(view: ui.View) -> None:
    """Draw the page."""
    url = view.project.settings.live
    if not url:
        ui.empty(
            "No live service yet. This page will show what it takes, refuses and answers.",
            "Train a model and start `cartcast serve`, then name the service in cartcast.yaml: "
            "live: http://127.0.0.1:8000",
            "Train",
        )
        return
    _now(view, url)


def now(view: ui.View, url: str) -> None:
    """Draw what the service says now; the browser asks again by itself."""
    with ui.boundary():
        # It is drawn again without the page: whether the person may still look is asked each time.
        if ui.admit() is None:
            return
        try:
            told = _status(url, os.environ.get(service.KEY_VARIABLE))
        except service.ServiceError as error:
            ui.headline(str(error))
            ui.note("Start it with `cartcast serve`; this page looks again by itself.")
            return
        draw(view, told)


_now = st.fragment(now, run_every=EVERY)
_status = st.cache_data(service.status, ttl=EVERY - 1, max_entries=4, show_spinner=False)


def draw(view: ui.View, told: dict[str, Any]) -> None:
    """Draw a status."""
    ui.headline(status.headline(told), status.about(told))
    figures(told)
    rates = status.rates(told)
    if len(rates):
        drawn = trend.trend(rates, label="number a second", theme=view.theme)
        ui.chart(drawn, "rates", "events and refusals a second over the last ten minutes")
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Scores answered in the last ten minutes", anchor=False)
        scores(view, told)
    with right:
        st.header("Who sends", anchor=False)
        listed(status.trackers(told), "trackers", "Nobody has sent anything yet.")
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Refused since the start, and why", anchor=False)
        listed(status.reasons(told), "reasons", "Nothing has been refused.")
    with right:
        st.header("Slowest answers of the last ten minutes", anchor=False)
        listed(status.slowest(told), "slowest", "Nothing has been asked.")
    st.header("Last errors", anchor=False)
    listed(status.errors(told), "errors", "No request has been refused.")


def figures(told: dict[str, Any]) -> None:
    """Draw the figures: what is taken, kept and refused."""
    kept = told["sessions"]
    memory = None
    if kept.get("memory_limit_bytes"):
        share = number(kept["memory_bytes"] / kept["memory_limit_bytes"], "share")
        memory = f"{share} of {kept['memory_limit_bytes'] / 1e9:,.1f} GB"
    late = told["events"].get("late_accepted", 0)
    twice = told["events"].get("duplicate", 0)
    slowest = told["slowest"][0] if told["slowest"] else None
    ui.figures(
        [
            ("Events a second", number(status.rate(told)), "last minute"),
            ("Open sessions", number(kept.get("open")), memory or "kept in Redis"),
            ("Events taken", number(status.taken(told)),
             f"{number(late)} late, {number(twice)} twice"),
            ("Events set aside", number(sum(told["set_aside"].values())), "since the start"),
            ("Requests refused", number(sum(told["refused"].values())), "since the start"),
            ("Slowest answer", f"{1000 * slowest['seconds']:,.0f} ms" if slowest else "–",
             slowest["path"] if slowest else None),
        ],
        width=150,
    )  # fmt: skip


def scores(view: ui.View, told: dict[str, Any]) -> None:
    """Draw how the probabilities are distributed that were answered."""
    table = status.scores(told)
    if not table["count"].sum():
        ui.note("None: keys with the scope ingest alone are not told scores.")
        return
    drawn = distribution.distribution(
        table, label="probability of a purchase", unit="share", theme=view.theme
    )
    ui.chart(drawn, "scores", f"{number(int(table['count'].sum()))} scores")


def listed(table: Any, name: str, none: str) -> None:
    """Draw a table, or say that there is nothing in it."""
    if len(table):
        shown, settings = ui.written(table, {}, None)
        st.dataframe(
            shown, hide_index=True, key=f"live_{name}", placeholder="–", column_config=settings
        )
    else:
        ui.note(none)


ui.serve(show)
