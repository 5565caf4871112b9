"""WooCommerce, order export: one row a line item, what holds for the order repeated on each.

Of some orders an earlier attempt failed: it stands in the file under a number of its own.
"""

from __future__ import annotations

from typing import Any

from cartcast.datasets.disguises.forms.orders import clicks_and_orders
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, TrueLog

__all__ = ["FORMS"]


_FAILED = ("failed", "cancelled", "pending")


def _rows(event: Event, currency: str) -> list[dict[str, Any]]:
    order = event.order
    assert order is not None
    return [
        {
            "order_id": order.order_id,
            "order_date": event.at(),
            "status": "completed",
            "customer_email": event.user_id,
            "shipping_total": order.shipping,
            "tax_total": order.tax,
            "discount_total": order.discount,
            "order_total": order.total,
            "order_currency": currency,
            "payment_method": "stripe",
            "billing_country": event.country,
            "item_sku": line.item_id,
            "item_name": line.name,
            "item_quantity": line.quantity,
            "item_price": line.price,
            "item_total": line.value,
        }
        for line in event.lines
    ]


def _orders(log: TrueLog) -> Sheet:
    rows = []
    for number, event in enumerate(e for e in log if e.order):
        bought = _rows(event, log.currency)
        if number % 7 == 3:
            word = _FAILED[number // 7 % len(_FAILED)]
            rows += [{**row, "order_id": f"{row['order_id']}0", "status": word} for row in bought]
        rows += bought
    return Sheet("orders.csv", tuple(rows))


FORMS = (
    clicks_and_orders(
        "woocommerce", _orders, "https://woocommerce.com/document/ordercustomer-csv-export/"
    ),
)
"""Clicks and orders."""
