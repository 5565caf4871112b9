"""Shop systems: an export of orders beside a click file that knows no purchase."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cartcast.datasets.disguises.form import Form, tells_all_but
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, Line, TrueLog

__all__ = ["click_sheet", "clicks_and_orders"]

_CLICK_NAMES = {
    "visitor_id": "client_id",
    "user_id": "customer_email",
    "event_time": "timestamp",
    "event_type": "event_name",
    "item_id": "product_sku",
    "price": "price",
    "country": "country",
}


def with_email(log: TrueLog) -> TrueLog:
    """Return the log whose orders are those of customers logged in; the browser tells no order."""

    def rule(event: Event) -> Event | None:
        if event.event_type == "refund" or (event.order and event.user_id is None):
            return None
        email = event.user_id and f"u{event.user_id}@shop.example"
        lines = event.lines if event.order else _one(event)
        return replace(
            event, user_id=email, server="user" if event.order else None, lines=lines, shelf=None
        )

    return log.change(rule)


def _one(event: Event) -> tuple[Line, ...]:
    return tuple(replace(line, quantity=1) for line in event.lines[:1])


def click_sheet(log: TrueLog) -> Sheet:
    """Return the file of clicks: no sessions, no purchases."""
    rows = (_click(event) for event in log if event.order is None)
    return Sheet("clicks.csv", tuple(rows), names=_CLICK_NAMES)


def _click(event: Event) -> dict[str, Any]:
    line = event.line
    return {
        "client_id": event.visitor_id,
        "customer_email": event.user_id,
        "timestamp": event.at("%Y-%m-%dT%H:%M:%SZ"),
        "event_name": event.event_type,
        "product_sku": line and line.item_id,
        "price": line and line.price,
        "url": event.page,
        "country": event.country,
    }


CLICK_TELLS = tells_all_but(
    "session_id", "event_id", "event_order", "refund", "shelf", "category", "brand", "currency"
)


def clicks_and_orders(name: str, orders: Any, source: str) -> Form:
    """Return the form of a shop system whose orders `orders` writes."""

    def write(log: TrueLog) -> tuple[Sheet, ...]:
        sheet: Sheet = orders(log)
        return (click_sheet(log), replace(sheet, role="orders"))

    return Form(name, None, ("clicks.csv", "orders.csv"), CLICK_TELLS, write, with_email, source)
