"""Exports of tools without a layout: read by the names of their columns, or refused with the way out.

Rows are written by hand after each tool's documentation.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from cartcast import events
from cartcast.errors import DataError


def codes(log: events.Log) -> set[str]:
    return {f.code for f in log.findings}


def rows_of(log: events.Log, *columns: str) -> list[tuple[Any, ...]]:
    return log.connect().sql(f"SELECT {', '.join(columns)} FROM events").fetchall()


def test_plausible(write):
    """https://plausible.io/docs: `user_id` is a visitor's hash; names of events are free."""
    log = events.load(write(
        "timestamp,name,site_id,user_id,session_id,hostname,pathname,utm_medium,country_code,"
        "revenue_reporting_amount,revenue_reporting_currency\n"
        "2025-03-03 10:00:00,pageview,1,881,91,s.example,/,email,DE,,\n"
        "2025-03-03 10:01:00,Product Viewed,1,881,91,s.example,/p/1,email,DE,,\n"
        "2025-03-03 10:02:00,Purchase,1,881,91,s.example,/thanks,email,DE,49.90,EUR\n"
        "2025-03-03 11:00:00,pageview,1,882,92,s.example,/,,FR,,\n"
    ))  # fmt: skip
    s = log.summary
    assert (s.visitors, s.users, s.sessions, s.purchases, s.revenue) == (2, None, 2, 1, 49.9)
    assert (s.currency, s.event_types["page_view"]) == ("EUR", 2)
    assert "EV102" in codes(log)


def test_umami(write):
    """https://umami.is/docs: `session_id` is a visitor's for a month, `visit_id` a visit's."""
    lines = ["event_id,website_id,session_id,visit_id,created_at,url_path,event_type,event_name"]
    for n in range(12):
        word = {4: "add-to-cart", 5: "purchase"}.get(n, "")
        lines.append(f"e{n},w,s{n // 6},v{n // 3},2025-03-0{1 + n // 3} 10:0{n % 3}:00,/p{n},"
                     f"{2 if word else 1},{word}")  # fmt: skip
    log = events.load(write("\n".join(lines) + "\n"))
    s = log.summary
    assert (s.visitors, s.sessions) == (2, 4)
    assert s.event_types == {"page_view": 10, "add_to_cart": 1, "purchase": 1}


def test_countly(write):
    """https://support.countly.com, drill events: `did` is the device, `key` the event, `sg` more."""
    events_ = [
        {"_id": "a", "did": "d1", "ts": 1_741_000_000_000, "key": "product_viewed",
         "sg": {"sku": "X", "price": 5}},
        {"_id": "b", "did": "d1", "ts": 1_741_000_060_000, "key": "purchase",
         "sg": {"sku": "X", "price": 5, "order_id": "o1"}},
    ]  # fmt: skip
    log = events.load(write("\n".join(map(json.dumps, events_)), "drill.jsonl"))
    s = log.summary
    assert (s.visitors, s.purchases, s.orders, s.items, s.revenue) == (1, 1, 1, 1, 5.0)


def test_adobe_data_feed(write):
    """https://experienceleague.adobe.com, data feeds: `hit_data.tsv` has no header."""
    hit = "1741000000\t311\t422\t1\thttps://s.example/p/1\t2\t;X;1;5\n"
    with pytest.raises(DataError, match=r"no header .*`header:` in a layout"):
        events.load(write(hit * 3, "hit_data.tsv"))
    header = "hit_time_gmt\tpost_visid_high\tpost_visid_low\tvisit_num\tpage_url\tevent_list\tproduct_list\n"
    log = events.load(write(header + hit * 3, "hits.tsv"))
    assert (log.layout, log.summary.event_types) == ("adobe", {"view_item": 3})
    assert log.table(["visitor_id"])["visitor_id"].to_pylist() == ["311-422"] * 3
    log = events.load(
        write(header.replace("visid_high", "mcvisid").replace("post_mc", "mc") + hit * 3)
    )
    assert "EV148" in codes(log), "codes of events are not read as words, and that is said"


def test_bigcommerce_orders(write):
    """https://support.bigcommerce.com, exporting orders: one row an order."""
    head = "Order ID,Customer ID,Customer Email,Order Date,Order Status,Order Total (inc tax),Total Quantity\n"
    rows = "".join(
        f"{100 + n},{7 + n % 2},c{n % 2}@s.example,2025-03-{3 + n:02d},Shipped,{20 + n}.50,1\n"
        for n in range(6)
    )
    log = events.load(write(head + rows))
    s = log.summary
    assert (s.orders, s.purchases, s.revenue) == (6, 6, 138.0)
    assert s.visitors == 2
    assert "EV148" in codes(log)


def test_magento_order_lines(write):
    """https://developer.adobe.com/commerce, `sales_order` joined to `sales_order_item`."""
    log = events.load(write(
        "increment_id,customer_email,created_at,sku,qty_ordered,price,row_total,grand_total,"
        "order_currency_code\n"
        "000000001,a@s.example,2025-03-03 10:00:00,X,2,5.00,10.00,14.90,EUR\n"
        "000000001,a@s.example,2025-03-03 10:00:00,Y,1,4.00,4.00,14.90,EUR\n"
        "000000002,b@s.example,2025-03-04 10:00:00,X,1,5.00,5.00,9.90,EUR\n"
    ))  # fmt: skip
    s = log.summary
    assert (s.orders, s.purchases, s.items, s.revenue, s.currency) == (2, 3, 2, 24.8, "EUR")
    assert rows_of(log, "order_id", "quantity")[0] == ("000000001", 2.0)


def test_yandex_metrica(write):
    """https://yandex.com/dev/metrika, logs API: every name begins with its space of names."""
    log = events.load(write(
        "ym:pv:watchID\tym:pv:clientID\tym:pv:dateTime\tym:pv:URL\n"
        "1\t1741\t2025-03-03 10:00:00\thttps://s.example/\n"
        "2\t1741\t2025-03-03 10:01:00\thttps://s.example/p/1\n"
        "3\t1742\t2025-03-03 10:01:00\thttps://s.example/\n", "hits.tsv",
    ))  # fmt: skip
    s = log.summary
    assert (s.visitors, s.sessions, s.event_types) == (2, 2, {"page_view": 3})
    assert "EV148" in codes(log)


@pytest.mark.parametrize(
    ("header", "row", "found"),
    [
        ("user_id,timestamp,event", "u1,2025-03-03 10:00:00,view", ("u1", None)),
        ("cookie_id,user_id,timestamp,event", "c,u1,2025-03-03 10:00:00,view", ("c", "u1")),
        ("anonymousUserId,customerEmail,time,action", "c,u1,2025-03-03 10:00:00,view", ("c", "u1")),
        ("device_id,login,ts,event_name", "c,u1,1741000000,view", ("c", "u1")),
        ("customer_id,created_at,event", "k,2025-03-03 10:00:00,view", ("k", None)),
    ],
)
def test_devices_and_logins_are_told_apart(write, header, row, found):
    log = events.load(write(f"{header}\n" + f"{row}\n" * 2))
    assert rows_of(log, "visitor_id", "user_id")[0] == found


@pytest.mark.parametrize("name", ["t", "Quand", "ts2", "am Zeitpunkt", "filename"])
@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])
def test_the_only_column_of_times_is_the_time(tmp_path, name, form):
    start = datetime(2025, 3, 28, 22)
    lines = [f"visitor_id,{name},event_type,born"]
    lines += [
        f"v{i % 5},{(start + timedelta(minutes=7 * i)).strftime(form)},view,19{50 + i % 40}-01-01"
        for i in range(40)
    ]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    log = events.load(tmp_path / "a.csv")
    assert (log.clock, log.summary.start) == ("time", "2025-03-28T22:00:00Z")
    assert "EV102" in {f.code for f in log.findings}


def test_of_two_columns_of_times_none_is_taken(tmp_path):
    rows = "".join(f"v{i},2025-03-01 10:{i:02d}:00,2025-03-02 10:{i:02d}:00\n" for i in range(30))
    (tmp_path / "a.csv").write_text(f"visitor_id,a,b\n{rows}")
    with pytest.raises(DataError, match="no column looks like a time or order"):
        events.load(tmp_path / "a.csv")
