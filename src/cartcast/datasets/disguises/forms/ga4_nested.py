"""Google Analytics 4, BigQuery export as it comes: nested Parquet and JSON lines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from cartcast.datasets.disguises.form import Form, tells_all_but
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, Line, Order, TrueLog

__all__ = ["COUNTRIES", "FORMS", "GA4_SCHEMA", "as_ga4", "batches", "param_session"]

COUNTRIES = {
    "DE": "Germany", "FR": "France", "GB": "United Kingdom", "IT": "Italy", "PL": "Poland",
    "NA": "Namibia",
}  # fmt: skip
"""GA4 writes countries as English names."""

_TEXT, _WHOLE, _REAL = pa.string(), pa.int64(), pa.float64()


def _struct(*fields: tuple[pa.DataType, tuple[str, ...]]) -> pa.DataType:
    """Return a structure of groups of fields of one type each."""
    return pa.struct([(name, kind) for kind, names in fields for name in names])


_VALUE = _struct(
    (_TEXT, ("string_value",)), (_WHOLE, ("int_value",)), (_REAL, ("float_value", "double_value"))
)
_ITEM = _struct(
    (_TEXT, ("item_id", "item_name", "item_brand", "item_variant", "item_category",
             "item_category2", "item_category3", "item_category4", "item_category5")),
    (_REAL, ("price_in_usd", "price")),
    (_WHOLE, ("quantity",)),
    (_REAL, ("item_revenue_in_usd", "item_revenue", "item_refund_in_usd", "item_refund")),
    (_TEXT, ("coupon", "affiliation", "location_id", "item_list_id", "item_list_name",
             "item_list_index", "promotion_id", "promotion_name", "creative_name",
             "creative_slot")),
)  # fmt: skip
_ECOMMERCE = _struct(
    (_WHOLE, ("total_item_quantity",)),
    (_REAL, ("purchase_revenue_in_usd", "purchase_revenue", "refund_value_in_usd", "refund_value",
             "shipping_value_in_usd", "shipping_value", "tax_value_in_usd", "tax_value")),
    (_WHOLE, ("unique_items",)),
    (_TEXT, ("transaction_id",)),
)  # fmt: skip
_PARAMS: pa.DataType = pa.list_(pa.struct([("key", _TEXT), ("value", _VALUE)]))

_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("event_date", _TEXT),
    ("event_timestamp", _WHOLE),
    ("event_name", _TEXT),
    ("event_params", _PARAMS),
    ("event_previous_timestamp", _WHOLE),
    ("event_value_in_usd", _REAL),
    ("event_bundle_sequence_id", _WHOLE),
    ("event_server_timestamp_offset", _WHOLE),
    ("user_id", _TEXT),
    ("user_pseudo_id", _TEXT),
    ("user_first_touch_timestamp", _WHOLE),
    ("device", _struct((_TEXT, ("category", "operating_system", "language")))),
    ("geo", _struct((_TEXT, ("continent", "country", "region", "city")))),
    ("traffic_source", _struct((_TEXT, ("medium", "name", "source")))),
    ("stream_id", _WHOLE),
    ("platform", _TEXT),
    ("ecommerce", _ECOMMERCE),
    ("items", pa.list_(_ITEM)),
    ("is_active_user", pa.bool_()),
    ("batch_event_index", _WHOLE),
    ("batch_page_id", _WHOLE),
    ("batch_ordering_id", _WHOLE),
]

GA4_SCHEMA = pa.schema(_COLUMNS)
"""The export's columns, as far as a shop on the web fills them."""


def as_ga4(log: TrueLog) -> TrueLog:
    """Return the log with GA4's client ids, and country names."""

    def rule(event: Event) -> Event:
        return replace(
            event,
            visitor_id=f"{event.visitor_id}.{1_740_000_000 + int(event.visitor_id)}",
            country=COUNTRIES.get(event.country or "", event.country),
        )

    return log.change(rule)


def param_session(log: TrueLog) -> dict[str, int]:
    """Return `ga_session_id` by session: its start cut to ten minutes, shared by visitors."""
    return {s: events[0].time // 600 * 600 for s, events in log.sessions().items()}


def batches(log: TrueLog) -> dict[str, tuple[int, int, int]]:
    """Return page, ordering and event index of each event id: a batch holds one moment's events."""
    found: dict[str, tuple[int, int, int]] = {}
    for events in log.sessions().values():
        ordering, index = 0, 0
        before: Event | None = None
        for event in events:
            same = before is not None and before.time == event.time
            ordering, index = (ordering, index + 1) if same else (ordering + 1, 0)
            found[event.event_id] = (1_000 + event.session_number, ordering, index)
            before = event
    return found


def ga4_rows(log: TrueLog) -> list[dict[str, Any]]:
    """Return the export's rows: one an event, parameters and items nested."""
    sessions, order = param_session(log), batches(log)
    return [_row(e, log.currency, sessions[e.session_id], order[e.event_id]) for e in log]


def _row(event: Event, currency: str, session: int, batch: tuple[int, int, int]) -> dict[str, Any]:
    page, ordering, index = batch
    browser = event.server is None
    row: dict[str, Any] = {
        "event_date": event.at("%Y%m%d"),
        "event_timestamp": event.time * 1_000_000,
        "event_name": "view_search_results" if event.event_type == "search" else event.event_type,
        "event_params": _params(event, currency, session),
        "event_bundle_sequence_id": event.time % 100_000,
        "user_id": None if event.server == "client" else event.user_id,
        "user_pseudo_id": None if event.server == "user" else event.visitor_id,
        "user_first_touch_timestamp": 1_740_000_000_000_000,
        "stream_id": 2_100_450_278,
        "platform": "WEB",
        "ecommerce": _ecommerce(event),
        "items": [_item(line, event) for line in event.lines],
        "is_active_user": browser,
    }
    if browser:
        row |= {
            "device": {"category": event.device, "operating_system": "Web", "language": "en-gb"},
            "geo": {"country": event.country, "region": "(not set)", "city": "(not set)"},
            "traffic_source": {
                "medium": event.channel, "name": event.campaign or "(direct)", "source": "(direct)",
            },
            "batch_event_index": index,
            "batch_page_id": page,
            "batch_ordering_id": ordering,
        }  # fmt: skip
    return row


def _params(event: Event, currency: str, session: int) -> list[dict[str, Any]]:
    values: dict[str, Any] = {}
    if event.server is None:
        values |= {"ga_session_id": session, "ga_session_number": event.session_number,
                   "page_location": event.page, "engagement_time_msec": 100}  # fmt: skip
    values |= {"search_term": event.term, "shelf": event.shelf}
    if event.lines:
        values["currency"] = currency
    if isinstance(event.order, Order):
        values |= {"value": event.order.total, "transaction_id": event.order.order_id,
                   "tax": event.order.tax, "shipping": event.order.shipping}  # fmt: skip
    elif event.lines:
        values["value"] = round(sum(line.value for line in event.lines), 2)
    return [{"key": k, "value": _value(v)} for k, v in values.items() if v is not None]


def _value(value: Any) -> dict[str, Any]:
    """Return the value in its slot: GA4 keeps a whole number as an integer, even in money."""
    if isinstance(value, str):
        return {"string_value": value}
    if float(value).is_integer():
        return {"int_value": int(value)}
    return {"double_value": value}


def _ecommerce(event: Event) -> dict[str, Any] | None:
    if not event.lines:
        return None
    told: dict[str, Any] = {
        "total_item_quantity": sum(line.quantity for line in event.lines),
        "unique_items": len({line.item_id for line in event.lines}),
        "transaction_id": event.order.order_id if event.order else "(not set)",
    }
    if event.order and event.event_type == "refund":
        told["refund_value"] = event.order.total
    elif event.order:
        told |= {"purchase_revenue": event.order.total, "tax_value": event.order.tax,
                 "shipping_value": event.order.shipping}  # fmt: skip
    return told


def _item(line: Line, event: Event) -> dict[str, Any]:
    told: dict[str, Any] = {
        "item_id": line.item_id, "item_name": line.name, "item_brand": line.brand,
        "item_variant": "(not set)", "item_category": line.category, "item_category2": "(not set)",
        "price": line.price, "quantity": line.quantity,
    }  # fmt: skip
    if event.event_type in ("purchase", "refund"):
        told["item_refund" if event.event_type == "refund" else "item_revenue"] = line.value
    return told


def _parquet(log: TrueLog) -> tuple[Sheet, ...]:
    return (Sheet("events.parquet", tuple(ga4_rows(log)), schema=GA4_SCHEMA),)


def _json(log: TrueLog) -> tuple[Sheet, ...]:
    return (Sheet("events.jsonl", tuple(_as_json(row) for row in ga4_rows(log))),)


def _as_json(value: Any) -> Any:
    """Return the value as BigQuery extracts it: 64-bit integers are texts, nulls are left out."""
    if isinstance(value, dict):
        return {k: _as_json(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_as_json(v) for v in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


_TELLS = tells_all_but("event_id", "shelf")
_SOURCE = "https://support.google.com/analytics/answer/7029846"

FORMS = (
    Form("ga4", "ga4", ("events.parquet",), _TELLS, _parquet, as_ga4, _SOURCE, nested=True),
    Form("ga4-jsonl", "ga4", ("events.jsonl",), _TELLS, _json, as_ga4, _SOURCE, nested=True),
)
"""Nested Parquet, and JSON lines as BigQuery extracts them."""
