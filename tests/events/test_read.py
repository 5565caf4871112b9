"""Every way in gives the same events; every broken file gives one clear error."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import zipfile
from datetime import datetime

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cartcast import events
from cartcast.errors import DataError, NotFoundError, UsageError

KEYS = ["visitor_id", "session_id", "event_time", "event_order", "event_type", "item_id", "price"]


LONG = gzip.compress(
    b"user_id,event_time,event_type\n"
    + b"".join(b"%d,2024-03-01 %02d:00:00,view\n" % (i * i, i % 24) for i in range(100_000))
)


def same(log: events.Log, truth: events.Log) -> None:
    assert log.table(KEYS).equals(truth.table(KEYS))
    assert log.summary.revenue == truth.summary.revenue == 57.0


@pytest.fixture
def truth(write, as_csv, rows):
    return events.load(write(as_csv(rows), "truth.csv"))


def zipped(name: str, text: str, *others: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for other in others:
            archive.writestr(other, "words about the data")
        archive.writestr(name, text)
    return out.getvalue()


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators(write, as_csv, rows, truth, separator):
    same(events.load(write(as_csv(rows, separator))), truth)


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("bom.csv", lambda t: b"\xef\xbb\xbf" + t.encode()),
        ("utf16.csv", lambda t: t.encode("utf-16")),
        ("utf16le.csv", lambda t: t.encode("utf-16-le")),
        ("crlf.csv", lambda t: t.replace("\n", "\r\n").encode()),
        ("cr.csv", lambda t: t.replace("\n", "\r").encode()),
        ("mixed.csv", lambda t: t.replace("\n", "\r\n", 20).encode()),
        ("packed.csv.gz", lambda t: gzip.compress(t.encode())),
        (
            "members.csv.gz",
            lambda t: gzip.compress(t[:999].encode()) + gzip.compress(t[999:].encode()),
        ),
        ("packed_unnamed.csv", lambda t: gzip.compress(t.encode())),
        ("one.zip", lambda t: zipped("a.csv", t)),
        ("described.zip", lambda t: zipped("a.csv", t, "description.txt", "__MACOSX/._a.csv")),
        ("no_last_newline.csv", lambda t: t.rstrip("\n").encode()),
        ("trailing.csv", lambda t: t.replace("\n", ",\n").encode()),
        ("trailing_rows.csv", lambda t: t.replace("\n", ",\n").replace(",\n", "\n", 1).encode()),
        ("quoted.csv", lambda t: t.replace("view", '"view"').encode()),
    ],
)
def test_forms_of_text(write, as_csv, rows, truth, name, encode):
    same(events.load(write(encode(as_csv(rows)), name)), truth)


@pytest.mark.parametrize("where", ["early", "late"])
def test_latin1_is_read_and_said(write, as_csv, shop, where):
    rows = shop(9000)
    rows[0 if where == "early" else -1]["product_id"] = "Größe"
    log = events.load(write(as_csv(rows).encode("latin-1")))
    assert "Größe" in log.table(["item_id"])["item_id"].to_pylist()
    assert log.summary.events == 9000
    assert "EV107" in {f.code for f in log.findings}


def test_quotes_with_newlines_and_unicode(write, as_csv, rows):
    text = as_csv(rows).replace("p3", '"a ""q"",\n 日本 🎉"', 1)
    log = events.load(write(text))
    assert log.summary.rejects == 0
    assert 'a "q",\n 日本 🎉' in log.table(["item_id"])["item_id"].to_pylist()


def test_json_lines_and_lists(write, rows, truth):
    lines = "\n".join(json.dumps({**r, "price": 9.5, "more": {"a": [1]}}) for r in rows)
    for name, content in {
        "a.jsonl": lines,
        "a.ndjson.gz": gzip.compress(lines.encode()),
        "a.json": json.dumps(rows, indent=1),
    }.items():
        same(events.load(write(content, name)), truth)
    assert "more_a" in events.load(write(lines, "b.jsonl")).columns


def test_bad_json_lines_are_rejects(write, rows):
    lines = "\n".join(json.dumps(r) for r in rows) + "\n{oops\n\n[1]\n"
    log = events.load(write(lines, "a.jsonl"), max_reject_share=0.5)
    found = pq.read_table(log.rejects).to_pylist()
    assert [(r["row"], r["reason"], r["value"]) for r in found] == [
        (61, "bad_json", "{oops"),
        (63, "bad_json", "[1]"),
    ]


def test_parquet_file_folder_and_glob(write, rows, truth, tmp_path):
    table = pa.Table.from_pylist(rows)
    folder = tmp_path / "parts"
    folder.mkdir()
    pq.write_table(table.slice(0, 30), folder / "a.parquet")
    pq.write_table(table.slice(30), folder / "b.parquet")
    pq.write_table(table, tmp_path / "whole.parquet")
    for source in (tmp_path / "whole.parquet", folder, folder / "*.parquet"):
        same(events.load(source), truth)
    same(events.load(folder / "a.parquet", folder / "b.parquet"), truth)


def test_files_one_after_the_other_lie_in_time_order(write, as_csv, rows, truth):
    parts = [write(as_csv(rows[k : k + 20]), f"part{k:02d}.csv") for k in (0, 20, 40)]
    same(events.load(*parts), truth)
    same(events.load(*reversed(parts)), truth)


def test_files_of_two_forms_are_one_log(write, as_csv, rows, truth):
    a = write(as_csv(rows[:20]), "a.csv")
    b = write("".join(json.dumps(r) + "\n" for r in rows[20:40]), "b.jsonl")
    c = write(as_csv(rows[40:], ";"), "c.csv")
    same(events.load(a, b, c), truth)


def test_a_column_named_filename_is_kept(write, as_csv, shop):
    rows = shop(60, filename="x.png", file_row_number="7")
    a, b = write(as_csv(rows[:30]), "a.csv"), write(as_csv(rows[30:]), "b.csv")
    log = events.load(a, b)
    assert {"source_filename", "source_file_row_number"} <= set(log.columns)
    assert set(log.table(["source_filename"])["source_filename"].to_pylist()) == {"x.png"}


def test_tables_in_memory(rows, truth):
    polars = pytest.importorskip("polars")
    frame = pd.DataFrame(rows)
    typed = frame.assign(
        event_time=pd.to_datetime(frame.event_time), price=frame.price.astype(float)
    )
    zoned = typed.assign(event_time=typed.event_time.dt.tz_localize("Europe/Berlin"))
    same(events.load(frame), truth)
    same(events.load(typed), truth)
    same(events.load(pa.Table.from_pandas(typed)), truth)
    same(events.load(polars.DataFrame(rows)), truth)
    start = events.load(zoned).summary.start
    assert start == "2024-02-29T23:00:00Z", "an offset is converted"


def test_other_objects_are_refused():
    with pytest.raises(UsageError, match="pandas, Polars or Arrow"):
        events.load([1, 2, 3])


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("", "a.csv", "empty"),
        ("\n\n", "a.csv", "empty"),
        ("user_id,session_id,event_time,event_type\n", "a.csv", "no rows"),
        ("a^b^c\n1^2^3\n", "a.csv", "only one column"),
        (bytes(range(256)) * 10, "a.csv", "not a text file"),
        (gzip.compress(os.urandom(9999))[:5000], "a.csv.gz", "damaged gzip"),
        (b"PK\x03\x04 nothing", "a.zip", "damaged"),
        ("PAR1 nothing", "a.parquet", "cannot be read"),
        (" ", "a.json", "empty"),
        ("words\n", "a.jsonl", "no JSON object"),
        ("x,y\n1,2\n", "a.csv", "no column looks like a visitor or session"),
        (LONG[: len(LONG) // 2], "b.csv.gz", "damaged gzip"),
        ("user_id,y\n1,2\n", "a.csv", "no column looks like a time"),
    ],
)
def test_broken_files(write, content, name, words):
    with pytest.raises(DataError, match=words) as caught:
        events.load(write(content, name))
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_two_data_files_in_a_zip(write, as_csv, rows):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", as_csv(rows))
        archive.writestr("b.csv", as_csv(rows))
    with pytest.raises(DataError, match="one data file, found 2"):
        events.load(write(out.getvalue(), "two.zip"))


def test_missing_files(tmp_path):
    (tmp_path / "hollow").mkdir()
    for source in (tmp_path / "no.csv", tmp_path / "*.csv", tmp_path / "hollow"):
        with pytest.raises(NotFoundError):
            events.load(source)


def test_a_column_named_twice(write, as_csv, rows):
    text = as_csv(rows).replace("9.5", "9.5,1").replace("price", "price,price")
    with pytest.raises(DataError, match="'price' twice"):
        events.load(write(text))
    other = as_csv(rows).replace("9.5", "9.5,1,2").replace("price", "price,foo,foo")
    assert {"foo", "foo_2"} <= set(events.load(write(other)).columns)


def test_names_cannot_break_out_of_statements(write, as_csv, rows, tmp_path):
    evil = "x'); DROP TABLE stage; --"
    text = as_csv(rows).replace("price", f'price,"{evil} ""q"""').replace("9.5", "9.5,1")
    log = events.load(write(text, 'it\'s "odd".csv'))
    assert log.summary.events == 60
    assert any("drop_table_stage" in c for c in log.columns)


RECORDS = [
    {"visitor_id": f"v{k % 5}", "timestamp": f"2024-05-03T10:{k:02d}:00Z", "event": "view",
     "item_id": f"i{k}"} for k in range(40)
]  # fmt: skip
ANSWERS = {
    "data": lambda r: json.dumps({"data": r}),
    "results, over lines": lambda r: json.dumps(
        {"count": 40, "next": None, "results": r}, indent=1
    ),
    "after": lambda r: json.dumps({"events": r, "has_more": False, "links": {"next": ["u"]}}),
    "pages, one a line": lambda r: "\n".join(
        json.dumps({"data": r[k : k + 10], "page": k}) for k in range(0, 40, 10)
    ),
}


@pytest.mark.parametrize("form", ANSWERS)
def test_the_answer_of_an_api_is_the_list_in_it(tmp_path, form):
    (tmp_path / "lines.json").write_text("".join(json.dumps(r) + "\n" for r in RECORDS))
    (tmp_path / "answer.json").write_text(ANSWERS[form](RECORDS))
    found = [events.load(tmp_path / f"{n}.json").table().to_pylist() for n in ("lines", "answer")]
    assert found[0] == found[1]
    assert len(found[0]) == 40


def test_a_session_with_its_events_is_no_answer(tmp_path):
    one = {"session": 7, "events": [{"aid": 1, "ts": 1659304800000, "type": "clicks"},
                                    {"aid": 2, "ts": 1659304900000, "type": "orders"}]}  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(one))
    log = events.load(tmp_path / "a.json")
    assert (log.layout, log.summary.sessions) == ("otto", 1)


def book(path, sheets) -> None:
    """Write a workbook with the usual library for it, which is none of the reader's parts."""
    made = openpyxl.Workbook()
    made.remove(made.active)
    for title, rows in sheets.items():
        sheet = made.create_sheet(title)
        for row in rows:
            sheet.append(row)
    made.save(path)


def as_cells(kind: str) -> list[list]:
    """Return RECORDS as a person has them in a sheet: times, days beside hours, or texts."""
    rows: list[list] = [["visitor_id", "event", "item_id", "price", "order_id"]]
    rows[0] += {"days": ["Date", "Time"]}.get(kind, ["timestamp"])
    for k, one in enumerate(RECORDS):
        at = datetime.fromisoformat(one["timestamp"]).replace(tzinfo=None)
        when = {"days": [at.date(), at.time()], "texts": [at.strftime("%d.%m.%Y %H:%M:%S")]}
        order = 1000 + k if k % 9 == 8 else None
        event = "purchase" if order else one["event"]
        rows.append([one["visitor_id"], event, one["item_id"], 3.5, order, *when.get(kind, [at])])
    return rows


@pytest.mark.parametrize("kind", ["times", "days", "texts"])
def test_a_sheet_is_read_as_the_same_rows_in_a_text_file(tmp_path, kind):
    cells = as_cells("times")
    text = "\n".join(",".join("" if c is None else str(c) for c in row) for row in cells)
    (tmp_path / "a.csv").write_text(text + "\n")
    book(tmp_path / "a.xlsx", {"About us": [], "Klicks": as_cells(kind)})
    truth, got = events.load(tmp_path / "a.csv"), events.load(tmp_path / "a.xlsx")
    assert truth.summary.revenue == 4 * 3.5
    assert got.table().select(KEYS).equals(truth.table().select(KEYS))
    orders = got.table(["order_id"])["order_id"].drop_null().to_pylist()
    assert orders == ["1008", "1017", "1026", "1035"]


def test_what_is_no_single_sheet_is_told(tmp_path):
    rows = as_cells("times")
    book(tmp_path / "two.xlsx", {"May": rows, "June": rows})
    with pytest.raises(DataError, match=r"2 sheets with rows \('May', 'June'\)"):
        events.load(tmp_path / "two.xlsx")
    book(tmp_path / "none.xlsx", {"May": []})
    with pytest.raises(DataError, match="no sheet with rows"):
        events.load(tmp_path / "none.xlsx")
    (tmp_path / "cut.xlsx").write_bytes((tmp_path / "two.xlsx").read_bytes()[:900])
    (tmp_path / "text.xlsx").write_text("a,b\n1,2\n")
    for name in ("cut.xlsx", "text.xlsx"):
        with pytest.raises(DataError, match="damaged workbook"):
            events.load(tmp_path / name)


def test_without_its_library_a_workbook_is_named(tmp_path, monkeypatch):
    book(tmp_path / "a.xlsx", {"May": as_cells("times")})
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(UsageError, match=r"save its sheet as CSV, or pip install"):
        events.load(tmp_path / "a.xlsx")


def test_a_log_of_hundreds_of_columns_is_written_in_little_memory(tmp_path):
    """A dictionary for each column is held at once: small ones, where there are many columns."""
    own = {f"x{i}": ["a", "b"] * 5 for i in range(300)}
    times = pd.date_range("2025-01-01", periods=10, freq="min")
    table = pd.DataFrame(
        {
            "visitor_id": "v",
            "session_id": "s",
            "event_time": times,
            "event_type": "view_item",
            **own,
        }
    )
    log = events.load(table, folder=tmp_path, memory="600MB")
    assert len(log.table().column_names) > 300
