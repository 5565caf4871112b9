"""Orders that were cancelled or never paid are no sales, whatever the shop calls them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from cartcast import events
from cartcast.events.layouts import find_layout
from cartcast.events.records import Records

WOO = "order_id,order_date,status,customer_email,order_total,order_currency,item_sku,item_quantity"
STATUSES = {
    "completed": True, "wc-processing": True, "on-hold": True, "shipped": True, "": True,
    "cancelled": False, "wc-failed": False, "Refunded": False, "pending": False,
    "Pending payment": False, "checkout-draft": False,
}  # fmt: skip


@pytest.mark.parametrize("beside", [False, True])
def test_an_order_that_was_not_paid_is_no_sale(write, tmp_path, beside):
    rows = [f"{100 + k},2024-05-06 10:{k:02d}:00,{s},a{k}@x.example,{10 + k},EUR,{item},1"
            for k, s in enumerate(STATUSES) for item in ("tee", "cap")]  # fmt: skip
    text = "\n".join([WOO, *rows]) + "\n"
    if beside:
        clicks = "customer_email,timestamp,event_name,product_sku\n" + "".join(
            f"a{k}@x.example,2024-05-06 10:{k:02d}:00,view_item,tee\n" for k in range(len(STATUSES))
        )
        (tmp_path / "orders.csv").write_text(text)
        log = events.load(write(clicks), orders=str(tmp_path / "orders.csv"))
    else:
        log = events.load(write(text))
        assert log.layout == "woocommerce"
    sold = [k for k, good in enumerate(STATUSES.values()) if good]
    assert log.summary.orders == len(sold)
    assert log.summary.revenue == sum(10 + k for k in sold)
    told = {"pending": 2, "cancel": 1, "fail": 1, "refunded": 1, "draft": 1}
    assert next(f for f in log.findings if f.code == "EV154").evidence == told


class Export(NamedTuple):
    """How a shop system writes its orders: words of good and bad statuses, and the columns."""

    good: tuple[str, ...]
    bad: tuple[str, ...]
    columns: str
    form: Mapping[str, Any] = MappingProxyType({})
    lines: bool = True


EXPORTS = {
    "german": Export(
        ("abgeschlossen", "In Bearbeitung", "versendet"), ("storniert", "Zahlung fehlgeschlagen"),
        "Bestellnummer={order},Bestelldatum={time},Kundennummer=K{who},Artikelnummer={item},"
        "Menge={units},Einzelpreis={price},Gesamtbetrag={total},Bestellstatus={status}",
        {"delimiter": ";"},
    ),
    "french": Export(
        ("payé", "Expédiée", "livrée"), ("annulée", "Paiement refusé", "erreur de paiement"),
        "numéro commande={order},date commande={time},id client={who},id produit={item},"
        "quantité={units},prix unitaire={price},total commande={total},statut={status}",
    ),
    "charges": Export(
        ("Paid", "Succeeded"), ("Failed", "Incomplete"),
        "id=ch_{order},Created (UTC)={time},Amount={total},Currency=eur,Status={status},"
        "Customer ID=cus_{who},Amount Refunded=0.00", lines=False,
    ),
    "grid": Export(
        ("complete", "Processing"), ("canceled", "Pending Payment", "closed - payment rejected"),
        "ID=0000{order},Purchase Date={time},Grand Total (Base)=${total},Status={status},"
        "Customer Email=a{who}@x.example", lines=False,
    ),
    "payments": Export(
        ("Completed", "Cleared - completed"), ("Denied", "Expired"),
        "Date={day},Time={hour},Type=Express Payment,Status={status},Currency=EUR,Gross={total},"
        "From Email Address=a{who}@x.example,Transaction ID=TX{order},Item ID=", lines=False,
    ),
    "first_line": Export(
        ("paid", "partially_refunded"), ("voided",),
        "Name=#{order},Email=a{who}@x.example,Financial Status={once:status},Currency={once:EUR},"
        "Total={once:total},Created at={time}+00:00,Lineitem quantity={units},"
        "Lineitem sku={item},Lineitem price={price}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPORTS)
def test_a_shop_of_ones_own_words(name: str, write) -> None:
    export = EXPORTS[name]
    statuses = (export.good + export.bad) * 3
    fields = [pair.split("=", 1) for pair in export.columns.split(",")]
    out = io.StringIO()
    rows = csv.writer(out, **export.form)
    rows.writerow([column for column, _ in fields])
    sold, bad = 0.0, 0
    for k, status in enumerate(statuses):
        lines = [(f"i{k % 4}-{n}", 1 + (k + n) % 3, 5.5 + n + k) for n in range(1 + k % 3)]
        total = sum(units * price for _, units, price in lines)
        sold += total * (status in export.good)
        bad += status in export.bad
        for n, (item, units, price) in enumerate(lines if export.lines else lines[:1]):
            told = {"order": str(1000 + k), "time": f"2024-05-{1 + k:02d} 10:05:00", "item": item,
                    "day": f"{13 + k:02d}/05/24", "hour": "10:05:00",
                    "who": str(k // 2), "units": str(units), "price": f"{price:.2f}",
                    "total": f"{total:.2f}", "status": status}  # fmt: skip
            once = told if n == 0 else dict.fromkeys((*told, "EUR"), "")
            rows.writerow([
                once.get(form[6:-1], form[6:-1]) if form.startswith("{once:")
                else form.format(**told) for _, form in fields
            ])  # fmt: skip
    log = events.load(write(out.getvalue()))
    assert log.summary.revenue == pytest.approx(sold)
    assert log.summary.orders == len(statuses) - bad
    (told,) = (f for f in log.findings if f.code == "EV154")
    assert told.count == bad


def orders(head: str, rows: list[str], write) -> Any:
    return events.load(write("\n".join([head, *rows]))).summary


def test_a_status_of_something_else_unsells_nothing(write) -> None:
    head = "order_id,customer_id,order_date,order_total,"
    for other, words in (
        ("shipping_status", ("pending", "delivered")),
        ("subscription_status", ("active", "cancelled")),
        ("confirmation_email_status", ("sent", "failed")),
    ):
        rows = [f"o{k},c{k % 6},2024-05-0{1 + k % 9} 10:00:00,10,{words[k % 2]}" for k in range(12)]
        assert orders(head + other, rows, write).revenue == 120


def test_each_row_with_a_status_speaks_for_itself(write) -> None:
    attempts = [
        f"o{k},c{k},2024-05-0{1 + k} 10:0{n}:00,10,{status}"
        for k in range(6) for n, status in enumerate(("failed", "paid"))
    ]  # fmt: skip
    s = orders("order_id,customer_id,created_at,amount,status", attempts, write)
    assert (s.orders, s.revenue) == (6, 60)
    lines = [
        f"o{k},c{k},2024-05-0{1 + k} 10:00:00,p{n},10,1,{'cancelled' if n == 1 else 'shipped'}"
        for k in range(4) for n in range(3)
    ]  # fmt: skip
    head = "order_id,customer_id,order_date,product_id,price,quantity,status"
    s = orders(head, lines, write)
    assert (s.orders, s.revenue) == (4, 80)


@pytest.mark.parametrize("name", ["carts", "customers", "pages"])
def test_tables_of_other_things_are_no_orders(name: str, tmp_path) -> None:
    head, row = {
        "carts": ("customer_id,created_at,cart_total", "c{k},2024-05-01 10:{k:02d}:00,15.5"),
        "customers": ("customer_id,created_at,total_revenue", "c{k},2024-05-01 10:{k:02d}:00,15.5"),
        "pages": ("user_id,timestamp,product_id,price,status", "u{k},2024-05-01 10:{k:02d}:00,p,9,ok"),
    }[name]  # fmt: skip
    (tmp_path / f"{name}.csv").write_text("\n".join([head, *(row.format(k=k) for k in range(24))]))
    assert events.load(str(tmp_path / f"{name}.csv")).summary.purchases == 0


def test_visits_with_their_revenue_are_not_all_sales(write) -> None:
    rows = [
        f"s{k},u{k // 2},2024-05-01 {k:02d}:00:00,{30.5 if k % 9 == 0 else 0}" for k in range(24)
    ]
    log = events.load(write("\n".join(["session_id,user_id,start_time,revenue", *rows])))
    assert log.summary.purchases == 0
    assert "EV148" in {f.code for f in log.findings}


def test_words_of_a_layout_come_first(write, tmp_path) -> None:
    statuses = ("complete", "On hold", "pending", "cancelled")
    orders = write("no,paid,who,total,state\n" + "".join(
        f"{k},2024-05-0{k + 1} 10:00:00,a{k},{10 ** k},{status}\n"
        for k, status in enumerate(statuses)
    ))  # fmt: skip
    layout = tmp_path / "own.yaml"
    layout.write_text(
        "columns: {order_id: no, event_time: paid, user_id: who, order_value: total}\n"
        "every_event: purchase\nstatus: [state]\nevents: {on hold: other, pending: purchase}\n"
    )
    assert events.load(orders, layout=str(layout)).summary.revenue == 101.0


def test_what_an_api_lists_as_given_back_is_a_refund(tmp_path) -> None:
    def order(k: int) -> dict[str, Any]:
        back = [{"id": n, "total": f"-{k}.50"} for n in range(k % 3)]
        return {
            "id": 70 + k, "number": str(70 + k), "status": ["completed", "cancelled"][k % 4 == 3],
            "currency": "EUR", "date_created": f"2024-05-{1 + k:02d}T10:00:00", "total": "90.00",
            "billing": {"email": f"a{k}@x.example"}, "refunds": back,
            "line_items": [{"id": 1, "sku": "tee", "quantity": 2, "price": 45.0, "total": "90.00"}],
        }  # fmt: skip

    path = tmp_path / "orders.json"
    path.write_text(json.dumps([order(k) for k in range(9)]))
    s = events.load(str(path)).summary
    paid = [k for k in range(9) if k % 4 != 3]
    assert (s.orders, s.refunds) == (len(paid), -sum((k + 0.5) * (k % 3) for k in paid))
    assert s.revenue == 90 * len(paid) + s.refunds


@pytest.mark.parametrize(
    ("status", "sale"),
    [("partially cancelled", True), ("refund rejected", True), ("completed/no error", True),
     ("nicht bezahlt", False), ("Niet betaald", False), ("rembourse", False), ("Zwrócone", False),
     ("Partially refunded", True), ("pending shipment", True), ("wc-on-hold", True), ("Geliefert", True),
     ("Canceled by customer", False), ("wc-cancelled", False), ("Order Cancelled", False),
     ("Cancelled (refunded)", False), ("cancelled_refunded", False), ("cancellation", False),
     ("payment failed - refunded", False), ("chargeback refunded", False),
     ("return cancelled", True), ("cancellation requested", True), ("label voided", True),
     ("payment_failed", False), ("Awaiting payment", False), ("Annulé", False), ("geannuleerd", False)],
)  # fmt: skip
def test_words(status: str, sale: bool) -> None:
    records = Records(find_layout("woocommerce"))
    order = {"number": "1", "status": status, "date_created_gmt": "2024-05-01T10:00:00",
             "billing": {"email": "a@x.example"}, "total": "5.00"}  # fmt: skip
    (row,) = records.rows(order)
    assert isinstance(row, dict)
    assert row["event_type"] == ("purchase" if sale else "other")
