"""From the kernel's numbers to canonical columns, and the second shop's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cartcast.datasets import simulate_table as first
from cartcast.datasets.missions import market
from cartcast.datasets.missions.arrays import Tables
from cartcast.datasets.missions.settings import Missions

__all__ = ["event_schema", "events_table", "truth_schema", "truth_table"]

Columns = Mapping[str, NDArray[Any]]

_TEXT = pa.string()
_EVENT_OF_PAGE = (
    "page_view", "view_item_list", "search", "view_item", "add_to_cart", "remove_from_cart",
    "begin_checkout", "other", "purchase", "add_payment_info", "page_view",
)  # fmt: skip
_PAGE_NAME = (
    "home", "list", "search", "item", "cart", "cart", "checkout", "compare", "thanks", "payment",
    "account",
)  # fmt: skip
_SEARCH, _COMPARE, _PURCHASE = 2, 7, 8
_PRICED = (3, 4, 5, 8)


def event_schema(experiment: bool) -> pa.Schema:
    """Return the first shop's columns, `source_event`, and the shop's own `query` and `sale`."""
    fields = list(first.event_schema(experiment))
    own = [pa.field(name, _TEXT) for name in ("source_event", "query", "sale")]
    return pa.schema([*fields, *own])


def events_table(rows: Columns, shop: Missions, tables: Tables, arms: Sequence[str]) -> pa.Table:
    """Return the events in canonical columns.

    `query` is what was searched for, an item's name or a category; `sale` the category on sale that
    day, the same for all visitors; the shop's own word `compare_items` is in `source_event`.
    """
    goods = market.goods(shop)
    page, cat = rows["page"], rows["cat"]
    priced = np.isin(page, _PRICED)
    item = np.where(priced, rows["item"], -1)
    price = tables.price[rows["day"], np.maximum(item, 0)]
    seen = np.isin(page, (1, _SEARCH, _COMPARE)) | priced
    order = first.names("o", rows["visitor"], rows["visit"])
    cats = [c[0] for c in shop.categories]
    named = first.take([f"{b} {i}" for b, i in zip(goods.brand, goods.item, strict=True)],
                       np.where(page == _SEARCH, rows["item"], -1))  # fmt: skip
    by_cat = first.take(cats, np.where(page == _SEARCH, cat, -1))
    columns: dict[str, Any] = {
        "event_id": first.names("e", rows["visitor"], rows["visit"], rows["source"]),
        "visitor_id": first.names("v", rows["visitor"]),
        "session_id": first.names("s", rows["visitor"], rows["visit"]),
        "event_time": pa.array(rows["time"]).cast(pa.timestamp("us")),
        "event_order": pa.array(rows["order"]),
        "event_type": first.take(_EVENT_OF_PAGE, page),
        "item_id": first.take(goods.item, item),
        "category": first.take(cats, np.where(seen, cat, -1)),
        "brand": first.take(goods.brand, item),
        "color": first.take(goods.color, item),
        "price": pa.array(price, mask=~priced),
        "quantity": pa.array(np.maximum(rows["quantity"], 1.0), mask=~priced),
        "currency": first.take(["USD"], np.where(priced, 0, -1)),
        "order_id": pc.if_else(pa.array(page == _PURCHASE), order, pa.scalar(None, _TEXT)),
        "known_time": pa.array(rows["known"]).cast(pa.timestamp("us")),
        "country": first.take([c[0] for c in shop.countries], rows["country"]),
        "device": first.take([d[0] for d in shop.devices], rows["device"]),
        "channel": first.take([c[0] for c in shop.channels], rows["channel"]),
        "campaign": first.take([f"{c}-sale" for c in cats], rows["campaign"]),
        "page": first.take(_PAGE_NAME, page),
        "source_event": first.take(["compare_items"], np.where(page == _COMPARE, 0, -1)),
        "query": pc.coalesce(named, by_cat),
        "sale": first.take(cats, rows["sale"]),
    }
    if arms:
        columns["arm"] = first.take(arms, rows["arm"])
    schema = event_schema(bool(arms))
    return pa.Table.from_pydict({n: columns[n] for n in schema.names}, schema=schema)


def truth_schema(shop: Missions) -> pa.Schema:
    """Return the first shop's columns of truth, and two that look `horizon` days (n) ahead.

    `p_purchase_<n>d`: a purchase after the event, in this visit or one that begins within n days
    of it. `p_later_<n>d`: a purchase in a later visit that begins within n days of the last event
    of this one, once this one is over; null at all other events.
    """
    schema: pa.Schema = first.TRUTH_SCHEMA
    for name in _ahead(shop):
        schema = schema.append(pa.field(name, pa.float64()))
    return schema


def truth_table(rows: Columns, events: pa.Table, shop: Missions) -> pa.Table:
    """Return the truth of `events`, row by row."""
    table = first.truth_table(rows, events)
    for name, values in zip(_ahead(shop), (rows["later"], rows["over"]), strict=True):
        table = table.append_column(name, pa.array(values, mask=np.isnan(values)))
    return table


def _ahead(shop: Missions) -> tuple[str, str]:
    return f"p_purchase_{shop.horizon}d", f"p_later_{shop.horizon}d"
