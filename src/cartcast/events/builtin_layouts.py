"""The layouts that Cartcast knows, declared as data."""

from __future__ import annotations

from cartcast.events.layouts import ItemList, Layout, Value
from cartcast.events.schema import COLUMNS

__all__ = ["LAYOUTS"]


def _from(*columns: str) -> Value:
    return Value(columns=columns)


_ESHOP = Layout(
    name="eshop-2008",
    title="UCI 553, e-shop clothing 2008: views only, a date but no clock, no visitor",
    columns={
        "session_id": _from("session ID"),
        "event_time": Value(parts=("year", "month", "day")),
        "event_order": _from("order"),
        "item_id": _from("page 2 (clothing model)"),
        "category": _from("page 1 (main category)"),
        "price": _from("price"),
        "country": _from("country"),
        "page": _from("page"),
        "color": _from("colour"),
        "location": _from("location"),
        "photo": _from("model photography"),
    },
    every_event="view_item",
    clock="day",
    signature=("page 1 (main category)", "page 2 (clothing model)", "session ID", "order"),
)

_REES46 = Layout(
    name="rees46",
    title="REES46 / Open CDP multi-category store (Kaggle export)",
    columns={
        "visitor_id": _from("user_id"),
        "session_id": _from("user_session"),
        "event_time": _from("event_time"),
        "event_type": _from("event_type"),
        "item_id": _from("product_id"),
        "category": _from("category_code"),
        "brand": _from("brand"),
        "price": _from("price"),
    },
    signature=("event_time", "event_type", "product_id", "user_id", "user_session"),
)

_GA4 = Layout(
    name="ga4",
    title="Google Analytics 4, BigQuery export (nested or flattened)",
    columns={
        "visitor_id": _from("user_pseudo_id"),
        "user_id": _from("user_id"),
        "session_id": _from("event_params[ga_session_id]", "ga_session_id"),
        "event_time": _from("event_timestamp"),
        "event_type": _from("event_name"),
        "item_id": _from("item_id"),
        "category": _from("item_category"),
        "brand": _from("item_brand"),
        "price": _from("price", "item_price"),
        "quantity": _from("quantity", "item_quantity"),
        "line_value": _from("item_revenue"),
        "order_value": _from(
            "ecommerce.purchase_revenue",
            "purchase_revenue",
            "ecommerce.refund_value",
            "event_params[value]",
            "event_value",
            "value",
        ),
        "tax": _from("ecommerce.tax_value", "tax_value", "event_params[tax]"),
        "shipping": _from("ecommerce.shipping_value", "shipping_value", "event_params[shipping]"),
        "currency": _from("event_params[currency]", "currency"),
        "order_id": _from(
            "ecommerce.transaction_id", "transaction_id", "event_params[transaction_id]"
        ),
        "country": _from("geo.country", "country"),
        "device": _from("device.category", "device_category", "device"),
        "channel": _from("traffic_source.medium", "traffic_source_medium", "medium"),
        "campaign": _from("traffic_source.name", "traffic_source_name", "campaign"),
        "page": _from("event_params[page_location]", "page_location"),
    },
    time_format="epoch_us",
    session_per_visitor=True,
    ties=("batch_page_id", "batch_ordering_id", "batch_event_index"),
    items=(
        ItemList(
            columns=("items",),
            each=("purchase", "refund"),
            fields={
                "item_id": _from("item_id", "item_name"),
                "category": _from("item_category"),
                "brand": _from("item_brand"),
                "price": _from("price", "price_in_usd"),
                "quantity": _from("quantity"),
            },
        ),
    ),
    strict=False,
    signature=("event_name", "event_timestamp", "user_pseudo_id"),
)

_SEGMENT_ITEM = {
    "item_id": _from("product_id", "sku"),
    "category": _from("category"),
    "brand": _from("brand"),
    "price": _from("price"),
    "quantity": _from("quantity"),
}

_SEGMENT = Layout(
    name="segment",
    title="Segment, RudderStack or PostHog e-commerce spec (track calls)",
    columns={
        "visitor_id": _from(
            "anonymousId", "anonymous_id", "properties.$device_id", "distinct_id"
        ),
        "user_id": _from("userId", "user_id", "properties.$user_id"),
        "session_id": _from(
            "context.sessionId", "context_session_id", "session_id", "properties.$session_id"
        ),
        "event_time": _from("timestamp", "original_timestamp", "originalTimestamp", "sent_at"),
        "event_type": _from("event", "event_text", "type"),
        "item_id": _from(
            "properties.product_id", "properties.sku", "product_id", "sku", "properties_product_id"
        ),
        "category": _from("properties.category", "category", "properties_category"),
        "brand": _from("properties.brand", "brand", "properties_brand"),
        "price": _from("properties.price", "price", "properties_price"),
        "quantity": _from("properties.quantity", "quantity", "properties_quantity"),
        "order_value": _from(
            "properties.total",
            "properties.revenue",
            "properties.value",
            "total",
            "revenue",
            "properties_total",
            "properties_revenue",
        ),
        "tax": _from("properties.tax", "tax", "properties_tax"),
        "shipping": _from("properties.shipping", "shipping", "properties_shipping"),
        "discount": _from("properties.discount", "discount", "properties_discount"),
        "currency": _from("properties.currency", "currency", "properties_currency"),
        "order_id": _from("properties.order_id", "order_id", "properties_order_id"),
        "known_time": _from("received_at", "receivedAt"),
        "country": _from(
            "context.location.country", "context_location_country", "properties.$geoip_country_code"
        ),
        "device": _from("context.device.type", "context_device_type", "properties.$device_type"),
        "channel": _from(
            "context.campaign.medium", "context_campaign_medium", "properties.utm_medium"
        ),
        "campaign": _from(
            "context.campaign.name", "context_campaign_name", "properties.utm_campaign"
        ),
        "page": _from(
            "context.page.url", "context_page_url", "properties.url", "properties.$current_url"
        ),
        "event_id": _from("messageId", "message_id", "id", "uuid"),
    },
    items=(
        ItemList(
            columns=("properties.products", "products"),
            each=("purchase", "refund"),
            fields=_SEGMENT_ITEM,
        ),
    ),
    strict=False,
    signature=(
        "anonymousId|anonymous_id|distinct_id",
        "event|event_text",
        "timestamp|original_timestamp|originalTimestamp",
    ),
)

_SNOWPLOW = Layout(
    name="snowplow",
    title="Snowplow atomic events (with e-commerce columns where present)",
    columns={
        "visitor_id": _from("domain_userid", "network_userid"),
        "user_id": _from("user_id"),
        "session_id": _from("domain_sessionid"),
        "event_time": _from("derived_tstamp", "dvce_created_tstamp", "collector_tstamp"),
        "event_type": _from("se_action", "event_name", "event"),
        "item_id": _from("ti_sku", "se_label", "product_id"),
        "category": _from("ti_category", "se_category"),
        "price": _from("ti_price", "se_value"),
        "quantity": _from("ti_quantity"),
        "order_value": _from("tr_total"),
        "tax": _from("tr_tax"),
        "shipping": _from("tr_shipping"),
        "currency": _from("tr_currency", "ti_currency"),
        "order_id": _from("tr_orderid", "ti_orderid"),
        "known_time": _from("collector_tstamp"),
        "country": _from("geo_country"),
        "device": _from("dvce_type"),
        "channel": _from("mkt_medium", "refr_medium"),
        "campaign": _from("mkt_campaign"),
        "page": _from("page_urlpath", "page_url"),
        "event_id": _from("event_id"),
    },
    events={"transaction_item": "purchase", "transaction": "other", "page_ping": "other"},
    strict=False,
    signature=(
        "domain_userid|network_userid",
        "domain_sessionid",
        "collector_tstamp|derived_tstamp",
    ),
)

_RETAILROCKET = Layout(
    name="retailrocket",
    title="Retailrocket recommender data set: events.csv (no price, no session)",
    columns={
        "visitor_id": _from("visitorid"),
        "event_time": _from("timestamp"),
        "event_type": _from("event"),
        "item_id": _from("itemid"),
        "order_id": _from("transactionid"),
    },
    time_format="epoch_ms",
    signature=("timestamp", "visitorid", "event", "itemid", "transactionid"),
)

_YOOCHOOSE_BUYS = Layout(
    name="yoochoose",
    title="YooChoose buys (session, time, item, price, quantity)",
    columns={
        "session_id": _from("session_id"),
        "event_time": _from("timestamp"),
        "item_id": _from("item_id"),
        "price": _from("price"),
        "quantity": _from("quantity"),
    },
    every_event="purchase",
    header=("session_id", "timestamp", "item_id", "price", "quantity"),
    separator=",",
)

_YOOCHOOSE = Layout(
    name="yoochoose",
    title="YooChoose clicks (session, time, item, category) and buys, files without a header",
    columns={
        "session_id": _from("session_id"),
        "event_time": _from("timestamp"),
        "item_id": _from("item_id"),
        "category": _from("category"),
    },
    every_event="view_item",
    header=("session_id", "timestamp", "item_id", "category"),
    separator=",",
    variants=(_YOOCHOOSE_BUYS,),
)

_CARTCAST = Layout(
    name="cartcast",
    title="Cartcast's own column names",
    columns={
        **{name: _from(name) for name in COLUMNS if name not in ("utc_offset", "revenue")},
        "event_id": _from("event_id"),
    },
    strict=False,
    signature=(
        "event_type",
        "session_id|visitor_id",
        "event_time|event_order|session_seconds",
        "item_id",
    ),
)

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (_ESHOP, _GA4, _SEGMENT, _SNOWPLOW, _RETAILROCKET, _REES46, _YOOCHOOSE, _CARTCAST)
}
"""Every built-in layout by name."""
