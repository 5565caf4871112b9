"""Built-in layouts on rows as their sources write them; layouts of one's own; guesses."""

from __future__ import annotations

import datetime as dt
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
    assert s.revenue == 38.0, "2 x 5 + 7, sent twice, and an order without items"
    assert s.revenue_deduplicated == 21.0
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
    for attribute in ("columns", "events", "every_event", "clock", "header", "items",
                      "session_per_visitor", "time_format"):  # fmt: skip
        assert getattr(again, attribute) == getattr(layout, attribute)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"columns": {}}, "needs `columns:`"),
        ({"colums": {"price": "p"}}, "Did you mean 'columns'"),
        ({"columns": {"prize": "p"}}, "Did you mean 'price'"),
        ({"columns": {"price": "p"}, "events": {"x": "view"}}, "unknown event type 'view'"),
        ({"columns": {"price": "p"}, "clock": "hour"}, "unknown clock"),
        ({"columns": {"price": "p"}, "zone": "Europe/Berlim"}, "Did you mean 'Europe/Berlin'"),
        ({"columns": {"price": "p"}, "separator": "||"}, "one character"),
        ({"columns": {"price": "p"}, "currency": "EURO"}, "ISO 4217"),
        ({"columns": {"price": {"divide": 0, "column": "p"}}}, "divide must be a number > 0"),
        ({"columns": {"event_time": {"parts": ["y", "m"]}}}, "year, month, day"),
        ({"columns": {"price": 1.5}}, "must be a column name"),
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
