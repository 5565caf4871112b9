"""Google Analytics 360 (Universal), BigQuery export: a row a session, hits and products nested."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from cartcast.datasets.disguises.form import Form, tells_all_but
from cartcast.datasets.disguises.forms.ga4_nested import COUNTRIES
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, Line, TrueLog

__all__ = ["FORMS", "GA360_SCHEMA"]

_ACTIONS = {
    "view_item": "2", "add_to_cart": "3", "remove_from_cart": "4", "begin_checkout": "5",
    "purchase": "6", "refund": "7",
}  # fmt: skip
"""Canonical event type -> `eCommerceAction.action_type`; a page without one has 0."""

_TEXT, _WHOLE, _FLAG = pa.string(), pa.int64(), pa.bool_()


def _struct(**fields: pa.DataType) -> pa.DataType:
    return pa.struct(list(fields.items()))


_HIT = _struct(
    hitNumber=_WHOLE, time=_WHOLE, hour=_WHOLE, minute=_WHOLE, isInteraction=_FLAG,
    page=_struct(pagePath=_TEXT, hostname=_TEXT, pageTitle=_TEXT),
    transaction=_struct(
        transactionId=_TEXT, transactionRevenue=_WHOLE, transactionTax=_WHOLE,
        transactionShipping=_WHOLE, affiliation=_TEXT, currencyCode=_TEXT,
        localTransactionRevenue=_WHOLE,
    ),
    item=_struct(transactionId=_TEXT, currencyCode=_TEXT),
    product=pa.list_(
        _struct(
            productSKU=_TEXT, v2ProductName=_TEXT, v2ProductCategory=_TEXT, productVariant=_TEXT,
            productBrand=_TEXT, productRevenue=_WHOLE, localProductRevenue=_WHOLE,
            productPrice=_WHOLE, localProductPrice=_WHOLE, productQuantity=_WHOLE,
            productRefundAmount=_WHOLE, localProductRefundAmount=_WHOLE, isImpression=_FLAG,
        )
    ),
    refund=_struct(refundAmount=_WHOLE, localRefundAmount=_WHOLE),
    eCommerceAction=_struct(action_type=_TEXT, step=_WHOLE, option=_TEXT),
    type=_TEXT, dataSource=_TEXT,
)  # fmt: skip

_FIELDS: dict[str, pa.DataType] = {
    "visitorId": _WHOLE, "visitNumber": _WHOLE, "visitId": _WHOLE, "visitStartTime": _WHOLE,
    "date": _TEXT,
    "totals": _struct(
        visits=_WHOLE, hits=_WHOLE, pageviews=_WHOLE, timeOnSite=_WHOLE, bounces=_WHOLE,
        transactions=_WHOLE, transactionRevenue=_WHOLE, newVisits=_WHOLE,
        totalTransactionRevenue=_WHOLE,
    ),
    "trafficSource": _struct(referralPath=_TEXT, campaign=_TEXT, source=_TEXT, medium=_TEXT),
    "device": _struct(browser=_TEXT, isMobile=_FLAG, deviceCategory=_TEXT),
    "geoNetwork": _struct(continent=_TEXT, country=_TEXT, city=_TEXT),
    "customDimensions": pa.list_(_struct(index=_WHOLE, value=_TEXT)),
    "hits": pa.list_(_HIT),
    "fullVisitorId": _TEXT, "userId": _TEXT, "clientId": _TEXT, "channelGrouping": _TEXT,
}  # fmt: skip

GA360_SCHEMA = pa.schema(_FIELDS)
"""The export's columns, as far as a shop fills them."""


def _see(log: TrueLog) -> TrueLog:
    """Return the log as hits: no server, no ids of events; lists, searches, payments are pages."""
    pages = ("view_item_list", "search", "add_payment_info")

    def rule(event: Event) -> Event:
        plain = event.event_type in pages
        return replace(
            event, visitor_id=f"22482816{event.visitor_id.rjust(11, '0')}", server=None,
            event_type="page_view" if plain else event.event_type,
            lines=() if plain else event.lines, shelf=None,
            country=COUNTRIES.get(event.country or "", event.country),
        )  # fmt: skip

    return log.change(rule)


def _micros(money: float) -> int:
    return round(money * 1_000_000)


def _session(events: list[Event], currency: str) -> dict[str, Any]:
    first, start = events[0], events[0].time
    paid = [e.order for e in events if e.order and e.event_type == "purchase" and not e.again]
    money = sum(_micros(order.total) for order in paid) if paid else None
    user = next((e.user_id for e in events if e.user_id), None)
    return {
        "visitNumber": first.session_number,
        "visitId": start // 600 * 600,
        "visitStartTime": start,
        "date": first.at("%Y%m%d"),
        "totals": {
            "visits": 1, "hits": len(events), "timeOnSite": events[-1].time - start or None,
            "pageviews": sum(_kind(e) == "PAGE" for e in events),
            "transactions": len(paid) or None, "transactionRevenue": money,
            "totalTransactionRevenue": money,
        },
        "trafficSource": {"campaign": first.campaign or "(not set)", "source": "(direct)",
                          "medium": first.channel},
        "device": {"browser": "Chrome", "deviceCategory": first.device},
        "geoNetwork": {"country": first.country, "city": "(not set)"},
        "customDimensions": [],
        "hits": [_hit(e, n, start, currency) for n, e in enumerate(events, 1)],
        "fullVisitorId": first.visitor_id,
        "userId": user,
        "channelGrouping": (first.channel or "(other)").title(),
    }  # fmt: skip


def _kind(event: Event) -> str:
    return "EVENT" if event.event_type in ("add_to_cart", "remove_from_cart") else "PAGE"


def _hit(event: Event, number: int, start: int, currency: str) -> dict[str, Any]:
    action = _ACTIONS.get(event.event_type, "0")
    hit: dict[str, Any] = {
        "hitNumber": number, "time": (event.time - start) * 1000, "isInteraction": True,
        "hour": int(event.at("%H")), "minute": int(event.at("%M")),
        "page": {"pagePath": "/" + (event.page or "").split("/", 3)[-1],
                 "hostname": "shop.example"},
        "product": [_product(line, event) for line in event.lines],
        "eCommerceAction": {"action_type": action, "step": 1},
        "type": _kind(event), "dataSource": "web",
    }  # fmt: skip
    order = event.order
    if order is not None:
        told: dict[str, Any] = {"transactionId": order.order_id, "currencyCode": currency}
        if event.event_type == "purchase":
            told |= {
                "transactionRevenue": _micros(order.total), "transactionTax": _micros(order.tax),
                "transactionShipping": _micros(order.shipping), "affiliation": "Shop",
                "localTransactionRevenue": _micros(order.total),
            }  # fmt: skip
        else:
            amount = _micros(order.total)
            hit["refund"] = {"refundAmount": amount, "localRefundAmount": amount}
        hit |= {"transaction": told,
                "item": {"transactionId": order.order_id, "currencyCode": currency}}  # fmt: skip
    return hit


def _product(line: Line, event: Event) -> dict[str, Any]:
    told: dict[str, Any] = {
        "productSKU": line.item_id, "v2ProductName": line.name, "v2ProductCategory": line.category,
        "productVariant": "(not set)", "productBrand": line.brand,
        "productPrice": _micros(line.price), "localProductPrice": _micros(line.price),
        "productQuantity": line.quantity,
    }  # fmt: skip
    money = {"purchase": ("productRevenue", "localProductRevenue"),
             "refund": ("productRefundAmount", "localProductRefundAmount")}  # fmt: skip
    return told | dict.fromkeys(money.get(event.event_type, ()), _micros(line.value))


def _parquet(log: TrueLog) -> tuple[Sheet, ...]:
    rows = tuple(_session(events, log.currency) for events in log.sessions().values())
    return (Sheet("sessions.parquet", rows, schema=GA360_SCHEMA),)


_TELLS = tells_all_but("event_id", "shelf", "row_order", "currency")

FORMS = (
    Form("ga360", "ga360", ("sessions.parquet",), _TELLS, _parquet, _see,
         "https://support.google.com/analytics/answer/3437719"),
)  # fmt: skip
"""Nested Parquet."""
