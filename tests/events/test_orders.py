"""Outcomes in a second table become purchases of the right sessions."""

from __future__ import annotations

import pytest

from cartcast import events
from cartcast.errors import DataError


@pytest.fixture
def clicks(write, as_csv, shop):
    rows = shop(60)
    for row in rows:
        row["event_type"] = "view"
    return write(as_csv(rows))


def test_amount_per_session(clicks, write):
    orders = write("session_id,amount,quantity\ns0,50,3\ns7,20.5,1\nnowhere,9,1\n", "orders.csv")
    log = events.load(clicks, orders=orders)
    s = log.summary
    assert (s.events, s.purchases, s.purchase_sessions) == (62, 2, 2)
    assert s.revenue == 70.5, "an amount is the order's, not the unit's"
    assert s.unmatched_orders == 1
    message = next(f.message for f in log.findings if f.code == "EV117")
    assert "1 of 3 orders worth 9.00" in message
    last = (
        log.connect()
        .sql(
            "SELECT event_type, event_order, visitor_id, order_value, from_orders, event_time::VARCHAR "
            "FROM events WHERE session_id = 's0' ORDER BY event_order DESC LIMIT 1"
        )
        .fetchone()
    )
    assert last == ("purchase", 4, "u0", 50.0, True, "2024-03-01 00:02:00")


def test_price_per_unit(clicks, write):
    orders = write("session_id,price,quantity,product_id\ns0,50,3,p1\n", "orders.csv")
    assert events.load(clicks, orders=orders).summary.revenue == 150.0


def test_labels(clicks, write):
    lines = "".join(f"s{i},{i % 2}\n" for i in range(20))
    log = events.load(clicks, orders=write("session_id,label\n" + lines, "labels.csv"))
    assert (log.summary.purchases, log.summary.purchase_sessions) == (10, 10)
    assert log.summary.revenue is None
    assert log.summary.unmatched_orders == 0, "a label of 0 is no order"


def test_visitor_and_time(clicks, write):
    orders = write(
        "user_id,order_time,amount,order_id\n"
        "u0,2024-03-01 00:04:30,10,a\n"  # in the visitor's second session
        "u1,2024-03-01 00:30:00,20,b\n"  # within the gap after it
        "u2,2024-03-01 05:00:00,30,c\n"  # long after
        "u3,2024-02-29 23:00:00,40,d\n",  # before
        "orders.csv",
    )
    log = events.load(clicks, orders=orders)
    found = log.connect().sql(
        "SELECT order_id, session_id, event_order FROM events WHERE from_orders ORDER BY 1"
    )
    assert found.fetchall() == [("a", "s1", 3), ("b", "s3", 4)]
    assert log.summary.unmatched_orders == 2


def test_bad_orders_are_rejects(clicks, write):
    orders = write("session_id,amount\ns0,much\ns2,5\n", "orders.csv")
    log = events.load(clicks, orders=orders, max_reject_share=0.1)
    assert log.summary.reject_reasons == {"bad_order_value": 1}
    assert log.summary.revenue == 5.0


def test_orders_below_zero_are_refunds(clicks, write):
    log = events.load(clicks, orders=write("session_id,amount\ns1,-5\ns2,25\n", "orders.csv"))
    assert (log.summary.revenue, log.summary.refunds) == (20.0, -5.0)
    assert log.summary.event_types["refund"] == 1


def test_orders_must_join(clicks, write):
    with pytest.raises(DataError, match="needs session_id, or visitor_id with a time"):
        events.load(clicks, orders=write("customer,amount\nx,5\n", "orders.csv"))


def test_orders_of_a_log_with_its_own_order(eshop_file, write):
    orders = write("session_id,revenue\n1,50\n2,60\n", "orders.csv")
    log = events.load(eshop_file, orders=orders)
    last = (
        log.connect()
        .sql(
            "SELECT event_order, event_type, revenue FROM events WHERE session_id = '1' "
            "ORDER BY event_order DESC LIMIT 1"
        )
        .fetchone()
    )
    assert last == (10, "purchase", 50.0)
    assert log.summary.revenue == 110.0


def test_hidden_columns_of_orders_stay_out(clicks, write):
    orders = write("session_id,amount,coupon_used_at_checkout\ns0,5,yes\n", "orders.csv")
    log = events.load(clicks, orders=orders)
    assert "coupon_used_at_checkout" not in log.columns
