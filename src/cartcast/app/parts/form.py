"""One row of features, within their real ranges."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cartcast.app import scoring, ui
from cartcast.app.parts.said import explain, figures, proxy, sentence, using
from cartcast.features.words import event_words, titled
from cartcast.runs.run import Run


def form(view: ui.View, run: Run, top: Any) -> None:
    """A form made from the feature declarations, with their units and real ranges."""
    folder = view.project.state / "app" / "ranges"
    with st.spinner("Measuring the real ranges of the features …"):
        known = scoring.ranges(run, view.data, folder)
    if not known:
        with top:
            ui.headline("The data of this run are no longer here.")
        ui.note("Without them nobody knows which values are usual, so the form stays closed.")
        return
    order = [r["feature"] for r in run.data.get("importance") or []]
    known = sorted(known, key=lambda f: order.index(f.name) if f.name in order else len(order))
    row: dict[str, Any] = {f.name: f.middle if not f.words else f.words[0] for f in known}
    columns = st.columns(3)
    for k, feature in enumerate(known[:12]):
        with columns[k % 3]:
            row[feature.name] = field(feature, view.run_currency)
    if len(known) > 12:
        with st.expander(f"{len(known) - 12} more features, at their usual value"):
            columns = st.columns(3)
            for k, feature in enumerate(known[12:]):
                with columns[k % 3]:
                    row[feature.name] = field(feature, view.run_currency)
    said = scoring.score_row(run, row)
    with top:
        ui.headline(sentence(view, run, said), f"For the features below. {using(run)}")
    proxy(run)
    figures(view, run, said)
    explain(view, run, row)


def field(feature: scoring.FeatureRange, currency: str | None) -> Any:
    """Draw the field of one feature; empty means unknown."""
    title = titled(feature.name, feature.unit, currency)
    key = f"f_{feature.name}"
    if feature.words:
        spoken = event_words if "event" in feature.name else str
        return st.selectbox(title, [*feature.words], key=key, index=0, format_func=spoken)
    if feature.middle is None:
        st.text_input(title, "never known in these data", disabled=True, key=key)
        return None
    low, high = feature.low or 0.0, feature.high or 0.0
    return st.number_input(
        title, value=float(round(feature.middle, 4)), key=key, format="%g",
        help=f"Nine in ten sessions: {low:,.4g} to {high:,.4g}. Empty: unknown.",
    )  # fmt: skip
