"""Plain tables: one row a line of an order, else one row an event; a shop's own names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cartcast.datasets.disguises.form import Form, tells_all_but
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, TrueLog

__all__ = ["FORMS"]

_NAMES = {
    "event_id": "event_id",
    "visitor_id": "visitor_id",
    "user_id": "user_id",
    "session_id": "session_id",
    "event_time": "event_time",
    "event_type": "event_type",
    "item_id": "item_id",
    "category": "category",
    "brand": "brand",
    "price": "price",
    "quantity": "quantity",
    "order_id": "order_id",
    "order_value": "order_value",
    "tax": "tax",
    "shipping": "shipping",
    "discount": "discount",
    "currency": "currency",
    "country": "country",
    "device": "device",
    "channel": "channel",
    "campaign": "campaign",
    "page": "page",
}
_BARE = {
    "visitor_id": "visitor",
    "event_time": "datetime",
    "event_type": "action",
    "item_id": "product_id",
    "price": "unit_price",
    "quantity": "qty",
    "order_id": "order_number",
}


def plain_rows(log: TrueLog) -> list[dict[str, Any]]:
    """Return the rows in canonical names; each line of an order repeats what holds for it all."""
    return [row for event in log for row in _lines(event, log.currency)]


def _lines(event: Event, currency: str) -> list[dict[str, Any]]:
    several = event.order is not None
    lines = event.lines if several else event.lines[:1]
    return [
        {
            "event_id": event.event_id if n == 0 else f"{event.event_id}-{n}",
            "visitor_id": None if event.server == "user" else event.visitor_id,
            "user_id": None if event.server == "client" else event.user_id,
            "session_id": None if event.server else event.session_id,
            "event_time": event.at(),
            "event_type": event.event_type,
            "item_id": line and line.item_id,
            "item_name": line and line.name,
            "category": line and line.category,
            "brand": line and line.brand,
            "price": line and line.price,
            "quantity": line and line.quantity,
            "order_id": event.order and event.order.order_id,
            "order_value": event.order and event.order.total,
            "tax": event.order and event.order.tax,
            "shipping": event.order and event.order.shipping,
            "discount": event.order and event.order.discount,
            "currency": currency if line else None,
            "country": None if event.server else event.country,
            "device": event.device,
            "channel": event.channel,
            "campaign": event.campaign,
            "page": event.page,
            "shelf": event.shelf,
        }
        for n, line in enumerate(lines or (None,))
    ]


def _table(log: TrueLog) -> tuple[Sheet, ...]:
    return (Sheet("events.csv", tuple(plain_rows(log)), names=_NAMES),)


def _parquet(log: TrueLog) -> tuple[Sheet, ...]:
    return (Sheet("events.parquet", tuple(plain_rows(log)), names=_NAMES),)


def _json(log: TrueLog) -> tuple[Sheet, ...]:
    rows = ({k: v for k, v in row.items() if v is not None} for row in plain_rows(log))
    return (Sheet("events.jsonl", tuple(rows), names=_NAMES),)


def _bare(log: TrueLog) -> tuple[Sheet, ...]:
    rows = ({own: row[name] for name, own in _BARE.items()} for row in plain_rows(log))
    return (Sheet("events.csv", tuple(rows), names=_BARE),)


def _by_device(log: TrueLog) -> TrueLog:
    """Return the log with all events sent by the browser: the form has one id of a person."""
    return log.change(lambda e: replace(e, server=None))


_TELLS = tells_all_but("event_order")

FORMS = (
    Form("plain", "cartcast", ("events.csv",), _TELLS, _table, own=True),
    Form("plain-jsonl", "cartcast", ("events.jsonl",), _TELLS, _json, own=True),
    Form("plain-parquet", "cartcast", ("events.parquet",), _TELLS, _parquet, own=True),
    Form(
        "bare",
        None,
        ("events.csv",),
        (frozenset(_BARE) - {"event_type"}) | {"events", "row_order", "refund", "shown_price"},
        _bare,
        _by_device,
        own=True,
    ),
)  # fmt: skip
"""A whole table in Cartcast's names as CSV, JSON lines and Parquet, and a bare one in own names."""
