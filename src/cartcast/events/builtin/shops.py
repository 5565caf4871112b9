"""Shop systems: exports of orders, each row one line, or orders with their lines as a list."""

from __future__ import annotations

from cartcast.events.layouts import ItemList, Layout, Value, first_of

__all__ = ["LAYOUTS"]

_SHOPIFY = Layout(
    name="shopify",
    title="Shopify orders: the admin's CSV export (one row a line), or the API's JSON",
    columns={
        "user_id": first_of("Email", "customer.id", "Customer ID"),
        # `Created at` stands on every row, the others on an order's first.
        "event_time": first_of("Created at", "processed_at", "created_at"),
        "item_id": first_of("Lineitem sku", "Lineitem name"),
        "brand": first_of("Vendor"),
        "price": first_of("Lineitem price"),
        "quantity": first_of("Lineitem quantity"),
        "order_value": first_of("Total", "total_price"),
        "tax": first_of("Taxes", "total_tax"),
        "shipping": first_of("Shipping", "total_shipping_price_set.shop_money.amount"),
        "discount": first_of("Discount Amount", "total_discounts"),
        "currency": first_of("Currency", "currency"),
        "order_id": first_of("Name", "name", "order_number"),
        "country": first_of("Billing Country", "billing_address.country_code"),
        "channel": first_of("Source", "source_name"),
    },
    every_event="purchase",
    status=("Financial Status", "financial_status"),
    # As in the shop's own reports: an order counts until it is voided, and what was given back
    # stands beside it.
    events={"pending": "purchase", "refunded": "purchase"},
    refund=first_of("Refunded Amount", "refunds[*].transactions[*].amount"),
    items=(
        ItemList(
            columns=("line_items",),
            each=("purchase",),
            fields={
                "item_id": first_of("sku", "product_id", "name"),
                "brand": first_of("vendor"),
                "price": first_of("price"),
                "quantity": first_of("quantity"),
            },
        ),
    ),
    strict=False,
    signature=(
        "Name",
        "Email|customer.*",
        "Financial Status|financial_status",
        "Created at|created_at",
        "Lineitem price|line_items",
    ),
)
"""Columns: https://help.shopify.com/en/manual/fulfillment/managing-orders/exporting-orders."""

_WOOCOMMERCE = Layout(
    name="woocommerce",
    title="WooCommerce orders: a CSV export (one row a line), or the API's JSON",
    columns={
        "user_id": Value(
            columns=("customer_email", "billing_email", "billing.email", "Email (Billing)",
                     "customer_id"),
            nulls=("0",),
        ),
        "event_time": first_of(
            "order_date", "date_created_gmt", "date_created", "date", "Order Date"
        ),
        "item_id": first_of("item_sku", "item_product_id", "item_id", "SKU", "item_name"),
        "price": first_of("item_price", "Item Cost"),
        "quantity": first_of("item_quantity", "Quantity"),
        "line_value": first_of("item_total"),
        "order_value": first_of("order_total", "Order Total Amount", "total"),
        "tax": first_of("tax_total", "order_tax", "total_tax"),
        "shipping": first_of("shipping_total", "order_shipping"),
        "discount": first_of("discount_total", "order_discount", "cart_discount"),
        "currency": first_of("order_currency", "currency"),
        "order_id": first_of("order_number", "order_id", "Order Number", "number", "id"),
        "country": first_of("billing_country", "billing.country"),
    },
    # No status, or any other: a sale.
    every_event="purchase",
    status=("status", "order_status", "Order Status", "post_status"),
    refund=first_of("refunds[*].total"),
    items=(
        ItemList(
            columns=("line_items",),
            each=("purchase",),
            fields={
                "item_id": first_of("sku", "product_id", "name"),
                "price": first_of("price"),
                "quantity": first_of("quantity"),
                "line_value": first_of("total"),
            },
        ),
    ),
    strict=False,
    signature=(
        "order_id|order_number|order_key|number",
        "order_total|total",
        "item_sku|item_product_id|line_items",
        "order_currency|currency",
        "order_date|date|date_created*",
    ),
)  # fmt: skip
"""Columns: https://woocommerce.com/document/ordercustomer-csv-export/.

Statuses: https://woocommerce.com/document/managing-orders/order-statuses/."""

LAYOUTS = (_SHOPIFY, _WOOCOMMERCE)
