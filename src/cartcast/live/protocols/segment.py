"""Segment's tracking API (also RudderStack's): `/v1/batch`, `/v1/track`, `/v1/page`.

Names of events and properties follow the e-commerce specification,
https://segment.com/docs/connections/spec/ecommerce/v2/. An order with several products becomes
one purchase event per product, all with the order's id.
"""

from __future__ import annotations

import re

import msgspec

from cartcast.events.words import EVENT_WORDS
from cartcast.live.event import MAX_ID, Event
from cartcast.live.protocols import Context, Parsed
from cartcast.live.protocols.fields import Fields, collect, corrected_time, decode, moment

__all__ = ["key_in", "parse"]

_SILENT = frozenset({"identify", "alias", "group"})


class _Keyed(msgspec.Struct):
    writeKey: str | None = None  # noqa: N815 - the field's name


_KEYED = msgspec.json.Decoder(_Keyed)
_KEY = re.compile(rb'"writeKey"\s*:\s*"([^"\\]{1,256})"').search


def key_in(body: bytes) -> str | None:
    """Return the write key without reading the rest; nothing is spent on a body without one.

    >>> key_in(b'{"batch": [{"type": "page"}], "writeKey": "k"}')
    'k'
    """
    try:
        return _KEYED.decode(body).writeKey
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # One broken event must not cost the others their key.
        found = _KEY(body)
        return found[1].decode("latin-1") if found else None


def parse(body: bytes, context: Context) -> Parsed:
    """Return the events of one message or a batch.

    Raises:
        Problem: 400 for a broken body, 413 for too many, 422 when nothing in it is usable.
    """
    whole = decode(body)
    sent = moment(whole, "sentAt", "sent_at")
    single = not whole.has("batch")
    items = [whole] if single else whole.items("batch", context.max_events)

    def read(item: Fields) -> list[Event]:
        return _message(item, sent, context.received)

    return collect(items, read, context, "batch", single)


def _message(item: Fields, sent: int | None, received: int) -> list[Event]:
    kind = item.text("type") or "track"
    if kind in _SILENT:
        return []
    if kind not in ("track", "page", "screen"):
        raise item.refuse("type", "must be track, page, screen, identify, alias or group", kind)
    properties, context = item.nested("properties"), item.nested("context")
    sent = moment(item, "sentAt") or sent
    time = corrected_time(moment(item, "timestamp", "originalTimestamp"), sent, received)
    word = item.text("event") if kind == "track" else f"{kind} viewed"
    if word is None:
        raise item.refuse("event", "must name the event of a track call")
    event_type = (
        "page_view" if kind in ("page", "screen") else EVENT_WORDS.get(word.lower(), "other")
    )
    campaign, page = context.nested("campaign"), context.nested("page")
    base: dict[str, object] = {
        "event_type": event_type,
        "source_event": word,
        "event_time": time,
        "visitor_id": item.text("anonymousId", longest=MAX_ID),
        "user_id": item.text("userId", longest=MAX_ID),
        "event_id": item.text("messageId", longest=MAX_ID),
        "currency": _currency(properties),
        "order_id": properties.text("order_id", "orderId", longest=MAX_ID),
        "country": context.nested("location").text("country"),
        "device": context.nested("device").text("type"),
        "channel": campaign.text("medium", "source"),
        "campaign": campaign.text("name"),
        "page": properties.text("path") or page.text("path") or item.text("name"),
    }
    order = event_type in ("purchase", "refund")
    products = properties.objects("products", first=None if order else 1)
    if not products:
        event = _with_product(base, properties, 0)
        if event_type == "purchase" and event.price is None:
            event.price = properties.number("revenue", "total", "value")
            event.quantity = None
        return [event]
    return [_with_product(base, product, index) for index, product in enumerate(products)]


def _with_product(base: dict[str, object], product: Fields, index: int) -> Event:
    event = Event(**base)  # type: ignore[arg-type]
    if index and event.event_id:
        event.event_id = f"{event.event_id[:240]}#{index}"
    event.item_id = product.text("product_id", "productId", "sku", "id")
    event.category = product.text("category")
    event.brand = product.text("brand")
    event.price = product.number("price")
    event.quantity = product.number("quantity")
    return event


def _currency(fields: Fields) -> str | None:
    word = fields.text("currency")
    if word is None:
        return None
    if len(word) != 3 or not word.isascii() or not word.isalpha():
        raise fields.refuse("currency", "must be three letters (ISO 4217)", word)
    return word.upper()
