"""Adobe Analytics: the data feed, a row a hit, with its column headers in a file beside it."""

from __future__ import annotations

from cartcast.events.layouts import ItemList, Layout, Value, first_of

__all__ = ["LAYOUTS"]

_EVENTS = ("post_event_list", "event_list")
_KINDS = {
    "1": "purchase",
    "11": "begin_checkout",
    "12": "add_to_cart",
    "13": "remove_from_cart",
    "2": "view_item",
    "10": "other",
    "14": "other",
}
"""Number of an event -> its kind. A hit may have several: the first here is what it is."""


def _kind(numbers: tuple[str, ...]) -> Value:
    number, *others = numbers
    return Value(
        columns=_EVENTS,
        # The list holds numbers, some with a value: `1,200=4.50,12`.
        pattern=f"(?:.*,)?({number})(?:[=,:].*)?",
        otherwise=_kind(tuple(others)) if others else None,
    )


_ADOBE = Layout(
    name="adobe",
    title="Adobe Analytics data feed: hit_data.tsv, with column_headers.tsv beside it",
    columns={
        "visitor_id": Value(columns=("post_visid_high", "post_visid_low"), joined=True),
        "user_id": first_of("post_cust_visid", "cust_visid"),
        "session_id": Value(columns=("visit_num", "visit_start_time_gmt"), joined=True),
        "event_time": first_of("post_cust_hit_time_gmt", "cust_hit_time_gmt", "hit_time_gmt"),
        # Hits that Adobe's own reports leave out are kept, and are no purchases.
        "event_type": Value(
            columns=("exclude_hit",), nulls=("0",), says="excluded",
            otherwise=Value(
                columns=("hit_source",), pattern="[5789]", says="excluded",
                otherwise=_kind(tuple(_KINDS)),
            ),
        ),
        "order_id": first_of("post_purchaseid", "purchaseid"),
        "currency": first_of("post_currency", "currency"),
        "country": first_of("geo_country", "country"),
        "campaign": first_of("post_campaign", "campaign"),
        "page": first_of("post_pagename", "pagename", "post_page_url", "page_url"),
        "event_id": Value(columns=("hitid_high", "hitid_low"), joined=True),
    },
    events={**_KINDS, "excluded": "other"},
    every_event="page_view",
    time_format="epoch_s",
    session_per_visitor=True,
    ties=("visit_page_num",),
    items=(
        ItemList(
            columns=("post_product_list", "product_list"),
            each=("purchase",),
            fields={
                "item_id": first_of("product"),
                "category": first_of("category"),
                "quantity": first_of("quantity"),
                # Of all units of the line, not of one.
                "line_value": first_of("total"),
            },
            product_strings=True,
        ),
    ),
    strict=False,
    signature=(
        "post_visid_high", "post_visid_low", "visit_num", "hit_time_gmt|post_cust_hit_time_gmt",
        "post_event_list|event_list",
    ),
)  # fmt: skip
"""Columns, and how to count with them:
https://experienceleague.adobe.com/docs/analytics/export/analytics-data-feed/data-feed-contents/datafeeds-reference.html
https://experienceleague.adobe.com/docs/analytics/export/analytics-data-feed/data-feed-contents/datafeeds-calculate.html
"""

LAYOUTS = (_ADOBE,)
