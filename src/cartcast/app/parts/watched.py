"""What the watch over a run has kept: its losses, calibration, feed and drift over time."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import ui
from cartcast.charts import slices, trend
from cartcast.charts.theme import number
from cartcast.features.words import in_words
from cartcast.findings import Finding
from cartcast.monitoring.history import kept_days, kept_hours, losses
from cartcast.monitoring.holes import usual_hours
from cartcast.monitoring.store import Store
from cartcast.runs.run import Run

_LOSSES = {"log loss": "log_loss", "Brier score": "brier"}
_HOURS = 7 * 24
"""Hours of the feed that are drawn."""


def figures(run: Run, told: dict[str, Any]) -> None:
    """Draw the figures of the newest look: losses and outcomes against those expected."""
    risk = told["risk"]
    rows: list[tuple[str, str, str | None]] = [
        ("Log loss, 28 days", number(risk["log_loss"], "points"),
         f"expected {number(risk['log_loss_expected'], 'points')}"),
        ("Brier score, 28 days", number(risk["brier"], "points"),
         f"expected {number(risk['brier_expected'], 'points')}"),
        ("Outcomes", number(risk["purchases"], "share"), "of those expected"),
    ]  # fmt: skip
    # A proxy is no outcome: it is never given money.
    if risk["revenue"] is not None and not run.proxy:
        rows.append(("Revenue", number(risk["revenue"], "share"), "of that expected"))
    estimate = told.get("estimate")
    if estimate:
        ends = f"{number(estimate['low'], 'points')} to {number(estimate['high'], 'points')}"
        rows.append(("Log loss to come", number(estimate["value"], "points"), ends))
    ui.figures(rows)
    if estimate:
        ui.note(f"To come: {estimate['label']}.")


def show_risk(view: ui.View, store: Store, run: Run, told: dict[str, Any]) -> None:
    """Draw realised against expected loss and outcomes over time."""
    table = losses(kept_days(store, run.id))
    if table.empty:
        ui.note("A whole week with known outcomes is needed; it is not there yet.")
        return
    name = st.segmented_control(
        "Loss", list(_LOSSES), default="log loss", required=True, key="loss", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    column = _LOSSES[name or "log loss"]
    pairs = {"realised": column, "expected": f"{column}_expected"}
    _lines(view, table, pairs, f"{name}, seven days up to each", "points", "risk")
    _lines(view, table, {"realised": "realised", "expected": "expected"}, "outcomes a day", "count",
           "outcomes")  # fmt: skip
    ui.note(
        "The loss falls when fewer buy and rises at a sale: so alarms judge it with the day's rate "
        "granted, and outcomes by a process of their own."
    )


def _lines(
    view: ui.View, table: pd.DataFrame, pairs: dict[str, str], label: str, unit: str, key: str
) -> None:
    long = pd.concat(
        [
            pd.DataFrame({"time": table["day"], "series": words, "value": table[column]})
            for words, column in pairs.items()
        ]
    )
    drawn = trend.trend(long, label=label, unit=unit, theme=view.theme)
    ui.chart(drawn, key, f"{label}: realised against expected")


def show_calibration(view: ui.View, store: Store, run: Run, told: dict[str, Any]) -> None:
    """Draw outcomes over those expected, by click and by segment."""
    _found(told, "MO106", "MO107")
    # Clicks and names of segments stand in one column.
    table = pd.DataFrame([{**row, "value": str(row["value"])} for row in told["calibration"]])
    if table.empty:
        ui.note("The scores had neither clicks nor segments to tell apart.")
        return
    named = table.rename(columns={"by": "slice_by", "value": "slice", "ratio": "value"})
    known = named.assign(n=named["moments"]).dropna(subset=["value"])
    if len(known):
        numbers = known.astype({"value": float, "low": float, "high": float})
        drawn = slices.slices(
            numbers, label="times the expected", unit="factor", overall=1.0,
            named="as expected", theme=view.theme,
        )  # fmt: skip
        ui.chart(drawn, "calibration", "outcomes over those expected by click and segment")
        ui.note("Outcomes of the last 28 days over those expected, with the moments behind each.")
    hidden = [c for c in table.columns if c.startswith("revenue") and run.proxy]
    ui.table(
        table.drop(columns=hidden), view, "watched_calibration", currency=view.run_currency,
        units={"revenue": "money", "revenue_expected": "money"},
    )  # fmt: skip


def show_feed(view: ui.View, store: Store, run: Run, told: dict[str, Any]) -> None:
    """Draw the events of each hour against the same hour of the same weekday."""
    hours = kept_hours(store, run.id)
    if hours.empty:
        ui.note("Nothing is kept of the feed yet.")
        return
    every = hours.assign(usual=usual_hours(hours)).rename(columns={"hour": "day"})
    last = every.tail(_HOURS)
    pairs = {"events": "events"}
    if last["usual"].notna().any():
        pairs["usual"] = "usual"
    else:
        ui.note("What is usual is known after three weeks.")
    _lines(view, last, pairs, "events an hour", "count", "feed")
    ui.note("Usual: the median of the same hour of the same weekday in the eight weeks before.")
    rows = told.get("rows") or {}
    if total := sum(rows.values()):
        shares = [number(rows[name] / total, "share") for name in ("rejects", "doubled")]
        ui.note(
            f"Of {number(total)} rows of the newest log, {shares[0]} were rejected and {shares[1]} "
            "came twice."
        )
    days = store.rows("feed", run.id)
    listed = [{"day": day, **values} for day, values in list(days.items())[-28:]]
    if listed:
        table = pd.DataFrame(listed[::-1])
        kept = [c for c in ("day", "sessions", "events", "carts", "buying", "doubled", "late",
                            "unseen", "fast") if c in table.columns]  # fmt: skip
        ui.table(table[kept], view, "feed_days", height=260)


def show_drift(view: ui.View, store: Store, run: Run, told: dict[str, Any]) -> None:
    """Show which features moved; this explains an alarm and is none."""
    _found(told, "MO121")
    if not told["drift"]:
        if told.get("untold"):
            ui.note(f"In the newest look {told['untold']}.")
            return
        ui.note("Six whole weeks are needed before a shift can be told from the usual ones.")
        return
    table = pd.DataFrame(told["drift"])
    shown = pd.DataFrame(
        {
            "feature": table["feature"], "shift": table["size"], "usual shift": table["usual"],
            "weight in the model": table["weight"],
            "moved": ["yes" if named else "no" for named in table["named"]],
        }
    )  # fmt: skip
    ui.table(shown, view, "drift", shares=("weight in the model",))
    ui.note(
        "Shift: population stability index of the newest week, freed of chance. A feature counts "
        "as moved when it moved more than in the shop's own past weeks."
    )


def _found(told: dict[str, Any], *codes: str) -> None:
    ui.findings([Finding.from_dict(f) for f in told["findings"] if f["code"] in codes])


def about(run: Run, at: str, told: dict[str, Any]) -> str:
    """Return which run is watched, until which day, and when it was looked at."""
    last = f", outcomes known to {str(told['last_day'])[:10]}" if told.get("last_day") else ""
    model = in_words(run.champion)
    return f"Run {run.title} ({model}){last}; checked {at[:16].replace('T', ' ')} UTC."
