"""From the kernel's numbers to the canonical columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cartcast.datasets.simulate_model import Catalogue, Shop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Columns = Mapping[str, NDArray[np.int64] | NDArray[np.float64]]

__all__ = ["TRUTH_SCHEMA", "event_schema", "events_table", "names", "truth_table"]

_TEXT, _TIME, _REAL, _WHOLE = pa.string(), pa.timestamp("us"), pa.float64(), pa.int64()

_EVENT_FIELDS: dict[str, pa.DataType] = {
    "event_id": _TEXT,
    "visitor_id": _TEXT,
    "session_id": _TEXT,
    "event_time": _TIME,
    "event_order": _WHOLE,
    "event_type": _TEXT,
    "item_id": _TEXT,
    "category": _TEXT,
    "brand": _TEXT,
    "color": _TEXT,
    "price": _REAL,
    "quantity": _REAL,
    "currency": _TEXT,
    "order_id": _TEXT,
    "known_time": _TIME,
    "country": _TEXT,
    "device": _TEXT,
    "channel": _TEXT,
    "campaign": _TEXT,
    "page": _TEXT,
}


def event_schema(experiment: bool) -> pa.Schema:
    """Return the columns of a simulated log; an experiment adds `arm`."""
    return pa.schema(_EVENT_FIELDS | ({"arm": _TEXT} if experiment else {}))


_TRUTH_FIELDS: dict[str, pa.DataType] = {
    "session_id": _TEXT,
    "event_order": _WHOLE,
    "click": _WHOLE,
    "event_id": _TEXT,
    "p_purchase": _REAL,
    "expected_revenue": _REAL,
}
TRUTH_SCHEMA = pa.schema(_TRUTH_FIELDS)
"""Columns of the truth: one row per event, both values as known just after it."""

_EVENT_OF_PAGE = (
    "page_view", "view_item_list", "search", "view_item", "add_to_cart", "remove_from_cart",
    "begin_checkout", "add_payment_info", "purchase", "page_view",
)  # fmt: skip
_PAGE_NAME = (
    "home", "list", "search", "item", "cart", "cart", "checkout", "payment", "thanks", "account",
)  # fmt: skip
_PURCHASE = _EVENT_OF_PAGE.index("purchase")


def names(prefix: str, *numbers: NDArray[np.int64], width: int = 7) -> pa.StringArray:
    """Return texts such as `v0000012`, or `e0000012-3-1`, for arrays of numbers.

    >>> names("v", np.array([12])).to_pylist(), names("s", np.array([1]), np.array([0])).to_pylist()
    (['v0000012'], ['s0000001-0'])
    """
    parts: list[Any] = [pa.array(n).cast(_TEXT) for n in numbers]
    parts[0] = pc.utf8_lpad(parts[0], width, "0")
    dash: Any = pa.scalar("-")
    start: Any = pa.scalar(prefix)
    nothing: Any = pa.scalar("")
    joined: Any = pc.binary_join_element_wise(*parts, dash) if len(parts) > 1 else parts[0]
    text: pa.StringArray = pc.binary_join_element_wise(start, joined, nothing)
    return text


def take(values: Sequence[str], index: NDArray[np.int64]) -> pa.StringArray:
    """Return `values` by index as texts; a negative index is null."""
    return pa.array(values, _TEXT).take(pa.array(index, _WHOLE, mask=index < 0))


def events_table(rows: Columns, shop: Shop, goods: Catalogue, arms: Sequence[str]) -> pa.Table:
    """Return the events in canonical columns, with `arm` when there are arms."""
    item = rows["item"].astype(np.int64)
    page = rows["page"].astype(np.int64)
    ids = {k: rows[k].astype(np.int64) for k in ("visitor", "visit", "source", "cat", "order")}
    priced, bought = item >= 0, page == _PURCHASE
    seen = np.isin(page, (1, 2)) | priced
    order = names("o", ids["visitor"], ids["visit"])
    columns: dict[str, Any] = {
        "event_id": names("e", ids["visitor"], ids["visit"], ids["source"]),
        "visitor_id": names("v", ids["visitor"]),
        "session_id": names("s", ids["visitor"], ids["visit"]),
        "event_time": pa.array(rows["time"]).cast(_TIME),
        "event_order": pa.array(ids["order"]),
        "event_type": take(_EVENT_OF_PAGE, page),
        "item_id": take(goods.item, item),
        "category": take(
            [goods.category[i] for i in goods.first[:-1:3]], np.where(seen, ids["cat"], -1)
        ),
        "brand": take(goods.brand, item),
        "color": take(goods.color, item),
        "price": pa.array(goods.price[item], mask=~priced),
        "quantity": pa.array(np.maximum(rows["quantity"], 1.0), mask=~priced),
        "currency": take(["EUR"], np.where(priced, 0, -1)),
        "order_id": pc.if_else(pa.array(bought), order, pa.scalar(None, _TEXT)),
        "known_time": pa.array(rows["known"]).cast(_TIME),
        "country": take([c[0] for c in shop.countries], rows["country"].astype(np.int64)),
        "device": take([d[0] for d in shop.devices], rows["device"].astype(np.int64)),
        "channel": take([c[0] for c in shop.channels], rows["channel"].astype(np.int64)),
        "campaign": take([c[0] for c in shop.campaigns], rows["campaign"].astype(np.int64)),
        "page": take(_PAGE_NAME, page),
    }
    if arms:
        columns["arm"] = take(arms, rows["arm"].astype(np.int64))
    return pa.Table.from_pydict(columns, schema=event_schema(bool(arms)))


def truth_table(rows: Columns, events: pa.Table) -> pa.Table:
    """Return the truth of `events`, row by row."""
    columns: dict[str, Any] = {
        "session_id": events["session_id"],
        "event_order": events["event_order"],
        "click": events["event_order"],
        "event_id": events["event_id"],
        "p_purchase": pa.array(rows["p"]),
        "expected_revenue": pa.array(rows["r"]),
    }
    return pa.Table.from_pydict(columns, schema=TRUTH_SCHEMA)
