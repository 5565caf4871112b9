"""PostHog, batch export to Parquet: `properties` is JSON text, and a login renames the person."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from cartcast.datasets.disguises.form import Form, dropped, tells_all_but
from cartcast.datasets.disguises.forms.segment import WORDS, properties
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, TrueLog

__all__ = ["FORMS"]

_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("uuid", pa.string()),
    ("event", pa.string()),
    ("properties", pa.string()),
    ("distinct_id", pa.string()),
    ("person_id", pa.string()),
    ("team_id", pa.int64()),
    ("timestamp", pa.timestamp("us", tz="UTC")),
    ("created_at", pa.timestamp("us", tz="UTC")),
    ("elements_chain", pa.string()),
]
_SCHEMA = pa.schema(_COLUMNS)


def _own_ids(log: TrueLog) -> TrueLog:
    """Return the log without events of the server that know the device only: PostHog has none."""
    return log.change(lambda e: replace(e, server=None) if e.server == "client" else e)


def _row(event: Event, currency: str, person: str) -> dict[str, Any]:
    """Return one row; `distinct_id` is the device until the login, then the user."""
    told = properties(event, currency)
    if event.server is None:
        told |= dropped(
            {
                "$device_id": event.visitor_id,
                "$session_id": f"0195-{event.session_id}",
                "$user_id": event.user_id,
                "$is_identified": event.user_id is not None,
                "$current_url": event.page,
                "$device_type": event.device and event.device.title(),
                "$geoip_country_code": event.country,
                "utm_medium": event.channel,
                "utm_campaign": event.campaign,
            }
        )
    else:
        told["$lib"] = "posthog-python"
    moment = datetime.fromtimestamp(event.time, UTC)
    return {
        "uuid": event.event_id,
        "event": "$pageview" if event.event_type == "page_view" else WORDS[event.event_type],
        "properties": json.dumps(told),
        "distinct_id": event.user_id or event.visitor_id,
        "person_id": person,
        "team_id": 2,
        "timestamp": moment,
        "created_at": moment,
        "elements_chain": "",
    }


def _rows(log: TrueLog) -> tuple[dict[str, Any], ...]:
    logins = {e.visitor_id: e.user_id for e in log if e.user_id}
    return tuple(_row(e, log.currency, f"p-{logins.get(e.visitor_id, e.visitor_id)}") for e in log)


def _parquet(log: TrueLog) -> tuple[Sheet, ...]:
    return (Sheet("events.parquet", _rows(log), schema=_SCHEMA),)


def _json(log: TrueLog) -> tuple[Sheet, ...]:
    """Return JSON lines, where the export writes `properties` as an object."""
    rows = (
        row
        | {
            "properties": json.loads(row["properties"]),
            "timestamp": row["timestamp"].isoformat(),
            "created_at": row["created_at"].isoformat(),
        }
        for row in _rows(log)
    )
    return (Sheet("events.jsonl", tuple(rows)),)


_TELLS = tells_all_but("event_order")
_SOURCE = "https://posthog.com/docs/cdp/batch-exports"

FORMS = (
    Form("posthog", "posthog", ("events.parquet",), _TELLS, _parquet, _own_ids, _SOURCE),
    Form(
        "posthog-jsonl", "posthog", ("events.jsonl",), _TELLS, _json, _own_ids, _SOURCE, nested=True
    ),
)
"""Parquet with `properties` as JSON text, and JSON lines with it as an object."""
