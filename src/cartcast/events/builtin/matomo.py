"""Matomo: visits with their actions, as `Live.getLastVisitsDetails` gives them."""

from __future__ import annotations

from cartcast.events.layouts import ItemList, Layout, Value, first_of

__all__ = ["LAYOUTS"]

_MATOMO = Layout(
    name="matomo",
    title="Matomo visits with their actions (Live API, raw export)",
    columns={
        "visitor_id": first_of("visitorId"),
        "user_id": first_of("userId"),
        "session_id": first_of("idVisit"),
        "event_time": first_of("actionDetails.timestamp"),
        # A view of a product is a page like any other, but for these columns.
        "event_type": Value(
            columns=("actionDetails.productViewSku", "actionDetails.productViewName"),
            says="view_item",
            otherwise=first_of("actionDetails.type"),
        ),
        "item_id": first_of("actionDetails.productViewSku", "actionDetails.productViewName"),
        "category": first_of("actionDetails.productViewCategories[0]"),
        "price": first_of("actionDetails.productViewPrice"),
        "order_value": first_of("actionDetails.revenue"),
        "tax": first_of("actionDetails.revenueTax"),
        "shipping": first_of("actionDetails.revenueShipping"),
        "discount": first_of("actionDetails.revenueDiscount"),
        "currency": first_of("actionDetails.currency", "siteCurrency"),
        "order_id": first_of("actionDetails.orderId"),
        "country": first_of("countryCode"),
        "device": first_of("deviceType"),
        "channel": first_of("referrerType"),
        "campaign": first_of("referrerName"),
        "page": first_of("actionDetails.url"),
    },
    events={
        "action": "page_view",
        "ecommerceorder": "purchase",
        "ecommerceabandonedcart": "other",
    },
    time_format="epoch_s",
    records=("actionDetails",),
    items=(
        ItemList(
            columns=("actionDetails.itemDetails",),
            each=("purchase", "refund"),
            fields={
                "item_id": first_of("itemSKU", "itemName"),
                "category": first_of("itemCategory"),
                "price": first_of("price"),
                "quantity": first_of("quantity"),
            },
        ),
    ),
    strict=False,
    signature=("idVisit", "visitorId", "actionDetails"),
)
"""Fields: https://developer.matomo.org/api-reference/reporting-api."""

LAYOUTS = (_MATOMO,)
