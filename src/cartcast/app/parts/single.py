"""One session built click by click."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import scoring, ui
from cartcast.app.parts.said import explain, figures, proxy, sentence, using
from cartcast.app.state import Data
from cartcast.charts import by_click
from cartcast.charts.theme import words
from cartcast.features.registers import microseconds
from cartcast.features.shop_clock import ShopClock
from cartcast.features.words import event_words
from cartcast.runs.run import Run

GAPS = {"5 seconds": 5, "20 seconds": 20, "1 minute": 60, "5 minutes": 300}


def _load_items(folder: str, changed: float, _data: Data) -> pd.DataFrame:
    return scoring.items(_data).rows


_items = st.cache_data(_load_items, max_entries=10, show_spinner=False)


def single(view: ui.View, run: Run, top: Any) -> None:
    """Build a session click by click and see what the model says after each."""
    if view.data is None:
        with top:
            ui.headline("There is no log here to take items from.")
        ui.note("Add a log under Data and training, or use Features.")
        return
    clicks: list[dict[str, Any]] = st.session_state.setdefault("clicks", [])
    shop = _items(str(view.data.folder), view.data.sessions.stat().st_mtime, view.data)
    counts = view.data.log.summary.event_types
    kinds = sorted(counts, key=lambda kind: (-counts[kind], kind))
    with st.container(border=True, key="click_builder"):
        a, b, c, d = st.columns([1.1, 2, 0.9, 1.7], vertical_alignment="bottom")
        kind = a.selectbox("Event", kinds, format_func=event_words, key="click_kind")
        labels = {k: label(row) for k, row in shop.iterrows()}
        item = b.selectbox(
            "Item (most viewed first)", list(labels), format_func=labels.__getitem__,
            index=0 if len(labels) else None, key="click_item",
        )  # fmt: skip
        gap = c.selectbox("After", list(GAPS), index=1, key="click_gap")
        with d.container(horizontal=True):
            if st.button("Add", type="primary", icon=":material/add:", key="click_add"):
                chosen = shop.loc[item] if item is not None else None
                clicks.append(event(view, run, kind, chosen, clicks, GAPS[gap]))
            if st.button("Undo", disabled=not clicks, key="click_undo"):
                clicks.pop()
            if st.button("Clear", disabled=not clicks, key="click_clear"):
                clicks.clear()
    if not clicks:
        with top:
            ui.headline(
                "Add a first click to see what the model expects.",
                "The prediction updates after every click, as it would live.",
            )
        return
    if not run.proxy and any(
        c["event_type"] == getattr(run.outcome, "event_type", "") for c in clicks
    ):
        with top:
            ui.headline(
                "This session has had its outcome: the model says nothing more of it.",
                f"It learnt of sessions before it. {using(run)}",
            )
        return
    said = scoring.score_session(run, clicks)
    with top:
        ui.headline(sentence(view, run, said[-1]), f"After {len(clicks)} clicks. {using(run)}")
    proxy(run)
    figures(view, run, said[-1])
    left, right = st.columns(2, gap="large")
    with left:
        st.header("After each click", anchor=False)
        if len(said) > 1 and said[-1].probability is not None:
            rows = pd.DataFrame(
                {"click": range(1, len(said) + 1), "value": [s.probability for s in said],
                 "model": words(run.data["champion"])}
            )  # fmt: skip
            drawn = by_click.by_click(
                rows, label="probability of the outcome", unit="share",
                subject=words(run.data["champion"]), theme=view.theme,
            )  # fmt: skip
            ui.chart(drawn, "so_far", "probability after each click")
        told = pd.DataFrame(
            {
                "click": range(1, len(clicks) + 1),
                "event": [event_words(e["event_type"]) for e in clicks],
                "item": [e.get("item_id") for e in clicks],
                "price": [e.get("price") for e in clicks],
                "probability": [s.probability for s in said],
            }
        )
        ui.table(told, view, "session", currency=view.run_currency)
    with right:
        explain(view, run, scoring.feature_row(run, clicks))


def label(row: pd.Series[Any]) -> str:
    """Return an item as a line to choose."""
    parts = [str(row["item_id"])]
    parts += [str(row[c]) for c in ("category", "brand", "color") if pd.notna(row[c])]
    if pd.notna(row["price"]):
        parts.append(f"{row['price']:,.2f}")
    return " · ".join(parts)


def _offset(run: Run, at: datetime) -> int:
    """Return the minutes of the shop's clock at a moment (UTC), as the run's logs have them."""
    time = microseconds(at)
    assert time is not None
    return ShopClock(run.reading.zone).offset(time)


def event(
    view: ui.View,
    run: Run,
    kind: str,
    item: pd.Series[Any] | None,
    clicks: list[dict[str, Any]],
    gap: int,
) -> dict[str, Any]:
    """Return the next event of the session as canonical columns."""
    last = view.data.log.summary.end if view.data else None
    begin = (datetime.fromisoformat(last) if last else datetime.now(UTC)).replace(tzinfo=None)
    clock = run.reading.clock
    passed = clicks[-1]["session_seconds"] + gap if clicks else 0.0
    at = begin + timedelta(seconds=passed)
    made: dict[str, Any] = {
        "session_id": "built-here",
        "visitor_id": None,
        "event_order": len(clicks) + 1,
        "event_type": kind,
        "event_time": {"time": at, "day": begin}.get(clock or ""),
        "session_seconds": passed,
        "utc_offset": _offset(run, at),
        "quantity": 1.0,
    }
    if item is not None:
        for name in ("item_id", "category", "brand", "color", "price"):
            made[name] = item[name] if pd.notna(item[name]) else None
    return made
