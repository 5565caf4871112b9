"""Filters above the charts: their choices come from the data, their state is in the address."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import duckdb
import streamlit as st

from cartcast.app import ui
from cartcast.app.periods import BEFORE, USUAL, last_days
from cartcast.app.state import Data
from cartcast.events.sql import identifier, read_parquet
from cartcast.insights.sessions import CONTEXT
from cartcast.insights.source import Slice
from cartcast.segments import Found, Scored, Segment, read_segment, segment_names

__all__ = [
    "ALL",
    "UNKNOWN",
    "choices",
    "held_against",
    "insight",
    "period",
    "ready",
    "row",
    "saved",
    "span",
]

ALL = "all"
UNKNOWN = "unknown"


def _choices(path: str, changed: float, largest: int = 25) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with duckdb.connect() as con:
        con.execute(f"CREATE VIEW sessions AS FROM {read_parquet(path)}")
        for name in CONTEXT:
            column = identifier(name)
            rows = con.execute(
                f"SELECT {column}, count(*) AS n FROM sessions GROUP BY 1 "
                "ORDER BY n DESC, 1 LIMIT ?",
                [largest],
            ).fetchall()
            words = [r[0] for r in rows if r[0] is not None]
            if words:
                found[name] = [*words, *([UNKNOWN] if len(words) < len(rows) else [])]
    return found


def _period(path: str, changed: float) -> tuple[datetime, datetime] | None:
    with duckdb.connect() as con:
        con.execute(f"CREATE VIEW sessions AS FROM {read_parquet(path)}")
        row = con.execute("SELECT min(start), max(start) FROM sessions").fetchone()
    return (row[0], row[1]) if row and row[0] is not None else None


def _insight(name: str, folder: str, changed: float, where: Slice, arguments: Any) -> Any:
    from cartcast import insights

    function = getattr(insights, name)
    slices = {"here" if "there" in dict(arguments) else "where": where}
    return function(
        f"{folder}/events.parquet",
        sessions=f"{folder}/sessions.parquet",
        **slices,
        **dict(arguments),
    )


_cached_choices = st.cache_data(_choices, max_entries=20, show_spinner=False)
_cached_period = st.cache_data(_period, max_entries=20, show_spinner=False)
_cached_insight = st.cache_data(_insight, max_entries=300, show_spinner=False)


def _changed(data: Data) -> float:
    return data.sessions.stat().st_mtime


def choices(data: Data) -> dict[str, list[str]]:
    """Return the values of each session column that has any, most frequent first."""
    found: dict[str, list[str]] = _cached_choices(str(data.sessions), _changed(data))
    return found


def period(data: Data) -> tuple[date, date] | None:
    """Return the first and last day of the log; None without a calendar."""
    found = _cached_period(str(data.sessions), _changed(data))
    return (found[0].date(), found[1].date()) if found else None


def span(data: Data, where: Slice) -> tuple[datetime, datetime] | None:
    """Return from when to when sessions of a slice can begin; None without a calendar."""
    found = _cached_period(str(data.sessions), _changed(data))
    if found is None:
        return None
    first, last = (None if d is None else datetime.combine(d, time()) for d in
                   (where.start, where.end))  # fmt: skip
    end = None if last is None else last + timedelta(days=1)
    return max(found[0], first or found[0]), min(found[1], end or found[1])


def insight(name: str, data: Data, where: Slice, **arguments: Any) -> Any:
    """Return an insight of `cartcast.insights` by name; the same question is counted once."""
    told = tuple(sorted((k, tuple(v) if isinstance(v, list) else v) for k, v in arguments.items()))
    return _cached_insight(name, str(data.folder), _changed(data), where, told)


def ready(view: ui.View, data: Data, segment: Segment) -> Segment:
    """Return a segment that can be asked of a log; what a run says of it is kept beside the log.

    Raises:
        NotFoundError: a run that it asks is not there.
    """
    from cartcast.insights.scored import with_scores

    asks = any(isinstance(c, Scored | Found) for c in segment.where)
    with st.spinner("Asking the run …") if asks else contextlib.nullcontext():
        return with_scores(segment, data.log, data.folder, view.project.folder)


def saved(view: ui.View, data: Data, name: str) -> Segment:
    """Return a saved segment, ready to be asked of a log.

    Raises:
        NotFoundError, DefinitionError: it is gone, or wrong; or a run that it asks is.
    """
    return ready(view, data, read_segment(view.project.folder, name))


_MOST = 6
"""Filters in a row: with more, a period cannot be read on a laptop."""
_CHOSEN = "chosen days"


def row(view: ui.View, data: Data, extra: int = 0) -> tuple[Slice, list[Any]]:
    """Draw the filters in one row; return the slice and `extra` further columns of the row.

    On a phone they are folded, below the first chart (style.css).
    """
    # A keyed place: elsewhere on another topic, the controls lose their part of the address.
    with st.container(key="filters"), st.expander("Filters", expanded=not ui.on_phone()):
        return _row(view, data, extra)


def _row(view: ui.View, data: Data, extra: int) -> tuple[Slice, list[Any]]:
    every, names = choices(data), segment_names(view.project.folder)
    days = period(data)
    dated = 1 if days and days[0] < days[1] else 0
    wanted = [*([1.4] * dated), *([1.0] * len(every))]
    more = bool(names) + extra
    if len(wanted) + more <= _MOST:
        wanted, more = [*wanted, *([1.0] * more)], 0
    # A lone control does not stretch over the page; many stand in two rows.
    columns = iter([
        *st.columns([*wanted, *([1.0] * max(0, 4 - len(wanted)))])[: len(wanted)],
        *(st.columns(max(more, 4)) if more else []),
    ])  # fmt: skip
    keys = [*(["days"] * dated), *every, *(["segment"] if names else [])]
    start = end = None
    if days and dated:
        with next(columns):
            start, end = _days(days)
    values: dict[str, str | None] = {}
    for name, words in every.items():
        with next(columns):
            word = st.selectbox(
                name.capitalize(), [ALL, *words], key=name, bind="query-params",
                persist_state="session",
            )  # fmt: skip
        if word != ALL:
            values[name] = None if word == UNKNOWN else word
    segments: tuple[Segment, ...] = ()
    if names:
        with next(columns):
            chosen = st.selectbox(
                "Segment", [ALL, *names], key="segment", bind="query-params",
                persist_state="session",
            )  # fmt: skip
        segments = () if chosen == ALL else (saved(view, data, chosen),)
    where = Slice(start, end, values, segments)
    if where:
        _told(where, keys)
    return where, [next(columns) for _ in range(extra)]


def _days(days: tuple[date, date]) -> tuple[date | None, date | None]:
    """Ask for a usual period, or for any; None is the whole log."""
    usual = {last_days(n): n for n in USUAL if days[0] < days[1] - timedelta(n - 1)}
    state = st.session_state
    if "period" in st.query_params and "days" not in {*state, *st.query_params}:
        # An address that holds days means these.
        state["days"] = _CHOSEN
    title = st.selectbox(
        "Period", [ALL, *usual, _CHOSEN], key="days", bind="query-params", persist_state="session"
    )
    if title in usual:
        return days[1] - timedelta(days=usual[title] - 1), days[1]
    if title == ALL:
        return None, None
    picked = st.date_input(
        "From and to", value=days, min_value=days[0], max_value=days[1], key="period",
        bind="query-params", persist_state="session", label_visibility="collapsed",
    )  # fmt: skip
    if isinstance(picked, tuple) and len(picked) == 2 and tuple(picked) != days:
        return picked
    return None, None


def _told(where: Slice, keys: list[str]) -> None:
    """Say what a segment asks for, and offer to take every filter back."""

    def reset() -> None:
        st.session_state.update(dict.fromkeys(keys, ALL))

    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.button("Reset", key="reset", type="tertiary", icon=":material/close:", on_click=reset)
        for segment in where.segments:
            ui.note(f"{segment.name}: {segment.describe()}")


def held_against(view: ui.View, data: Data, where: Slice, place: Any) -> tuple[Slice, str] | None:
    """Ask what a slice is held against; return that slice and what to call it, or None.

    The period before is as long, with the same values; a value, or a segment, is put in place of
    the slice's own.
    """
    every = [f"{name}: {word}" for name, words in choices(data).items() for word in words]
    every += [f"segment: {name}" for name in segment_names(view.project.folder)]
    days = period(data)
    options = ["nothing", *([BEFORE] if days and days[0] < days[1] else []), *every]
    chosen = place.selectbox(
        "Compare with", options, key="against", bind="query-params", persist_state="session"
    )
    if chosen == "nothing":
        return None
    if chosen != BEFORE:
        name, _, word = chosen.partition(": ")
        if name == "segment":
            return replace(where, segments=(saved(view, data, word),)), chosen
        values = {**where.values, name: None if word == UNKNOWN else word}
        return replace(where, values=values), chosen
    if where.start is None or where.end is None:
        ui.note("Choose a period first: the one before it must lie in the log, too.")
        return None
    before = where.before()
    if days and before.start is not None and before.start < days[0]:
        ui.note(f"The log begins on {days[0]:%d %B %Y}: it has no whole period before this one.")
        return None
    return before, BEFORE
