"""What the model says of one session: the sentence, the figures, why, and what would change it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import scoring, ui
from cartcast.charts import importance
from cartcast.charts.theme import number, words
from cartcast.explain.phrases import amount
from cartcast.features.words import in_words
from cartcast.runs.run import Run


def proxy(run: Run) -> None:
    """Say loudly that a proxy is no outcome."""
    if run.data["target"]["kind"] == "proxy":
        st.warning(ui.plain(f"{run.data['target']['describe']}: a declared rule, not an outcome."))


def using(run: Run) -> str:
    """Return which model speaks."""
    return f"Model: {words(run.data['champion'])}, run {run.title}."


def sentence(view: ui.View, run: Run, said: scoring.Said) -> str:
    """Return what is expected of the session."""
    currency = view.run_currency
    if said.probability is None:
        return f"Expected: {number(said.revenue, 'money', currency)} from this session."
    outcome = run.data["target"]["describe"].removeprefix("PROXY ")
    base = (run.data["split"]["parts"].get("test") or {}).get("prevalence")
    times = f", {number(said.probability / base, 'factor')} the usual" if base else ""
    return f"{number(said.probability, 'share')} probability of {outcome}{times}."


def figures(view: ui.View, run: Run, said: scoring.Said) -> None:
    """Draw the figures of one prediction, and how such scores turned out."""
    currency = view.run_currency
    told: list[tuple[str, str, str | None]] = []
    if said.probability is not None:
        told.append(("Probability", number(said.probability, "share"), None))
    if said.revenue is not None:
        between = None
        if said.low is not None and said.high is not None:
            ends = [number(x, "money", currency) for x in (said.low, said.high)]
            between = f"if bought: {ends[0]} to {ends[1]}"
        told.append(("Expected revenue", number(said.revenue, "money", currency), between))
    ui.figures(told, width=280)
    if said.segment:
        ui.note(f"Segment: {said.segment}.")
    if said.probability is not None:
        kept = _reliability(str(run.dir), said.probability, run)
        if kept is not None:
            ui.note(
                f"Of {number(kept.n)} test rows scored {number(kept.left, 'share')} to "
                f"{number(kept.right, 'share')}, {number(kept.observed, 'share')} had the outcome "
                f"({number(kept.low, 'share')} to {number(kept.high, 'share')})."
            )


def _at(path: str, probability: float, _run: Run) -> scoring.Reliability | None:
    return scoring.reliability_at(_run, probability)


_reliability = st.cache_data(_at, max_entries=500, show_spinner=False)


def explain(view: ui.View, run: Run, row: dict[str, Any]) -> None:
    """Show in words why the score is what it is, and what would change it."""
    folder = view.project.state / "app" / "ranges"
    st.header("Why", anchor=False)
    reasons = scoring.why(run, view.data, folder, row)
    if reasons is None:
        ui.note("The data of this run are gone: there is no usual session to compare with.")
    else:
        st.write(ui.plain(reasons.sentence))
        if len(reasons.table):
            unit = "share" if run.kind == "classifier" else "money"
            drawn = importance.contributions(reasons.table, unit=unit, theme=view.theme)
            ui.chart(drawn, "why", reasons.sentence)
            usual = number(reasons.usual, unit, view.run_currency)
            measured = "in percentage points, " if unit == "share" else ""
            ui.note(f"The strongest reasons, {measured}against the usual session ({usual}).")
    st.header("What would change it", anchor=False)
    known = scoring.ranges(run, view.data, view.project.state / "app" / "ranges")
    changes = scoring.what_would_change(run, row, known)
    if not changes:
        ui.note("No single feature, within its real range, would change this score.")
        return
    units = {f.name: f.unit for f in known}
    told = pd.DataFrame(
        {
            "feature": [c.feature for c in changes],
            "text": [change_of(c, units.get(c.feature, ""), view.run_currency) for c in changes],
            "contribution": [c.change for c in changes],
        }
    )
    ui.chart(
        importance.contributions(told, unit="share", theme=view.theme), "changes", "what-if changes"
    )
    ui.note(
        "Each bar is what the model would say if this one feature took another value seen in real "
        "sessions. It is the model's answer, not a promise of what people would do."
    )


def change_of(change: scoring.Change, unit: str, currency: str | None) -> str:
    """Return a change of one feature in words: what it is, and what it would be."""
    ends = [amount(value, unit, currency) for value in (change.value, change.other)]
    return f"{in_words(change.feature)}: {ends[0]} → {ends[1]}"
