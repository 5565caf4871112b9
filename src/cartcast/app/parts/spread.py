"""How columns are spread, and what conversion depends on."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import filters, frames, headlines, ui
from cartcast.app.parts.columns import filled, split_columns
from cartcast.app.parts.listed import open_sessions
from cartcast.app.state import Data
from cartcast.charts import bars, distribution, heatmap
from cartcast.charts.theme import number
from cartcast.features.words import in_words
from cartcast.insights.compare import Difference
from cartcast.insights.sessions import CONTEXT, MEASURES


def show_breakdown(view: ui.View, data: Data, top: Any) -> None:
    """Draw conversion by any column, with intervals and counts."""
    calendar = {"time": ["hour", "weekday", "month"], "day": ["weekday", "month"]}
    numbers = [m for m in MEASURES if m not in ("purchases", "revenue")]
    columns = [*split_columns(data), *calendar.get(data.log.clock, []), *numbers]
    columns += ["price"] if "price" in filled(data) else []
    a, b = st.columns([1, 3])
    column = a.selectbox(
        "Column", columns, key="by_column", bind="query-params", format_func=in_words
    )
    largest = b.slider("Values shown", 5, 40, 15, key="largest", bind="query-params")
    where, (place,) = filters.row(view, data, extra=1)
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
                f"By {in_words(column)}, conversion runs from "
                f"{number(worst.conversion.value, 'share')} ({worst.value}) to "
                f"{number(best.conversion.value, 'share')} ({best.value})."
            )
        else:
            sentence = f"{number(found.values)} values of {in_words(column)}."
        extra = (
            "A session counts under every value that it touches; revenue is each value's own."
            if found.counted == "any"
            else "Every session has one value."
        )
        ui.headline(sentence, f"{number(found.sessions)} sessions. {extra}")
        ui.findings(found.findings)
    differ: dict[str, Difference] = {}
    against = filters.held_against(view, data, where, place)
    if against is not None and sold:
        if any(r.low is not None for r in found.rows):
            ui.note(
                "Ranges of numbers differ from one slice to the other: choose words to compare."
            )
        else:
            differ = {
                d.measure: d
                for d in filters.insight(
                    "compare_breakdowns", data, where, there=against[0], column=column,
                    largest=largest,
                )
            }  # fmt: skip
            sure = [d for d in differ.values() if d.sure]
            ui.note(
                headlines.share_differences(sure, against[1])
                if sure
                else f"No value differs from {against[1]} by more than chance."
            )
    label = "conversion (sessions that buy)" if sold else "sessions"
    if len(table):
        drawn = bars.bars(
            table,
            label=label,
            unit="share" if sold else "count",
            overall=whole.conversion.value if sold else None,
            theme=view.theme,
        )
        words = filters.choices(data).get(column, [])

        def turn(k: int) -> None:
            if (value := table["name"][k]) in words:
                open_sessions(**{column: value})

        ui.chart(drawn, "breakdown", sentence, on_click=turn if words else None)
    told = pd.DataFrame(
        {
            column: ["unknown" if r.value is None else r.value for r in found.rows],
            "sessions": [r.sessions for r in found.rows],
            "conversion": [r.conversion.value if r.conversion else None for r in found.rows],
            "low": [r.conversion.low if r.conversion else None for r in found.rows],
            "high": [r.conversion.high if r.conversion else None for r in found.rows],
            "revenue": [r.revenue for r in found.rows],
            # Of a brand, say: what else was in the baskets of those who looked at it.
            "revenue of these sessions": [r.basket for r in found.rows],
            "revenue per session": [r.revenue_per_session for r in found.rows],
        }
    )
    if differ:
        rows = [differ.get(r.value) for r in found.rows]
        parts = {"change in points": "change", "change from": "low", "change to": "high"}
        for title, part in parts.items():
            told[title] = [None if d is None else getattr(d, part) for d in rows]
            told[title] = 100 * told[title].astype(float)
    if found.counted == "session":
        told = told.drop(columns="revenue of these sessions")
    ui.table(
        told, view, "conversion_by", shares=("low", "high"),
        units={"revenue of these sessions": "money"},
    )  # fmt: skip


def show_distribution(view: ui.View, data: Data, top: Any) -> None:
    """Draw how one column is distributed."""
    columns = [*MEASURES, *[c for c in ("price", *CONTEXT, "category", "brand", "event_type",
               "item_id", "page") if c in filled(data)]]  # fmt: skip
    a, _ = st.columns([1, 3])
    column = a.selectbox(
        "Column", columns, key="distribution", bind="query-params", format_func=in_words
    )
    where, _ = filters.row(view, data)
    d = filters.insight("distribution", data, where, column=column)
    words = in_words(column)
    currency = view.currency or ""
    unit = currency if d.unit == "currency" else d.unit
    with top:
        if d.count == 0:
            ui.headline(f"{words.capitalize()} is not known for any session here.")
            return
        whose = f"all {d.of}s"
        if d.unknown:
            whose = f"the {number(d.count)} {d.of}s with a known {words}"
        if d.kind == "number" and d.quantiles:
            low, middle, high = d.quantiles[0], d.quantiles[2], d.quantiles[4]
            sentence = (
                f"{words.capitalize()}: half of {whose} up to {number(middle, unit)}; nine in "
                f"ten between {number(low, unit)} and {number(high, unit)}."
            )
        else:
            sentence = f"{d.bars[0].label}: {number(d.bars[0].n / d.count, 'share')} of {whose}."
        ui.headline(sentence, f"{number(d.count)} {d.of}s known, {number(d.unknown)} unknown.")
    table = frames.distribution(d)
    if d.kind == "number":
        drawn = distribution.distribution(
            table, label=words, unit=unit or "count", theme=view.theme
        )
    else:
        drawn = bars.bars(table, label=f"{d.of}s", unit="count", theme=view.theme)
    ui.chart(drawn, "distribution_chart", sentence)
    ui.table(table.drop(columns=["left", "right"], errors="ignore"), view, f"distribution_{column}")


def show_hours(view: ui.View, data: Data, top: Any) -> None:
    """Draw sessions or conversion by hour and weekday."""
    a, _ = st.columns([1, 3])
    measure = a.selectbox("Show", ["conversion", "sessions"], key="hours", bind="query-params")
    where, _ = filters.row(view, data)
    h = filters.insight("heat_map", data, where)
    if not h.sold:
        measure = "sessions"
    least = headlines.telling_hours(h) if measure == "conversion" else None
    with top:
        ui.headline(*headlines.of_hours(h, least))
        ui.findings(h.findings)
    table = frames.heat_map(h, measure)
    unit = "count" if measure == "sessions" else "share"
    drawn = heatmap.hour_weekday(
        table, label=measure, unit=unit, least=least or 0, theme=view.theme
    )
    ui.chart(drawn, "hours_chart", f"{measure} by hour and weekday")
    told = pd.DataFrame(
        {
            "weekday": [headlines.DAYS[c.weekday - 1] for c in h.cells],
            "hour": [c.hour for c in h.cells],
            "sessions": [c.sessions for c in h.cells],
            "conversion": [c.conversion.value if c.conversion else None for c in h.cells],
            "low": [c.conversion.low if c.conversion else None for c in h.cells],
            "high": [c.conversion.high if c.conversion else None for c in h.cells],
        }
    )
    ui.table(told, view, "hours", shares=("low", "high"))


def show_correlations(view: ui.View, data: Data, top: Any) -> None:
    """Draw which numbers of a session go together."""
    where, _ = filters.row(view, data)
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
            f"{in_words(a).capitalize()} and {in_words(b)} go together most: "
            f"rank correlation {value:.2f}.",
            f"Spearman over {number(c.sessions)} sessions. Going together does not mean causing.",
        )
    table = frames.correlations(c)
    ui.chart(heatmap.correlation(table, theme=view.theme), "correlations", "rank correlations")
    ui.table(table.reset_index(names="column"), view, "correlations")
