"""Public data sets of shops."""

from __future__ import annotations

from cartcast.events.layouts import Layout, Value, first_of

__all__ = ["LAYOUTS"]

_ESHOP = Layout(
    name="eshop-2008",
    title="UCI 553, e-shop clothing 2008: views only, a date but no clock, no visitor",
    columns={
        "session_id": first_of("session ID"),
        "event_time": Value(parts=("year", "month", "day")),
        "event_order": first_of("order"),
        "item_id": first_of("page 2 (clothing model)"),
        "category": first_of("page 1 (main category)"),
        "price": first_of("price"),
        "country": first_of("country"),
        "page": first_of("page"),
        "color": first_of("colour"),
        "location": first_of("location"),
        "photo": first_of("model photography"),
    },
    every_event="view_item",
    clock="day",
    signature=("page 1 (main category)", "page 2 (clothing model)", "session ID", "order"),
)

_REES46 = Layout(
    name="rees46",
    title="REES46 / Open CDP multi-category store (Kaggle export)",
    columns={
        "visitor_id": first_of("user_id"),
        "session_id": first_of("user_session"),
        "event_time": first_of("event_time"),
        "event_type": first_of("event_type"),
        "item_id": first_of("product_id"),
        "category": first_of("category_code"),
        "brand": first_of("brand"),
        "price": first_of("price"),
    },
    signature=("event_time", "event_type", "product_id", "user_id", "user_session"),
)

_RETAILROCKET = Layout(
    name="retailrocket",
    title="Retailrocket recommender data set: events.csv (no price, no session)",
    columns={
        "visitor_id": first_of("visitorid"),
        "event_time": first_of("timestamp"),
        "event_type": first_of("event"),
        "item_id": first_of("itemid"),
        "order_id": first_of("transactionid"),
    },
    time_format="epoch_ms",
    signature=("timestamp", "visitorid", "event", "itemid", "transactionid"),
)

_YOOCHOOSE_BUYS = Layout(
    name="yoochoose",
    title="YooChoose buys (session, time, item, price, quantity)",
    columns={
        "session_id": first_of("session_id"),
        "event_time": first_of("timestamp"),
        "item_id": first_of("item_id"),
        "price": first_of("price"),
        "quantity": first_of("quantity"),
    },
    every_event="purchase",
    header=("session_id", "timestamp", "item_id", "price", "quantity"),
    separator=",",
)

_YOOCHOOSE = Layout(
    name="yoochoose",
    title="YooChoose clicks (session, time, item, category) and buys, files without a header",
    columns={
        "session_id": first_of("session_id"),
        "event_time": first_of("timestamp"),
        "item_id": first_of("item_id"),
        "category": first_of("category"),
    },
    every_event="view_item",
    header=("session_id", "timestamp", "item_id", "category"),
    separator=",",
    variants=(_YOOCHOOSE_BUYS,),
)

_DIGINETICA_COLUMNS = {
    "session_id": first_of("sessionId"),
    "visitor_id": first_of("userId"),
    "event_time": first_of("eventdate"),
    "session_seconds": Value(columns=("timeframe",), divide=1000),
    "item_id": first_of("itemId"),
    "order_id": first_of("ordernumber"),
}

_DIGINETICA_PURCHASES = Layout(
    name="diginetica",
    title="Diginetica purchases (train-purchases.csv)",
    columns=_DIGINETICA_COLUMNS,
    every_event="purchase",
    time_format="iso",
    clock="session",
    signature=("sessionId", "timeframe", "eventdate", "ordernumber"),
)

_DIGINETICA = Layout(
    name="diginetica",
    title="Diginetica (CIKM Cup 2016) item views and purchases: a date, milliseconds of a session",
    columns={k: v for k, v in _DIGINETICA_COLUMNS.items() if k != "order_id"},
    every_event="view_item",
    time_format="iso",
    clock="session",
    variants=(_DIGINETICA_PURCHASES,),
    signature=("sessionId", "timeframe", "eventdate", "itemId"),
)

_OTTO = Layout(
    name="otto",
    title="OTTO (RecSys data set 2022): one session a line with its list of events",
    columns={
        "session_id": first_of("session"),
        "event_time": first_of("events.ts"),
        "event_type": first_of("events.type"),
        "item_id": first_of("events.aid"),
    },
    time_format="epoch_ms",
    records=("events",),
    signature=("session", "events"),
)

LAYOUTS = (_ESHOP, _REES46, _RETAILROCKET, _YOOCHOOSE, _DIGINETICA, _OTTO)
