"""GA4 Measurement Protocol: `POST /mp/collect?measurement_id=...&api_secret=KEY`.

https://developers.google.com/analytics/devguides/collection/protocol/ga4/reference. The session
is `params.session_id` of the client; without it, sessions are made by the gap. The protocol has
no event id, so a body sent twice is counted twice unless `params.event_id` is given.
"""

from __future__ import annotations

from cartcast.events.words import EVENT_WORDS
from cartcast.live.event import MAX_ID, MIN_MICROS, Event
from cartcast.live.protocols import Context, Parsed
from cartcast.live.protocols.fields import Fields, collect, decode
from cartcast.live.protocols.segment import _currency

__all__ = ["parse"]

MAX_EVENTS = 25


def parse(body: bytes, context: Context) -> Parsed:
    """Return the events of a body.

    Raises:
        Problem: 400 for a broken body, 422 naming field and rule when nothing in it is usable.
    """
    whole = decode(body)
    client = whole.text("client_id", "app_instance_id", longest=200)
    if client is None:
        raise whole.refuse("client_id", "must be given")
    user = whole.text("user_id", longest=MAX_ID)
    time = _micros(whole, "timestamp_micros")
    device = whole.nested("device").text("category")
    country = whole.nested("user_location").text("country_id")

    def read(item: Fields) -> list[Event]:
        found = _event(item, client, time)
        for event in found:
            event.user_id, event.device, event.country = user, device, country
        return found

    return collect(whole.items("events", MAX_EVENTS), read, context, "events")


def _micros(fields: Fields, name: str) -> int | None:
    value = fields.number(name, parse=True)
    if value is None:
        return None
    if value < MIN_MICROS or value != int(value):
        raise fields.refuse(name, "must be whole microseconds since 1970", value)
    return int(value)


def _event(item: Fields, client: str, time: int | None) -> list[Event]:
    word = item.text("name", longest=64)
    if word is None:
        raise item.refuse("name", "must be given")
    params = item.nested("params")
    name = EVENT_WORDS.get(word.lower(), "other")
    session = params.text("session_id", "ga_session_id", longest=50)
    base: dict[str, object] = {
        "event_type": name,
        "source_event": word,
        "event_time": _micros(item, "timestamp_micros") or time,
        "visitor_id": client,
        "session_id": f"{client}.{session}" if session else None,
        "event_id": params.text("event_id", longest=200),
        "currency": _currency(params),
        "order_id": params.text("transaction_id", longest=MAX_ID),
        "channel": params.text("medium", "source"),
        "campaign": params.text("campaign"),
        "page": params.text("page_location", "page_path"),
    }
    order = name in ("purchase", "refund")
    products = params.objects("items", first=None if order else 1)
    if not products:
        event = Event(**base)  # type: ignore[arg-type]
        if name == "purchase":
            event.price = params.number("value")
        return [event]
    return [_with_item(base, product, index) for index, product in enumerate(products)]


def _with_item(base: dict[str, object], product: Fields, index: int) -> Event:
    event = Event(**base)  # type: ignore[arg-type]
    if index and event.event_id:
        event.event_id = f"{event.event_id}#{index}"
    event.item_id = product.text("item_id", "item_name")
    event.category = product.text("item_category")
    event.brand = product.text("item_brand")
    event.price = product.number("price")
    event.quantity = product.number("quantity")
    return event
