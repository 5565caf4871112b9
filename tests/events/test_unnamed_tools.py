"""Exports of tools that no layout is named after: each from its public documentation, read unaided.

One small shop is written in the form of each. Its truth is worked out here from the shop itself.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cartcast import events

START = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
PRICES = {"tee-1": 20.0, "cap-2": 12.5, "mug-3": 8.0}


class Hit(NamedTuple):
    """One event: minutes since the start, who, kind, items (with units), order."""

    minute: int
    who: str
    kind: str
    items: tuple[tuple[str, int], ...] = ()
    order: str | None = None


SHOP = (
    Hit(0, "anna", "page_view"), Hit(1, "anna", "view_item", (("tee-1", 1),)),
    Hit(2, "anna", "add_to_cart", (("tee-1", 1),)), Hit(3, "ben", "page_view"),
    Hit(4, "anna", "begin_checkout"), Hit(5, "ben", "view_item", (("cap-2", 1),)),
    Hit(6, "anna", "purchase", (("tee-1", 2), ("mug-3", 1)), "A-1"),
    Hit(8, "ben", "view_item", (("mug-3", 1),)), Hit(9, "ben", "add_to_cart", (("mug-3", 1),)),
    Hit(11, "ben", "remove_from_cart", (("mug-3", 1),)), Hit(90, "cleo", "view_item", (("tee-1", 1),)),
    Hit(91, "cleo", "add_to_cart", (("tee-1", 1),)), Hit(93, "cleo", "begin_checkout"),
    Hit(95, "cleo", "purchase", (("tee-1", 1),), "A-2"), Hit(200, "anna", "page_view"),
    Hit(201, "anna", "view_item", (("cap-2", 1),)),
    Hit(203, "anna", "purchase", (("cap-2", 4),), "A-3"),
    Hit(300, "ben", "view_item", (("cap-2", 1),)), Hit(301, "dora", "page_view"),
)  # fmt: skip


def worth(hit: Hit) -> float:
    return sum(PRICES[item] * units for item, units in hit.items)


REVENUE = sum(worth(h) for h in SHOP if h.kind == "purchase")
ORDERS = sum(h.kind == "purchase" for h in SHOP)
VISITORS = len({h.who for h in SHOP})
KINDS = {h.kind for h in SHOP}


def at(hit: Hit) -> datetime:
    return START + timedelta(minutes=hit.minute)


def visit(hit: Hit) -> str:
    return f"{hit.who}-{hit.minute // 60}"


def as_csv(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def bloomreach() -> str:
    """https://documentation.bloomreach.com/engagement/docs/custom-events.

    An order is a `purchase` with its total, and one `purchase_item` for each of its lines.
    """
    rows = []
    for hit in SHOP:
        row: dict[str, Any] = {
            "customer_id": hit.who, "timestamp": at(hit).timestamp(), "type": "page_visit",
            "product_id": None, "price": None, "quantity": None, "action": None,
            "purchase_id": None, "purchase_status": None, "total_price": None,
            "total_quantity": None,
        }  # fmt: skip
        for item, units in hit.items:
            word = {"view_item": "view_item", "purchase": "purchase_item"}.get(hit.kind)
            line = {"product_id": item, "price": PRICES[item]}
            if word is None:
                line |= {"action": "add" if hit.kind == "add_to_cart" else "remove"}
            if word == "purchase_item":
                line |= {"quantity": units, "purchase_id": hit.order, "purchase_status": "success",
                         "total_price": PRICES[item] * units}  # fmt: skip
            rows.append({**row, **line, "type": word or "cart_update"})
        if hit.kind == "purchase":
            rows.append(
                {**row, "type": "purchase", "purchase_id": hit.order, "purchase_status": "success",
                 "total_price": worth(hit), "total_quantity": sum(n for _, n in hit.items)}
            )  # fmt: skip
        if hit.kind in ("page_view", "begin_checkout"):
            rows.append({**row, "type": "page_visit" if hit.kind == "page_view" else "checkout"})
    return as_csv(rows)


def braze() -> str:
    """https://www.braze.com/docs/user_guide/data/activation/events/recommended_events.

    The event object: https://www.braze.com/docs/api/objects_filters/event_object/.
    """
    words = {
        "page_view": "page_viewed", "view_item": "ecommerce.product_viewed",
        "add_to_cart": "ecommerce.cart_updated", "remove_from_cart": "ecommerce.cart_updated",
        "begin_checkout": "ecommerce.checkout_started", "purchase": "ecommerce.order_placed",
    }  # fmt: skip
    lines = []
    for hit in SHOP:
        products = [
            {"product_id": i, "product_name": i.title(), "variant_id": f"{i}-m", "quantity": n,
             "price": PRICES[i]} for i, n in hit.items
        ]  # fmt: skip
        told: dict[str, Any] = {"currency": "EUR", "source": "https://shop.example"}
        if hit.kind == "view_item":
            told |= {k: v for k, v in products[0].items() if k != "quantity"}
        elif products:
            told |= {"products": products, "total_value": worth(hit)}
        if "cart" in hit.kind:
            told["action"] = "add" if hit.kind == "add_to_cart" else "remove"
            told["cart_id"] = f"c-{hit.who}"
        if hit.order:
            told |= {"order_id": hit.order, "cart_id": f"c-{hit.who}"}
        lines.append(
            json.dumps(
                {"external_id": hit.who, "app_id": "app-1", "name": words[hit.kind],
                 "time": at(hit).isoformat(), "properties": told}
            )
        )  # fmt: skip
    return "\n".join(lines) + "\n"


def heap() -> str:
    """https://help.heap.io/heap-connect/heap-connect-guide/data-schema.

    Names of events are the shop's own. One event stands there once for each definition that it
    meets, under the same id:
    https://help.heap.io/heap-connect/heap-connect-faqs/why-is-a-given-event_id-included-more-than-once-on-the-all_events-table/.
    """
    words = {
        "page_view": "pageviews", "view_item": "view_product", "add_to_cart": "add_to_cart",
        "remove_from_cart": "remove_from_cart", "begin_checkout": "begin_checkout",
        "purchase": "order_completed",
    }  # fmt: skip
    rows = []
    for number, hit in enumerate(SHOP):
        item = hit.items[0][0] if hit.items else None
        row = {
            "event_id": 7_000_000_000_000_000 + number, "user_id": 1000 + len(hit.who) * 7 + ord(hit.who[0]),
            "session_id": 500_000 + sum(map(ord, visit(hit))), "time": at(hit).strftime("%Y-%m-%d %H:%M:%S"),
            "event_table_name": words[hit.kind], "path": f"/{item or ''}", "country": "Germany",
            "device_type": "Desktop", "browser": "Firefox", "product_id": item,
            "order_id": hit.order, "order_total": worth(hit) if hit.order else None,
        }  # fmt: skip
        rows.append(row)
        if hit.kind == "view_item":
            rows.append({**row, "event_table_name": "view_any_product"})
    return as_csv(rows)


def algolia() -> str:
    """https://www.algolia.com/old-docs/guides/algolia-recommend/how-to/csv-upload/.

    `eventType` is click or conversion; a conversion is a purchase only by its name.
    """
    words = {
        "page_view": ("view", "Page Viewed"), "view_item": ("click", "Product Viewed"),
        "add_to_cart": ("conversion", "Product Added"), "remove_from_cart": ("click", "Product Removed"),
        "begin_checkout": ("conversion", "Checkout Started"),
        "purchase": ("conversion", "Product Purchased"),
    }  # fmt: skip
    rows = [
        {"userToken": hit.who, "timestamp": at(hit).isoformat(), "objectID": item,
         "eventType": words[hit.kind][0], "eventName": words[hit.kind][1]}
        for hit in SHOP for item, _ in hit.items or ((None, 0),)
    ]  # fmt: skip
    return as_csv(rows)


def umami() -> str:
    """https://umami.is/docs/cloud/export-data, the table `website_event`.

    `session_id` is the visitor of a month, `visit_id` the visit; a page view has no name.
    """
    rows = []
    for number, hit in enumerate(SHOP):
        item = hit.items[0][0] if hit.items else None
        rows.append(
            {"event_id": f"e{number:04d}", "website_id": "w-1", "session_id": f"sess-{hit.who}",
             "visit_id": f"visit-{visit(hit)}", "created_at": at(hit).strftime("%Y-%m-%d %H:%M:%S"),
             "url_path": f"/{item or ''}", "url_query": "", "referrer_path": "",
             "referrer_domain": "search.example", "page_title": "Shop",
             "event_type": 1 if hit.kind == "page_view" else 2,
             "event_name": None if hit.kind == "page_view" else hit.kind}
        )  # fmt: skip
    return as_csv(rows)


def mparticle() -> str:
    """https://docs.mparticle.com/developers/apis/json-reference/: batches with lists of events."""
    actions = {"view_item": "view_detail", "begin_checkout": "checkout"}
    lines = []
    for number, hit in enumerate(SHOP):
        told: dict[str, Any] = {"timestamp_unixtime_ms": int(at(hit).timestamp() * 1000),
                                "session_id": visit(hit), "event_id": number + 10**17}  # fmt: skip
        kind = "screen_view"
        if hit.kind != "page_view":
            kind = "commerce_event"
            told["product_action"] = {
                "action": actions.get(hit.kind, hit.kind), "transaction_id": hit.order,
                "total_amount": worth(hit) if hit.order else None,
                "products": [{"id": item, "name": item, "price": PRICES[item], "quantity": n,
                              "total_product_amount": PRICES[item] * n} for item, n in hit.items],
            }  # fmt: skip
        lines.append(json.dumps({"events": [{"event_type": kind, "data": told}], "mpid": hit.who,
                                 "timestamp_unixtime_ms": int(at(hit).timestamp() * 1000) + 900,
                                 "device_info": {"platform": "web"}}))  # fmt: skip
    return "\n".join(lines)


def clevertap() -> str:
    """https://developer.clevertap.com/docs/data-export: the sale is called `Charged`."""
    words = {"view_item": "Product Viewed", "page_view": "Page Browsed", "purchase": "Charged",
             "add_to_cart": "Added To Cart", "remove_from_cart": "Removed From Cart",
             "begin_checkout": "Checkout Started"}  # fmt: skip
    lines = []
    for hit in SHOP:
        props: dict[str, Any] = {"CT Session Id": visit(hit)}
        if hit.order:
            props |= {"Charged ID": hit.order, "Items": [
                {"Product ID": i, "Price": PRICES[i], "Quantity": n} for i, n in hit.items]}  # fmt: skip
        elif hit.items:
            props |= {"Product ID": hit.items[0][0], "Price": PRICES[hit.items[0][0]]}
        lines.append(json.dumps({"profile": {"objectId": f"_g{hit.who}", "platform": "Web"},
                                 "ts": int(at(hit).strftime("%Y%m%d%H%M%S")),
                                 "eventName": words[hit.kind], "event_props": props}))  # fmt: skip
    return "\n".join(lines)


def klaviyo() -> str:
    """https://developers.klaviyo.com/en/reference/get_events: `uuid` names the event."""
    words = {"view_item": "Viewed Product", "page_view": "Page Viewed", "purchase": "Placed Order",
             "add_to_cart": "Added to Cart", "remove_from_cart": "Removed from Cart",
             "begin_checkout": "Started Checkout"}  # fmt: skip
    lines = []
    for number, hit in enumerate(SHOP * 2):
        props: dict[str, Any] = {}
        if hit.order:
            props = {"OrderId": f"{hit.order}-{number // len(SHOP)}", "Items": [
                {"ProductID": i, "ItemPrice": PRICES[i], "Quantity": n} for i, n in hit.items]}  # fmt: skip
        elif hit.items:
            props = {"ProductID": hit.items[0][0]}
        when = int(at(hit).timestamp()) + 86400 * (number // len(SHOP))
        lines.append(json.dumps({
            "type": "event", "id": f"e{number}", "attributes": {
                "timestamp": when, "uuid": f"u-{number}", "event_properties": props},
            "relationships": {"profile": {"data": {"type": "profile", "id": f"01H{hit.who}"}},
                              "metric": {"data": {"type": "metric", "id": words[hit.kind]}}},
        }))  # fmt: skip
    return "\n".join(lines)


def visits() -> str:
    """A shop's own export: a record a visit, with the list of what was done in it."""
    words = {"page_view": "pageview", "view_item": "product_view", "purchase": "order"}
    found: dict[str, list[Hit]] = {}
    for hit in SHOP:
        found.setdefault(visit(hit), []).append(hit)
    return "\n".join(
        json.dumps({"visitKey": key, "personKey": hits[0].who, "startedAt": at(hits[0]).isoformat(),
                    "actions": [{"kind": words.get(h.kind, h.kind), "at": at(h).isoformat(),
                                 "sku": h.items[0][0] if h.items else None, "orderNo": h.order,
                                 "orderTotal": worth(h) if h.order else None} for h in hits]})
        for key, hits in found.items()
    )  # fmt: skip


class Truth(NamedTuple):
    """What the export tells: None where it cannot."""

    write: Callable[[], str]
    name: str
    revenue: float | None
    orders: int | None
    kinds: set[str]
    events: int
    days: int = 1


LINES = sum(max(len(h.items), 1) for h in SHOP if h.kind == "purchase")
OTHERS = sum(h.kind != "purchase" for h in SHOP)
# Bloomreach tells the money of an order twice: its lines are no purchases beside the purchase. One
# event of Heap under two names, of which one is known, is two events, and is said (EV133).
TOOLS = {
    "bloomreach": Truth(
        bloomreach, "log.csv", REVENUE, ORDERS, KINDS | {"other"}, OTHERS + LINES + ORDERS
    ),
    "braze": Truth(braze, "log.jsonl", REVENUE, ORDERS, KINDS, OTHERS + LINES),
    "heap": Truth(
        heap,
        "log.csv",
        REVENUE,
        ORDERS,
        KINDS | {"other"},
        len(SHOP) + sum(h.kind == "view_item" for h in SHOP),
    ),
    "algolia": Truth(algolia, "log.csv", None, None, KINDS, OTHERS + LINES),
    "mparticle": Truth(mparticle, "log.jsonl", REVENUE, ORDERS, KINDS, OTHERS + LINES),
    "clevertap": Truth(clevertap, "log.jsonl", REVENUE, ORDERS, KINDS, OTHERS + LINES),
    "visits": Truth(visits, "log.jsonl", REVENUE, ORDERS, KINDS, len(SHOP)),
    "klaviyo": Truth(
        klaviyo, "log.jsonl", 2 * REVENUE, 2 * ORDERS, KINDS, 2 * (OTHERS + LINES), days=2
    ),
    "umami": Truth(umami, "log.csv", None, None, KINDS, len(SHOP)),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_an_export_of_an_unnamed_tool_is_read_right(tool: str, tmp_path: Path) -> None:
    truth = TOOLS[tool]
    (tmp_path / truth.name).write_text(truth.write())
    s = events.load(str(tmp_path / truth.name)).summary
    told = (s.visitors, s.revenue, s.orders, set(s.event_types), s.events)
    assert told == (VISITORS, truth.revenue, truth.orders, truth.kinds, truth.events)
    bought = {h.minute for h in SHOP if h.kind == "purchase"}
    assert s.purchase_sessions == truth.days * len(bought)


@pytest.mark.parametrize(
    ("listed", "kinds"),
    [
        ({"transactions": [{"kind": "sale", "amount": 20}, {"kind": "refund", "amount": 5}]}, "purchase"),
        ({"line_items": [{"name": "Basket", "sku": "b", "price": 8, "quantity": 1},
                         {"name": "List", "sku": "l", "price": 12, "quantity": 1}]}, "purchase"),
    ],
)  # fmt: skip
def test_a_list_in_an_order_is_not_its_events(listed: Any, kinds: str, tmp_path: Path) -> None:
    told = [
        {"order_id": f"o{k}", "customer_id": f"c{k % 6}", "created_at": f"2024-05-01T10:{k:02d}:00Z",
         "total": 20, **listed}
        for k in range(12)
    ]  # fmt: skip
    (tmp_path / "log.json").write_text(json.dumps(told))
    s = events.load(str(tmp_path / "log.json")).summary
    assert (s.orders, s.revenue, set(s.event_types)) == (12, 240, {kinds})


WORD = "user_id,timestamp,event,order_id,value"


@pytest.mark.parametrize(
    ("columns", "last", "kinds"),
    [
        (WORD, "order_cancelled,o{k},10", {"view_item": 6, "add_to_cart": 6, "other": 6}),
        (WORD, "tracking page opened,o{k},", {"view_item": 6, "add_to_cart": 6, "other": 6}),
        (WORD, "failed:purchase,,", {"view_item": 6, "add_to_cart": 6, "other": 6}),
        (WORD, "click_add_to_cart,,", {"view_item": 6, "add_to_cart": 6, "other": 6}),
        ("user_id,timestamp,event,url,promo_name", ",/,sale",
         {"view_item": 6, "add_to_cart": 6, "page_view": 6}),
    ],
)  # fmt: skip
def test_a_word_is_not_taken_for_more_than_it_says(
    columns: str, last: str, kinds: dict[str, int], tmp_path: Path
) -> None:
    rows = [
        f"u{k},2024-05-01T1{k}:0{n}:00Z,{what.format(k=k)}"
        for k in range(6) for n, what in enumerate(("view_item,,", "add_to_cart,,", last))
    ]  # fmt: skip
    (tmp_path / "log.csv").write_text("\n".join([columns, *rows]))
    assert events.load(str(tmp_path / "log.csv")).summary.event_types == kinds


@pytest.mark.parametrize("column", ["customer_paid", "customer_group_id", "seller_email"])
def test_an_ending_is_not_taken_for_a_person(column: str, tmp_path: Path) -> None:
    rows = [f"s{k},2024-05-01T1{k}:00:00Z,view_item,{k % 3}" for k in range(9)]
    (tmp_path / "log.csv").write_text("\n".join([f"session_id,timestamp,event,{column}", *rows]))
    assert events.load(str(tmp_path / "log.csv")).summary.visitors is None
