"""Google Analytics: 4 (nested export, or flattened by a query) and 360."""

from __future__ import annotations

from dataclasses import replace

from cartcast.events.layouts import ItemList, Layout, Value, first_of

__all__ = ["LAYOUTS", "MEASUREMENT"]


def _exposure(*names: str, variant: str) -> Value:
    """Return parameters of an exposure, else a part of Google's own: tool-experiment-variant.

    https://developers.google.com/analytics/devguides/collection/ga4/integration.
    """
    told = Value(
        columns=("event_params[exp_variant_string]", "exp_variant_string"), pattern=variant
    )
    columns = (*(f"event_params[{n}]" for n in names), *names)
    return Value(columns=columns, otherwise=told)


_GA4 = Layout(
    name="ga4",
    title="Google Analytics 4, BigQuery export (nested or flattened)",
    columns={
        "visitor_id": first_of("user_pseudo_id"),
        "user_id": first_of("user_id"),
        "session_id": first_of("event_params[ga_session_id]", "ga_session_id"),
        "event_time": first_of("event_timestamp"),
        "event_type": first_of("event_name"),
        "item_id": first_of("item_id"),
        "category": first_of("item_category"),
        "brand": first_of("item_brand"),
        "price": first_of("price", "item_price"),
        "quantity": first_of("quantity", "item_quantity"),
        "line_value": first_of("item_revenue"),
        "order_value": first_of(
            "ecommerce.purchase_revenue",
            "purchase_revenue",
            "ecommerce.refund_value",
            "refund_value",
            "event_params[value]",
            "event_value",
            "value",
        ),
        "tax": first_of("ecommerce.tax_value", "tax_value", "event_params[tax]"),
        "shipping": first_of(
            "ecommerce.shipping_value", "shipping_value", "event_params[shipping]"
        ),
        "currency": first_of("event_params[currency]", "currency"),
        "order_id": first_of(
            "ecommerce.transaction_id", "transaction_id", "event_params[transaction_id]"
        ),
        "country": first_of("geo.country", "country"),
        "device": first_of("device.category", "device_category", "device"),
        "channel": first_of("traffic_source.medium", "traffic_source_medium", "medium"),
        "campaign": first_of("traffic_source.name", "traffic_source_name", "campaign"),
        "page": first_of("event_params[page_location]", "page_location"),
        "experiment": _exposure("experiment_id", "experiment_name", variant=r"[^-]+-(.+)-[^-]+"),
        "arm": _exposure(
            "variation_id",
            "variant_id",
            "variation_name",
            "variant_name",
            variant=r"[^-]+-.+-([^-]+)",
        ),
    },
    time_format="epoch_us",
    session_per_visitor=True,
    ties=("batch_page_id", "batch_ordering_id", "batch_event_index"),
    event=(
        "user_pseudo_id",
        "event_timestamp",
        "event_name",
        "batch_page_id",
        "batch_ordering_id",
        "batch_event_index",
    ),
    items=(
        ItemList(
            columns=("items",),
            each=("purchase", "refund"),
            fields={
                "item_id": first_of("item_id", "item_name"),
                "category": first_of("item_category"),
                "brand": first_of("item_brand"),
                "price": first_of("price", "price_in_usd"),
                "quantity": first_of("quantity"),
                "line_value": first_of("item_revenue", "item_refund"),
            },
        ),
    ),
    strict=False,
    signature=("event_name", "event_timestamp", "user_pseudo_id"),
)

MEASUREMENT = replace(
    _GA4,
    name="ga4-measurement",
    columns={
        **_GA4.columns,
        "session_id": first_of("event_params[session_id]", "event_params[ga_session_id]"),
        "channel": first_of("event_params[medium]", "event_params[source]"),
        "campaign": first_of("event_params[campaign]"),
        "page": first_of("event_params[page_location]", "event_params[page_path]"),
        "event_id": first_of("event_params[event_id]"),
    },
    event=(),
)
"""What the Measurement Protocol sends, in the form of the export, with what only it carries."""

_MILLION = 1_000_000


def _micros(*columns: str, one: str | None = None, otherwise: Value | None = None) -> Value:
    return Value(columns=columns, divide=_MILLION, one=one, otherwise=otherwise)


_GA360 = Layout(
    name="ga360",
    title="Google Analytics 360 (Universal), BigQuery export: a row a session, hits nested",
    columns={
        "visitor_id": first_of("fullVisitorId", "clientId"),
        "user_id": first_of("userId"),
        "session_id": first_of("visitId"),
        "event_time": Value(columns=("visitStartTime",), plus="hits.time"),
        "event_type": Value(
            columns=("hits.eCommerceAction.action_type",),
            nulls=("0",),
            otherwise=first_of("hits.type"),
        ),
        "item_id": first_of("hits.item.productSku"),
        "category": first_of("hits.item.productCategory"),
        "quantity": first_of("hits.item.itemQuantity"),
        "line_value": _micros("hits.item.itemRevenue"),
        # A hit of an order that was sent in parts states its part only, the session the whole.
        "order_value": _micros(
            "hits.refund.refundAmount",
            otherwise=_micros(
                "totals.totalTransactionRevenue",
                "totals.transactionRevenue",
                one="hits.transaction.transactionId",
                otherwise=_micros("hits.transaction.transactionRevenue"),
            ),
        ),
        "tax": _micros("hits.transaction.transactionTax"),
        "shipping": _micros("hits.transaction.transactionShipping"),
        "currency": first_of("hits.transaction.currencyCode", "hits.item.currencyCode"),
        "order_id": first_of("hits.transaction.transactionId", "hits.item.transactionId"),
        "country": first_of("geoNetwork.country"),
        "device": first_of("device.deviceCategory"),
        "channel": first_of("trafficSource.medium", "channelGrouping"),
        "campaign": first_of("trafficSource.campaign"),
        "page": first_of("hits.page.pagePath", "hits.appInfo.screenName"),
    },
    events={
        "1": "view_item",
        "2": "view_item",
        "3": "add_to_cart",
        "4": "remove_from_cart",
        "5": "begin_checkout",
        "6": "purchase",
        "7": "refund",
        "8": "other",
        "page": "page_view",
        "appview": "page_view",
        "event": "other",
        "item": "purchase",
    },
    time_format="epoch_s",
    session_per_visitor=True,
    records=("hits",),
    ties=("hits.hitNumber",),
    items=(
        ItemList(
            columns=("hits.product",),
            each=("purchase", "refund"),
            fields={
                "item_id": first_of("productSKU", "v2ProductName"),
                "category": first_of("v2ProductCategory"),
                "brand": first_of("productBrand"),
                "price": _micros("productPrice"),
                "quantity": first_of("productQuantity"),
                "line_value": _micros("productRevenue", "productRefundAmount"),
            },
        ),
    ),
    strict=False,
    signature=("fullVisitorId|clientId", "visitId", "visitStartTime", "hits"),
)
"""Schema: https://support.google.com/analytics/answer/3437719."""

LAYOUTS = (_GA4, _GA360)
