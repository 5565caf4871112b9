"""Rows against the contract: each reason, its row and its value; and what is only a finding."""

from __future__ import annotations

import datetime as dt
import gzip
import random

import pyarrow.parquet as pq
import pytest

from cartcast import events
from cartcast.errors import DataError, UsageError
from cartcast.events.rules import REASONS


def codes(log: events.Log) -> set[str]:
    return {f.code for f in log.findings}


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("event_time", "2024-02-30 10:00:00", "bad_time"),
        ("event_time", "yesterday", "bad_time"),
        ("event_time", "infinity", "bad_time"),
        ("event_time", "epoch", "bad_time"),
        ("event_time", "", "missing_time"),
        ("event_time", "\\N", "missing_time"),
        ("event_time", "1970-01-01 00:00:00", "time_out_of_range"),
        ("event_time", "9999-12-31 00:00:00", "time_out_of_range"),
        ("price", "abc", "bad_price"),
        ("price", "inf", "bad_price"),
        ("price", "-Infinity", "bad_price"),
        ("price", "1e999", "bad_price"),
        ("price", "€5", "bad_price"),
        ("price", "-1", "negative_price"),
        ("quantity", "two", "bad_quantity"),
        ("quantity", "-2", "negative_quantity"),
        ("currency", "EURO", "unknown_currency"),
    ],
)
def test_each_reason(write, as_csv, shop, column, value, reason):
    rows = shop(120, quantity="1", currency="EUR")
    rows[41][column] = value
    log = events.load(write(as_csv(rows)))
    assert (log.summary.events, log.summary.rejects) == (119, 1)
    assert log.summary.reject_reasons == {reason: 1}
    (found,) = pq.read_table(log.rejects).to_pylist()
    assert (found["row"], found["reason"], found["column"]) == (42, reason, column)
    assert found["value"] == (None if reason.startswith("missing") else value)
    assert found["source"].endswith("events.csv")
    assert reason in REASONS


@pytest.mark.parametrize(
    "nothing", ["", "\\N", "NULL", "null", " ", "NaN", "None", "N/A", "(not set)"]
)
def test_words_for_nothing_are_null(write, as_csv, shop, nothing):
    log = events.load(write(as_csv(shop(30, price=nothing, product_id=nothing))))
    assert log.summary.rejects == 0
    assert log.summary.items == 0
    assert log.summary.revenue is None, "money that is not known is not 0"


def test_neither_visitor_nor_session(write, as_csv, shop):
    rows = shop(120)
    rows[5].update(user_id="", session_id="")
    rows[6].update(user_id="")
    log = events.load(write(as_csv(rows)))
    assert log.summary.reject_reasons == {"no_visitor_or_session": 1}


def test_ragged_rows_keep_the_numbers_of_the_others(write, as_csv, shop):
    lines = as_csv(shop(100)).splitlines()
    lines[5] = "u,s,2024-03-01 10:00:00,view"
    lines[9] += ",x,y"
    lines[12] += ",1,2,3,4,5,6,7"
    lines[20] = lines[20].replace("9.5", "abc")
    log = events.load(write("\n".join(lines)), max_reject_share=0.1)
    found = pq.read_table(log.rejects).to_pylist()
    assert [(r["row"], r["reason"]) for r in found] == [
        (5, "ragged_row"),
        (9, "ragged_row"),
        (12, "ragged_row"),
        (20, "bad_price"),
    ]
    assert log.summary.events == 96


@pytest.mark.parametrize(("closing", "lost"), [(None, 95), (40, 35)])
def test_an_open_quote_cannot_hide_lines(write, as_csv, shop, closing, lost):
    lines = as_csv(shop(100)).splitlines()
    for place in (5, closing):
        if place:
            lines[place] = 'u,s,2024-03-01 10:00:00,view,"open,3'
    with pytest.raises(events.RejectedError, match="rows") as caught:
        events.load(write("\n".join(lines) + "\n"))
    assert caught.value.log.summary.swallowed_lines == lost


@pytest.mark.parametrize("cell", [0, 2, -1])
@pytest.mark.parametrize("packed", [False, True])
def test_an_open_quote_in_any_cell_cannot_hide_lines(tmp_path, as_csv, shop, cell, packed):
    lines = as_csv(shop(100)).splitlines()
    cells = lines[40].split(",")
    cells[cell] = '"' + cells[cell]
    lines[40] = ",".join(cells)
    path = tmp_path / ("log.csv.gz" if packed else "log.csv")
    text = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    with pytest.raises(events.RejectedError, match="takes in 60 more lines") as caught:
        events.load(path)
    assert caught.value.log.summary.events == 39
    assert caught.value.log.summary.swallowed_lines == 60


def test_an_open_quote_in_the_last_line_is_a_reject(write, as_csv, shop):
    log = events.load(write(as_csv(shop(200)) + '"u,s,2024-03-01 10:00:00'))
    assert (log.summary.events, log.summary.rejects) == (200, 1)


def test_an_inch_is_no_open_quote(write, as_csv, shop):
    text = as_csv(shop(100)).replace("view", '5" view')
    log = events.load(write(text))
    assert (log.summary.events, log.summary.rejects) == (100, 0)


def test_too_many_rejects_still_report(write, as_csv, shop):
    rows = shop(100)
    for row in rows[:40]:
        row["price"] = "free"
    path = write(as_csv(rows))
    with pytest.raises(DataError, match=r"40 of 100 rows \(40.0%\).*row 1, got 'free'") as caught:
        events.load(path)
    assert isinstance(caught.value, events.RejectedError)
    assert caught.value.log.summary.events == 60
    assert pq.read_table(caught.value.log.rejects).num_rows == 40
    assert events.load(path, max_reject_share=0.4).summary.rejects == 40


def test_all_rows_rejected_is_refused_at_any_share(write, as_csv, shop):
    with pytest.raises(DataError, match="100.0%"):
        events.load(write(as_csv(shop(10, event_time="never"))), max_reject_share=1.0)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_share_is_a_share(write, as_csv, rows, share):
    with pytest.raises(UsageError, match="0 <= max_reject_share <= 1"):
        events.load(write(as_csv(rows)), max_reject_share=share)


def test_price_zero_is_a_finding(write, as_csv, shop):
    rows = shop(60)
    rows[3]["price"] = "0"
    log = events.load(write(as_csv(rows)))
    assert (log.summary.rejects, log.summary.price_not_positive) == (0, 1)
    assert "EV111" in codes(log)


def test_mixed_currencies_are_refused(write, as_csv, shop):
    rows = shop(30, currency="EUR") + shop(30, currency="usd")
    with pytest.raises(DataError, match=r"EUR \(30 events\), USD \(30 events\)"):
        events.load(write(as_csv(rows)))
    log = events.load(write(as_csv(shop(30, currency="eur"))))
    assert log.currency == log.summary.currency == "EUR"


@pytest.mark.parametrize(
    ("suffix", "start"),
    [
        ("", "2024-03-01T00:00:00Z"),
        ("Z", "2024-03-01T00:00:00Z"),
        (" UTC", "2024-03-01T00:00:00Z"),
        ("+00:00", "2024-03-01T00:00:00Z"),
        ("+02:00", "2024-02-29T22:00:00Z"),
        (" +0530", "2024-02-29T18:30:00Z"),
        (".123456-05", "2024-03-01T05:00:00.123456Z"),
    ],
)
def test_offsets_are_converted(write, as_csv, rows, suffix, start):
    for row in rows:
        row["event_time"] += suffix
    assert events.load(write(as_csv(rows))).summary.start == start


def test_mixed_zones(write, as_csv, shop):
    utc, offset = shop(60), shop(60)
    for row in utc[::2]:
        row["event_time"] += "Z"
    for row in offset[::2]:
        row["event_time"] += "+02:00"
    log = events.load(write(as_csv(utc)))
    assert log.summary.rejects == 0
    assert "EV104" in codes(log)
    with pytest.raises(DataError, match="ambiguous_time"):
        events.load(write(as_csv(offset)))


@pytest.mark.parametrize("unit", [1, 1000, 1_000_000])
def test_epochs(write, as_csv, shop, unit):
    rows = shop(60)
    for row in rows:
        moment = dt.datetime.fromisoformat(row["event_time"]).replace(tzinfo=dt.UTC)
        row["event_time"] = int(moment.timestamp()) * unit
    assert events.load(write(as_csv(rows))).summary.start == "2024-03-01T00:00:00Z"


def test_day_first_is_told_from_month_first(write, as_csv, shop):
    sure, unsure = shop(60), shop(60)
    for i, (a, b) in enumerate(zip(sure, unsure, strict=True)):
        a["event_time"] = f"{13 + i % 9}/03/2024 10:{i:02d}"
        b["event_time"] = f"0{1 + i % 9}/03/2024 10:{i:02d}"
    assert events.load(write(as_csv(sure))).summary.start == "2024-03-13T10:00:00Z"
    with pytest.raises(DataError, match="time_format"):
        events.load(write(as_csv(unsure)))


def test_dates_only_make_a_day_clock(write, as_csv, shop):
    log = events.load(write(as_csv(shop(30, event_time="2024-03-01"))))
    assert log.clock == "day"
    assert log.order == "session"
    assert "EV105" in codes(log)


def test_duplicate_rows_are_kept_and_said(write, as_csv, shop):
    rows = shop(30)
    log = events.load(write(as_csv([*rows, rows[3], rows[3]])))
    assert (log.summary.events, log.summary.duplicate_rows) == (32, 2)
    assert "EV112" in codes(log)


def test_identical_purchases_count_once_as_money(write, as_csv, shop):
    rows = shop(30)
    log = events.load(write(as_csv([*rows, rows[9]])))
    assert (log.summary.purchases, log.summary.revenue) == (4, 28.5)
    assert log.summary.revenue_as_sent == 38.0
    flagged = log.connect().sql("SELECT count(*) FROM events WHERE repeat_purchase").fetchone()
    assert flagged == (1,)


def test_event_ids_drop_rows_that_agree(write, as_csv, shop):
    rows = [{**r, "event_id": f"e{i}"} for i, r in enumerate(shop(30))]
    log = events.load(write(as_csv([*rows, rows[9], rows[3]])))
    assert (log.summary.events, log.summary.duplicate_events) == (30, 2)
    assert log.summary.purchases == 3
    assert "EV132" in codes(log)


def test_an_event_id_that_is_a_code_drops_nothing(write, as_csv, shop):
    kinds = {"view": "1", "purchase": "2"}
    rows = [{**r, "event_id": kinds[r["event_type"]]} for r in shop(30)]
    log = events.load(write(as_csv(rows)))
    assert (log.summary.events, log.summary.duplicate_events) == (30, 0)
    assert "EV133" in codes(log)


def test_purchases_without_item(write, as_csv, shop):
    rows = shop(30)
    rows[9]["product_id"] = ""
    log = events.load(write(as_csv(rows)))
    assert "EV115" in codes(log)
    assert log.summary.revenue == 28.5


def test_unknown_words_are_kept_as_other(write, as_csv, shop):
    rows = shop(30)
    rows[0]["event_type"] = "Wishlist"
    log = events.load(write(as_csv(rows)))
    table = log.table(["event_type", "source_event"]).to_pylist()
    assert table[0] == {"event_type": "other", "source_event": "Wishlist"}
    assert "EV116" in codes(log)


def test_shared_session_and_heavy_session(write, as_csv, shop):
    rows = shop(600, session_id="one")
    log = events.load(write(as_csv(rows)))
    assert log.summary.shared_sessions == 1
    assert {"EV110", "EV123"} <= codes(log)


def test_a_session_of_200_000_events(write):
    start = dt.datetime(2024, 1, 1)
    text = "user_id,session_id,event_time,event_type\n" + "".join(
        f"u,s,{start + dt.timedelta(seconds=i)},view\n" for i in range(200_000)
    )
    log = events.load(write(text))
    assert (log.summary.sessions, log.summary.longest_session) == (1, 200_000)
    last = log.connect().sql("SELECT max(event_order), count(*) FROM events").fetchone()
    assert last == (200_000, 200_000)


def test_ties_are_counted_whatever_the_sources_own_columns_are_called(write, as_csv, shop):
    rows = shop(400)
    for row in rows:
        row["event_time"] = row["event_time"][:15] + "0:00"
    random.Random(1).shuffle(rows)
    plain, named = (
        events.load(write(as_csv([row | dict.fromkeys(own, "x") for row in rows])))
        for own in (("a", "b", "c"), ("s", "kind", "several"))
    )
    told = [[f.message for f in log.findings if f.code == "EV131"] for log in (plain, named)]
    assert told[0] == told[1] != []
