"""Mixpanel: raw export, JSON lines of `event` and `properties`."""

from __future__ import annotations

from cartcast.events.builtin.segment import (
    SPEC_WORDS,
    spec_columns,
    spec_exposures,
    spec_items,
)
from cartcast.events.layouts import Layout, Value, first_of

__all__ = ["LAYOUTS"]

_MIXPANEL = Layout(
    name="mixpanel",
    title="Mixpanel raw export, properties by the e-commerce spec; it has no sessions",
    columns={
        **spec_columns("properties."),
        **spec_exposures("properties.", ["Experiment name"], ["Variant name"]),
        "visitor_id": first_of("properties.$device_id"),
        # Until the login the distinct id is `$device:` and the device's.
        "user_id": Value(
            columns=("properties.$user_id", "properties.distinct_id"),
            pattern=r"[^$].*",
            unlike="properties.$device_id",
        ),
        "event_time": first_of("properties.time"),
        "event_type": first_of("event"),
        "country": first_of("properties.mp_country_code", "properties.$country_code"),
        "device": first_of("properties.$device", "properties.$os"),
        "channel": first_of("properties.utm_medium"),
        "campaign": first_of("properties.utm_campaign"),
        "page": first_of("properties.$current_url"),
        "event_id": first_of("properties.$insert_id"),
    },
    events={**SPEC_WORDS, "$mp_web_page_view": "page_view"},
    items=spec_items("properties.products"),
    strict=False,
    signature=("event", "properties.time", "properties.distinct_id|properties.$device_id"),
)
"""Fields: https://developer.mixpanel.com/reference/raw-event-export."""

LAYOUTS = (_MIXPANEL,)
