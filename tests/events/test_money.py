"""What an order is worth, by hand: totals, lines, repeats, refunds, and columns of unclear money."""

from __future__ import annotations

import random

import pytest

from cartcast import events

HEAD = "user_id,session_id,event_time,event_type,product_id"


@pytest.fixture
def sold(write):
    """Load purchases given as (item, cells ...), one minute apart unless a time is given."""

    def load(columns: str, *rows: str, views: str = "") -> events.Log:
        lines = [f"{HEAD},{columns}"]
        lines.append(f"u1,s1,2024-05-06 10:00:00,view,tee{',' * (columns.count(',') + 1)}")
        lines += [f"u1,s1,2024-05-06 10:05:00,purchase,{row}" for row in rows]
        return events.load(write("\n".join(lines) + "\n" + views))

    return load


def by_code(log: events.Log, code: str):
    return next((f for f in log.findings if f.code == code), None)


def test_a_total_on_each_row_counts_once(sold):
    log = sold("order_id,order_total", "a,o1,90", "b,o1,90", "c,o1,90")
    assert (log.summary.revenue, log.summary.orders, log.summary.purchases) == (90.0, 1, 3)
    assert log.table(["revenue"])["revenue"].to_pylist() == [None, 90.0, 0.0, 0.0]


def test_two_lines_of_one_item_are_two_lines(sold):
    log = sold("price,quantity,order_id", "tee,20,2,o1", "tee,25,1,o1")
    assert log.summary.revenue == 65.0
    assert by_code(log, "EV113") is None


@pytest.mark.parametrize("times", [2, 3])
def test_a_whole_order_delivered_again_counts_once(sold, times):
    log = sold("price,quantity,order_id", *(("tee,20,2,o1", "cap,5,1,o1") * times))
    assert log.summary.revenue == 45.0
    assert log.summary.revenue_as_sent == 45.0 * times
    assert by_code(log, "EV113").count == 2 * (times - 1)


def test_a_part_delivered_again_is_more_lines(sold):
    log = sold("price,quantity,order_id", "tee,20,1,o1", "cap,5,1,o1", "tee,20,1,o1")
    assert log.summary.revenue == 45.0


def test_totals_go_before_lines_and_the_difference_is_said(sold):
    log = sold("price,quantity,order_id,order_total", "tee,20,2,o1,50", "cap,5,1,o1,50")
    s = log.summary
    assert (s.revenue, s.order_totals, s.order_lines) == (50.0, 50.0, 45.0)
    assert by_code(log, "EV138").evidence == {"totals": 50.0, "lines": 45.0, "apart": 5.0}


@pytest.mark.parametrize(
    ("total", "apart"),
    [(45, 0), (54, 0), (50, 0), (59, 0), (55, 1), (42, 0), (51, 0), (60, 1), (40, 2)],
)
def test_what_tax_shipping_and_discount_account_for_is_no_difference(sold, total, apart):
    # Lines 45, tax 9, shipping 5, discount 3; the total holds some of them, or none.
    known = {45 + t + s - d for t in (0, 9) for s in (0, 5) for d in (0, 3)}
    assert min(abs(total - k) for k in known) == apart
    log = sold("price,quantity,order_id,order_total,tax,shipping,discount",
               f"tee,20,2,o1,{total},9,5,3", f"cap,5,1,o1,{total},9,5,3")  # fmt: skip
    found = by_code(log, "EV138")
    assert (found.evidence["apart"] if found else 0) == apart


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_refund_is_negative_whatever_its_sign(write, sign):
    log = events.load(
        write(
            f"{HEAD},price,order_id\nu1,s1,2024-05-06 10:00:00,purchase,tee,100,o1\n"
            f"u1,s1,2024-05-06 10:09:00,refund,tee,{sign}30,o1\n"
        )
    )
    assert (log.summary.revenue, log.summary.refunds) == (70.0, -30.0)
    assert log.table(["price"])["price"].to_pylist() == [100.0, 30.0], "a price is never negative"


def test_an_order_id_of_two_visitors_is_two_orders(write):
    log = events.load(
        write(
            f"{HEAD},price,order_id\nu1,s1,2024-05-06 10:00:00,purchase,tee,10,1\n"
            "u2,s2,2024-05-06 11:00:00,purchase,cap,20,1\n"
        )
    )
    assert (log.summary.revenue, log.summary.orders) == (30.0, 2)
    assert by_code(log, "EV139") is not None


def shop(kind: str, seed: int) -> tuple[str, float]:
    """A log of orders whose column `amount` is a unit's price, a line's or an order's total."""
    rng = random.Random(seed)
    price = {f"i{k}": round(rng.uniform(3, 90), 2) for k in range(9)}
    lines, revenue = [f"{HEAD},amount,quantity,order_id"], 0.0
    for order in range(60):
        items = [
            (rng.choice(list(price)), rng.choice([1, 1, 2, 3]))
            for _ in range(rng.choice([1, 2, 3]))
        ]
        items = list(dict(items).items())
        total = sum(price[i] * q for i, q in items)
        revenue += total
        at = f"2024-05-{1 + order % 28:02d} {10 + order // 28:02d}:00:00"
        for item, quantity in items:
            amount = {"unit": price[item], "line": price[item] * quantity, "order": total}[kind]
            lines.append(f"u{order},s{order},{at},purchase,{item},{amount:.2f},{quantity},o{order}")
    return "\n".join(lines) + "\n", revenue


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["unit", "line", "order"])
def test_the_log_decides_what_an_amount_is(write, kind, seed):
    text, revenue = shop(kind, seed)
    log = events.load(write(text))
    assert log.summary.revenue == pytest.approx(revenue, abs=0.5)


@pytest.mark.parametrize("beside", [False, True])
def test_shopify_tells_what_was_given_back_beside_the_order(write, tmp_path, beside):
    drawn = random.Random(4)
    head = "Name,Email,Financial Status,Currency,Total,Refunded Amount,Created at,"
    lines = [head + "Lineitem quantity,Lineitem sku,Lineitem price"]
    sold, back = {}, {}
    for k in range(30):
        name, items = (
            f"#{1000 + k}",
            [
                (f"i{drawn.randrange(9)}-{n}", drawn.randint(1, 3), drawn.randint(5, 60))
                for n in range(drawn.randint(1, 4))
            ],
        )
        sold[name] = sum(n * price for _, n, price in items)
        back[name] = drawn.choice([0, 0, sold[name], round(sold[name] / 3, 2)])
        for place, (item, n, price) in enumerate(items):
            first = f"paid,EUR,{sold[name]},{back[name]:.2f}" if place == 0 else ",,,"
            lines.append(f"{name},a{k}@x.example,{first},2024-05-{1 + k % 28:02d} 10:05:00 +0000,"
                         f"{n},{item},{price}")  # fmt: skip
    text = "\n".join(lines) + "\n"
    if beside:
        clicks = "customer_email,timestamp,event_name,product_sku\n" + "".join(
            f"a{k}@x.example,2024-05-{1 + k % 28:02d}T10:00:00Z,view_item,tee\n" for k in range(30)
        )
        (tmp_path / "orders.csv").write_text(text)
        log = events.load(write(clicks), orders=str(tmp_path / "orders.csv"))
    else:
        log = events.load(write(text))
        assert log.layout == "shopify"
    s = log.summary
    assert s.orders == 30
    assert s.refunds == pytest.approx(-sum(back.values()))
    assert s.revenue == pytest.approx(sum(sold.values()) - sum(back.values()))
    assert s.event_types["refund"] == sum(b > 0 for b in back.values())
    assert s.purchases == len(lines) - 1
    refunds = {r["order_id"]: r["revenue"] for r in log.table().to_pylist()
               if r["event_type"] == "refund"}  # fmt: skip
    assert refunds == {name: pytest.approx(-b) for name, b in back.items() if b}
