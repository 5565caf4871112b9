"""Shopify, orders export: one row a line item; the order's money on its first row only."""

from __future__ import annotations

from typing import Any

from cartcast.datasets.disguises.forms.orders import clicks_and_orders
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, TrueLog

__all__ = ["FORMS"]


def _rows(event: Event, currency: str, number: int) -> list[dict[str, Any]]:
    order = event.order
    assert order is not None
    subtotal = round(order.total - order.tax - order.shipping, 2)
    moment = event.at("%Y-%m-%d %H:%M:%S +0000")
    head: dict[str, Any] = {
        "Financial Status": "paid", "Paid at": moment, "Fulfillment Status": "fulfilled",
        "Accepts Marketing": "no", "Currency": currency, "Subtotal": subtotal,
        "Shipping": order.shipping, "Taxes": order.tax, "Total": order.total,
        "Discount Code": "SPRING" if order.discount else None, "Discount Amount": order.discount,
    }  # fmt: skip
    tail: dict[str, Any] = {
        "Billing Country": event.country, "Payment Method": "Shopify Payments",
        "Refunded Amount": 0.0, "Id": 5_500_000_000_000 + number, "Source": "web",
    }  # fmt: skip
    return [
        {
            "Name": order.order_id,
            "Email": event.user_id,
            **(head if n == 0 else dict.fromkeys(head)),
            "Created at": moment,
            "Lineitem quantity": line.quantity,
            "Lineitem name": line.name,
            "Lineitem price": line.price,
            "Lineitem sku": line.item_id,
            "Lineitem discount": 0.0,
            **(tail if n == 0 else dict.fromkeys(tail)),
        }
        for n, line in enumerate(event.lines)
    ]


def _orders(log: TrueLog) -> Sheet:
    """Return the export: the newest order first, as the admin page writes it."""
    bought = [event for event in log if event.order is not None]
    rows = [r for n, e in enumerate(reversed(bought)) for r in _rows(e, log.currency, n)]
    return Sheet("orders.csv", tuple(rows))


FORMS = (
    clicks_and_orders(
        "shopify", _orders, "https://help.shopify.com/en/manual/fulfillment/managing-orders/exporting-orders"
    ),
)  # fmt: skip
"""Clicks and orders."""
