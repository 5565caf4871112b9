"""Matomo: `Live.getLastVisitsDetails` (visits with their actions), and its actions as a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cartcast.datasets.disguises.form import Form, dropped, tells_all_but
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, Line, TrueLog

__all__ = ["FORMS"]

_KEPT = ("page_view", "view_item", "search", "purchase")
_PAGES = ("view_item_list", "begin_checkout", "add_payment_info")


def _see(log: TrueLog) -> TrueLog:
    """Return the log as visits: no carts (only a last one is kept), refunds or server."""

    def rule(event: Event) -> Event | None:
        if event.event_type not in (*_KEPT, *_PAGES):
            return None
        page = event.event_type in _PAGES
        visitor = f"{int(event.visitor_id):016x}"
        event = replace(event, visitor_id=visitor, server=None)
        return replace(event, event_type="page_view", lines=()) if page else event

    return log.change(rule)


def _item(line: Line) -> dict[str, Any]:
    return {"itemSKU": line.item_id, "itemName": line.name, "itemCategory": line.category,
            "price": line.price, "quantity": line.quantity,
            "categories": [line.category]}  # fmt: skip


def _action(event: Event, currency: str) -> dict[str, Any]:
    action: dict[str, Any] = {
        "type": "action", "url": event.page, "timestamp": event.time,
        "serverTimePretty": event.at("%b %-d, %Y %H:%M:%S"), "idpageview": event.event_id[:6],
        "pageviewPosition": str(event.position),
    }  # fmt: skip
    line, order = event.line, event.order
    if order is not None:
        return {
            "type": "ecommerceOrder", "orderId": order.order_id, "revenue": order.total,
            "revenueSubTotal": round(sum(i.value for i in event.lines), 2),
            "revenueTax": order.tax, "revenueShipping": order.shipping,
            "revenueDiscount": order.discount, "currency": currency,
            "items": str(sum(i.quantity for i in event.lines)), "timestamp": event.time,
            "itemDetails": [_item(i) for i in event.lines],
        }  # fmt: skip
    if event.term is not None:
        action |= {"type": "search", "siteSearchKeyword": event.term}
    elif line is not None:
        action |= {
            "productViewSku": line.item_id, "productViewName": line.name,
            "productViewCategories": [line.category], "productViewPrice": line.price,
        }  # fmt: skip
    return action


def _visit(number: int, events: list[Event], currency: str) -> dict[str, Any]:
    first, last = events[0], events[-1]
    return {
        "idSite": "1", "idVisit": str(1000 + number), "visitorId": first.visitor_id,
        "userId": next((e.user_id for e in events if e.user_id), None),
        "visitIp": "203.0.113.0", "serverTimestamp": last.time,
        "firstActionTimestamp": first.time, "lastActionTimestamp": last.time,
        "visitCount": str(first.session_number), "visitDuration": str(last.time - first.time),
        "actions": str(len(events)), "siteCurrency": currency,
        "countryCode": (first.country or "").lower(), "deviceType": (first.device or "").title(),
        "referrerType": first.channel, "referrerName": first.campaign or "",
        "actionDetails": [dropped(_action(e, currency)) for e in events],
    }  # fmt: skip


def _visits(log: TrueLog) -> tuple[dict[str, Any], ...]:
    sessions = log.sessions().values()
    return tuple(_visit(n, events, log.currency) for n, events in enumerate(sessions))


def _list(log: TrueLog) -> tuple[Sheet, ...]:
    """Return the answer of the API: one JSON list, newest visit first."""
    return (Sheet("visits.json", tuple(reversed(_visits(log)))),)


def _table(log: TrueLog) -> tuple[Sheet, ...]:
    """Return the actions as a query over Matomo's tables gives them: one row a line of an order."""
    ids = {session: 1000 + n for n, session in enumerate(log.sessions())}
    rows = tuple(
        {
            "idlink_va": 50_000 + n,
            "idvisit": ids[event.session_id],
            "idvisitor": event.visitor_id,
            "user_id": event.user_id,
            "server_time": event.at(),
            "action_type": "order" if event.order else event.event_type,
            "url": event.page,
            "search_cat": None,
            "idorder": event.order and event.order.order_id,
            "revenue": event.order and event.order.total,
            "revenue_tax": event.order and event.order.tax,
            "revenue_shipping": event.order and event.order.shipping,
            "revenue_discount": event.order and event.order.discount,
            "item_sku": line and line.item_id,
            "item_name": line and line.name,
            "item_category": line and line.category,
            "item_price": line and line.price,
            "item_quantity": line.quantity if line and event.order else None,
            "location_country": (event.country or "").lower(),
        }
        for n, event in enumerate(log)
        for line in event.lines or (None,)
    )
    return (Sheet("visits.csv", rows),)


_TELLS = tells_all_but(
    "event_id", "event_order", "brand", "refund", "shelf", "currency", "country", "category"
)

FORMS = (
    Form(
        "matomo", "matomo", ("visits.json",),
        _TELLS - {"row_order"} | {"event_order"}, _list, _see,
        "https://developer.matomo.org/api-reference/reporting-api",
    ),
    Form(
        "matomo-table", None, ("visits.csv",), _TELLS, _table, _see,
        "https://developer.matomo.org/guides/database-schema",
    ),
)  # fmt: skip
"""Visits as the API gives them, and actions as a table."""
