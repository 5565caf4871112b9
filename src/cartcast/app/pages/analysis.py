"""Data analysis: funnel, paths, cohorts, breakdowns, distributions, hours."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import filters, frames, headlines, ui
from cartcast.app.state import Data
from cartcast.charts import bars, cohorts, distribution, funnel, heatmap, paths
from cartcast.charts.theme import number
from cartcast.insights.sessions import CONTEXT, MEASURES
from cartcast.insights.source import Slice

TOPICS = ("Funnel", "Paths", "Cohorts", "Conversion by", "Distributions", "Hours", "Correlations")
WINDOWS = {"no limit": None, "10 minutes": 600.0, "30 minutes": 1800.0, "1 day": 86_400.0,
           "7 days": 604_800.0, "30 days": 2_592_000.0}  # fmt: skip


def show(view: ui.View) -> None:
    """Draw the page."""
    if view.data is None:
        ui.empty(
            "No data yet: here would be funnels, paths, cohorts and what conversion depends on.",
            "This project has no clean log. Upload a file, or pick one of the project.",
            "Add data",
        )
        return
    topic = st.segmented_control(
        "Topic", TOPICS, default=TOPICS[0], required=True, key="topic", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    top = st.container()
    draw = {
        "Funnel": show_funnel,
        "Paths": show_paths,
        "Cohorts": show_cohorts,
        "Conversion by": show_breakdown,
        "Distributions": show_distribution,
        "Hours": show_hours,
        "Correlations": show_correlations,
    }[topic or TOPICS[0]]
    # What this log cannot tell is said in place of the chart; the controls stay.
    with ui.boundary():
        draw(view, view.data, top)


def event_types(data: Data) -> list[str]:
    """Return the event types of the log, most frequent first."""
    counts = data.log.summary.event_types
    return sorted(counts, key=lambda kind: (-counts[kind], kind))


def split_columns(data: Data) -> list[str]:
    """Return the columns that a funnel or a breakdown can be split by."""
    context = list(filters.choices(data))
    more = [c for c in ("category", "brand", "page", "color", "location", "photo", "item_id")
            if c in filled(data)]  # fmt: skip
    return context + more


def filled(data: Data) -> set[str]:
    """Return the columns of the log that hold values."""
    import pyarrow.parquet as pq

    meta = pq.read_metadata(data.log.path)
    found = set()
    for k in range(meta.num_columns):
        for group in range(meta.num_row_groups):
            part = meta.row_group(group).column(k)
            stats = part.statistics
            if stats is None or stats.null_count is None or stats.null_count < part.num_values:
                found.add(part.path_in_schema)
                break
    return found


def show_funnel(view: ui.View, data: Data, top: Any) -> None:
    """Draw a funnel: steps, unit, order, window, split."""
    kinds = event_types(data)
    usual = [s for s, _ in filters.insight("overview", data, Slice()).funnel]
    steps = st.multiselect(
        "Steps, in order", kinds, default=usual or kinds[:2], key="steps", bind="query-params"
    )
    a, b, c, d = st.columns(4)
    unit = a.selectbox("Count", ["session", "visitor"], key="unit", bind="query-params")
    order = b.selectbox("Order", ["ordered", "any"], key="order", bind="query-params")
    window = c.selectbox("Within", list(WINDOWS), key="window", bind="query-params")
    by = d.selectbox("Split by", ["nothing", *split_columns(data)], key="by", bind="query-params")
    where, _ = filters.row(data)
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
    if f.by is None:
        drawn = funnel.funnel(frames.funnel(f.steps), unit=f"{unit}s", theme=view.theme)
        ui.chart(drawn, "funnel", headlines.of_funnel(f))
    else:
        last = [s for s in f.steps if s.step == f.steps[-1].step]
        table = pd.DataFrame(
            {
                "name": [s.segment or "unknown" for s in last],
                "value": [s.of_first.value for s in last],
                "low": [s.of_first.low for s in last],
                "high": [s.of_first.high for s in last],
                "n": [s.of_first.of for s in last],
            }
        )
        label = f"share of {unit}s that reach {headlines.plain(last[0].step)}"
        ui.chart(bars.bars(table, label=label, theme=view.theme), "funnel", headlines.of_funnel(f))
    ui.table(
        frames.funnel_table(f), view, "funnel",
        shares=("share of first", "low", "high", "share of step before"),
    )  # fmt: skip


def show_paths(view: ui.View, data: Data, top: Any) -> None:
    """Draw the next steps from an event, or the last ones to it."""
    columns = ["event_type", *[c for c in ("page", "category") if c in filled(data)]]
    a, b, c, d = st.columns(4)
    column = a.selectbox("Steps are", columns, key="column", bind="query-params")
    values = event_types(data) if column == "event_type" else _values(data, column)
    direction = b.selectbox("Direction", ["from", "to"], key="direction", bind="query-params")
    start = values.index("purchase") if direction == "to" and "purchase" in values else 0
    anchor = c.selectbox("Event", values, index=start, key=f"anchor_{direction}_{column}")
    depth = d.slider("Steps", 1, 6, 3, key="depth", bind="query-params")
    where, _ = filters.row(data)
    with st.spinner("Following sessions …"):
        p = filters.insight(
            "paths", data, where, anchor=anchor, direction=direction, column=column, depth=depth,
        )  # fmt: skip
    with top:
        ui.headline(
            headlines.of_paths(p),
            "Repeats in a row count once; at each step small flows are folded into (other).",
        )
    if p.flows:
        table = frames.paths(p)
        ui.chart(paths.sankey(table, theme=view.theme), "paths", headlines.of_paths(p))
        told = table.assign(share=[f.share for f in p.flows])[
            ["step", "source", "target", "count", "share"]
        ]
        ui.table(told.rename(columns={"count": "sessions"}), view, "paths", shares=("share",))


def _values(data: Data, column: str) -> list[str]:
    found = filters.insight("distribution", data, Slice(), column=column, largest=60)
    return [b.label for b in found.bars if b.label and b.label != "other"]


def show_cohorts(view: ui.View, data: Data, top: Any) -> None:
    """Draw return and repeat purchase by week of first visit."""
    titles = {"returned": "came back", "bought": "bought", "bought_again": "bought again"}
    a, b = st.columns([1, 3])
    measure = a.selectbox(
        "Share of visitors that", list(titles), format_func=titles.__getitem__, key="measure",
        bind="query-params",
    )  # fmt: skip
    periods = b.slider("Weeks to follow", 2, 16, 8, key="weeks", bind="query-params")
    where, _ = filters.row(data)
    c = filters.insight("cohorts", data, where, periods=periods)
    with top:
        ui.headline(
            headlines.of_cohorts(c),
            "Cohorts by week of first visit. A cell is empty until its week is over for everybody.",
        )
    table = frames.cohorts(c, measure)
    if table["value"].notna().any():
        drawn = cohorts.heatmap(table, label=f"visitors that {titles[measure]}", theme=view.theme)
        ui.chart(drawn, "cohorts", headlines.of_cohorts(c))
    else:
        ui.note("The log is shorter than two weeks: no week is over for a whole cohort yet.")
    told = pd.DataFrame(
        {
            "week of first visit": [k.week for k in c.cohorts],
            "visitors": [k.visitors for k in c.cohorts],
            "came back": [k.returned.value for k in c.cohorts],
            "bought": [k.bought.value for k in c.cohorts],
            "bought again, of buyers": [k.bought_again.value for k in c.cohorts],
        }
    )
    ui.table(told, view, "cohorts", shares=("came back", "bought", "bought again, of buyers"))


def show_breakdown(view: ui.View, data: Data, top: Any) -> None:
    """Draw conversion by any column, with intervals and counts."""
    calendar = {"time": ["hour", "weekday", "month"], "day": ["weekday", "month"]}
    numbers = [m for m in MEASURES if m not in ("purchases", "revenue")]
    columns = [*split_columns(data), *calendar.get(data.log.clock, []), *numbers]
    columns += ["price"] if "price" in filled(data) else []
    a, b = st.columns([1, 3])
    column = a.selectbox("Column", columns, key="by_column", bind="query-params")
    largest = b.slider("Values shown", 5, 40, 15, key="largest", bind="query-params")
    where, _ = filters.row(data)
    with st.spinner("Counting …"):
        found = filters.insight("breakdown", data, where, column=column, largest=largest)
        whole = filters.insight("overview", data, where)
    sold = whole.conversion is not None
    table = frames.breakdown(found, "conversion" if sold else "sessions")
    known = [r for r in found.rows if r.conversion and r.conversion.value is not None
             and r.sessions >= 100 and r.value not in (None, "other")]  # fmt: skip
    with top:
        if len(known) > 1:
            best = max(known, key=lambda r: r.conversion.value)
            worst = min(known, key=lambda r: r.conversion.value)
            sentence = (
                f"By {column.replace('_', ' ')}, conversion runs from "
                f"{number(worst.conversion.value, 'share')} ({worst.value}) to "
                f"{number(best.conversion.value, 'share')} ({best.value})."
            )
        else:
            sentence = f"{number(found.values)} values of {column.replace('_', ' ')}."
        extra = (
            "A session counts at every value that it touches."
            if found.counted == "any"
            else "Every session has one value."
        )
        ui.headline(sentence, f"{number(found.sessions)} sessions. {extra}")
    label = "conversion (sessions that buy)" if sold else "sessions"
    if len(table):
        drawn = bars.bars(
            table,
            label=label,
            unit="share" if sold else "count",
            overall=whole.conversion.value if sold else None,
            theme=view.theme,
        )
        ui.chart(drawn, "breakdown", sentence)
    told = pd.DataFrame(
        {
            column: ["unknown" if r.value is None else r.value for r in found.rows],
            "sessions": [r.sessions for r in found.rows],
            "conversion": [r.conversion.value if r.conversion else None for r in found.rows],
            "low": [r.conversion.low if r.conversion else None for r in found.rows],
            "high": [r.conversion.high if r.conversion else None for r in found.rows],
            "revenue": [r.revenue for r in found.rows],
            "revenue per session": [r.revenue_per_session for r in found.rows],
        }
    )
    ui.table(told, view, "conversion_by", shares=("conversion", "low", "high"))


def show_distribution(view: ui.View, data: Data, top: Any) -> None:
    """Draw how one column is distributed."""
    columns = [*MEASURES, *[c for c in ("price", *CONTEXT, "category", "brand", "event_type",
               "item_id", "page") if c in filled(data)]]  # fmt: skip
    a, _ = st.columns([1, 3])
    column = a.selectbox("Column", columns, key="distribution", bind="query-params")
    where, _ = filters.row(data)
    d = filters.insight("distribution", data, where, column=column)
    words = column.replace("_", " ")
    currency = view.currency or ""
    unit = currency if d.unit == "currency" else d.unit
    with top:
        if d.count == 0:
            ui.headline(f"{words.capitalize()} is unknown everywhere here.")
            return
        if d.kind == "number" and d.quantiles:
            low, middle, high = d.quantiles[0], d.quantiles[2], d.quantiles[4]
            sentence = (
                f"{words.capitalize()}: half of all {d.of}s up to {number(middle, unit)}; nine in "
                f"ten between {number(low, unit)} and {number(high, unit)}."
            )
        else:
            sentence = (
                f"{d.bars[0].label}: {number(d.bars[0].n / d.count, 'share')} of all {d.of}s "
                f"with a known {words}."
            )
        ui.headline(sentence, f"{number(d.count)} {d.of}s known, {number(d.unknown)} unknown.")
    table = frames.distribution(d)
    if d.kind == "number":
        drawn = distribution.distribution(
            table, label=words, unit=unit or "count", theme=view.theme
        )
    else:
        drawn = bars.bars(table, label=f"{d.of}s", unit="count", theme=view.theme)
    ui.chart(drawn, "distribution_chart", sentence)
    ui.table(table, view, f"distribution_{column}")


def show_hours(view: ui.View, data: Data, top: Any) -> None:
    """Draw sessions or conversion by hour and weekday."""
    a, _ = st.columns([1, 3])
    measure = a.selectbox("Show", ["conversion", "sessions"], key="hours", bind="query-params")
    where, _ = filters.row(data)
    h = filters.insight("heat_map", data, where)
    if not h.sold:
        measure = "sessions"
    busy = max(h.cells, key=lambda c: c.sessions)
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    with top:
        ui.headline(
            f"Most sessions begin on {days[busy.weekday - 1]} between {busy.hour} and "
            f"{busy.hour + 1} o'clock UTC: {number(busy.sessions)}.",
            "Hours in which few sessions began say little about conversion; the table has counts.",
        )
    table = frames.heat_map(h, measure)
    unit = "count" if measure == "sessions" else "share"
    drawn = heatmap.hour_weekday(table, label=measure, unit=unit, theme=view.theme)
    ui.chart(drawn, "hours_chart", f"{measure} by hour and weekday")
    told = pd.DataFrame(
        {
            "weekday": [days[c.weekday - 1] for c in h.cells],
            "hour": [c.hour for c in h.cells],
            "sessions": [c.sessions for c in h.cells],
            "conversion": [c.conversion.value if c.conversion else None for c in h.cells],
            "low": [c.conversion.low if c.conversion else None for c in h.cells],
            "high": [c.conversion.high if c.conversion else None for c in h.cells],
        }
    )
    ui.table(told, view, "hours", shares=("conversion", "low", "high"))


def show_correlations(view: ui.View, data: Data, top: Any) -> None:
    """Draw which numbers of a session go together."""
    where, _ = filters.row(data)
    with st.spinner("Ranking …"):
        c = filters.insight("correlations", data, where)
    pairs = [
        (abs(c.values[i][j] or 0.0), c.values[i][j], a, b)
        for i, a in enumerate(c.columns)
        for j, b in enumerate(c.columns)
        if i < j and c.values[i][j] is not None
    ]
    with top:
        if not pairs:
            ui.headline("No two numbers of a session vary here.")
            return
        _, value, a, b = max(pairs)
        ui.headline(
            f"{a.replace('_', ' ').capitalize()} and {b.replace('_', ' ')} go together most: "
            f"rank correlation {value:.2f}.",
            f"Spearman over {number(c.sessions)} sessions. Going together is not causing.",
        )
    table = frames.correlations(c)
    ui.chart(heatmap.correlation(table, theme=view.theme), "correlations", "rank correlations")
    ui.table(table.reset_index(names="column"), view, "correlations")


ui.serve(show)
