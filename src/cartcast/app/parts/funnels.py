"""Funnels: how far sessions get, how long it takes, and where those go that are lost."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import filters, frames, headlines, ui
from cartcast.app.parts.columns import event_types, split_columns
from cartcast.app.parts.listed import open_condition
from cartcast.app.parts.steps import choose_steps
from cartcast.app.state import Data
from cartcast.charts import bars, funnel
from cartcast.charts.theme import number
from cartcast.features.words import event_words, in_words
from cartcast.insights.funnel import Funnel
from cartcast.insights.source import Slice
from cartcast.segments import Reached
from cartcast.segments.steps import step_words

__all__ = ["show_funnel"]

WINDOWS = {"no limit": None, "10 minutes": 600.0, "30 minutes": 1800.0, "1 day": 86_400.0,
           "7 days": 604_800.0, "30 days": 2_592_000.0}  # fmt: skip


def show_funnel(view: ui.View, data: Data, top: Any) -> None:
    """Draw a funnel: steps, unit, order, window, split."""
    kinds = event_types(data)
    usual = [s for s, _ in filters.insight("overview", data, Slice()).funnel]
    steps = choose_steps(data, usual or kinds[:2])
    a, b, c, d = st.columns(4)
    unit = a.selectbox("Count", ["session", "visitor"], key="unit", bind="query-params")
    order = b.selectbox("Order", ["ordered", "any"], key="order", bind="query-params")
    window = c.selectbox("Within", list(WINDOWS), key="window", bind="query-params")
    by = d.selectbox(
        "Split by", ["nothing", *split_columns(data)], key="by", bind="query-params",
        format_func=in_words,
    )  # fmt: skip
    where, (place,) = filters.row(view, data, extra=1)
    if not steps:
        with top:
            ui.headline("Choose at least one step.")
        return
    with st.spinner("Following sessions …"):
        f = filters.insight(
            "funnel", data, where, steps=steps, unit=unit, order=order, window=WINDOWS[window],
            by=None if by == "nothing" else by,
        )  # fmt: skip
    with top:
        ui.headline(headlines.of_funnel(f), f"{number(f.units)} {f.unit}s have any of the steps.")
        ui.findings(f.findings)
    against = filters.held_against(view, data, where, place)
    if against is not None and len(steps) > 1:
        found = filters.insight(
            "compare_funnels", data, where, there=against[0], steps=steps, unit=unit, order=order,
            window=WINDOWS[window],
        )  # fmt: skip
        ui.note(headlines.share_differences(found, against[1], step_words))
    # A segment follows the steps of sessions, in order and without a window.
    plain = unit == "session" and order == "ordered" and WINDOWS[window] is None
    told = tuple(steps)
    if f.by is None:
        ui.chart(
            funnel.funnel(frames.funnel(f.steps), unit=f"{unit}s", theme=view.theme), "funnel",
            headlines.of_funnel(f),
            on_click=(lambda k: open_condition(Reached(told, k + 1))) if plain else None,
        )  # fmt: skip
        if plain:
            ui.note(
                "Click a bar to see its sessions; choose a row for those lost before that step."
            )
    elif len(steps) > 1:
        _split(view, data, f, told, plain)
    ui.table(
        frames.funnel_table(f), view, "funnel",
        shares=("share of first", "low", "high", "share of step before"),
        units={"step": "step", **dict.fromkeys(frames.SECONDS, "seconds")},
        on_row=(lambda k: open_condition(Reached(told, max(k, 1), lost=k > 0)))
        if plain and f.by is None
        else None,
    )  # fmt: skip
    if f.instead:
        _instead(view, f, told, plain)


def _split(view: ui.View, data: Data, f: Funnel, steps: tuple[str, ...], plain: bool) -> None:
    """Draw all steps after the first of each value that the funnel is split by."""
    table = frames.funnel_cells(f)
    drawn = funnel.split(table, label=f"share of {f.unit}s with the first step", theme=view.theme)
    words = filters.choices(data).get(f.by or "", [])
    whole = plain and bool(words)

    def turn(k: int) -> None:
        if (value := table["segment"][k]) in words:
            open_condition(Reached(steps, int(table["reached"][k])), **{str(f.by): value})

    ui.chart(drawn, "funnel_split", headlines.of_funnel(f), on_click=turn if whole else None)
    if whole:
        ui.note("Click a cell to see its sessions.")


def _instead(view: ui.View, f: Funnel, steps: tuple[str, ...], plain: bool) -> None:
    """Draw what came in place of the next step, for those who were lost after one."""
    st.header("Where they go instead", anchor=False)
    lost: dict[int, int] = {}
    for i in f.instead:
        lost[i.reached] = lost.get(i.reached, 0) + i.units
    named = {
        k: f"{k}. {step_words(steps[k - 1])}, but not then {step_words(steps[k])}"
        for k in sorted(lost)
    }
    most = list(named).index(max(lost, key=lambda k: lost[k]))
    place = st.selectbox(
        f"{f.unit.capitalize()}s with", list(named), index=most, format_func=named.__getitem__,
        key="lost_after", bind="query-params",
    )  # fmt: skip
    own = [i for i in f.instead if i.reached == place][:10]
    end = "the end of the session" if f.unit == "session" else "nothing more"
    table = pd.DataFrame(
        {
            "name": [end if i.event is None else event_words(i.event) for i in own],
            "value": [i.share for i in own],
            "n": [i.units for i in own],
        }
    )
    text = f"{table['name'][0]} comes next in {number(own[0].share, 'share')} of them"
    drawn = bars.bars(table, label=f"share of the {f.unit}s lost there", theme=view.theme)
    ui.chart(
        drawn, "instead", text,
        on_click=(
            lambda k: open_condition(Reached(steps, own[k].reached, True, own[k].event or ""))
        ) if plain else None,
    )  # fmt: skip
    ui.note(
        f"{number(lost[place])} {f.unit}s. The first event after the step they reached that is "
        "not of that step again." + (" Click a bar to see its sessions." if plain else "")
    )
