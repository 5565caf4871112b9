"""Amplitude: raw export, JSON lines, and the events of its HTTP API, whose names differ little."""

from __future__ import annotations

from cartcast.events.builtin.segment import (
    SPEC_WORDS,
    spec_columns,
    spec_exposures,
    spec_items,
)
from cartcast.events.layouts import Layout, Value, first_of

__all__ = ["LAYOUTS"]

_AMPLITUDE = Layout(
    name="amplitude",
    title="Amplitude raw export, event properties by the e-commerce spec",
    columns={
        **spec_columns("event_properties."),
        **spec_exposures("event_properties.", ["flag_key"], ["variant", "variantId", "variant_id"]),
        "visitor_id": first_of("device_id"),
        "user_id": first_of("user_id"),
        # A session's id is its start; -1 stands for none.
        "session_id": Value(columns=("session_id",), nulls=("-1",)),
        "event_time": first_of("event_time", "client_event_time", "time"),
        "event_type": first_of("event_type"),
        "item_id": first_of(
            "event_properties.product_id",
            "event_properties.$productId",
            "event_properties.sku",
            "productId",
        ),
        "price": first_of("event_properties.price", "event_properties.$price", "price"),
        "quantity": first_of("event_properties.quantity", "event_properties.$quantity", "quantity"),
        "order_value": first_of(
            "event_properties.$revenue",
            "event_properties.total",
            "event_properties.revenue",
            "revenue",
        ),
        "known_time": first_of("server_received_time", "server_upload_time"),
        "country": first_of("country"),
        "device": first_of("device_family", "device_type", "platform"),
        "channel": first_of("user_properties.utm_medium"),
        "campaign": first_of("user_properties.utm_campaign"),
        "page": first_of("event_properties.[Amplitude] Page URL"),
        # `event_id` counts the events of a device: it is an order, and no id.
        "event_id": first_of("$insert_id", "insert_id", "uuid"),
    },
    events={
        **SPEC_WORDS,
        "[amplitude] page viewed": "page_view",
        "[amplitude] revenue": "purchase",
        "revenue_amount": "purchase",
    },
    session_per_visitor=True,
    ties=("event_id",),
    items=spec_items("event_properties.products"),
    strict=False,
    signature=("device_id", "event_type", "event_time", "amplitude_id"),
)
"""Fields: https://amplitude.com/docs/apis/analytics/export."""

LAYOUTS = (_AMPLITUDE,)
