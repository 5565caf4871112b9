"""What the columns of a source mean: the guess and its reason, a choice, and what comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from cartcast.app import actions, layouts, ui
from cartcast.app.parts.counted import count_tiles, offer_rejects
from cartcast.charts.theme import number
from cartcast.errors import CartcastError
from cartcast.events import Log, RejectedError, load
from cartcast.events.draft import Draft
from cartcast.events.kinds import event_kind
from cartcast.events.layouts import Layout
from cartcast.events.schema import COLUMNS, EVENT_TYPES
from cartcast.features.words import event_words as in_words

__all__ = ["Drafted", "show_columns"]

_LABELS = {
    "visitor_id": "Visitor (device)",
    "user_id": "Login",
    "session_id": "Visit",
    "event_time": "Time",
    "event_type": "What happened",
    "item_id": "Item",
    "category": "Category",
    "price": "Price of one",
    "quantity": "Quantity",
    "line_value": "Total of the line",
    "order_id": "Order",
    "order_value": "Total of the order",
}
_MORE = tuple(c for c in COLUMNS if c not in {*_LABELS, "utc_offset", "source_event", "revenue"})
_HELP = {"event_type": "the word for each event: a view, a cart, a purchase ..."}
_WHOLE = {"EV122", "EV123", "EV142", "EV143"}
"""Warnings that only a whole log can tell."""
_WORDS = 24
_SHOWN = 200


class Drafted(NamedTuple):
    """A source whose columns are looked at: where it is, what to call it, and its draft."""

    sources: tuple[str, ...]
    orders: str | None
    name: str
    draft: Draft
    kept: bool
    """Whether the source is still there to be read."""


def show_columns(view: ui.View, top: Any) -> None:
    """Say what each column is taken for, let it be changed, and keep the result as a layout."""
    drafted: Drafted | None = st.session_state.get("drafted")
    if drafted is None or not view.may("upload"):
        with top:
            ui.headline(
                "This part says what each column of a file means.",
                "Choose a file under Data, then press Look at the columns.",
            )
        return
    told = drafted.draft
    with top:
        ui.headline(f"What the columns of {drafted.name} mean", _about(told))
    layout = _choose(told)
    lacking = _lacking(told, layout)
    _columns(told, layout)
    st.header(f"The first {number(told.rows.num_rows)} rows, read so", anchor=False)
    if lacking:
        st.info(lacking)
        return
    log, problem = _try(told, layout)
    if problem:
        st.error(ui.plain(problem), icon=":material/error:")
    if log:
        _preview(log, view)
    if not problem:
        _keep(view, drafted, layout)


def _lacking(told: Draft, layout: Layout) -> str:
    """Return what must be chosen before anything can be read; empty where nothing is."""
    names = layout.columns
    if not {"visitor_id", "user_id", "session_id"} & set(names):
        return "Choose the column that tells who came: Visitor, Login or Visit."
    if not {"event_time", "event_order", "session_seconds"} & set(names):
        return "Choose the column that tells when: Time (or Event order, below)."
    if layout.time_format == "auto" and (time := names.get("event_time")) and time.columns:
        column = time.columns[0]
        if column in told.source.columns and told.time_forms(column):
            return "Choose above how the times are to be read: they fit several forms."
    return ""


def _about(told: Draft) -> str:
    why = told.found.reasons.get("", "")
    if not why:
        return "Of no known source: guessed from the names and values of the columns."
    return f"Recognised as {told.layout.title or told.layout.name}: {why}."


def _choose(told: Draft) -> Layout:
    """Ask which column gives what, and what the shop's own words mean."""
    with st.container(horizontal=True, gap="small", key="mapping"):
        chosen = {target: _select(told, target, label) for target, label in _LABELS.items()}
    more: dict[str, Any] = {}
    asked = _form_of_times(told, chosen["event_time"])
    with st.expander("More columns, and how they are written"):
        with st.container(horizontal=True, gap="small", key="mapping_more"):
            chosen |= {t: _select(told, t, t.replace("_", " ").capitalize()) for t in _MORE}
        a, b, c = st.columns(3)
        form = a.text_input(
            "Form of the times", told.layout.time_format, key="mapping_form",
            help="auto, iso, epoch_s, epoch_ms, or a form such as %d.%m.%Y %H:%M",
        )  # fmt: skip
        zone = b.text_input("Time zone", told.layout.zone or "", key="mapping_zone",
                            placeholder="Europe/Berlin")  # fmt: skip
        currency = c.text_input("Currency", told.layout.currency or "", key="mapping_currency",
                                placeholder="EUR")  # fmt: skip
    more = {"zone": zone.strip() or None, "currency": currency.strip().upper() or None}
    if form.strip() != told.layout.time_format or asked:
        more["time_format"] = asked or form.strip() or "auto"
    if chosen["event_type"] is None:
        every = st.selectbox(
            "Every row is one", EVENT_TYPES, format_func=in_words, key="mapping_every",
            index=EVENT_TYPES.index(told.layout.every_event or "page_view"), width=220,
        )  # fmt: skip
        return told.changed(chosen, every_event=every, **more)
    if chosen["event_type"] != told.column("event_type"):
        more["every_event"] = None
    layout = told.changed(chosen, **more)
    return replace(layout, events={**layout.events, **_words(told, layout, chosen["event_type"])})


def _form_of_times(told: Draft, column: str | None) -> str | None:
    """Ask which form the times have, where several fit equally well."""
    forms = told.time_forms(column) if column in told.source.columns else ()
    if not forms or column is None:
        return None
    example = next(iter(told.values(column)))

    def shown(form: str) -> str:
        moment = datetime.strptime(example, form)
        return f"{moment.day} {moment:%B %Y, %H:%M}"

    chosen: str | None = st.radio(
        ui.plain(f"{example} is"), forms, index=None, format_func=shown, horizontal=True,
        key=f"form_{column}",
    )  # fmt: skip
    return chosen


def _select(told: Draft, target: str, label: str) -> str | None:
    columns = told.source.columns
    taken = told.column(target)

    def shown(column: str) -> str:
        example = next(iter(told.values(column)), "empty") if column in columns else ""
        return f"{column} ({example[:24]})" if example else column

    options = columns if taken is None or taken in columns else (taken, *columns)
    chosen: str | None = st.selectbox(
        label, options, index=None if taken is None else options.index(taken), key=f"as_{target}",
        format_func=shown, placeholder="–", width=220,
        help=_HELP.get(target, COLUMNS[target].meaning),
    )  # fmt: skip
    return chosen


def _words(told: Draft, layout: Layout, column: str) -> dict[str, str]:
    """Ask what the words of events mean that are not known; return those that were answered."""
    counts = Counter[str]()
    for word, count in told.values(column).items():
        counts[word.lower()] += count
    found = [w for w, _ in counts.most_common(_WORDS)]
    known = {w: kind for w in found if (kind := event_kind(w, layout))}
    if told_words := [f"{w} = {in_words(known[w])}" for w in found if w in known]:
        ui.note("Words that are known: " + ", ".join(told_words) + ".")
    answers: dict[str, str] = {}
    with st.container(horizontal=True, gap="small", key="mapping_words"):
        for word in (w for w in found if w not in known):
            kind = st.selectbox(
                ui.plain(f"{word} ({number(counts[word])} rows) means"), EVENT_TYPES,
                index=EVENT_TYPES.index("other"), format_func=in_words, key=f"word_{word}",
                width=220,
            )  # fmt: skip
            if kind != "other":
                answers[word] = kind
    return answers


def _columns(told: Draft, layout: Layout) -> None:
    """Show each column: its values, what it is taken for and why."""
    now = Draft(told.source, told.rows, replace(told.found, layout=layout))
    meanings: dict[str, list[str]] = {}
    for target in layout.columns:
        if column := now.column(target):
            meanings.setdefault(column, []).append(target)
    unused = set(now.unused)

    def why(column: str) -> Iterator[str]:
        if column in unused:
            yield "kept under its own name"
        for target in meanings.get(column, ()):
            same = told.column(target) == column
            yield told.found.reasons.get(target, "the layout says so") if same else "chosen here"

    shown = told.source.columns[:_SHOWN]
    rows = pd.DataFrame(
        {
            "column": list(shown),
            "values": [", ".join(v[:30] for v, _ in told.values(c).most_common(4)) for c in shown],
            "taken as": [", ".join(_LABELS.get(t, t) for t in meanings.get(c, ())) for c in shown],
            "why": ["; ".join(dict.fromkeys(why(c))) for c in shown],
        }
    )
    st.header("Each column", anchor=False)
    if len(told.source.columns) > _SHOWN:
        ui.note(f"The first {_SHOWN} of {number(len(told.source.columns))} columns.")
    st.dataframe(rows, hide_index=True, key="mapped_columns", height=min(36 * len(rows) + 38, 400))


def _try(told: Draft, layout: Layout) -> tuple[Log | None, str]:
    """Read the first rows by the layout; return the log, and what is wrong with them."""
    plain = replace(layout, header=(), skip=None, separator=None)
    try:
        return load(told.rows, layout=plain, max_reject_share=1.0), ""
    except RejectedError as error:
        return error.log, _said(error)
    except CartcastError as error:
        return None, _said(error)


def _said(error: CartcastError) -> str:
    return str(error).removeprefix("pyarrow table: ")


def _preview(log: Log, view: ui.View) -> None:
    """Show what the first rows come to, and what is refused of them."""
    count_tiles(log.summary, log.currency)
    for found in log.findings:
        if found.severity != "note" and found.code not in _WHOLE:
            st.warning(ui.plain(found.message))
    offer_rejects(view, log.rejects, "mapped_rejects")
    if log.summary.events:
        with log.connect() as con:
            rows = con.execute("SELECT * FROM events LIMIT 8").df()
        st.dataframe(rows.dropna(axis=1, how="all"), hide_index=True, key="mapped_rows")


def _keep(view: ui.View, drafted: Drafted, layout: Layout) -> None:
    """Keep the layout; read the source by it while it is there."""
    usual = layouts.free_name(view.project, drafted.name.split(".")[0])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Keep as layout", usual, key="mapping_name", width=260)
        label = "Keep and read" if drafted.kept else "Keep"
        clicked = st.button(label, type="primary")
    if not clicked:
        return
    with ui.boundary():
        named = replace(layout, name=name, title=f"the columns of {drafted.name}")
        path = actions.keep_layout(view.project, view.person, name, named)
        if not drafted.kept:
            ui.note(f"Kept. Choose the layout {name} under Data and upload the file once more.")
            return
        with st.status("Reading …") as status:
            data = actions.read_log(
                view.project, view.person, drafted.sources, layout=path, orders=drafted.orders,
                progress=ui.progress(status),
            )  # fmt: skip
        st.session_state.pop("drafted", None)
        st.session_state.update({"wanted": data.key, "wanted_part": "Data"})
        st.rerun()
