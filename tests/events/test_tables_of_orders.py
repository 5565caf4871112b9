"""Tables of orders as shop systems write them: the columns' names, the lines, what was not sold.

One set of orders is written under the header of each. Its truth is worked out from the orders.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cartcast import events
from cartcast.events.times import moment_of

# Order: who, lines (item, units, price), cancelled, given back.
ORDERS = tuple(
    (f"{700 + n}", n % 6, tuple((f"P-{(n * 3 + k) % 8}", 1 + (n + k) % 3, 4.5 + (n * 3 + k) % 8)
                                for k in range(1 + n % 3)), n % 5 == 3, n % 5 == 1)
    for n in range(15)
)  # fmt: skip


class Form(NamedTuple):
    """Columns with what a cell holds; `once`: a row an order, `units`: a row a unit."""

    columns: str
    good: str = "done"
    bad: str = "done"
    rows: str = "lines"
    backs: bool = False
    extra: float = 0.0


FORMS = {
    # A status behind the noun, of a thing unheard of, in words with an article, a flag, a time.
    "status first": Form("order_number={o};order_date={t};email={w};sku={i};quantity={q};price={p};"
                         "order_total={sum};order_status_payment={s}", "PAID", "CANCELLED"),
    "machine": Form("order_number={o};order_date_time={t};customer={w};amount_total={sum};"
                    "state_machine_state={s}", "shipped", "cancelled", "once"),
    "pago": Form("Número de pedido={o};Fecha y hora={t};Email={w};SKU={i};Cantidad={q};Precio={p};"
                 "Descuento=-1.00;Total={sum};Estado del pago={s}", "Pagado", "Rechazado"),
    "betaald": Form("Bestelling={o};Datum={t};Klant e-mail={w};Totaal excl. BTW={less};"
                    "Totaal incl. BTW={sum};Betaalstatus={s}", "Betaald", "Geannuleerd", "once"),
    "flag": Form("order_id={o};order_date={t};customer_id={w};total={sum};is_cancelled={s}",
                 "false", "true", "once"),
    "when": Form("order_id={o};created_at={t};customer_id={w};total={sum};cancelled_at={s}",
                 "", "2024-06-01 00:00:00", "once"),
    # Names turned, with a prefix or a suffix; totals with tax before those without.
    "turned": Form("id_order={o};date_add={t};id_customer={w};total_paid={sum};product_id={i};"
                   "product_quantity={q};unit_price_tax_incl={p};total_price_tax_incl={line}"),
    "base": Form("increment_id={o};created_at={t};customer_email={w};base_grand_total={sum+4};"
                 "base_discount_amount=-2.0;base_shipping_amount=6.0;sku={i};qty_ordered={q};"
                 "price={p};row_total={line}", extra=4),
    "brackets": Form("Order Number={o};Order Date={t};Customer Email={w};Total (excl. tax)={less};"
                     "Total (incl. tax)={sum}", rows="once"),
    "gross": Form("order_id={o};order_date={t};customer_id={w};net_total={less};gross_total={sum}",
                  rows="once"),
    "number sign": Form("Date={t};Order #={o};N. Revenue={sum};Customer={w}", rows="once"),
    "order": Form("Order={o};Date={t};Customer={w};Total={sum}", rows="once"),
    "cents": Form("order_id={o};created_at={t};customer_id={w};total_cents={cents}", rows="once"),
    # A total that differs from line to line is a line's; one with its number is another line.
    "line's total": Form("order_id={o};order_date={t};customer_id={w};sku={i};qty={q};price={p};"
                         "total={line}"),
    "sales": Form("Order ID={o};Order Date={t};Customer ID={w};Product ID={i};Sales={line};"
                  "Quantity={q};Discount=20%"),
    "units": Form("order_id={o};order_item_id={n};order_purchase_timestamp={t};delivered_date=2024-07-01;"
                  "customer_unique_id={w};product_id={i};price={p}", rows="units"),
    # Money given back that stands on each line of its order.
    "backs": Form("Order Number={o};Order Date={t};Customer Email={w};SKU={i};Quantity={q};"
                  "Price={p};Order Total={sum};Refund Amount={back}", backs=True),
}  # fmt: skip


def written(form: Form) -> str:
    pairs = [c.split("=", 1) for c in form.columns.split(";")]
    rows = [[name for name, _ in pairs]]
    for n, (order, who, lines, bad, back) in enumerate(ORDERS):
        total = sum(q * p for _, q, p in lines)
        told = {"{o}": order, "{w}": f"a{who}@x.example", "{sum}": total, "{sum+4}": total + 4,
                "{t}": f"2024-05-{1 + n:02d} 10:05:00", "{less}": round(total / 1.25, 2),
                "{cents}": round(total * 100), "{s}": form.bad if bad else form.good,
                "{back}": 2.5 if back else 0}  # fmt: skip
        listed = lines if form.rows != "units" else [
            (i, 1, p) for i, q, p in lines for _ in range(q)
        ]  # fmt: skip
        for k, (item, units, price) in enumerate(listed[:1] if form.rows == "once" else listed):
            line = {"{i}": item, "{q}": units, "{p}": price, "{line}": units * price, "{n}": k + 1}
            rows.append([str((told | line).get(cell, cell)) for _, cell in pairs])
    return "\n".join(";".join(row) for row in rows) + "\n"


@pytest.mark.parametrize("name", FORMS)
def test_orders_are_read_by_their_own_names(name: str, tmp_path: Path) -> None:
    form = FORMS[name]
    (tmp_path / "orders.csv").write_text(written(form))
    s = events.load(tmp_path / "orders.csv").summary
    sold = [o for o in ORDERS if not (o[3] and form.bad != form.good)]
    money = sum(q * p for o in sold for _, q, p in o[2]) + form.extra * len(sold)
    back = 2.5 * sum(o[4] for o in sold) if form.backs else 0
    assert (s.orders, s.revenue, s.rejects) == (len(sold), pytest.approx(money - back), 0)
    assert s.visitors == len({o[1] for o in ORDERS})


def test_money_given_back_by_lines_is_not_taken_for_an_orders(tmp_path: Path) -> None:
    rows = [f"o1,2024-05-01,a,p{k},1,10,30,{b}" for k, b in enumerate((5, 5, 0))]
    rows += ["o2,2024-05-02,b,p1,1,10,10,0", "o3,2024-05-03,c,p1,1,10,10,0"]
    head = "order_id,order_date,customer_id,sku,quantity,price,order_total,refund_amount"
    (tmp_path / "orders.csv").write_text("\n".join([head, *rows]))
    log = events.load(tmp_path / "orders.csv")
    assert (log.summary.revenue, log.summary.refunds) == (50, None)
    assert "refund_amount" in next(f for f in log.findings if f.code == "EV145").message


def test_a_discount_without_a_total_is_told(tmp_path: Path) -> None:
    rows = [f"o{k},2024-05-0{k + 1},c{k},p,2,10,0.25" for k in range(3)]
    head = "order_id,order_date,customer_id,sku,quantity,unit_price,discount"
    for more, codes in (("", {"EV155"}), (",total", set[str]())):
        lines = [head + more, *(row + (",15" if more else "") for row in rows)]
        (tmp_path / "orders.csv").write_text("\n".join(lines))
        found = events.load(tmp_path / "orders.csv").findings
        assert {f.code for f in found} & {"EV155"} == codes


@pytest.mark.parametrize(("cell", "start"), [("45413.5", "2024-05-01T12:00"), ("45413", "2024-05-01T00:00"),
                                             ("45413,75", "2024-05-01T18:00")])  # fmt: skip
def test_days_as_spreadsheets_count_them(cell: str, start: str, tmp_path: Path) -> None:
    rows = [f"o{k};{cell};c{k};10" for k in range(3)]
    (tmp_path / "orders.csv").write_text("\n".join(["Order No;Order Date;Customer;Total", *rows]))
    s = events.load(tmp_path / "orders.csv").summary
    assert (s.start[:16], s.orders, s.revenue) == (start, 3, 30)
    at = moment_of(cell, "excel")
    assert at is not None
    assert datetime.fromtimestamp(at / 1e6, UTC).isoformat()[:16] == start


def test_a_status_beside_words_speaks_of_purchases(tmp_path: Path) -> None:
    rows = [
        f"u{k},2024-05-01T{k:02d}:0{n}:00Z,{what}" for k in range(8)
        for n, what in enumerate(("view_item,,,", "add_to_cart,,,",
                                  f"purchase,o{k},10,{'cancelled' if k % 4 == 3 else 'paid'}"))
    ]  # fmt: skip
    (tmp_path / "log.csv").write_text("\n".join(["user,time,event,order_id,order_total,order_status",
                                                 *rows]))  # fmt: skip
    log = events.load(tmp_path / "log.csv")
    assert (log.summary.orders, log.summary.revenue) == (6, 60)
    assert next(f for f in log.findings if f.code == "EV154").count == 2


PROPERTIES: dict[str, dict[str, Any]] = {
    "segment": {"messageId": "{n}", "anonymousId": "a{v}", "timestamp": "{t}", "event": "{w}"},
    "posthog": {"uuid": "{n}", "distinct_id": "a{v}", "timestamp": "{t}", "event": "{w}"},
}


@pytest.mark.parametrize("tool", PROPERTIES)
@pytest.mark.parametrize("listed", [False, True])
def test_a_shops_own_properties_are_read_in_a_trackers_rows(
    tool: str, listed: bool, tmp_path: Path
) -> None:
    rows = []
    for v in range(6):
        lines = [{"productId": "tee", "unitPrice": 10, "qty": 1}] * 2
        order: dict[str, Any] = {"lineItems": lines} if listed else {"orderTotal": 20}
        for n, (word, told) in enumerate((("Product Viewed", {"sku": "tee", "unitPrice": 10}),
                                          ("Order Completed", {"orderNumber": f"o{v}", **order}))):  # fmt: skip
            cells = {"v": v, "n": 2 * v + n, "w": word, "t": f"2024-05-01T10:{v}{n}:00Z"}
            row = {k: c.format(**cells) for k, c in PROPERTIES[tool].items()}
            rows.append(json.dumps({**row, "properties": told}))
    (tmp_path / "log.jsonl").write_text("\n".join(rows))
    log = events.load(tmp_path / "log.jsonl")
    assert (log.layout, log.summary.orders, log.summary.revenue) == (tool, 6, 120)
    assert any("order_id=properties.orderNumber" in f.message for f in log.findings)


def test_orders_beside_clicks_by_the_names_of_orders(tmp_path: Path) -> None:
    clicks = [f"a{k}@x.example,2024-05-01 10:0{k}:00,view" for k in range(6)]
    orders = [f"{k},2024-05-01 10:0{k}:30,a{k}@x.example,$9.50" for k in range(6)]
    (tmp_path / "clicks.csv").write_text("\n".join(["email,time,action", *clicks]))
    (tmp_path / "orders.csv").write_text(
        "\n".join(["Order No,Order Date,Email,Grand Total", *orders])
    )
    s = events.load(tmp_path / "clicks.csv", orders=str(tmp_path / "orders.csv")).summary
    assert (s.orders, s.revenue) == (6, 57)


def test_words_of_what_was_done_are_nobody(tmp_path: Path) -> None:
    rows = [f"{k % 7},2024-05-01 10:{k:02d}:00,{('looked', 'paid')[k % 2]}" for k in range(30)]
    (tmp_path / "log.csv").write_text("\n".join(["cust,moment,did", *rows]))
    assert events.load(tmp_path / "log.csv").summary.visitors == 7


@pytest.mark.parametrize("form", ["2024-05-01 10:05:00,250", "20240501T100500"])
def test_forms_of_iso_8601(form: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("\n".join(["user;time;event", *[f"u;{form};view"] * 2]))
    s = events.load(tmp_path / "log.csv").summary
    assert (s.events, s.start[:16]) == (2, "2024-05-01T10:05")


def test_a_list_is_no_id_and_is_told(tmp_path: Path) -> None:
    rows = [{"user_id": f"u{k}", "time": f"2024-05-01T10:0{k}:00Z", "event": w, "product_id": ["a"]}
            for k, w in enumerate(("view_item", "purchase"))]  # fmt: skip
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    log = events.load(tmp_path / "log.jsonl")
    assert log.summary.items == 0
    assert "product_id" in next(f for f in log.findings if f.code == "EV146").message


def _clicks(head: str, row: str, tmp_path: Path) -> events.Summary:
    """Read a log of 40 clicks of 10 people in 8 sessions, with a purchase of 5 at the end of each."""
    rows = [head]
    for n in range(40):
        told = {"n": n, "p": n % 10, "s": n // 5, "t": f"2024-05-01 10:{n:02d}:00",
                "w": "purchase" if n % 5 == 4 else "view_item", "birth": f"2020-01-{1 + n % 10:02d}"}  # fmt: skip
        rows.append(row.format(**told))
    (tmp_path / "log.csv").write_text("\n".join(rows))
    return events.load(tmp_path / "log.csv").summary


@pytest.mark.parametrize(
    ("head", "row", "visitors", "revenue"),
    [
        ("user_id,vid,time,event,price", "u{p},v{s},{t},{w},5", 10, 40),
        ("session_id,who,time,event,price", "s{s},customer,{t},{w},5", None, 40),
        ("person,buyer,time,event,price", "u{p},yes,{t},{w},5", 10, 40),
        ("user_id,happened,user_created_at,event,price", "u{p},{t},{birth} 00:00:00,{w},5", 10, 40),
        ("user_id,time,event,price,sales_total,pieces", "u{p},{t},{w},5,99,{n}", 10, 40),
        ("user_id,time,event,price,conversion_value", "u{p},{t},{w},5,0", 10, 40),
        ("user_id,time,event,price,order_status", "u{p},{t},{w},5,pending", 10, 40),
    ],
)
def test_a_weak_name_is_not_believed_against_its_values(
    head: str, row: str, visitors: int | None, revenue: float, tmp_path: Path
) -> None:
    s = _clicks(head, row, tmp_path)
    assert (s.visitors, s.revenue, s.rejects) == (visitors, revenue, 0)
    assert s.start[:10] == "2024-05-01"


def test_day_0_is_no_day_on_which_an_order_was_cancelled(tmp_path: Path) -> None:
    rows = [f"o{k},2024-05-0{k + 1},c{k},10,{c}" for k, c in enumerate(
        ("", "0000-00-00 00:00:00", "2024-05-09 10:00:00"))]  # fmt: skip
    head = "order_id,order_date,customer_id,order_total,cancelled_at"
    (tmp_path / "orders.csv").write_text("\n".join([head, *rows]))
    assert events.load(tmp_path / "orders.csv").summary.orders == 2


def test_cents_by_name_alone_are_not(tmp_path: Path) -> None:
    rows = [f"o{k},2024-05-0{k + 1},c{k},9.50" for k in range(3)]
    (tmp_path / "o.csv").write_text(
        "\n".join(["order_id,order_date,customer_id,total_cents", *rows])
    )
    assert events.load(tmp_path / "o.csv").summary.revenue == 28.5
