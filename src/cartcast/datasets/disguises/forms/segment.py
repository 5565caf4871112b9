"""Segment and RudderStack: track, page and identify calls by the e-commerce spec."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from cartcast.datasets.disguises.form import Form, dropped, tells_all_but
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, Line, Order, TrueLog

__all__ = ["FORMS", "WORDS", "properties", "with_identify"]

WORDS = {
    "view_item_list": "Product List Viewed",
    "view_item": "Product Viewed",
    "search": "Products Searched",
    "add_to_cart": "Product Added",
    "remove_from_cart": "Product Removed",
    "begin_checkout": "Checkout Started",
    "add_payment_info": "Payment Info Entered",
    "purchase": "Order Completed",
    "refund": "Order Refunded",
}
"""Canonical event type -> the spec's name of the track call."""


def with_identify(log: TrueLog) -> TrueLog:
    """Return the log with an `identify` call just before the first event with a login."""
    known: set[str] = set()
    events: list[Event] = []
    for event in log:
        if event.user_id is not None and event.session_id not in known:
            known.add(event.session_id)
            call = replace(
                event, event_id=f"{event.event_id[:-4]}iden", event_type="other", lines=(),
                order=None, term=None, server=None, shelf=None,
            )  # fmt: skip
            events.append(call)
        events.append(event)
    return replace(log, events=tuple(events))


def properties(event: Event, currency: str) -> dict[str, Any]:
    """Return the spec's properties: an item's own, or a list of products with the order's money."""
    told: dict[str, Any] = {"shelf": event.shelf, "query": event.term}
    if event.event_type in ("begin_checkout", "purchase", "refund"):
        told |= {"products": [_product(line) for line in event.lines], "currency": currency}
    elif event.line is not None:
        told |= _product(event.line) | {"currency": currency}
    if isinstance(event.order, Order):
        o = event.order
        told |= {"order_id": o.order_id, "total": o.total}
        if event.event_type == "purchase":
            net = round(o.total - o.tax - o.shipping, 2)
            told |= {"revenue": net, "subtotal": net, "tax": o.tax, "shipping": o.shipping,
                     "discount": o.discount}  # fmt: skip
    elif event.event_type == "begin_checkout":
        told["value"] = round(sum(line.value for line in event.lines), 2)
    return dropped(told)


def _product(line: Line) -> dict[str, Any]:
    return {"product_id": line.item_id, "sku": f"sku-{line.item_id}", "name": line.name,
            "category": line.category, "brand": line.brand, "price": line.price,
            "quantity": line.quantity}  # fmt: skip


def _call(event: Event, currency: str) -> dict[str, Any]:
    kind = {"page_view": "page", "other": "identify"}.get(event.event_type, "track")
    at = event.at("%Y-%m-%dT%H:%M:%S.000Z")
    call: dict[str, Any] = {
        "type": kind,
        "messageId": f"ajs-next-{event.event_id}",
        "anonymousId": None if event.server == "user" else event.visitor_id,
        "userId": None if event.server == "client" else event.user_id,
        "event": WORDS.get(event.event_type),
        "originalTimestamp": at,
        "sentAt": at,
        "timestamp": at,
        "receivedAt": event.at("%Y-%m-%dT%H:%M:%S.321Z"),
        "context": {"library": {"name": "analytics-node" if event.server else "analytics.js"}},
    }
    if event.server is None:
        call["context"] |= {
            "page": {"url": event.page, "path": "/" + (event.page or "").split("/", 3)[-1]},
            "campaign": dropped({"name": event.campaign, "medium": event.channel}),
            "location": {"country": event.country},
            "device": {"type": event.device},
        }
    if kind == "identify":
        call["traits"] = {"email": f"u{event.user_id}@shop.example"}
    else:
        page = {"url": event.page} if kind == "page" else {}
        call["properties"] = page | properties(event, currency)
    return dropped(call)


def _segment(log: TrueLog) -> tuple[Sheet, ...]:
    return (Sheet("events.jsonl", tuple(_call(e, log.currency) for e in log)),)


def _rudder_json(log: TrueLog) -> tuple[Sheet, ...]:
    """Return the calls with RudderStack's session in the context; the server's have none."""
    starts = {s: events[0].time * 1000 for s, events in log.sessions().items()}

    def call(event: Event) -> dict[str, Any]:
        row = _call(event, log.currency)
        row["messageId"] = event.event_id
        if event.server is None:
            row["context"] |= {
                "sessionId": starts[event.session_id],
                "sessionStart": event.position == 1,
            }
        return row

    return (Sheet("events.jsonl", tuple(call(e) for e in log)),)


def _rudder_table(log: TrueLog) -> tuple[Sheet, ...]:
    """Return the warehouse's rows: snake case, products as JSON text, as Parquet unloads them."""

    def row(event: Event, call: dict[str, Any]) -> dict[str, Any]:
        context, told = call["context"], call.get("properties", {})
        flat = {k: v for k, v in told.items() if k != "products"}
        word = call.get("event") or call["type"]
        return {
            "id": call["messageId"],
            "anonymous_id": call.get("anonymousId"),
            "user_id": call.get("userId"),
            "event": word.lower().replace(" ", "_"),
            "event_text": word,
            "original_timestamp": event.at("%Y-%m-%d %H:%M:%S"),
            "timestamp": event.at("%Y-%m-%d %H:%M:%S"),
            "received_at": event.at("%Y-%m-%d %H:%M:%S"),
            "context_session_id": context.get("sessionId"),
            "context_page_url": context.get("page", {}).get("url"),
            "context_campaign_name": context.get("campaign", {}).get("name"),
            "context_campaign_medium": context.get("campaign", {}).get("medium"),
            "context_location_country": context.get("location", {}).get("country"),
            "context_device_type": context.get("device", {}).get("type"),
            **dict.fromkeys(_FLAT),
            **flat,
            "products": json.dumps(told["products"]) if "products" in told else None,
        }

    (sheet,) = _rudder_json(log)
    rows = (row(e, call) for e, call in zip(log, sheet.rows, strict=True))
    return (Sheet("tracks.csv", tuple(rows)),)


_FLAT = (
    "product_id", "sku", "name", "category", "brand", "price", "quantity", "currency", "order_id",
    "total", "revenue", "subtotal", "tax", "shipping", "discount", "value", "query", "shelf", "url",
)  # fmt: skip
_LACKS = ("event_order",)

FORMS = (
    Form(
        "segment", "segment", ("events.jsonl",), tells_all_but("session_id", *_LACKS), _segment,
        with_identify, "https://segment.com/docs/connections/spec/ecommerce/v2/", nested=True,
    ),
    Form(
        "rudderstack", "rudderstack", ("events.jsonl",), tells_all_but(*_LACKS), _rudder_json,
        with_identify, "https://www.rudderstack.com/docs/event-spec/", nested=True,
    ),
    Form(
        "rudderstack-table", "rudderstack", ("tracks.csv",), tells_all_but(*_LACKS), _rudder_table,
        with_identify,
        "https://www.rudderstack.com/docs/destinations/warehouse-destinations/warehouse-schema/",
    ),
)  # fmt: skip
"""Segment's calls (no sessions), RudderStack's (with), and the warehouse table of the latter."""
