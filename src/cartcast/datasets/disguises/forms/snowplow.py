"""Snowplow, atomic events: the e-commerce plugin's contexts, and the classic transaction fields."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

from cartcast.datasets.disguises.form import Form, dropped, tells_all_but
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, Line, TrueLog

__all__ = ["FORMS"]

_ACTIONS = {
    "view_item_list": "list_view",
    "view_item": "product_view",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "begin_checkout": "checkout_step",
    "purchase": "transaction",
    "refund": "refund",
}
"""Canonical event type -> `type` of the plugin's action."""

_PREFIX = "com_snowplowanalytics_snowplow"
_ACTION = f"unstruct_event_{_PREFIX}_ecommerce_snowplow_ecommerce_action_1"
_PRODUCT, _TRANSACTION, _REFUND = (
    f"contexts_{_PREFIX}_ecommerce_{name}_1" for name in ("product", "transaction", "refund")
)
_CLIENT = f"contexts_{_PREFIX}_client_session_1"
_SEARCH = f"unstruct_event_{_PREFIX}_site_search_1"


def _own_ids(log: TrueLog) -> TrueLog:
    """Return the log with UUIDs for devices; a payment is one more step of the checkout."""

    def rule(event: Event) -> Event:
        step = event.event_type == "add_payment_info"
        return replace(
            event,
            visitor_id=str(uuid.uuid5(uuid.NAMESPACE_OID, event.visitor_id)),
            event_type="begin_checkout" if step else event.event_type,
        )

    return log.change(rule)


def _atomic(event: Event) -> dict[str, Any]:
    """Return the columns that every event has."""
    browser = event.server is None
    at = event.at("%Y-%m-%d %H:%M:%S.000")
    return {
        "app_id": "shop",
        "platform": "web" if browser else "srv",
        "etl_tstamp": event.at("%Y-%m-%d %H:%M:%S.900"),
        "collector_tstamp": event.at("%Y-%m-%d %H:%M:%S.250"),
        "dvce_created_tstamp": at,
        "event": "unstruct",
        "event_id": event.event_id,
        "v_tracker": "js-3.23.0",
        "user_id": None if event.server == "client" else event.user_id,
        "domain_userid": None if event.server == "user" else event.visitor_id,
        "domain_sessionidx": event.session_number if browser else None,
        "geo_country": event.country if browser else None,
        "page_url": event.page if browser else None,
        "mkt_medium": event.channel if browser else None,
        "mkt_campaign": event.campaign if browser else None,
        "event_vendor": "com.snowplowanalytics.snowplow",
        "event_name": None,
        "dvce_type": event.device if browser else None,
        "derived_tstamp": at,
        "domain_sessionid": f"sp-{event.session_id}" if browser else None,
    }


def _product(line: Line, currency: str) -> dict[str, Any]:
    return {"id": line.item_id, "name": line.name, "category": line.category, "brand": line.brand,
            "price": line.price, "quantity": line.quantity, "currency": currency}  # fmt: skip


def _contexts(event: Event, currency: str, index: int) -> dict[str, Any]:
    """Return the action and its entities, as a warehouse holds them: arrays of objects."""
    action = _ACTIONS.get(event.event_type)
    found: dict[str, Any] = dict.fromkeys(
        (_ACTION, _PRODUCT, _TRANSACTION, _REFUND, _SEARCH, _CLIENT)
    )
    if action is not None:
        found[_ACTION] = {"type": action}
    if event.lines:
        found[_PRODUCT] = [_product(line, currency) for line in event.lines]
    if event.term is not None:
        found[_SEARCH] = {"terms": event.term.split(", ")}
    order = event.order
    if order is not None and event.event_type == "refund":
        found[_REFUND] = [{"transaction_id": order.order_id, "refund_amount": order.total,
                           "currency": currency}]  # fmt: skip
    elif order is not None:
        found[_TRANSACTION] = [{
            "transaction_id": order.order_id, "revenue": order.total, "currency": currency,
            "tax": order.tax, "shipping": order.shipping, "discount_amount": order.discount,
            "total_quantity": sum(line.quantity for line in event.lines), "payment_method": "card",
        }]  # fmt: skip
    if event.server is None:
        found[_CLIENT] = [{"eventIndex": index, "sessionIndex": event.session_number}]
    return found


def _ecommerce_rows(log: TrueLog) -> list[dict[str, Any]]:
    indexes: dict[str, int] = {}
    rows = []
    for event in log:
        index = indexes[event.session_id] = indexes.get(event.session_id, 0) + 1
        row = _atomic(event) | _contexts(event, log.currency, index)
        row["event_name"] = "site_search" if event.term else "snowplow_ecommerce_action"
        if event.event_type == "page_view":
            row |= {"event": "page_view", "event_name": "page_view"}
        rows.append(row | {"shelf": event.shelf})
    return rows


def _ecommerce(log: TrueLog) -> tuple[Sheet, ...]:
    return (Sheet("events.jsonl", tuple(dropped(row) for row in _ecommerce_rows(log))),)


def _ecommerce_table(log: TrueLog) -> tuple[Sheet, ...]:
    """Return tab-separated text with a header; contexts are JSON text."""
    rows = (
        {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()}
        for row in _ecommerce_rows(log)
    )
    sheet = Sheet("atomic.tsv", tuple(rows))
    return (sheet.speak(separator="\t"),)


_TRANSACTION_FIELDS = (
    "tr_orderid", "tr_affiliation", "tr_total", "tr_tax", "tr_shipping", "tr_currency",
    "ti_orderid", "ti_sku", "ti_name", "ti_category", "ti_price", "ti_quantity", "ti_currency",
)  # fmt: skip
_SE_FIELDS = ("se_category", "se_action", "se_label", "se_property", "se_value")


def _classic_see(log: TrueLog) -> TrueLog:
    """Return what the classic tracker can send: no refunds, no brands, one item an event."""

    def rule(event: Event) -> Event | None:
        if event.event_type == "refund":
            return None
        return event if event.order else replace(event, lines=event.lines[:1])

    return _own_ids(log).change(rule)


def _classic_rows(event: Event, currency: str) -> list[dict[str, Any]]:
    """Return a `transaction` and its `transaction_item` events, a structured event, or a page."""
    row = _atomic(event) | dict.fromkeys((*_SE_FIELDS, *_TRANSACTION_FIELDS))
    if event.event_type == "page_view":
        return [row | {"event": "page_view", "event_name": "page_view"}]
    order = event.order
    if order is None:
        line = event.line
        told = {"event": "struct", "event_name": "event", "se_category": "shop",
                "se_action": event.event_type, "se_label": line and line.item_id,
                "se_property": line and line.category,
                "se_value": line and line.price}  # fmt: skip
        return [row | told]
    head = {
        "event": "transaction", "event_name": "transaction", "tr_orderid": order.order_id,
        "tr_total": order.total, "tr_tax": order.tax, "tr_shipping": order.shipping,
        "tr_currency": currency,
    }  # fmt: skip
    items = [
        {
            "event": "transaction_item", "event_name": "transaction_item",
            "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{event.event_id}-{n}")),
            "ti_orderid": order.order_id, "ti_sku": line.item_id, "ti_name": line.name,
            "ti_category": line.category, "ti_price": line.price, "ti_quantity": line.quantity,
            "ti_currency": currency,
        }
        for n, line in enumerate(event.lines)
    ]  # fmt: skip
    return [row | part for part in (head, *items)]


def _classic(log: TrueLog) -> tuple[Sheet, ...]:
    rows = tuple(row for event in log for row in _classic_rows(event, log.currency))
    return (Sheet("atomic.tsv", rows).speak(separator="\t"),)


_TELLS = tells_all_but()
_SOURCE = "https://docs.snowplow.io/docs/fundamentals/canonical-event/"

FORMS = (
    Form("snowplow", "snowplow", ("events.jsonl",), _TELLS, _ecommerce, _own_ids, _SOURCE,
         nested=True),
    Form("snowplow-table", "snowplow", ("atomic.tsv",), _TELLS, _ecommerce_table, _own_ids,
         _SOURCE),
    Form(
        "snowplow-classic", "snowplow", ("atomic.tsv",),
        _TELLS - {"event_order", "refund", "brand", "shelf", "category"}
        - {"events"}, _classic, _classic_see, _SOURCE,
    ),
)  # fmt: skip
"""Contexts as JSON lines and in a table, and the classic `tr_` and `ti_` columns."""
