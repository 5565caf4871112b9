"""Filters above the charts: their choices come from the data, their state is in the address."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import duckdb
import streamlit as st

from cartcast.app import ui
from cartcast.app.state import Data
from cartcast.events.sql import identifier, read_parquet
from cartcast.insights.sessions import CONTEXT
from cartcast.insights.source import Slice

__all__ = ["ALL", "UNKNOWN", "choices", "held_against", "insight", "period", "row"]

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


def _period(path: str, changed: float) -> tuple[date, date] | None:
    with duckdb.connect() as con:
        con.execute(f"CREATE VIEW sessions AS FROM {read_parquet(path)}")
        row = con.execute("SELECT min(start)::DATE, max(start)::DATE FROM sessions").fetchone()
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
    found: tuple[date, date] | None = _cached_period(str(data.sessions), _changed(data))
    return found


def insight(name: str, data: Data, where: Slice, **arguments: Any) -> Any:
    """Return an insight of `cartcast.insights` by name; the same question is counted once."""
    told = tuple(sorted((k, tuple(v) if isinstance(v, list) else v) for k, v in arguments.items()))
    return _cached_insight(name, str(data.folder), _changed(data), where, told)


def row(data: Data, extra: int = 0) -> tuple[Slice, list[Any]]:
    """Draw the filters in one row; return the slice and `extra` further columns of the row."""
    every = choices(data)
    days = period(data)
    dated = 1 if days and days[0] < days[1] else 0
    wanted = [*([1.4] * dated), *([1.0] * (len(every) + extra))]
    # A lone control does not stretch over the page.
    columns = st.columns([*wanted, *([1.0] * max(0, 4 - len(wanted)))])
    start = end = None
    if days and dated:
        with columns[0]:
            picked = st.date_input(
                "Period", value=days, min_value=days[0], max_value=days[1], key="period",
                bind="query-params", persist_state="session",
            )  # fmt: skip
        if isinstance(picked, tuple) and len(picked) == 2 and tuple(picked) != days:
            start, end = picked
    values: dict[str, str | None] = {}
    for place, (name, words) in zip(columns[dated:], every.items(), strict=False):
        with place:
            word = st.selectbox(
                name.capitalize(), [ALL, *words], key=name, bind="query-params",
                persist_state="session",
            )  # fmt: skip
        if word != ALL:
            values[name] = None if word == UNKNOWN else word
    return Slice(start, end, values), list(columns[dated + len(every) : len(wanted)])


_BEFORE = "the period before"


def held_against(data: Data, where: Slice, place: Any) -> tuple[Slice | None, str]:
    """Ask what a slice is held against; return that slice, and what to call it.

    The period before is as long, with the same values; a value is put in place of the slice's own.
    """
    every = [f"{name}: {word}" for name, words in choices(data).items() for word in words]
    days = period(data)
    options = ["nothing", *([_BEFORE] if days and days[0] < days[1] else []), *every]
    chosen = place.selectbox(
        "Compare with", options, key="against", bind="query-params", persist_state="session"
    )
    if chosen == "nothing":
        return None, ""
    if chosen != _BEFORE:
        name, _, word = chosen.partition(": ")
        values = {**where.values, name: None if word == UNKNOWN else word}
        return Slice(where.start, where.end, values), chosen
    if where.start is None or where.end is None:
        ui.note("Choose a period first: the one before it must lie in the log, too.")
        return None, ""
    length = (where.end - where.start) + timedelta(days=1)
    before = Slice(where.start - length, where.start - timedelta(days=1), where.values)
    if days and before.start is not None and before.start < days[0]:
        ui.note(f"The log begins on {days[0]:%d %B %Y}: it has no whole period before this one.")
        return None, ""
    return before, _BEFORE
