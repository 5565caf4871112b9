"""Snowplow's tracker protocol: `POST /com.snowplowanalytics.snowplow/tp2`.

https://docs.snowplow.io/docs/events/going-deeper/http-requests/. Page views, structured and
self-describing events, transactions; the e-commerce accelerator's actions and product entities.
Page pings count as `other`, as in the batch layout. The key may be the tracker's application id
(`aid`), since its emitters cannot send headers.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from cartcast.events.words import EVENT_WORDS
from cartcast.live.event import MAX_ID, Event
from cartcast.live.problems import Problem
from cartcast.live.protocols import Context, Parsed
from cartcast.live.protocols.fields import Fields, collect, corrected_time, decode
from cartcast.live.protocols.segment import _currency

__all__ = ["ACTIONS", "key_in", "parse"]

ACTIONS = {
    "product_view": "view_item",
    "list_view": "view_item_list",
    "list_click": "view_item_list",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "checkout_step": "begin_checkout",
    "transaction": "purchase",
    "refund": "refund",
}
"""Types of `snowplow_ecommerce_action`, and the canonical events that they are."""


class _Aid(msgspec.Struct):
    aid: str | None = None


class _Keyed(msgspec.Struct):
    data: list[_Aid] = []


_KEYED = msgspec.json.Decoder(_Keyed)
_KEY = re.compile(rb'"aid"\s*:\s*"([^"\\]{1,256})"').search


def key_in(body: bytes) -> str | None:
    """Return the first event's application id, reading nothing else.

    >>> key_in(b'{"data": [{"e": "pv", "aid": "k"}]}')
    'k'
    """
    try:
        data = _KEYED.decode(body).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # One broken event must not cost the others their key.
        found = _KEY(body)
        return found[1].decode("latin-1") if found else None
    return data[0].aid if data else None


def parse(body: bytes, context: Context) -> Parsed:
    """Return the events of a payload.

    Raises:
        Problem: 400 for a broken body, 422 naming field and rule when nothing in it is usable.
    """
    whole = decode(body)
    schema = whole.text("schema") or ""
    if "/payload_data/" not in schema:
        raise whole.refuse("schema", "must be an iglu payload_data schema", schema)
    items = whole.items("data", context.max_events)

    def read(item: Fields) -> list[Event]:
        return _event(item, context.received)

    return collect(items, read, context, "data")


def _event(item: Fields, received: int) -> list[Event]:
    kind = item.text("e", longest=8)
    created = _milliseconds(item, "ttm") or _milliseconds(item, "dtm")
    visitor = item.text("duid", "nuid", "tnuid", longest=MAX_ID)
    session = item.text("sid", longest=MAX_ID)
    event = Event(
        event_type="other",
        event_time=corrected_time(created, _milliseconds(item, "stm"), received),
        visitor_id=visitor,
        session_id=session,
        user_id=item.text("uid", longest=MAX_ID),
        event_id=item.text("eid", longest=200),
        page=item.text("url"),
    )
    if visitor is None and session is None and event.user_id is None:
        raise item.refuse("duid", "or uid or sid must say who it is")
    if kind == "pv":
        event.event_type, event.source_event = "page_view", "page_view"
        return [event]
    if kind == "pp":
        event.source_event = "page_ping"
        return [event]
    if kind == "se":
        return [_structured(event, item)]
    if kind == "ti":
        return [_transaction_item(event, item)]
    if kind == "tr":
        event.source_event = "transaction"
        event.order_id = item.text("tr_id", longest=MAX_ID)
        return [event]
    if kind == "ue":
        return _self_describing(event, item)
    raise item.refuse("e", "must be one of pv, pp, se, ue, tr, ti", kind)


def _milliseconds(item: Fields, name: str) -> int | None:
    value = item.number(name, parse=True)
    return None if value is None else int(value * 1000)


def _structured(event: Event, item: Fields) -> Event:
    action = item.text("se_ac") or ""
    event.source_event = action or "structured"
    event.event_type = EVENT_WORDS.get(action.lower(), "other")
    event.category = item.text("se_ca")
    event.item_id = item.text("se_la")
    if event.event_type == "purchase":
        event.price = item.number("se_va", parse=True)
        event.order_id = item.text("se_pr", longest=MAX_ID)
    return event


def _transaction_item(event: Event, item: Fields) -> Event:
    event.event_type, event.source_event = "purchase", "transaction_item"
    event.order_id = item.text("ti_id", longest=MAX_ID)
    event.item_id = item.text("ti_sk")
    event.category = item.text("ti_ca")
    event.price = item.number("ti_pr", parse=True)
    event.quantity = item.number("ti_qu", parse=True)
    event.currency = item.text("ti_cu", longest=3)
    return event


def _self_describing(event: Event, item: Fields) -> list[Event]:
    whole = _json(item, "ue_pr", "ue_px")
    inner = whole.nested("data")
    schema, data = inner.text("schema") or "", inner.nested("data")
    name = schema.split("/")[1] if schema.count("/") >= 2 else ""
    event.source_event = name or "self_describing"
    products, order = _entities(item)
    if name == "snowplow_ecommerce_action":
        action = data.text("type") or ""
        event.source_event = action
        event.event_type = ACTIONS.get(action, "other")
    else:
        event.event_type = EVENT_WORDS.get(name, "other")
        if event.event_type in ("add_to_cart", "remove_from_cart"):
            return [_product(event, data, 0)]
    if order is not None:
        event.order_id = order.text("transaction_id", longest=MAX_ID)
        event.currency = _currency(order)
        if not products:
            event.price = order.number("revenue")
    if event.event_type not in ("purchase", "refund"):
        products = products[:1]
    return [_product(event, p, i) for i, p in enumerate(products)] or [event]


def _entities(item: Fields) -> tuple[list[Fields], Fields | None]:
    """Return the product entities of an event, and its transaction entity."""
    if not item.has("co", "cx"):
        return [], None
    products: list[Fields] = []
    order: Fields | None = None
    for entity in _json(item, "co", "cx").objects("data"):
        schema = entity.text("schema") or ""
        if "ecommerce/product/" in schema:
            products.append(entity.nested("data"))
        elif "ecommerce/transaction/" in schema or "ecommerce/refund/" in schema:
            order = entity.nested("data")
    return products, order


def _product(event: Event, product: Fields, index: int) -> Event:
    made = msgspec.structs.replace(event)
    if index and made.event_id:
        made.event_id = f"{made.event_id}#{index}"
    made.item_id = product.text("id", "sku")
    made.category = product.text("category")
    made.brand = product.text("brand")
    made.price = product.number("price", "unitPrice", "unit_price")
    made.quantity = product.number("quantity")
    made.currency = made.currency or _currency(product)
    return made


def _json(item: Fields, plain: str, encoded: str) -> Fields:
    """Return the JSON object under `plain`, or base64url-encoded under `encoded`."""
    text = item.text(plain, longest=65_536)
    name = plain
    data: Any
    try:
        if text is None:
            name = encoded
            text = item.text(encoded, longest=65_536)
            if text is None:
                raise item.refuse(plain, f"or {encoded} must be given")
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        else:
            raw = text.encode()
        data = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, binascii.Error) as error:
        raise Problem(
            422, f"{name} must be a JSON object", field=name, rule="must be a JSON object"
        ) from error
    return Fields(data, f"{name}.")
