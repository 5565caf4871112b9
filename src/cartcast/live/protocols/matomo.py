"""Matomo's tracking API: `GET` and `POST /matomo.php`, one request or many as JSON.

https://developer.matomo.org/api-reference/tracking-api. A request becomes a visit of one action, in
the form in which the reporting API exports visits, and the batch layout reads it. Matomo's server
numbers the visits, so sessions are made by the gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from cartcast.events.builtin import LAYOUTS
from cartcast.events.times import moment_of
from cartcast.live.event import Event
from cartcast.live.problems import Problem
from cartcast.live.protocols import Context, Parsed
from cartcast.live.protocols.fields import Fields, collect, decode
from cartcast.live.protocols.forms import fields_of
from cartcast.live.protocols.mapped import Mapping

__all__ = ["key_in", "parse"]

_MAPPING = Mapping(LAYOUTS["matomo"])
_KEY = re.compile(rb"(?:token_auth=|\"token_auth\"\s*:\s*\")([^&\"\\]{1,256})").search
_SITE = re.compile(rb"[?&\"]?idsite=([^&\"\\]{1,256})").search
_PRODUCT: Final = {"_pks": "productViewSku", "_pkn": "productViewName", "_pkp": "productViewPrice"}
_ORDER: Final = {"ec_id": "orderId", "revenue": "revenue", "ec_tx": "revenueTax",
                 "ec_sh": "revenueShipping", "ec_dt": "revenueDiscount"}  # fmt: skip
_ITEM: Final = ("itemSKU", "itemName", "itemCategory", "price", "quantity")
_KINDS: Final = (("ping", ""), ("idgoal", "goal"), ("search", "search"), ("e_c", "event"),
                 ("download", "download"), ("link", "outlink"), ("c_n", "content"))  # fmt: skip


def key_in(body: bytes) -> str | None:
    """Return `token_auth`, else `idsite`, without decoding the body.

    >>> key_in(b"idsite=1&rec=1&token_auth=k"), key_in(b'{"requests": ["?idsite=s&rec=1"]}')
    ('k', 's')
    """
    found = _KEY(body) or _SITE(body)
    return found[1].decode("latin-1") if found else None


def parse(body: bytes, context: Context) -> Parsed:
    """Return the events of a query, a form, or the requests of a bulk body.

    Raises:
        Problem: 400 for a broken body, 413 for too many, 422 when nothing in it is usable.
    """
    if not body.lstrip().startswith(b"{"):
        return collect([Fields(fields_of(body), doubtful=True)], _events, context, "request", True)
    whole = decode(body)
    asked = whole.data.get("requests")
    if isinstance(asked, list):
        # Each is a query, as text, or its fields.
        whole.data["requests"] = [_opened(one) for one in asked[: context.max_events + 1]]
    return collect(whole.items("requests", context.max_events, doubtful=True), _events, context,
                   "requests")  # fmt: skip


def _opened(request: Any) -> Any:
    if not isinstance(request, str):
        return request
    try:
        return fields_of(request.partition("?")[2].encode("utf-8", "surrogatepass"))
    except Problem:
        return None


def _events(item: Fields) -> Iterator[Event | Problem]:
    hit = item.data
    if str(hit.get("rec")) != "1":
        return iter(())
    action = _action(hit)
    if not action["type"]:
        return iter(())
    if (when := item.text("cdt", longest=64)) is not None:
        moment = moment_of(when)
        # What is no time is told by the layout's own rule.
        action["timestamp"] = when if moment is None else f"{moment / 1e6:.6f}"
    visit = {
        "visitorId": hit.get("cid") or hit.get("_id"),
        "userId": hit.get("uid"),
        "countryCode": hit.get("country"),
        "referrerName": hit.get("_rcn"),
        "actionDetails": [action],
    }
    return _MAPPING.events(visit, item.where)


def _action(hit: dict[str, Any]) -> dict[str, Any]:
    """Return what a request says, in the words of the reporting API."""
    action: dict[str, Any] = {"url": hit.get("url")}
    if str(hit.get("idgoal")) == "0":
        ordered = hit.get("ec_id") not in (None, "")
        action["type"] = "ecommerceOrder" if ordered else "ecommerceAbandonedCart"
        action |= {known: hit[name] for name, known in _ORDER.items() if name in hit}
        action["itemDetails"] = _items(hit.get("ec_items"))
        return action
    action["type"] = next((kind for name, kind in _KINDS if name in hit), "action")
    action |= {known: hit[name] for name, known in _PRODUCT.items() if name in hit}
    if (categories := hit.get("_pkc")) not in (None, ""):
        opened = _json(categories)
        action["productViewCategories"] = opened if isinstance(opened, list) else [categories]
    return action


def _items(value: Any) -> list[dict[str, Any]]:
    """Return an order's items, each of which is a list on the wire."""
    listed = _json(value)
    found = []
    for one in listed if isinstance(listed, list) else ():
        item = dict(zip(_ITEM, one if isinstance(one, list) else (), strict=False))
        if isinstance(category := item.get("itemCategory"), list):
            item["itemCategory"] = category[0] if category else None
        found.append(item)
    return found


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value.encode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
