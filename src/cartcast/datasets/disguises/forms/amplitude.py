"""Amplitude, raw export: JSON lines; `event_id` is a counter and -1 stands for no session."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cartcast.datasets.disguises.form import Form, tells_all_but
from cartcast.datasets.disguises.forms.ga4_nested import COUNTRIES
from cartcast.datasets.disguises.forms.segment import WORDS, properties
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, TrueLog

__all__ = ["FORMS"]


def _own_ids(log: TrueLog) -> TrueLog:
    """Return the log with Amplitude's device ids and names of countries."""
    return log.change(
        lambda e: replace(
            e, visitor_id=f"{e.visitor_id}-web", country=COUNTRIES.get(e.country or "", e.country)
        )
    )


def _properties(event: Event, currency: str) -> dict[str, Any]:
    """Return the spec's properties with Amplitude's revenue: negative for a refund."""
    told = properties(event, currency)
    total = told.pop("total", None)
    told.pop("revenue", None)
    if total is not None:
        told["$revenue"] = -total if event.event_type == "refund" else total
    return told


def _row(event: Event, currency: str, counter: int, start: int) -> dict[str, Any]:
    browser = event.server is None
    return {
        "$insert_id": event.event_id,
        "amplitude_id": 400_000_000_000 + int(event.visitor_id.split("-")[0]),
        "app": 555_001,
        "city": None,
        "client_event_time": event.at("%Y-%m-%d %H:%M:%S.000000"),
        "country": event.country if browser else None,
        "device_family": event.device if browser else None,
        "device_id": None if event.server == "user" else event.visitor_id,
        "event_id": counter,
        "event_properties": _properties(event, currency),
        "event_time": event.at("%Y-%m-%d %H:%M:%S.000000"),
        "event_type": WORDS.get(event.event_type, "Page Viewed"),
        "platform": "Web" if browser else None,
        "server_received_time": event.at("%Y-%m-%d %H:%M:%S.500000"),
        "session_id": start if browser else -1,
        "user_id": None if event.server == "client" else event.user_id,
        "user_properties": {"utm_campaign": event.campaign, "utm_medium": event.channel},
        "uuid": event.event_id,
    }


def _sheet(log: TrueLog) -> tuple[Sheet, ...]:
    """Return the rows; a device's `event_id` counts its events from 1."""
    starts = {s: events[0].time * 1000 for s, events in log.sessions().items()}
    counters: dict[str, int] = {}
    rows = []
    for event in log:
        counter = counters[event.visitor_id] = counters.get(event.visitor_id, 0) + 1
        rows.append(_row(event, log.currency, counter, starts[event.session_id]))
    return (Sheet("events.jsonl", tuple(rows)),)


FORMS = (
    Form(
        "amplitude", "amplitude", ("events.jsonl",), tells_all_but(), _sheet, _own_ids,
        "https://amplitude.com/docs/apis/analytics/export", nested=True,
    ),
)  # fmt: skip
"""The raw export."""
