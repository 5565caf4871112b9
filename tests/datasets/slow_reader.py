"""A slow reader of disguises: each form by its tool's documents, then the contract in plain loops.

It knows files and the contract, not the shop: what it gives back shows that the truth is in the
files. Each function returns events as plain mappings with the keys of EVENT.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Event = dict[str, Any]
EVENT = ("visitor", "user", "session", "time", "type", "lines", "order", "total")
GAP = 1800
SPEC = {
    "Product List Viewed": "view_item_list", "Product Viewed": "view_item",
    "Products Searched": "search", "Product Added": "add_to_cart",
    "Product Removed": "remove_from_cart", "Checkout Started": "begin_checkout",
    "Payment Info Entered": "add_payment_info", "Order Completed": "purchase",
    "Order Refunded": "refund",
}  # fmt: skip


def event(visitor: Any, user: Any, session: Any, time: Any, kind: str, lines: list[Any],
          order: Any = None, total: Any = None) -> Event:  # fmt: skip
    return dict(zip(EVENT, (visitor, user, session, time, kind, lines, order, total), strict=True))


def seconds(text: str) -> int:
    moment = datetime.fromisoformat(text.replace(" UTC", "+00:00").replace(" +0000", "+00:00"))
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def number(value: Any) -> float | None:
    return None if value in (None, "") else float(value)


def json_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def csv_rows(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        return [{k: v or None for k, v in row.items()} for row in csv.DictReader(file)]


# Forms


def plain(path: Path) -> list[Event]:
    found = []
    for r in csv_rows(path):
        line = (r["item_id"], number(r["price"]), number(r["quantity"]))
        found.append(
            event(
                r["visitor_id"], r["user_id"], r["session_id"], seconds(r["event_time"]),
                r["event_type"], [line] if r["item_id"] else [], r["order_id"],
                number(r["order_value"]),
            )
        )  # fmt: skip
    return merged(found)


def ga4_flat(path: Path) -> list[Event]:
    found = []
    for r in csv_rows(path):
        line = (r["item_id"], number(r["price"]), number(r["quantity"]))
        kind = "search" if r["event_name"] == "view_search_results" else r["event_name"]
        total = number(r["purchase_revenue"] or r["refund_value"])
        one = event(r["user_pseudo_id"], r["user_id"], r["ga_session_id"],
                    int(r["event_timestamp"]) // 10**6, kind, [line] if r["item_id"] else [],
                    r["transaction_id"], total)  # fmt: skip
        found.append(one | {"batch": (r["batch_ordering_id"], r["batch_event_index"])})
    return merged(found)


def merged(rows: list[Event]) -> list[Event]:
    """Bring the rows of one event (same moment, order or batch) together."""
    found: list[Event] = []
    for row in rows:
        last = found[-1] if found else None
        same = last and all(
            row.get(k) == last.get(k) for k in ("visitor", "user", "time", "type", "order", "batch")
        )
        if last and same and row["lines"] and (row["order"] or row.get("batch", (None,))[0]):
            last["lines"] += row["lines"]
        else:
            found.append(row)
    return found


def ga4(rows: Iterable[Any]) -> list[Event]:
    found = []
    for r in rows:
        params = {
            p["key"]: next((v for v in p["value"].values() if v is not None), None)
            for p in r["event_params"]
        }
        e = r.get("ecommerce") or {}
        order = e.get("transaction_id")
        kind = r["event_name"]
        lines = [(i["item_id"], i.get("price"), float(i["quantity"])) for i in r["items"]]
        found.append(
            event(
                r.get("user_pseudo_id"), r.get("user_id"), params.get("ga_session_id"),
                int(r["event_timestamp"]) // 10**6,
                "search" if kind == "view_search_results" else kind, lines,
                None if order == "(not set)" else order,
                e.get("purchase_revenue") or e.get("refund_value"),
            )
        )  # fmt: skip
    return found


def ga360(rows: Iterable[Any]) -> list[Event]:
    kinds = {"2": "view_item", "3": "add_to_cart", "4": "remove_from_cart", "5": "begin_checkout",
             "6": "purchase", "7": "refund"}  # fmt: skip
    found = []
    for r in rows:
        for hit in r["hits"]:
            sold, back = hit["transaction"] or {}, hit["refund"] or {}
            total = sold.get("transactionRevenue") or back.get("refundAmount")
            lines = [
                (p["productSKU"], p["productPrice"] / 1e6, float(p["productQuantity"]))
                for p in hit["product"]
            ]
            found.append(
                event(
                    r["fullVisitorId"], r["userId"], r["visitId"],
                    r["visitStartTime"] + hit["time"] // 1000,
                    kinds.get(hit["eCommerceAction"]["action_type"], "page_view"), lines,
                    sold.get("transactionId"), total and total / 1e6,
                )
            )  # fmt: skip
    return found


def spec_lines(told: Any) -> list[Any]:
    goods = told.get("products") or ([told] if "product_id" in told else [])
    return [(p["product_id"], p["price"], float(p["quantity"])) for p in goods]


def segment(rows: Iterable[Any]) -> list[Event]:
    others = {"page": "page_view", "identify": "other"}
    found = []
    for r in rows:
        told = r.get("properties", {})
        found.append(
            event(
                r.get("anonymousId"), r.get("userId"), r["context"].get("sessionId"),
                seconds(r["timestamp"]), SPEC.get(r.get("event", ""), others.get(r["type"], "")),
                spec_lines(told), told.get("order_id"), told.get("total"),
            )
        )  # fmt: skip
    return found


def posthog(rows: Iterable[Any]) -> list[Event]:
    found = []
    for r in rows:
        told = json.loads(r["properties"])
        known = told.get("$is_identified") or "$device_id" not in told
        found.append(
            event(
                told.get("$device_id"), r["distinct_id"] if known else None,
                told.get("$session_id"), int(r["timestamp"].timestamp()),
                SPEC.get(r["event"], "page_view"), spec_lines(told), told.get("order_id"),
                told.get("total"),
            )
        )  # fmt: skip
    return found


def amplitude(rows: Iterable[Any]) -> list[Event]:
    found = []
    for r in rows:
        told = r["event_properties"]
        session = None if r["session_id"] == -1 else r["session_id"]
        total = told.get("$revenue")
        found.append(
            event(
                r["device_id"], r["user_id"], session, seconds(r["event_time"]),
                SPEC.get(r["event_type"], "page_view"), spec_lines(told), told.get("order_id"),
                total and abs(total),
            )
        )  # fmt: skip
    return found


def mixpanel(rows: Iterable[Any]) -> list[Event]:
    return [
        event(
            p.get("$device_id"), p.get("$user_id"), None, p["time"],
            SPEC.get(r["event"], "page_view"), spec_lines(p), p.get("order_id"), p.get("total"),
        )
        for r in rows
        for p in [r["properties"]]
    ]  # fmt: skip


def snowplow(rows: Iterable[Any]) -> list[Event]:
    kinds = {"list_view": "view_item_list", "product_view": "view_item",
             "checkout_step": "begin_checkout", "transaction": "purchase"}  # fmt: skip
    own = "com_snowplowanalytics_snowplow_"
    found = []
    for r in rows:
        action = r.get(f"unstruct_event_{own}ecommerce_snowplow_ecommerce_action_1", {}).get("type")
        kind = "search" if r["event_name"] == "site_search" else kinds.get(action, action)
        sold, back, goods = (
            r.get(f"contexts_{own}ecommerce_{n}_1", [])
            for n in ("transaction", "refund", "product")
        )
        one = (sold or back or [{}])[0]
        lines = [(p["id"], p["price"], float(p["quantity"])) for p in goods]
        found.append(
            event(
                r.get("domain_userid"), r.get("user_id"), r.get("domain_sessionid"),
                seconds(r["derived_tstamp"]), kind or "page_view", lines,
                one.get("transaction_id"), one.get("revenue") or one.get("refund_amount"),
            )
        )  # fmt: skip
    return found


def shopify(clicks: Path, orders: Path) -> list[Event]:
    found = []
    for r in csv_rows(clicks):
        lines = [(r["product_sku"], number(r["price"]), 1.0)] if r["product_sku"] else []
        found.append(event(r["client_id"], r["customer_email"], None, seconds(r["timestamp"]),
                           r["event_name"], lines))  # fmt: skip
    sold: dict[str, Event] = {}
    for r in csv_rows(orders):
        line = (r["Lineitem sku"], number(r["Lineitem price"]), number(r["Lineitem quantity"]))
        one = sold.setdefault(
            r["Name"],
            event(None, r["Email"], None, seconds(r["Created at"]), "purchase", [], r["Name"]),
        )
        one["lines"].append(line)
        one["total"] = one["total"] or number(r["Total"])
    return sorted([*found, *sold.values()], key=lambda e: e["time"])


# The contract


def read(form: str, log: tuple[Path, ...], orders: tuple[Path, ...]) -> list[Event]:
    if form in ("shopify",):
        events = shopify(log[0], orders[0])
    elif form in ("plain", "ga4-flat"):
        events = {"plain": plain, "ga4-flat": ga4_flat}[form](log[0])
    else:
        reader = {
            "ga4": ga4, "ga4-jsonl": ga4, "ga360": ga360, "segment": segment,
            "rudderstack": segment, "posthog": posthog, "amplitude": amplitude,
            "mixpanel": mixpanel, "snowplow": snowplow,
        }[form]  # fmt: skip
        rows = (
            pq.read_table(log[0]).to_pylist() if log[0].suffix == ".parquet" else json_lines(log[0])
        )
        events = reader(rows)
    return joined(events)


def joined(events: list[Event]) -> list[Event]:
    """Give every event its visitor, session and login, by the rules of the contract."""
    own = any(e["session"] is not None for e in events)
    device: dict[str, str] = {}
    last: dict[str, tuple[int, Any]] = {}
    number = 0
    for e in events:
        if e["visitor"] is None:
            e["visitor"] = device[e["user"]]
        elif e["user"]:
            device[e["user"]] = e["visitor"]
        visitor = e["visitor"]
        at, session = last.get(visitor, (-GAP - 1, None))
        if e["session"] is not None:
            e["session"] = (visitor, e["session"])
        elif own and e["time"] - at <= GAP:
            e["session"] = session
        else:
            number += e["time"] - at > GAP
            e["session"] = ("made", number) if e["time"] - at > GAP else session
        last[visitor] = (e["time"], e["session"])
    logins = {e["session"]: e["user"] for e in events if e["user"]}
    return [e | {"user": logins.get(e["session"])} for e in events]
