"""Cartcast's own column names."""

from __future__ import annotations

from cartcast.events.layouts import Layout, first_of
from cartcast.events.schema import COLUMNS

__all__ = ["LAYOUTS"]

_CARTCAST = Layout(
    name="cartcast",
    title="Cartcast's own column names",
    columns={
        **{name: first_of(name) for name in COLUMNS if name not in ("utc_offset", "revenue")},
        "event_id": first_of("event_id"),
    },
    strict=False,
    signature=(
        "event_type",
        "session_id|visitor_id",
        "event_time|event_order|session_seconds",
        "item_id",
    ),
)

LAYOUTS = (_CARTCAST,)
