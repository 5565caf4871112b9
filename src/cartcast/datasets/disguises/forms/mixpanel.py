"""Mixpanel, raw export: JSON lines of `event` and `properties`, seconds, no sessions."""

from __future__ import annotations

from typing import Any

from cartcast.datasets.disguises.form import Form, dropped, tells_all_but
from cartcast.datasets.disguises.forms.segment import WORDS, properties
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, TrueLog

__all__ = ["FORMS"]


def _row(event: Event, currency: str) -> dict[str, Any]:
    """Return one line; `distinct_id` is `$device:` and the device until the login."""
    device = None if event.server == "user" else event.visitor_id
    user = None if event.server == "client" else event.user_id
    told = {
        "time": event.time,
        "distinct_id": user or f"$device:{device}",
        "$device_id": device,
        "$user_id": user,
        "$insert_id": event.event_id,
    }
    if event.server is None:
        told |= {
            "$current_url": event.page,
            "$device": event.device,
            "mp_country_code": event.country,
            "utm_campaign": event.campaign,
            "utm_medium": event.channel,
        }
    name = WORDS.get(event.event_type, "$mp_web_page_view")
    return {"event": name, "properties": dropped(told) | properties(event, currency)}


def _sheet(log: TrueLog) -> tuple[Sheet, ...]:
    return (Sheet("events.jsonl", tuple(_row(e, log.currency) for e in log)),)


FORMS = (
    Form(
        "mixpanel", "mixpanel", ("events.jsonl",), tells_all_but("session_id", "event_order"),
        _sheet, source="https://developer.mixpanel.com/reference/raw-event-export", nested=True,
    ),
)  # fmt: skip
"""The raw export."""
