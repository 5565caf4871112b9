"""Google Analytics 4, flattened by a query: one row an item, what holds for the event repeated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cartcast.datasets.disguises.form import Form, tells_all_but
from cartcast.datasets.disguises.forms.ga4_nested import as_ga4, batches, param_session
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, Line, TrueLog

__all__ = ["FORMS"]

_NAMES = {
    "visitor_id": "user_pseudo_id",
    "user_id": "user_id",
    "session_id": "ga_session_id",
    "event_time": "event_timestamp",
    "event_type": "event_name",
    "item_id": "item_id",
    "category": "item_category",
    "brand": "item_brand",
    "price": "price",
    "quantity": "quantity",
    "order_id": "transaction_id",
    "order_value": "purchase_revenue",
    "currency": "currency",
    "country": "country",
}


def _sheet(log: TrueLog) -> tuple[Sheet, ...]:
    sessions, order = param_session(log), batches(log)
    rows = tuple(
        _row(event, line, log.currency, sessions[event.session_id], order[event.event_id])
        for event in log
        for line in event.lines or (None,)
    )
    return (Sheet("events.csv", rows, names=_NAMES),)


def _row(
    event: Event, line: Line | None, currency: str, session: int, batch: tuple[int, int, int]
) -> dict[str, Any]:
    browser = event.server is None
    paid = event.order if event.event_type == "purchase" else None
    back = event.order if event.event_type == "refund" else None
    return {
        "event_date": event.at("%Y%m%d"),
        "event_timestamp": event.time * 1_000_000,
        "event_name": "view_search_results" if event.event_type == "search" else event.event_type,
        "user_pseudo_id": None if event.server == "user" else event.visitor_id,
        "user_id": None if event.server == "client" else event.user_id,
        "ga_session_id": session if browser else None,
        "ga_session_number": event.session_number if browser else None,
        "page_location": event.page if browser else None,
        "transaction_id": event.order and event.order.order_id,
        "purchase_revenue": paid and paid.total,
        "tax_value": paid and paid.tax,
        "shipping_value": paid and paid.shipping,
        "refund_value": back and back.total,
        "currency": currency if line else None,
        "item_id": line and line.item_id,
        "item_name": line and line.name,
        "item_brand": line and line.brand,
        "item_category": line and line.category,
        "price": line and line.price,
        "quantity": line and line.quantity,
        "item_revenue": line.value if line and paid else None,
        "country": event.country if browser else None,
        "device_category": event.device if browser else None,
        "traffic_source_medium": event.channel if browser else None,
        "traffic_source_name": event.campaign if browser else None,
        "batch_page_id": batch[0] if browser else None,
        "batch_ordering_id": batch[1] if browser else None,
        "batch_event_index": batch[2] if browser else None,
        "shelf": event.shelf,
    }


def _without_batches(log: TrueLog) -> tuple[Sheet, ...]:
    """Return the commoner query: no batch fields, and no price of the items either."""
    left_out = ("batch_page_id", "batch_ordering_id", "batch_event_index", "price", "item_revenue")
    (sheet,) = _sheet(log.change(_one_item))
    rows = [{k: v for k, v in row.items() if k not in left_out} for row in sheet.rows]
    return (sheet.with_rows(rows),)


def _one_item(event: Event) -> Event:
    """Return the event with one row: without batch fields each row of a cart could be an event."""
    return event if event.order else replace(event, lines=event.lines[:1])


_TELLS = tells_all_but("event_id")

FORMS = (
    Form("ga4-flat", "ga4", ("events.csv",), _TELLS, _sheet, as_ga4),
    Form(
        "ga4-flat-totals", "ga4", ("events.csv",), _TELLS - {"event_order", "price", "shown_price"},
        _without_batches, as_ga4,
    ),
)  # fmt: skip
"""One row an item, whole; and with nothing but the order's revenue repeated on each row."""
