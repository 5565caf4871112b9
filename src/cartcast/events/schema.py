"""The canonical event: the columns, types and meanings that everything after the contract uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

__all__ = [
    "COLUMNS",
    "CONTRACT",
    "EVENT_TYPES",
    "METADATA_KEY",
    "Clock",
    "Column",
    "metadata_text",
]

Clock = Literal["time", "day", "session", "order"]
"""What the source's clock can tell: a time of day; a date only; seconds since the session began;
or nothing but an order. Time differences and hours are null where the clock cannot tell them."""

CONTRACT = 2
"""Version of the contract that canonical logs are written by."""

METADATA_KEY = "cartcast"
"""Key of the Parquet metadata (a JSON object) of a log that has passed the contract."""

EVENT_TYPES: tuple[str, ...] = (
    "page_view",
    "view_item_list",
    "view_item",
    "search",
    "add_to_cart",
    "remove_from_cart",
    "begin_checkout",
    "add_payment_info",
    "purchase",
    "refund",
    "other",
)
"""GA4 e-commerce event names; any other word becomes `other` and is kept in `source_event`."""


class Column(NamedTuple):
    """One canonical column: its DuckDB type, its unit (or "") and its meaning."""

    name: str
    type: str
    unit: str
    meaning: str


COLUMNS: dict[str, Column] = {
    c.name: c
    for c in (
        Column("visitor_id", "VARCHAR", "", "the device; null: the session stands for the visitor"),
        Column("user_id", "VARCHAR", "", "the login, on all events of the session once known"),
        Column("session_id", "VARCHAR", "", "which visit; never null after the contract"),
        Column("event_time", "TIMESTAMP", "UTC", "when it happened; date only if clock is day"),
        Column("utc_offset", "SMALLINT", "minutes", "of the shop's zone at that time"),
        Column("event_order", "BIGINT", "", "position in the session, from 1, unique there"),
        Column("event_type", "VARCHAR", "", "one of EVENT_TYPES"),
        Column("source_event", "VARCHAR", "", "the source's own word for the event"),
        Column("item_id", "VARCHAR", "", "the item"),
        Column("category", "VARCHAR", "", "the item's category"),
        Column("brand", "VARCHAR", "", "the item's brand"),
        Column("price", "DOUBLE", "currency", "per unit; null when unknown; never negative"),
        Column("quantity", "DOUBLE", "", "units; 1 when the source has none"),
        Column("line_value", "DOUBLE", "currency", "total of the line, where the source states it"),
        Column(
            "order_value", "DOUBLE", "currency", "total of the order, where the source states it"
        ),
        Column("revenue", "DOUBLE", "currency", "the row's money that counts; sums to the revenue"),
        Column("tax", "DOUBLE", "currency", "of the order, where known"),
        Column("shipping", "DOUBLE", "currency", "of the order, where known"),
        Column("discount", "DOUBLE", "currency", "of the order, where known"),
        Column("currency", "VARCHAR", "", "ISO 4217"),
        Column("order_id", "VARCHAR", "", "a real order of one visitor; else null"),
        Column("session_seconds", "DOUBLE", "s", "since the session began, if clock is session"),
        Column("known_time", "TIMESTAMP", "UTC", "when the row became known; else event_time"),
        Column("country", "VARCHAR", "", "where the visitor is"),
        Column("device", "VARCHAR", "", "desktop, mobile, tablet ..."),
        Column("channel", "VARCHAR", "", "where the visit came from"),
        Column("campaign", "VARCHAR", "", "campaign of the visit"),
        Column("page", "VARCHAR", "", "page, or page number, in the shop"),
        Column("color", "VARCHAR", "", "colour of the item"),
        Column("location", "VARCHAR", "", "position of the item on the page"),
        Column("photo", "VARCHAR", "", "kind of photograph of the item"),
        Column("experiment", "VARCHAR", "", "an exposure: the experiment that was seen"),
        Column("arm", "VARCHAR", "", "an exposure: the arm that was seen"),
    )
}
"""Every canonical column by name. A clean log has all of them, null where the source has none,
then the source's other columns under their own names."""


def metadata_text(metadata: Mapping[str, Any]) -> str:
    """Return what a canonical log says of itself, as JSON."""
    return json.dumps({"contract": CONTRACT, **metadata}, ensure_ascii=False, sort_keys=True)
