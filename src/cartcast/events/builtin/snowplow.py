"""Snowplow: atomic events, with the e-commerce plugin's entities or the classic fields.

A warehouse writes the schema's version into the name of an entity's column, one in full, another in
part; `*` stands for it.
"""

from __future__ import annotations

from cartcast.events.layouts import ItemList, Layout, first_of

__all__ = ["LAYOUTS"]

_ACTION = "unstruct_event_*_snowplow_ecommerce_action_1*"
_PRODUCT = "contexts_*_ecommerce_product_1*"
_TRANSACTION = "contexts_*_ecommerce_transaction_1*[0]"
_REFUND = "contexts_*_ecommerce_refund_1*[0]"
_ADDED = "unstruct_event_*_snowplow_add_to_cart_1*"
_REMOVED = "unstruct_event_*_snowplow_remove_from_cart_1*"
_CLIENT = "contexts_*_client_session_1*[0]"

_SNOWPLOW = Layout(
    name="snowplow",
    title="Snowplow atomic events: e-commerce entities, or the classic tr_ and ti_ fields",
    columns={
        "visitor_id": first_of("domain_userid", f"{_CLIENT}.userId", f"{_CLIENT}.user_id"),
        "user_id": first_of("user_id"),
        "session_id": first_of(
            "domain_sessionid", f"{_CLIENT}.sessionId", f"{_CLIENT}.session_id"
        ),
        "event_time": first_of("derived_tstamp", "dvce_created_tstamp", "collector_tstamp"),
        "event_type": first_of(f"{_ACTION}.type", "se_action", "event_name", "event"),
        "item_id": first_of("ti_sku", "se_label", f"{_ADDED}.sku", f"{_REMOVED}.sku"),
        "category": first_of(
            "ti_category", "se_category", f"{_ADDED}.category", f"{_REMOVED}.category"
        ),
        "price": first_of(
            "ti_price", "se_value", f"{_ADDED}.unit_price", f"{_ADDED}.unitPrice",
            f"{_REMOVED}.unit_price", f"{_REMOVED}.unitPrice",
        ),
        "quantity": first_of("ti_quantity", f"{_ADDED}.quantity", f"{_REMOVED}.quantity"),
        "order_value": first_of(f"{_TRANSACTION}.revenue", f"{_REFUND}.refund_amount", "tr_total"),
        "tax": first_of(f"{_TRANSACTION}.tax", "tr_tax"),
        "shipping": first_of(f"{_TRANSACTION}.shipping", "tr_shipping"),
        "discount": first_of(f"{_TRANSACTION}.discount_amount"),
        "currency": first_of(
            f"{_TRANSACTION}.currency", f"{_REFUND}.currency", f"{_PRODUCT}[0].currency",
            "tr_currency", "ti_currency", f"{_ADDED}.currency", f"{_REMOVED}.currency",
        ),
        "order_id": first_of(
            f"{_TRANSACTION}.transaction_id", f"{_REFUND}.transaction_id", "tr_orderid",
            "ti_orderid",
        ),
        "known_time": first_of("collector_tstamp"),
        "country": first_of("geo_country"),
        "device": first_of("dvce_type"),
        "channel": first_of("mkt_medium", "refr_medium"),
        "campaign": first_of("mkt_campaign"),
        "page": first_of("page_urlpath", "page_url"),
        "event_id": first_of("event_id"),
    },
    # A classic transaction has its total, and each of its items is an event of its own.
    events={
        "transaction_item": "purchase",
        "list_click": "view_item",
        "checkout_step": "begin_checkout",
        "page_ping": "other",
    },
    ties=(f"{_CLIENT}.eventIndex", f"{_CLIENT}.event_index"),
    items=(
        ItemList(
            columns=(_PRODUCT,),
            each=("purchase", "refund"),
            fields={
                "item_id": first_of("id"),
                "category": first_of("category"),
                "brand": first_of("brand"),
                "price": first_of("price"),
                "quantity": first_of("quantity"),
            },
        ),
    ),
    strict=False,
    signature=(
        "domain_userid|network_userid",
        "domain_sessionid",
        "collector_tstamp|derived_tstamp",
    ),
)  # fmt: skip
"""Fields: https://docs.snowplow.io/docs/fundamentals/canonical-event/."""

LAYOUTS = (_SNOWPLOW,)
