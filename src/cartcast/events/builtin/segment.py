"""Segment and RudderStack: track, page and identify calls, nested or as warehouse tables.

Both follow one e-commerce spec, https://segment.com/docs/connections/spec/ecommerce/v2/, which
PostHog, Amplitude and Mixpanel recommend as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cartcast.events.layouts import ItemList, Layout, Value, first_of

__all__ = ["LAYOUTS", "SPEC_WORDS", "spec_columns", "spec_exposures", "spec_items"]

_NAMES: dict[str, tuple[str, ...]] = {
    "item_id": ("product_id", "sku"),
    "category": ("category",),
    "brand": ("brand",),
    "price": ("price",),
    "quantity": ("quantity",),
    "order_value": ("total", "revenue", "value"),
    "tax": ("tax",),
    "shipping": ("shipping",),
    "discount": ("discount",),
    "currency": ("currency",),
    "order_id": ("order_id",),
    "experiment": ("experiment_id", "experimentId", "experiment_name", "experimentName"),
    "arm": ("variation_id", "variationId", "variation_name", "variationName"),
}
"""Canonical column -> properties of the spec, the most telling first.

Exposures are those of `Experiment Viewed`, and of GrowthBook's callback for each tool:
https://segment.com/docs/connections/spec/ab-testing/, https://docs.growthbook.io/lib/js.
"""

SPEC_WORDS = {
    "product clicked": "view_item",
    "product list filtered": "view_item_list",
    "cart viewed": "other",
    "checkout step viewed": "other",
    "order updated": "other",
    "order cancelled": "other",
}
"""Words of the spec that need a say; the others are known to all layouts."""


def spec_columns(*prefixes: str) -> dict[str, Value]:
    """Return the spec's properties as columns, under each prefix.

    >>> spec_columns("properties.", "")["price"].columns
    ('properties.price', 'price')
    """
    return {
        target: first_of(*(f"{prefix}{name}" for prefix in prefixes for name in names))
        for target, names in _NAMES.items()
    }


def spec_exposures(
    prefix: str, experiment: Sequence[str] = (), arm: Sequence[str] = ()
) -> dict[str, Value]:
    """Return `experiment` and `arm`: a tool's own properties, then those of the spec.

    >>> spec_exposures("p.", ["$flag"], ["$answer"])["arm"].columns[:2]
    ('p.$answer', 'p.variation_id')
    """
    own = {"experiment": experiment, "arm": arm}
    return {t: first_of(*(f"{prefix}{n}" for n in (*own[t], *_NAMES[t]))) for t in own}


def spec_items(*columns: str) -> tuple[ItemList, ...]:
    """Return the spec's list of products in the first of these columns."""
    fields = ("item_id", "category", "brand", "price", "quantity")
    return (ItemList(columns, ("purchase", "refund"), {f: first_of(*_NAMES[f]) for f in fields}),)


_SEGMENT = Layout(
    name="segment",
    title="Segment e-commerce spec: calls, or warehouse tables",
    columns={
        **spec_columns("properties.", "", "properties_"),
        "visitor_id": first_of("anonymousId", "anonymous_id"),
        "user_id": first_of("userId", "user_id"),
        "session_id": first_of(
            "context.sessionId", "context_session_id", "properties.session_id", "session_id"
        ),
        "event_time": first_of(
            "timestamp", "original_timestamp", "originalTimestamp", "sent_at", "sentAt"
        ),
        "event_type": first_of("event_text", "event", "type"),
        "known_time": first_of("received_at", "receivedAt"),
        "country": first_of("context.location.country", "context_location_country"),
        "device": first_of("context.device.type", "context_device_type"),
        "channel": first_of("context.campaign.medium", "context_campaign_medium"),
        "campaign": first_of("context.campaign.name", "context_campaign_name"),
        "page": first_of("context.page.url", "context_page_url", "properties.url"),
        "event_id": first_of("messageId", "message_id", "id"),
    },
    events=SPEC_WORDS,
    items=spec_items("properties.products", "products", "properties_products"),
    strict=False,
    signature=(
        "anonymousId|anonymous_id",
        "event|event_text|type",
        "timestamp|original_timestamp|originalTimestamp",
    ),
)

_RUDDERSTACK = replace(
    _SEGMENT,
    name="rudderstack",
    title="RudderStack: Segment's calls with sessions, or warehouse tables",
    # A session's id is the moment of its start, so that two visitors may share it.
    session_per_visitor=True,
    signature=(*_SEGMENT.signature, "context.sessionId|context_session_id"),
)
"""Sessions: https://www.rudderstack.com/docs/sources/event-streams/sdks/session-tracking/."""

LAYOUTS = (_SEGMENT, _RUDDERSTACK)
