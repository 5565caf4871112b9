"""What names alone do not tell: the values of a column, its file's name, words of every kind."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from cartcast import events
from cartcast.errors import DataError
from cartcast.events.kinds import _SAID, EVENT_KINDS, phrases, plain

KINDS = ("view_item", "add_to_cart", "begin_checkout", "purchase")
# Header; a row of visitor, click, time in seconds, the word for its kind; the words.
SHAPES = {
    # A hash is the shop's own id to us; the time is known by its name and values.
    "coveo": ("session_id_hash,event_type,product_action,server_timestamp_epoch_ms",
              "h{v},event_product,{w},{t}000", ("detail", "add", "checkout", "purchase")),
    # https://support.count.ly/hc/en-us/articles/9290669873305: one prefix, on some words only.
    "piwik": ("visitor_id,timestamp,event_type", "{v},{t},{w}",
              ("Ecommerce product detail view", "Ecommerce add to cart",
               "Ecommerce checkout started", "Ecommerce order")),
    "own words": ("who_id_hash,klick_ts,what,device_id", "x,{t},{w},{v}",
                  ("product_opened", "bag_add", "proceed to checkout", "orderPaid")),
    "pixel": ("client_id,ts,event", "{v},{t},{w}",
              ("ViewContent", "AddToCart", "InitiateCheckout", "CompletePayment")),
    "two spaces": ("user,when_time,event", "{v},{t},{w}",
                   ("web.product_viewed", "web.cart_added", "server/checkout_begun", "server/sold")),
    "spaced": ("user,when_time,event", "{v},{t},{w}",
               ("shop.product_viewed", "shop.cart_added", "shop.checkout_begun", "shop.sold")),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_events_are_told_by_words_and_times_by_values(shape: str, tmp_path: Path) -> None:
    header, row, words = SHAPES[shape]
    told = list(itertools.product(range(8), enumerate(words)))
    lines = [row.format(v=100 + v, t=1_709_546_400 + 3600 * v + k, w=w) for v, (k, w) in told]
    (tmp_path / "log.csv").write_text("\n".join([header, *lines, ""]))
    s = events.load(tmp_path / "log.csv").summary
    assert s.event_types == dict.fromkeys(KINDS, 8)
    assert (s.sessions, s.purchase_sessions) == (8, 8)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("train-purchases.csv", "purchase"), ("dress_buys_2024.csv", "purchase"),
     ("orders.csv", "purchase"), ("sessions.csv", "view_item"), ("purchase_intent.csv", "view_item")],
)  # fmt: skip
def test_a_file_of_one_kind_is_told_by_its_name(name: str, kind: str, tmp_path: Path) -> None:
    rows = [f"{k},i{k},2024-03-0{k}" for k in range(1, 9)]
    (tmp_path / name).write_text("\n".join(["session_id,item_id,t_dat", *rows, ""]))
    log = events.load(tmp_path / name)
    assert (log.summary.event_types, log.clock) == ({kind: 8}, "day")


def test_two_columns_of_times_are_not_chosen_between(tmp_path: Path) -> None:
    rows = [f"{k},2024-03-0{k} 10:00,2024-04-0{k} 10:00" for k in range(1, 9)]
    (tmp_path / "log.csv").write_text("\n".join(["session_id,begun,ended", *rows, ""]))
    with pytest.raises(DataError, match="no column looks like a time"):
        events.load(tmp_path / "log.csv")


def test_no_phrase_means_two_kinds() -> None:
    told: dict[str, set[str]] = {}
    for kind, patterns in _SAID.items():
        for phrase in itertools.chain.from_iterable(map(phrases, patterns)):
            told.setdefault(plain(phrase), set()).add(kind)
    assert {p for p, kinds in told.items() if len(kinds) > 1} == set()
    assert {EVENT_KINDS[p] for p in told} == set(_SAID)


@pytest.mark.parametrize("word", ["order failed", "checkout abandoned", "order cancelled",
                                  "payment failed", "remove from wishlist", "view cart"])  # fmt: skip
def test_what_came_to_nothing_is_no_purchase(word: str) -> None:
    assert plain(word) not in EVENT_KINDS


@pytest.mark.parametrize(("ids", "revenue"), [("o{v},", 40.0), (",", 80.0)], ids=["id", "none"])
def test_two_words_for_one_purchase_are_told(ids: str, revenue: float, tmp_path: Path) -> None:
    """With an order's id the money counts once; without one only the finding can tell."""
    rows = [f"{v},2024-03-04 10:0{v}:0{k},{w},{ids.format(v=v)}10"
            for v in range(4) for k, w in enumerate(("order_placed", "order_confirmed"))]  # fmt: skip
    (tmp_path / "log.csv").write_text(
        "\n".join(["visitor,time,event,order_id,order_total", *rows, ""])
    )
    log = events.load(tmp_path / "log.csv")
    assert log.summary.revenue == revenue
    (found,) = [f for f in log.findings if f.code == "EV149"]
    assert (found.severity, found.count) == ("warn", 4)


def test_the_fact_table_of_a_warehouse_is_read(tmp_path: Path) -> None:
    """Keys as in the star schema of AdventureWorks; a key of a table is no mask of a time."""
    (tmp_path / "facts.csv").write_text(
        "customer_key,date_key,product_key,sales_order_number,order_quantity,unit_price,sales_amount\n"
        "11000,20240105,310,S1,1,3578.27,3578.27\n11001,20240106,346,S2,1,3399.99,3399.99\n"
        "11001,20240106,347,S2,2,10.00,20.00\n11002,20240107,346,S3,1,3399.99,3399.99\n"
    )
    s = events.load(tmp_path / "facts.csv").summary
    assert (s.visitors, s.orders, s.revenue, s.start[:10]) == (3, 3, 10398.25, "2024-01-05")
