"""The same rows are read alike in any form of file, and cut into any parts."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from cartcast import events
from cartcast.errors import DataError
from cartcast.events.log import Log
from cartcast.events.time_forms import find_format
from cartcast.events.times import moment_of

HEAD = ("Order no", "Order date", "Customer", "SKU", "Quantity", "Unit price", "Total (ex tax)",
        "Total (inc tax)", "Status")  # fmt: skip
# Order k, of a customer in six, has one line or two; every fifth was cancelled.
ROWS = tuple(
    (f"{700 + k}", f"2024-05-{1 + k:02d} 10:05:00", f"c{k % 6}", f"P-{(k + line) % 4}", "2",
     f"{10 + k}.50", f"{(21.0 + 2 * k) * lines / 1.2:.2f}", f"{(21 + 2 * k) * lines}.00",
     "Cancelled" if k % 5 == 4 else "Paid")
    for k in range(15)
    for lines in (1 + k % 2,)
    for line in range(lines)
)  # fmt: skip
MONEY = sum((21 + 2 * k) * (1 + k % 2) for k in range(15) if k % 5 != 4)


def text(rows: list[tuple[str, ...]], separator: str = ",", end: str = "\n") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator=end).writerows(rows)
    return out.getvalue()


def as_json(rows: list[tuple[str, ...]], comma: bool = False) -> str:
    told = [dict(zip(HEAD, (c.replace(".", ",") if comma else c for c in r), strict=True))
            for r in rows]  # fmt: skip
    return "\n".join(map(json.dumps, told))


WHOLE = [HEAD, *ROWS]
EMPTY = ("",) * len(HEAD)
TITLE = ("Orders of May", *EMPTY[1:])
BACKWARDS = [row[::-1] for row in WHOLE]
FORMS: dict[str, tuple[str, str | bytes]] = {
    "tabs": ("csv", text(WHOLE, "\t")),
    "utf-16": ("csv", text(WHOLE, ";").encode("utf-16")),
    "columns from right to left": ("csv", text(BACKWARDS)),
    "lines of separators alone": ("csv", text([*WHOLE[:9], EMPTY, *WHOLE[9:], EMPTY, EMPTY])),
    "a title that is filled up": ("csv", text([TITLE, ("from", "2024-05-01", *EMPTY[2:]), EMPTY,
                                               *WHOLE])),
    "a title whose line ends otherwise": ("csv", text([TITLE, EMPTY]) + text(WHOLE, end="\r\n")),
    "lines that end in two ways": ("csv", text(WHOLE[:9], end="\r\n") + text(WHOLE[9:])),
    "decimal commas": ("csv", text([tuple(c.replace(".", ",") for c in r) for r in WHOLE], ";")),
    "a table's name before all": ("csv", text([tuple(f"o.{c}" for c in HEAD), *ROWS])),
    "an envelope around all": ("jsonl", "\n".join(
        json.dumps({"event": json.loads(line)}) for line in as_json(list(ROWS)).splitlines())),
    "JSON": ("jsonl", as_json(list(ROWS))),
    "JSON with decimal commas": ("jsonl", as_json(list(ROWS), comma=True)),
}  # fmt: skip


def check(log: Log) -> None:
    s = log.summary
    assert (s.orders, s.revenue, s.rejects, s.visitors) == (12, pytest.approx(MONEY), 0, 6)
    assert (s.start, s.end) == ("2024-05-01T10:05:00Z", "2024-05-15T10:05:00Z")


@pytest.mark.parametrize("form", FORMS)
def test_a_form(form: str, write: Callable[..., Path]) -> None:
    ending, content = FORMS[form]
    check(events.load(write(content, f"orders.{ending}"), report_only=True))


def test_a_spreadsheet_with_a_title_and_empty_rows(tmp_path: Path) -> None:
    rows = [TITLE, EMPTY, *WHOLE, EMPTY]
    pd.DataFrame(rows).to_excel(tmp_path / "o.xlsx", index=False, header=False)
    check(events.load(tmp_path / "o.xlsx", report_only=True))


def test_a_layout_may_say_the_full_names(write: Callable[..., Path]) -> None:
    path = write(text([tuple(f"o.{c}" for c in HEAD), *ROWS]))
    names = {"order_id": "Order no", "event_time": "Order date", "visitor_id": "Customer",
             "order_value": "Total (inc tax)"}  # fmt: skip
    for before in ("", "o."):
        said = "".join(f"  {t}: {before}{c}\n" for t, c in names.items())
        more = f"every_event: purchase\nstatus: [{before}Status]\n"
        layout = write(f"name: mine\n{more}columns:\n{said}", "layout.yaml")
        check(events.load(path, layout=layout, report_only=True))


@pytest.mark.parametrize("parts", ["halves", "other columns first", "shared rows", "twice", "sold"])
def test_parts(parts: str, write: Callable[..., Path]) -> None:
    # Some parts do not tell by themselves that a status may mean "not sold", or what is a total.
    cut: dict[str, list[list[tuple[str, ...]]]] = {
        "halves": [list(ROWS[:9]), list(ROWS[9:])],
        "shared rows": [list(ROWS[:12]), list(ROWS[9:])],
        "twice": [list(ROWS), list(ROWS)],
        "other columns first": [list(ROWS[:9]), list(ROWS[9:])],
        "sold": [[r for r in ROWS if r[-1] == s] for s in ("Cancelled", "Paid")],
    }
    files = [[HEAD, *rows] for rows in cut[parts]]
    if parts == "other columns first":
        files[1] = [r[::-1] for r in files[1]]
    check(events.load(*(write(text(f), f"{i}.csv") for i, f in enumerate(files))))


def test_a_day_that_one_part_leaves_open_is_told_by_another(write: Callable[..., Path]) -> None:
    head = "visitor,time,event"
    early = [f"v{d},0{d}/02/2024 10:00,view" for d in range(1, 9)]
    late = [f"v{d},{d}/02/2024 10:00,view" for d in range(20, 28)]
    files = [write("\n".join([head, *rows]), f"{n}.csv") for n, rows in enumerate((early, late))]
    s = events.load(*files, report_only=True).summary
    assert (s.start, s.end) == ("2024-02-01T10:00:00Z", "2024-02-27T10:00:00Z")


def test_an_order_of_a_day_that_lies_in_two_files_counts_once(write: Callable[..., Path]) -> None:
    head = "order_id,order_date,customer_id,sku,quantity,price"
    rows = [f"o{k // 2},2024-05-0{1 + k // 2},c{k // 2},p{k},1,10" for k in range(10)]
    parts = (rows[:7], rows[4:])
    files = [write("\n".join([head, *part]), f"{n}.csv") for n, part in enumerate(parts)]
    log = events.load(*files, report_only=True)
    assert (log.clock, log.summary.events, log.summary.revenue) == ("day", 10, 100)
    assert next(f for f in log.findings if f.code == "EV134").count == 3


@pytest.mark.parametrize("below", ["-{}", "({})", "{}-"])
def test_amounts_below_zero_as_accountants_write_them(
    below: str, write: Callable[..., Path]
) -> None:
    rows = [f"o{k},2024-05-0{1 + k} 10:00:00,c{k},{10 + k}.50" for k in range(6)]
    rows.append(f"o2,2024-05-08 10:00:00,c2,{below.format('12.50')}")
    log = events.load(write("\n".join(["Order ID,Order Date,Customer ID,Amount", *rows])))
    assert (log.summary.revenue, log.summary.refunds, log.summary.orders) == (65.5, -12.5, 6)


TIMES = {
    "french": "{0.day} {1} {0.year} à {0:%H:%M}",
    "german": "{0.day}. {2} {0.year}, {0:%H:%M} Uhr",
    "spanish halves": "{0:%Y-%m-%d} {3:%I:%M} {4}. m.",
    "a zone by name": "{0:%Y-%m-%d %H:%M:%S} CET",
    "a zone in brackets": "{0:%Y-%m-%dT%H:%M}+01:00[Europe/Berlin]",
    "decimal comma": "{5},000",
}


@pytest.mark.parametrize("form", TIMES)
def test_times_in_words(form: str, write: Callable[..., Path]) -> None:
    # The words are read alike in a file and in one event; the months are those of February on.
    french, german = ("févr.", "mars", "avr."), ("Februar", "März", "April")
    told = []
    for k in range(30):
        at = dt.datetime(2024, 2 + k % 3, 1 + k % 28, 9 + k % 9, k % 60)
        seconds = int(at.replace(tzinfo=dt.UTC).timestamp())
        told.append((TIMES[form].format(at, french[k % 3], german[k % 3], at,
                                        "a" if at.hour < 12 else "p", seconds), at))  # fmt: skip
    hour = dt.timedelta(hours="zone" in form)
    lines = [f'v{k},"{text}",view' for k, (text, _) in enumerate(told)]
    s = events.load(write("\n".join(["visitor,time,event", *lines])), report_only=True).summary
    first, last = min(at for _, at in told) - hour, max(at for _, at in told) - hour
    assert (s.rejects, s.start, s.end) == (0, f"{first.isoformat()}Z", f"{last.isoformat()}Z")
    read = find_format([text for text, _ in told])[0]
    assert read is not None
    for text, at in told:
        moment = (at - hour).replace(tzinfo=dt.UTC).timestamp()
        assert moment_of(text, read) == moment * 1e6


def clicks(times: list[str], price: str = "10.00") -> str:
    rows = [f"v{k};s{k};{at};purchase;{price}" for k, at in enumerate(times)]
    return "\n".join(["user_id;session_id;event_time;event_type;price", *rows])


WAYS = {
    "days first": "%d/%m/%Y %H:%M:%S",
    "months first": "%m/%d/%Y %H:%M:%S",
    "without seconds": "%d/%m/%Y %H:%M",
    "ISO": "%Y-%m-%d %H:%M:%S",
    "epochs": "%s",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_part_that_is_sure_is_read_by_its_own_form(way: str, write: Callable[..., Path]) -> None:
    days = [dt.datetime(2025, 3, day, 10, tzinfo=dt.UTC) for day in range(1, 18)]
    epochs = [str(int(d.timestamp())) for d in days]
    other = epochs if way == "epochs" else [d.strftime(WAYS[way]) for d in days]
    usual = [d.strftime("%d/%m/%Y %H:%M:%S") for d in days]
    files = [write(clicks(t), f"{n}.csv") for n, t in enumerate([usual] * 3 + [other])]
    s = events.load(*files, report_only=True).summary
    assert (s.rejects, s.start, s.end) == (0, "2025-03-01T10:00:00Z", "2025-03-17T10:00:00Z")


def test_a_part_that_is_sure_of_its_decimal_mark_keeps_it(write: Callable[..., Path]) -> None:
    times = [f"2025-03-0{k} 10:00:00" for k in range(1, 7)]
    comma = write(clicks(times, "12,50"), "comma.csv")
    point = write(clicks(times[:3], "1,299") + clicks(times[3:], "1,299.50")[46:], "point.csv")
    assert events.load(comma, point, report_only=True).summary.revenue == 6 * 12.5 + 6 * 1299.25
    with pytest.raises(DataError, match="one currency"):
        events.load(
            *(write(clicks(times, p), f"{n}.csv") for n, p in enumerate(("€12.50", "£9.00")))
        )


@pytest.mark.parametrize("noun", ["order", "visitor", "session"])
def test_what_stands_before_all_names_may_be_their_meaning(
    noun: str, write: Callable[..., Path]
) -> None:
    if noun == "order":
        head = "order.id,order.total,order.customer_id,order.created_at"
        rows = [f"{700 + k},10.50,c{k},2025-03-0{1 + k} 10:00:00" for k in range(6)]
    else:
        head = f"{noun}.id,{noun}.time,{noun}.event,{noun}.product_id,{noun}.price"
        rows = [f"w{k},2025-03-0{1 + k} 10:00:00,purchase,p,10.50" for k in range(6)]
    s = events.load(write("\n".join([head, *rows])), report_only=True).summary
    assert (s.sessions, s.purchases, s.revenue) == (6, 6, 63)


def test_a_header_that_names_few_of_its_columns_is_no_title(write: Callable[..., Path]) -> None:
    head = ["user_id;event_time;event_type;item_id;;;;;", "note;about;this;export;of;mine;;;"]
    rows = [f"u{k};2025-03-0{1 + k} 10:00:00;view;i;;;;;" for k in range(6)]
    s = events.load(write("\n".join(head + rows)), report_only=True, max_reject_share=0.5).summary
    assert (s.events, s.rejects) == (6, 1)


def test_a_zone_of_two_countries_is_not_guessed(write: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="rejected"):
        events.load(write(clicks([f"2025-03-0{k} 10:00:00 CST" for k in range(1, 7)])))
