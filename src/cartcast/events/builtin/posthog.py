"""PostHog: events with their properties as JSON text or nested (batch export, API)."""

from __future__ import annotations

from cartcast.events.builtin.segment import (
    SPEC_WORDS,
    spec_columns,
    spec_exposures,
    spec_items,
)
from cartcast.events.layouts import Layout, Value, first_of

__all__ = ["LAYOUTS"]

_POSTHOG = Layout(
    name="posthog",
    title="PostHog events (batch export or API), properties by the e-commerce spec",
    columns={
        **spec_columns("properties."),
        **spec_exposures("properties.", ["$feature_flag"], ["$feature_flag_response"]),
        "visitor_id": first_of("properties.$device_id"),
        # The distinct id is the device's until the login, then the user's.
        "user_id": Value(
            columns=("properties.$user_id", "distinct_id"), unlike="properties.$device_id"
        ),
        "session_id": first_of("properties.$session_id"),
        "event_time": first_of("timestamp"),
        "event_type": first_of("event"),
        "known_time": first_of("created_at", "_inserted_at"),
        "country": first_of("properties.$geoip_country_code"),
        "device": first_of("properties.$device_type"),
        "channel": first_of("properties.utm_medium", "properties.$channel_type"),
        "campaign": first_of("properties.utm_campaign"),
        "page": first_of("properties.$current_url"),
        "event_id": first_of("uuid"),
    },
    events={**SPEC_WORDS, "$screen": "page_view"},
    items=spec_items("properties.products"),
    strict=False,
    signature=("distinct_id", "event", "timestamp", "properties*"),
)
"""Fields: https://posthog.com/docs/cdp/batch-exports."""

LAYOUTS = (_POSTHOG,)
