"""Dashboard: how the shop does, where people leave, and what to know before trusting it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pandas as pd
import streamlit as st

from cartcast.app import filters, frames, headlines, ui
from cartcast.app.parts.listed import open_sessions, reached
from cartcast.app.state import Data
from cartcast.charts import bars, funnel, trend
from cartcast.charts.theme import number
from cartcast.features.words import event_words, in_words
from cartcast.findings import Finding
from cartcast.insights.compare import Difference
from cartcast.insights.overview import Overview
from cartcast.insights.source import Slice
from cartcast.segments.steps import step_words


def show(view: ui.View) -> None:
    """Draw the page."""
    if view.data is None:
        offer(view)
        return
    top = st.container(key="answer")
    where, extra = filters.row(view, view.data, extra=2)
    with st.spinner("Counting sessions …"):
        o = filters.insight("overview", view.data, where)
    with top:
        ui.headline(headlines.dashboard(o), about(o))
        ui.findings(o.findings)
    if o.sessions == 0:
        ui.note("Choose a longer period or another value.")
        return
    held = filters.held_against(view, view.data, where, extra[1])
    against = {}
    if held is not None:
        against = filters.insight("compare", view.data, where, there=held[0])
    figures(view, o, against)
    if held is not None:
        ui.note(headlines.differences(against, held[1]))
    measures = [m for m in frames.MEASURES if available(o, m)]
    if o.trend:
        with extra[0]:
            measure = st.selectbox(
                "Trend of",
                measures,
                format_func=in_words,
                key="trend",
                bind="query-params",
            )
        the_trend(view, view.data, measure, o, where, held)
    left, right = st.columns(2, gap="large")
    with left:
        the_funnel(view, o)
    with right:
        leaving(view, o)
    ui.findings(
        [f for f in known(view) if f not in o.findings],
        title="What you should know before you trust this",
    )


def the_trend(
    view: ui.View, data: Data, measure: str, o: Overview, where: Slice,
    held: tuple[Slice, str] | None,
) -> None:  # fmt: skip
    """Draw a measure by period, beside that of what it is held against."""
    label, unit = frames.MEASURES[measure]
    table = frames.trend(o, measure, filters.span(data, where))
    if held is not None and o.trend:
        other = filters.insight("overview", data, held[0], grain=o.grain)
        beside = frames.trend(other, measure, filters.span(data, held[0]))
        if len(beside) and held[0].start and where.start and o.grain:
            # The period before is laid over this one, day by day, also where a first day is empty.
            beside["time"] += frames.laid_over(held[0].start, where.start, o.grain)
        table = pd.concat([table.assign(series="this"), beside.assign(series=held[1])])
    drawn = trend.trend(
        table, label=label, unit=unit, currency=view.currency, markers=events_of(view, o),
        theme=view.theme,
    )  # fmt: skip
    ui.chart(drawn, "trend_chart", f"{label} by {o.grain}")
    if table["partial"].any():
        ui.note(f"Dashed: a {o.grain} that the log, or the period, holds only in part.")


def events_of(view: ui.View, o: Overview) -> list[tuple[datetime, str]]:
    """Return what the system did within the trend: how far the run learnt, what was promoted."""
    assert o.start is not None
    assert o.end is not None
    known: list[tuple[str | None, str]] = []
    if view.run is not None:
        known.append((view.run.data.get("data", {}).get("end"), "the run's data end"))
    known += [(p.at, f"{p.alias}: {p.target}") for p in view.project.registry.promotions()]
    found = []
    for text, what in known:
        if not text:
            continue
        at = frames.by_clock(text, o.zone)
        if o.start <= at <= o.end:
            found.append((at, what))
    return found


def offer(view: ui.View) -> None:
    """Say what would be here; read the project's own sources when it names some."""
    sources = view.project.source_paths()
    if not sources:
        ui.empty(
            "No data yet. This page will show what your shop's sessions do and what they bring.",
            "This project has no clean log. Upload a file, or pick one of the project.",
            "Add data",
        )
        return
    ui.headline("This page will show what your shop's sessions do and bring in.", empty=True)
    names = ", ".join(s.rsplit("/", 1)[-1] for s in sources)
    st.write(
        ui.plain(f"This project names its sources ({names}), but they have not been read yet.")
    )
    if st.button("Read the project's data", type="primary", disabled=not view.may("upload")):
        view.project.access.require(view.person, "upload", f"read {names}")
        with st.status("Reading …") as status:
            view.project.read(
                sources,
                orders=view.project.orders_path(),
                progress=ui.progress(status),
            )
        st.rerun()


def known(view: ui.View) -> list[Finding]:
    """Return findings of the log, and those of the run in use."""
    found = list(view.data.log.findings) if view.data else []
    seen = {f.code for f in found}
    return found + [f for f in (view.run.findings if view.run else []) if f.code not in seen]


def about(o: Overview) -> str:
    """Return what the page was computed from."""
    told = f"{number(o.events)} events in {number(o.sessions)} sessions"
    if o.start and o.end:
        days = [f"{t.day} {t:%B %Y}" for t in (o.start, o.end)]
        told += ", " + " to ".join(dict.fromkeys(days)) + f", {o.zone or 'UTC'}"
    return told + ". Intervals: 95 %."


def available(o: Overview, measure: str) -> bool:
    """Return whether the log can tell the measure at all."""
    if measure == "conversion":
        return o.conversion is not None
    return measure in ("sessions", "visitors") or (o.revenue is not None and o.orders > 0)


def figures(view: ui.View, o: Overview, against: Mapping[str, Difference]) -> None:
    """Draw the five figures; what is unknown is a dash with its reason."""
    share = o.conversion
    between = "no purchases recorded"
    if share:
        between = f"{number(share.low, 'share')} to {number(share.high, 'share')}"
    told = (
        ("conversion", "Conversion", number(share.value, "share") if share else "–", between),
        ("sessions", "Sessions", number(o.sessions), None),
        ("visitors", "Visitors", number(o.visitors), None),
        (
            "revenue",
            "Revenue",
            number(o.revenue, "money", view.currency),
            None if o.revenue is not None else "no prices of purchases",
        ),
        (
            "average_order",
            "Average order",
            number(o.average_order, "money", view.currency),
            f"{number(o.orders)} orders" if o.orders else None,
        ),
    )
    ui.figures(
        [
            (label, value, headlines.difference(against[key]) if key in against else under)
            for key, label, value, under in told
        ]
    )


def the_funnel(view: ui.View, o: Overview) -> None:
    """Draw the usual funnel, in order, within a session."""
    st.header("How far sessions get", anchor=False)
    if len(o.funnel) < 2:
        ui.note("The log has only one of the usual steps; Data analysis can follow any others.")
        return
    first = o.funnel[0][1]
    table = pd.DataFrame(
        {
            "step": [step_words(s) for s, _ in o.funnel],
            "count": [n for _, n in o.funnel],
            "share": [n / first if first else None for _, n in o.funnel],
        }
    )
    ui.chart(
        funnel.funnel(table, theme=view.theme), "funnel_chart", headlines.dashboard(o),
        on_click=lambda k: open_sessions(reached=reached(o.funnel[k][0])),
    )  # fmt: skip
    ui.note("Click a bar to see its sessions.")
    bought = o.conversion.did if o.conversion else 0
    straight = o.funnel[-1][1]
    if o.funnel[-1][0] == "purchase" and bought > straight:
        ui.note(
            f"{number(bought - straight)} of {number(bought)} sessions that buy do so without all "
            "the steps before, in order."
        )


def leaving(view: ui.View, o: Overview) -> None:
    """Draw where sessions without a purchase end."""
    st.header("Where people leave", anchor=False)
    if not o.leaving:
        ui.note("Every session here buys.")
        return
    # Pages tell more only where all events are alike.
    alike = len({x.event for x in o.leaving}) == 1
    parts: dict[str, tuple[int, float]] = {}
    for x in o.leaving:
        name = f"page {x.page}" if alike and x.page else event_words(x.event)
        count, share = parts.get(name, (0, 0.0))
        parts[name] = (count + x.sessions, share + x.share)
    table = pd.DataFrame(
        {
            "name": list(parts),
            "value": [share for _, share in parts.values()],
            "n": [count for count, _ in parts.values()],
        }
    ).head(8)
    drawn = bars.bars(table, label="share of sessions without a purchase", theme=view.theme)
    ends = [] if any(x.page for x in o.leaving) and alike else [x.event for x in o.leaving]
    words = {event_words(kind): kind for kind in ends}
    ui.chart(
        drawn, "leaving_chart", "where sessions without a purchase end",
        on_click=(lambda k: open_sessions(last=words[table["name"][k]], did_not="purchase"))
        if words else None,
    )  # fmt: skip


ui.serve(show)
