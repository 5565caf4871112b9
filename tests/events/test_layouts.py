"""Built-in layouts on rows as their sources write them; layouts of one's own; guesses."""

from __future__ import annotations

import datetime as dt
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from cartcast import events
from cartcast.errors import CartcastError, DataError, DefinitionError, NotFoundError, UsageError
from cartcast.events.builtin import LAYOUTS
from cartcast.events.layoutfile import from_mapping, read_layout, to_yaml

MICROS = 1_709_300_000_000_000


def ga4_event(name: str, at: int, session: int = 7, items: list | None = None, **more) -> dict:
    return {
        "event_date": "20240301",
        "event_timestamp": MICROS + at * 1_000_000,
        "event_name": name,
        "event_params": [
            {"key": "ga_session_id", "value": {"string_value": None, "int_value": session}},
            {"key": "page_location", "value": {"string_value": "/home", "int_value": None}},
            {"key": "currency", "value": {"string_value": "EUR", "int_value": None}},
        ],
        "user_pseudo_id": "111.222",
        "device": {"category": "mobile"},
        "geo": {"country": "Germany"},
        "traffic_source": {"medium": "cpc", "name": "spring"},
        "ecommerce": {"transaction_id": more.get("order"), "purchase_revenue": more.get("total")},
        "items": items or [],
    }


def item(name: str, price: float, quantity: int) -> dict:
    return {"item_id": name, "item_category": "c", "item_brand": "b", "price": price,
            "quantity": quantity}  # fmt: skip


GA4 = [
    ga4_event("session_start", 0),
    ga4_event("view_item_list", 1, items=[item("A", 5.0, 1), item("B", 7.0, 1)]),
    ga4_event("view_item", 2, items=[item("A", 5.0, 1)]),
    ga4_event("purchase", 3, items=[item("A", 5.0, 2), item("B", 7.0, 1)], order="T1", total=17.0),
    ga4_event("purchase", 9, items=[item("A", 5.0, 2), item("B", 7.0, 1)], order="T1", total=17.0),
    ga4_event("purchase", 9, session=8, order="T2", total=4.0),
]


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_ga4_nested(write, tmp_path, form):
    if form == "json":
        # BigQuery writes integers as text.
        lines = "\n".join(json.dumps({**e, "event_timestamp": str(e["event_timestamp"])})
                          for e in GA4)  # fmt: skip
        path = write(lines, "ga4.json")
    else:
        path = tmp_path / "ga4.parquet"
        pq.write_table(pa.Table.from_pylist(GA4), path)
    log = events.load(path)
    s = log.summary
    assert log.layout == "ga4"
    assert (s.events, s.purchases, s.sessions, s.visitors) == (8, 5, 2, 1)
    assert s.revenue_as_sent == 38.0, "2 x 5 + 7, sent twice, and an order without items"
    assert (s.revenue, s.orders) == (21.0, 2)
    assert (s.currency, s.countries) == ("EUR", 1)
    rows = log.table().to_pylist()
    assert rows[1]["item_id"] == "A", "a list that was shown is one click, with its first item"
    assert [r["item_id"] for r in rows if r["event_type"] == "purchase"] == [
        "A",
        "B",
        "A",
        "B",
        None,
    ]
    assert rows[0]["event_type"] == "other"
    assert rows[0]["source_event"] == "session_start"
    assert rows[0]["session_id"] == "111.222-7", "GA4 session ids are unique within a visitor"
    assert (rows[0]["device"], rows[0]["channel"], rows[0]["page"]) == ("mobile", "cpc", "/home")


def test_ga4_flattened(write):
    text = (
        "event_name,event_timestamp,user_pseudo_id,ga_session_id,item_id,price,quantity\n"
        f"view_item,{MICROS},a,1,X,3.5,1\npurchase,{MICROS + 5},a,1,X,3.5,2\n"
    )
    log = events.load(write(text))
    assert (log.layout, log.summary.revenue) == ("ga4", 7.0)


def test_segment(write):
    base = {"anonymousId": "a", "context": {"device": {"type": "ios"}, "page": {"url": "/x"}}}
    calls = [
        {**base, "messageId": "1", "event": "Product Viewed", "timestamp": "2024-03-01T10:00:00Z",
         "properties": {"product_id": "X", "price": 3}},
        {**base, "messageId": "2", "event": "Order Completed", "timestamp": "2024-03-01T10:05:00Z",
         "properties": {"order_id": "o", "total": 9, "currency": "EUR", "products": [
             {"product_id": "X", "price": 3, "quantity": 2},
             {"product_id": "Y", "price": 3, "quantity": 1}]}},
    ]  # fmt: skip
    calls.append(calls[1])
    log = events.load(write("\n".join(map(json.dumps, calls)), "segment.jsonl"))
    s = log.summary
    assert (log.layout, s.events, s.purchases, s.revenue) == ("segment", 3, 2, 9.0)
    assert s.duplicate_events == 2, "both items of the event sent twice"
    assert s.sessions == 1


def test_retailrocket_and_rees46(write):
    retail = (
        "timestamp,visitorid,event,itemid,transactionid\n"
        "1433221332117,257597,view,355908,\n1433224214164,257597,transaction,355908,77\n"
    )
    log = events.load(write(retail))
    assert (log.layout, log.summary.sessions, log.summary.orders) == ("retailrocket", 2, 1)
    assert log.summary.revenue is None, "no price is not a revenue of 0"
    assert log.summary.start == "2015-06-02T05:02:12.117000Z"
    rees = (
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,"
        "user_session\n2019-10-01 00:00:00 UTC,view,1,2,a.b,,35.79,5,s\n"
    )
    assert events.load(write(rees)).layout == "rees46"


def test_snowplow(write):
    text = (
        "event_id\tdomain_userid\tdomain_sessionid\tcollector_tstamp\tderived_tstamp\tevent_name\t"
        "tr_orderid\tti_sku\tti_price\tti_quantity\n"
        "e1\tu\ts\t2024-03-01 10:00:09.000\t2024-03-01 10:00:00.000\tpage_view\t\t\t\t\n"
        "e2\tu\ts\t2024-03-01 10:01:09.000\t2024-03-01 10:01:00.000\ttransaction_item\to\tX\t4\t2\n"
    )
    log = events.load(write(text, "atomic.tsv"))
    assert (log.layout, log.summary.purchases, log.summary.revenue) == ("snowplow", 1, 8.0)
    known = log.table(["event_time", "known_time"]).to_pylist()[0]
    assert (known["known_time"] - known["event_time"]).seconds == 9


ITEMS = [
    {"product_id": "X", "price": 3, "quantity": 2},
    {"product_id": "Y", "price": 3, "quantity": 1},
]
SOLD = {"order_id": "o", "total": 10.5, "currency": "EUR", "products": ITEMS}
SEEN = {"product_id": "X", "price": 3}


def lines(rows: list[dict]) -> str:
    return "\n".join(map(json.dumps, rows))


def told(log: events.Log) -> tuple:
    """What every form of the same small shop must give: a view, and an order of two lines."""
    s = log.summary
    kinds = [r[0] for r in log.connect().sql("SELECT event_type FROM events").fetchall()]
    return log.layout, s.sessions, s.visitors, s.orders, s.revenue, s.items, kinds


VIEW_AND_ORDER = ["view_item", "purchase", "purchase"]


def test_ga4_flat_rows_of_one_event(write):
    head = ("event_name,event_timestamp,user_pseudo_id,ga_session_id,item_id,price,quantity,"
            "purchase_revenue,transaction_id,batch_page_id,batch_ordering_id,batch_event_index\n")  # fmt: skip
    rows = [
        f"view_item_list,{MICROS},a,1,X,3,1,,,5,1,0", f"view_item_list,{MICROS},a,1,Y,3,1,,,5,1,0",
        f"view_item_list,{MICROS},a,1,X,3,1,,,5,2,0",
        f"purchase,{MICROS + 9},a,1,X,3,2,10.5,o,5,3,0", f"purchase,{MICROS + 9},a,1,Y,3,1,10.5,o,5,3,0",
    ]  # fmt: skip
    log = events.load(write(head + "\n".join(rows) + "\n"))
    assert told(log) == ("ga4", 1, 1, 1, 10.5, 2, ["view_item_list"] * 2 + ["purchase"] * 2)
    items = (
        log.connect().sql("SELECT item_id FROM events WHERE event_type <> 'purchase'").fetchall()
    )
    assert items == [("X",), ("X",)], "an event counts once, with its first item"


def ga360_hit(number: int, action: str, kind: str, **more) -> dict:
    return {"hitNumber": number, "time": number * 1000, "type": kind, "product": [],
            "eCommerceAction": {"action_type": action}, "page": {"pagePath": f"/{number}"},
            "transaction": {"transactionId": None, "transactionRevenue": None}, **more}  # fmt: skip


def ga360_products(*names: str) -> list[dict]:
    return [{"productSKU": n, "productPrice": 3_000_000, "productQuantity": 1} for n in names]


def test_ga360_orders_sent_in_parts_take_the_sessions_total(tmp_path):
    """https://support.google.com/analytics/answer/3437719: money in millionths, time in ms."""
    part = {"product": ga360_products("X", "Y"), "transaction": {
        "transactionId": "o", "transactionRevenue": 4_000_000, "currencyCode": "USD"}}  # fmt: skip
    rest = {"product": ga360_products("Z"), "transaction": {
        "transactionId": "o", "transactionRevenue": 7_000_000, "currencyCode": "USD"}}  # fmt: skip
    session = {
        "fullVisitorId": "9", "visitId": 1_501_600_000, "visitStartTime": 1_501_600_000,
        "totals": {"totalTransactionRevenue": 10_500_000},
        "hits": [
            ga360_hit(1, "0", "PAGE"),
            ga360_hit(2, "2", "PAGE", product=ga360_products("X")),
            ga360_hit(3, "6", "PAGE", **part),
            ga360_hit(4, "6", "PAGE", **rest),
        ],
    }  # fmt: skip
    other = {**session, "fullVisitorId": "8", "totals": {"totalTransactionRevenue": 11_000_000}}
    other["hits"] = [ga360_hit(1, "6", "PAGE", **part), ga360_hit(2, "6", "PAGE", **rest)]
    other["hits"][1]["transaction"] = {**rest["transaction"], "transactionId": "p"}
    path = tmp_path / "ga.parquet"
    pq.write_table(pa.Table.from_pylist([session, other]), path)
    log = events.load(path)
    s = log.summary
    assert (log.layout, s.sessions, s.visitors, s.orders) == ("ga360", 2, 2, 3)
    assert s.revenue == 10.5 + 4 + 7, "a session's total, and two orders' own in the other"
    rows = log.connect().sql(
        "SELECT event_type, item_id, epoch_ms(event_time) % 100000, page FROM events "
        "WHERE visitor_id = '9' ORDER BY event_order"
    ).fetchall()  # fmt: skip
    assert rows[:2] == [("page_view", None, 1000, "/1"), ("view_item", "X", 2000, "/2")]


def test_rudderstack_sessions_are_a_visitors_own(write):
    calls = [
        {"anonymousId": who, "messageId": f"{who}{n}", "type": "track", "event": event,
         "timestamp": f"2024-03-01T10:0{n}:00Z", "context": {"sessionId": 1709287200000},
         "properties": told_of}
        for who in "ab"
        for n, event, told_of in ((0, "Product Viewed", SEEN), (1, "Cart Viewed", {}))
    ]  # fmt: skip
    log = events.load(write(lines(calls), "rudder.jsonl"))
    assert (log.layout, log.summary.sessions, log.summary.visitors) == ("rudderstack", 2, 2)


@pytest.mark.parametrize("form", ["text", "object"])
def test_posthog(write, tmp_path, form):
    rows = [
        {"uuid": f"u{n}", "event": event, "distinct_id": who, "timestamp": f"2024-03-01T10:0{n}:00Z",
         "properties": {"$device_id": "d", "$session_id": "s", **more}}
        for n, (event, who, more) in enumerate(
            [("Product Viewed", "d", SEEN), ("Order Completed", "ann", SOLD)]
        )
    ]  # fmt: skip
    if form == "text":
        rows = [r | {"properties": json.dumps(r["properties"])} for r in rows]
    log = events.load(write(lines(rows), "posthog.jsonl"))
    assert told(log) == ("posthog", 1, 1, 1, 10.5, 2, VIEW_AND_ORDER)
    assert log.table(["user_id"])["user_id"].to_pylist() == ["ann"] * 3, "the device is no login"


def test_amplitude(write):
    rows = [
        {"amplitude_id": 1, "$insert_id": f"i{n}", "event_id": n, "device_id": device, "user_id": "ann",
         "session_id": session, "event_time": f"2024-03-01 10:0{n}:00.000000", "event_type": event,
         "event_properties": more}
        for n, (event, device, session, more) in enumerate([
            ("Product Viewed", "d", 1709287200000, SEEN),
            ("Order Completed", None, -1, {k: v for k, v in SOLD.items() if k != "total"}
             | {"$revenue": 10.5}),
        ])
    ]  # fmt: skip
    log = events.load(write(lines(rows), "amplitude.json"))
    assert told(log) == ("amplitude", 1, 1, 1, 10.5, 2, VIEW_AND_ORDER)


def test_mixpanel(write):
    rows = [
        {"event": event, "properties": {"time": 1_709_287_200 + n, "distinct_id": who,
                                        "$device_id": "d", "$insert_id": f"i{n}", **more}}
        for n, (event, who, more) in enumerate(
            [("Product Viewed", "$device:d", SEEN), ("Order Completed", "ann", SOLD)]
        )
    ]  # fmt: skip
    log = events.load(write(lines(rows), "mixpanel.jsonl"))
    assert told(log) == ("mixpanel", 1, 1, 1, 10.5, 2, VIEW_AND_ORDER)
    assert log.summary.users == 1


def test_records_in_cells_keep_their_point(write):
    sold = json.dumps({"$device_id": "d", **SOLD, "total": 1010.5}).replace('"', '""')
    path = write(
        "uuid;event;distinct_id;timestamp;properties;price\n"
        f'1;Order Completed;d;2024-03-01T10:00:00Z;"{sold}";1.299,50\n'
    )
    assert events.load(path).summary.revenue == 1010.5
    layout = {"columns": {"visitor_id": "distinct_id", "event_time": "timestamp", "price": "price",
                          "event_type": "event", "order_value": "properties.total"}}  # fmt: skip
    log = events.load(path, layout=from_mapping(layout))
    assert (log.summary.order_totals, log.summary.order_lines) == (1010.5, 1299.5)


def test_matomo(write):
    visit = {
        "idVisit": "1", "visitorId": "d", "siteCurrency": "EUR",
        "actionDetails": [
            {"type": "action", "timestamp": 1_709_287_200, "url": "/p", "productViewSku": "X",
             "productViewPrice": 3},
            {"type": "ecommerceOrder", "timestamp": 1_709_287_300, "orderId": "o", "revenue": 10.5,
             "itemDetails": [{"itemSKU": i["product_id"], "price": 3, "quantity": i["quantity"]}
                             for i in ITEMS]},
        ],
    }  # fmt: skip
    log = events.load(write(json.dumps([visit]), "visits.json"))
    assert told(log) == ("matomo", 1, 1, 1, 10.5, 2, VIEW_AND_ORDER)


@pytest.mark.parametrize("version", ["1", "1_0_2"])
def test_snowplow_entities(write, version):
    names = {n: f"contexts_com_snowplowanalytics_snowplow_ecommerce_{n}_{version}"
             for n in ("product", "transaction")}  # fmt: skip
    action = f"unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_{version}"
    base = {
        "domain_userid": "d",
        "domain_sessionid": "s",
        "event_name": "snowplow_ecommerce_action",
    }
    goods = [{"id": i["product_id"], "price": 3, "quantity": i["quantity"]} for i in ITEMS]
    rows = [
        base | {"event_id": "1", "collector_tstamp": "2024-03-01 10:00:00.000",
                action: {"type": "product_view"}, names["product"]: goods[:1]},
        base | {"event_id": "2", "collector_tstamp": "2024-03-01 10:01:00.000",
                action: {"type": "transaction"}, names["product"]: goods,
                names["transaction"]: [{"transaction_id": "o", "revenue": 10.5}]},
    ]  # fmt: skip
    log = events.load(write(lines(rows), "snowplow.jsonl"))
    assert told(log) == ("snowplow", 1, 1, 1, 10.5, 2, VIEW_AND_ORDER)


SHOPIFY = (
    "Name,Email,Financial Status,Paid at,Currency,Total,Created at,Lineitem quantity,Lineitem name,"
    "Lineitem price,Lineitem sku,Billing Country\n"
    "#1002,b@x.example,paid,2024-03-01 11:00:00 +0000,EUR,3.00,2024-03-01 11:00:00 +0000,1,Ex,3.00,X,DE\n"
    "#1001,a@x.example,paid,2024-03-01 10:02:00 +0000,EUR,10.50,2024-03-01 10:02:00 +0000,2,Ex,3.00,X,DE\n"
    "#1001,a@x.example,,,,,2024-03-01 10:02:00 +0000,1,Why,3.00,Y,\n"
)
WOO = (
    "order_id,order_date,status,customer_email,order_total,order_currency,item_sku,item_quantity,"
    "item_price,item_total\n"
    "1001,2024-03-01 10:02:00,completed,a@x.example,10.50,EUR,X,2,3,6\n"
    "1001,2024-03-01 10:02:00,completed,a@x.example,10.50,EUR,Y,1,3,3\n"
    "1002,2024-03-01 11:00:00,completed,b@x.example,3.00,EUR,X,1,3,3\n"
)


@pytest.mark.parametrize(("name", "text"), [("shopify", SHOPIFY), ("woocommerce", WOO)])
def test_orders_of_shop_systems(write, name, text):
    orders = write(text, "orders.csv")
    alone = events.load(orders)
    s = alone.summary
    assert (alone.layout, s.orders, s.purchases, s.revenue) == (name, 2, 3, 13.5)
    clicks = write(
        "client_id,customer_email,timestamp,event_name\n"
        "d1,,2024-03-01T10:00:00Z,page_view\nd1,a@x.example,2024-03-01T10:01:00Z,page_view\n"
        "d2,,2024-03-01T10:59:00Z,page_view\n"
    )
    both = events.load(clicks, orders=orders)
    s = both.summary
    assert (s.orders, s.revenue, s.purchase_sessions, s.unmatched_orders) == (1, 10.5, 1, 1)
    row = both.connect().sql("SELECT DISTINCT visitor_id, user_id, country FROM events "
                             "WHERE from_orders").fetchall()  # fmt: skip
    assert row == [("d1", "a@x.example", None)], "what an order says of the customer came too late"


@pytest.mark.parametrize("name", ["shopify", "woocommerce"])
def test_orders_of_shop_systems_as_json(write, name):
    goods = [
        {"sku": "X", "quantity": 2, "price": "3.00"},
        {"sku": "Y", "quantity": 1, "price": "3.00"},
    ]
    order = {
        "shopify": {"name": "#1", "email": "a", "financial_status": "paid", "total_price": "10.50",
                    "created_at": "2024-03-01T10:02:00+01:00", "currency": "EUR"},
        "woocommerce": {"id": 1, "order_key": "wc_1", "billing": {"email": "a"}, "total": "10.50",
                        "date_created_gmt": "2024-03-01T09:02:00", "currency": "EUR"},
    }[name]  # fmt: skip
    log = events.load(write(json.dumps([order | {"line_items": goods}]), "orders.json"))
    s = log.summary
    assert (log.layout, s.orders, s.purchases, s.revenue, s.items) == (name, 1, 2, 10.5, 2)
    assert s.start == "2024-03-01T09:02:00Z"


def test_diginetica_views_and_purchases(write):
    views = write("sessionId;userId;itemId;timeframe;eventdate\n1;NA;81766;526309;2016-05-09\n"
                  "1;NA;31331;1031018;2016-05-09\n2;7;31331;10;2016-05-10\n", "views.csv")  # fmt: skip
    bought = write("sessionId;userId;timeframe;eventdate;ordernumber;itemId\n"
                   "1;NA;1040000;2016-05-09;5;31331\n", "purchases.csv")  # fmt: skip
    log = events.load(views, bought)
    s = log.summary
    assert (log.layout, log.clock, s.sessions, s.purchases, s.orders) == (
        "diginetica",
        "session",
        2,
        1,
        1,
    )
    rows = log.connect().sql("SELECT event_type, session_seconds, event_time::DATE::VARCHAR FROM events "
                             "WHERE session_id = '1' ORDER BY event_order").fetchall()  # fmt: skip
    assert rows == [("view_item", 526.309, "2016-05-09"), ("view_item", 1031.018, "2016-05-09"),
                    ("purchase", 1040.0, "2016-05-09")]  # fmt: skip


def test_otto(write):
    session = {"session": 12, "events": [
        {"aid": 59625, "ts": 1661724000278, "type": "clicks"},
        {"aid": 59625, "ts": 1661724000278, "type": "carts"},
        {"aid": 59625, "ts": 1661724100278, "type": "orders"}]}  # fmt: skip
    log = events.load(write(lines([session, {"session": 13, "events": session["events"][:1]}]),
                            "otto.jsonl"))  # fmt: skip
    s = log.summary
    assert (log.layout, s.sessions, s.purchases, s.orders) == ("otto", 2, 1, None)
    kinds = [r["event_type"] for r in log.table().to_pylist() if r["session_id"] == "12"]
    assert kinds == ["view_item", "add_to_cart", "purchase"], "the list's order breaks the tie"


def test_yoochoose_clicks_and_buys(write):
    clicks = write("".join(f"{i // 3},2014-04-07T10:{i:02d}:09.868Z,{i},0\n" for i in range(30)))
    buys = write("1,2014-04-07T10:05:30.000Z,4,100,2\n", "buys.dat")
    log = events.load(clicks, buys)
    s = log.summary
    assert (log.layout, s.events, s.sessions, s.purchases, s.revenue) == (
        "yoochoose", 31, 10, 1, 200.0,
    )  # fmt: skip
    with pytest.raises(DataError, match="must have 4 or 5 columns, got 3"):
        events.load(write("1,2,3\n4,5,6\n"), layout="yoochoose")


def test_own_layout(write, tmp_path):
    path = write(
        "who;when;what;art;preis;extra\n"
        "k1;31.03.2024 03:30;Ansicht;A;1.009,50;x\nk1;31.03.2024 03:40;Kauf;A;1.009,50;y\n"
    )
    layout = tmp_path / "mine.yaml"
    layout.write_text(
        "name: mine\nzone: Europe/Berlin\ndecimal: ','\ncurrency: eur\n"
        "time_format: '%d.%m.%Y %H:%M'\n"
        "columns: {visitor_id: who, event_time: when, event_type: what, item_id: art,\n"
        "  price: preis, device: {constant: web}}\n"
        "events: {Ansicht: view_item, Kauf: purchase}\n"
    )
    log = events.load(path, layout=layout)
    s = log.summary
    assert (s.purchases, s.revenue, s.currency, log.layout) == (1, 1009.5, "EUR", "mine")
    assert s.start == "2024-03-31T01:30:00Z", "summer time in Berlin is two hours ahead"
    row = log.table().to_pylist()[0]
    assert (row["device"], row["extra"], row["quantity"]) == ("web", "x", 1.0)


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_layouts_survive_yaml(tmp_path, name):
    layout = LAYOUTS[name]
    path = tmp_path / f"{name}.yaml"
    path.write_text(to_yaml(layout))
    again = read_layout(path)
    for attribute in ("columns", "records", "ties", "event", "events", "every_event", "clock", "header", "items",
                      "session_per_visitor", "time_format", "variants"):  # fmt: skip
        assert getattr(again, attribute) == getattr(layout, attribute)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"columns": {}}, "needs `columns:`"),
        ({"colums": {"price": "p"}}, "Did you mean 'columns'"),
        ({"columns": {"prize": "p"}}, "Did you mean 'price'"),
        ({"columns": {"price": "p"}, "events": {"x": "view"}}, "unknown event type 'view'"),
        ({"columns": {"price": "p"}, "clock": "hour"}, "unknown clock"),
        ({"columns": {"price": "p"}, "variants": "views"}, "variants must be a list of layouts"),
        (
            {"columns": {"price": "p"}, "variants": [{"columns": {"price": "p"}}]},
            "variants, 1: needs `signature:`",
        ),
        (
            {"columns": {"price": "p"}, "variants": [{"signature": "a", "columns": {"x": "p"}}]},
            "variants, 1, columns: unknown",
        ),
        ({"columns": {"price": "p"}, "zone": "Europe/Berlim"}, "Did you mean 'Europe/Berlin'"),
        ({"columns": {"price": "p"}, "separator": "||"}, "one character"),
        ({"columns": {"price": "p"}, "currency": "EURO"}, "ISO 4217"),
        ({"columns": {"price": {"divide": 0, "column": "p"}}}, "divide must be a number > 0"),
        ({"columns": {"event_time": {"parts": ["y", "m"]}}}, "year, month, day"),
        ({"columns": {"price": 1.5}}, "must be a column name"),
        ({"columns": {"user_id": {"column": "u", "pattern": "(a"}}}, "pattern '.a' is none"),
        ({"columns": {"user_id": {"column": "u", "otherwise": {"colum": "v"}}}}, "'colum'"),
    ],
)
def test_wrong_layouts(data, words):
    with pytest.raises(DefinitionError, match=words):
        from_mapping(data)


def test_layout_names_and_files(write, as_csv, rows, tmp_path):
    path = write(as_csv(rows))
    with pytest.raises(UsageError, match="Did you mean 'rees46'"):
        events.load(path, layout="rees64")
    with pytest.raises(NotFoundError, match="no such layout file"):
        events.load(path, layout=tmp_path / "no.yaml")
    with pytest.raises(DataError, match="'user_session'.*Did you mean 'user_sesion'"):
        text = as_csv(rows).replace("session_id", "user_sesion")
        events.load(write(text), layout="rees46")


def test_the_proposal_can_be_used(write, as_csv, rows, tmp_path):
    path = write(as_csv(rows, ";"))
    proposal = events.propose(path)
    assert proposal.layout == "guessed"
    assert 0 < proposal.confidence <= 1
    assert proposal.columns["visitor_id"] == ["user_id"]
    mine = tmp_path / "mine.yaml"
    mine.write_text(proposal.yaml)
    by_layout, by_guess = events.load(path, layout=mine), events.load(path)
    assert by_layout.summary == by_guess.summary


def test_the_proposal_of_nested_records_can_be_used(write, tmp_path):
    session = {"session": 12, "events": [{"aid": 5, "ts": 1661724000278, "type": "clicks"}]}
    path = write(lines([session]), "otto.jsonl")
    proposal = events.propose(path)
    assert proposal.columns["event_time"] == ["events.ts"]
    mine = tmp_path / "mine.yaml"
    mine.write_text(proposal.yaml)
    assert events.load(path, layout=mine).summary == events.load(path).summary


@pytest.mark.parametrize("which", ["eshop_file", "rees46_file"])
def test_proposals_of_real_logs_can_be_used(which, request, tmp_path):
    path = request.getfixturevalue(which)
    proposal = events.propose(path)
    assert proposal.confidence == 1.0
    mine = tmp_path / "mine.yaml"
    mine.write_text(proposal.yaml)
    assert events.load(path, layout=mine).summary.events in (165_474, 17_434)


def test_a_table_that_is_no_log_gets_a_form_to_fill(shoppers_file):
    proposal = events.propose(shoppers_file)
    assert (proposal.layout, proposal.confidence) == ("unknown", 0.0)
    assert "session_id:" in proposal.yaml


def test_weak_names_need_fitting_values(write, as_csv, rows):
    text = as_csv(rows).replace("price", "value").replace("9.5", "big")
    assert events.load(write(text)).summary.revenue is None
    text = as_csv(rows).replace("9.5", "big")
    with pytest.raises(CartcastError, match="bad_price"):
        events.load(write(text))


@pytest.mark.parametrize(
    "form",
    [
        "%m/%d/%Y %I:%M %p",
        "%d/%m/%Y %I:%M:%S %p",
        "%m/%d/%y %H:%M",
        "%d.%m.%y %H:%M:%S",
        "%a, %d %b %Y %H:%M:%S GMT",
    ],
)
def test_times_as_spreadsheets_write_them(write, form):
    moments = [dt.datetime(2024, 1, 13 + i % 9, i % 24, i % 60) for i in range(200)]
    rows = "".join(f'u{i % 9},"{t.strftime(form)}",view\n' for i, t in enumerate(moments))
    log = events.load(write("User ID,Time,Event\n" + rows))
    got = log.table(["event_time"])["event_time"].to_pylist()
    assert sorted(t.replace(tzinfo=None) for t in got) == sorted(moments)


def test_a_time_of_no_usual_form_is_named(write):
    rows = "".join(f"u{i % 9},1/{i + 1} {i}h,view\n" for i in range(20))
    with pytest.raises(DataError, match="'Time' is called like a time, but '1/1 0h'"):
        events.load(write("User ID,Time,Event\n" + rows))


def test_a_file_in_an_unknown_language_gets_a_draft_to_fill(tmp_path):
    path = tmp_path / "se.csv"
    path.write_text(
        "tid;bes\u00f6kare;h\u00e4ndelse;vara;pris\n2024-03-01 10:00;1;titta;a;3,5\n"
        "2024-03-01 10:01;1;k\u00f6p;a;3,5\n2024-03-01 10:02;1;\x1b[31mtitta;b;1,0\n"
    )
    draft = events.propose(path).yaml
    assert "\x1b" not in draft
    assert '#   pris: "3,5", "1,0"' in draft
    assert yaml.safe_load(draft)["events"] is None
    filled = draft
    for name, column in (
        ("visitor_id", "bes\u00f6kare"),
        ("event_time", "tid"),
        ("event_type", "h\u00e4ndelse"),
        ("item_id", "vara"),
        ("price", "pris"),
    ):
        filled = filled.replace(f"  {name}:  #", f"  {name}: {column}  #")
    filled = filled.replace("  # own word: purchase", "  k\u00f6p: purchase")
    (tmp_path / "own.yaml").write_text(filled, encoding="utf-8")
    log = events.load(path, layout=tmp_path / "own.yaml")
    assert (log.summary.revenue, log.summary.event_types["purchase"]) == (3.5, 1)
