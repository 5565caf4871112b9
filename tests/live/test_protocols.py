"""Every tracker's body becomes the same canonical event, and what is wrong is named."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from cartcast.live.problems import Problem
from cartcast.live.protocols import Context, cartcast, ga4, segment, snowplow

NOW = 1_800_000_000_000_000
CONTEXT = Context(NOW)
SCHEMA = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def one(module: Any, value: Any) -> Any:
    (event,) = module.parse(body(value), CONTEXT).events
    return event


def test_the_same_view_from_four_trackers() -> None:
    ours = one(
        cartcast,
        {
            "visitor_id": "v1",
            "event_type": "view_item",
            "event_time": "2027-01-15T07:59:00Z",
            "item_id": "i",
            "category": "shoes",
            "price": 5,
            "event_id": "m",
            "currency": "EUR",
        },
    )
    theirs = [
        one(segment, {
            "type": "track", "event": "Product Viewed", "anonymousId": "v1", "messageId": "m",
            "timestamp": "2027-01-15T07:59:00.000Z",
            "properties": {"product_id": "i", "category": "shoes", "price": 5, "currency": "eur"},
        }),
        one(ga4, {
            "client_id": "v1", "timestamp_micros": NOW - 60_000_000,
            "events": [{"name": "view_item", "params": {"event_id": "m", "currency": "EUR",
                "items": [{"item_id": "i", "item_category": "shoes", "price": 5}]}}],
        }),
        one(snowplow, {"schema": SCHEMA, "data": [{
            "e": "ue", "eid": "m", "duid": "v1", "dtm": str((NOW - 60_000_000) // 1000),
            "ue_pr": json.dumps({"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/"
                "jsonschema/1-0-0", "data": {"schema": "iglu:com.snowplowanalytics.snowplow."
                "ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2",
                "data": {"type": "product_view"}}}),
            "cx": base64.urlsafe_b64encode(json.dumps({"schema": "iglu:x/contexts/jsonschema/1-0-0",
                "data": [{"schema": "iglu:com.snowplowanalytics.snowplow.ecommerce/product/"
                "jsonschema/1-0-0", "data": {"id": "i", "category": "shoes", "price": 5,
                "currency": "EUR"}}]}).encode()).decode().rstrip("="),
        }]}),
    ]  # fmt: skip
    for event in theirs:
        for name in (
            "event_type", "event_time", "visitor_id", "item_id", "category", "price", "event_id",
            "currency",
        ):  # fmt: skip
            assert getattr(event, name) == getattr(ours, name), name


@pytest.mark.parametrize(
    ("value", "field", "status"),
    [
        ({"event_type": "view_item"}, "visitor_id", 422),
        ({"event_type": 7, "visitor_id": "v"}, "event_type", 422),
        ({"visitor_id": "v"}, "event_type", 422),
        ({"event_type": "view_item", "visitor_id": "v", "price": -1}, "price", 422),
        ({"event_type": "view_item", "visitor_id": "v", "price": "5"}, "price", 422),
        ({"event_type": "view_item", "visitor_id": "v", "prize": 5}, "prize", 422),
        ({"event_type": "view_item", "visitor_id": "v", "event_time": "now"}, "event_time", 422),
        ({"event_type": "x", "user_id": "v", "event_time": "2026-01-01T00:00"}, "event_time", 422),
        ({"event_type": "x", "user_id": "v", "event_time": "2099-01-01T00:00Z"}, "event_time", 422),
        ({"event_type": "x", "visitor_id": "v", "event_time": 1_600_000_000}, "event_time", 422),
        ({"event_type": "x", "visitor_id": "v" * 300}, "visitor_id", 422),
        ({"event_type": "x", "visitor_id": "v", "extra": {"a": [1]}}, "extra[...]", 422),
        ({"events": []}, "events", 422),
        ({"events": [{"event_type": "x", "visitor_id": "v", "price": -1}]}, "events[0].price", 422),
        ([{"event_type": "x", "visitor_id": "v"}] * 5001, "events", 413),
        ([1], "events[0]", 422),
        (7, "body", 422),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(value: Any, field: str, status: int) -> None:
    with pytest.raises(Problem) as caught:
        cartcast.parse(body(value), CONTEXT)
    assert (caught.value.status, caught.value.field) == (status, field)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff\xfe", b'{"event_type": "a\xff"}', b'{"price": NaN}', b"[" * 100_000,
     b'{"visitor_id": "v", "event_type": "x", "extra": ' + b'{"a":' * 5000],
)  # fmt: skip
@pytest.mark.parametrize("module", [cartcast, segment, ga4, snowplow])
def test_broken_bodies_are_refused(module: Any, raw: bytes) -> None:
    with pytest.raises(Problem) as caught:
        module.parse(raw, CONTEXT)
    assert caught.value.status in (400, 422)


def test_a_word_of_the_shop_is_translated_or_kept() -> None:
    event = one(cartcast, {"visitor_id": "v", "event_type": "addtocart"})
    assert (event.event_type, event.source_event) == ("add_to_cart", "addtocart")
    event = one(cartcast, {"visitor_id": "v", "event_type": "dance"})
    assert (event.event_type, event.source_event) == ("other", "dance")
    assert event.event_time == NOW


def test_an_order_of_two_products_is_two_purchase_events_with_one_order() -> None:
    products = [{"product_id": "a", "price": 3, "quantity": 2}, {"product_id": "b", "price": 4}]
    parsed = segment.parse(
        body({"type": "track", "event": "Order Completed", "userId": "u", "messageId": "m",
              "properties": {"order_id": "o", "revenue": 10, "products": products}}),
        CONTEXT,
    )  # fmt: skip
    assert [(e.item_id, e.price, e.quantity, e.order_id, e.event_id) for e in parsed.events] == [
        ("a", 3, 2, "o", "m"), ("b", 4, None, "o", "m#1")]  # fmt: skip
    items = [{"item_id": "a", "price": 3}, {"item_id": "b", "price": 4}]
    parsed = ga4.parse(
        body({"client_id": "c", "events": [{"name": "purchase", "params": {
            "transaction_id": "o", "session_id": 7, "items": items}}]}),
        CONTEXT,
    )  # fmt: skip
    assert [(e.item_id, e.order_id, e.session_id) for e in parsed.events] == [
        ("a", "o", "c-7"), ("b", "o", "c-7")]  # fmt: skip


def test_a_tracker_batch_keeps_the_good_and_names_the_bad() -> None:
    good = {"type": "page", "anonymousId": "v", "messageId": "1", "name": "Home"}
    bad = {
        "type": "track",
        "event": "Product Added",
        "anonymousId": "v",
        "properties": {"price": "x"},
    }
    hello = {"type": "identify", "userId": "u", "anonymousId": "v"}
    raw = body({"batch": [good, bad, hello], "writeKey": "k"})
    parsed = segment.parse(raw, CONTEXT)
    assert [(e.event_type, e.user_id) for e in parsed.events] == [
        ("page_view", None), ("other", "u")]  # fmt: skip
    assert [(at, p.field) for at, p in parsed.problems] == [(1, "batch[1].properties.price")]
    assert (parsed.ignored, segment.key_in(raw)) == (0, "k")


def test_a_clock_that_is_off_is_put_right_by_the_sending_time() -> None:
    message = {"type": "page", "anonymousId": "v", "timestamp": "2020-01-01T00:00:00Z"}
    event = segment.parse(
        body({"batch": [message], "sentAt": "2020-01-01T00:00:05Z"}), CONTEXT
    ).events[0]
    assert event.event_time == NOW - 5_000_000
