"""The disguises themselves: the shop keeps its promises, and files hold what their form says.

Files are read back with plain `json`, `csv` and Arrow, by the rules of each tool's own documents.
"""

from __future__ import annotations

import csv
import itertools
import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cartcast.datasets.disguises import (
    ACCIDENTS,
    FACTS,
    FORMS,
    Case,
    TrueLog,
    Written,
    cases,
    make_log,
    product,
    truth_of,
    write_case,
    write_form,
)  # fmt: skip
from cartcast.datasets.disguises.shop import GAP
from cartcast.errors import UsageError

sys.path.insert(0, str(Path(__file__).parent))
import slow_reader


@pytest.fixture(params=(1, 2, 3), ids=lambda seed: f"seed-{seed}", scope="module")
def log(request: pytest.FixtureRequest) -> TrueLog:
    return make_log(request.param, 80)


def written(form: str, folder: Path, *accidents: str) -> Written:
    return write_case(Case(FORMS[form], tuple(ACCIDENTS[a] for a in accidents)), folder, 1)


def json_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def csv_rows(path: Path, separator: str = ",") -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=separator))


# The shop


def test_sessions_obey_the_gap_whoever_looks(log: TrueLog) -> None:
    by_visitor = defaultdict(list)
    for event in log:
        by_visitor[event.visitor_id].append(event)
    for events in by_visitor.values():
        for a, b in itertools.pairwise(events):
            assert (b.time - a.time <= GAP) == (a.session_id == b.session_id)
    for events in log.sessions().values():
        assert [e.position for e in events] == list(range(1, len(events) + 1))


def test_event_ids_are_unique_and_order_ids_too(log: TrueLog) -> None:
    bought = [e.order.order_id for e in log if e.event_type == "purchase"]
    assert len({e.event_id for e in log}) == len(log.events)
    assert len(set(bought)) == len(bought) > 10


def test_the_shop_holds_every_oddity(log: TrueLog) -> None:
    orders = [e for e in log if e.event_type == "purchase"]
    assert {e.server for e in orders} == {None, "user", "client"}
    assert {len(e.lines) for e in orders} >= {1, 2, 3, 4}
    items = [Counter(line.item_id for line in e.lines) for e in orders]
    assert any(max(c.values()) == 2 for c in items)
    assert all(len(set(e.lines)) == len(e.lines) for e in orders)
    sums = [round(sum(line.value for line in e.lines), 2) for e in orders]
    assert {s == e.order.total for s, e in zip(sums, orders, strict=True)} == {True, False}
    ties = [a.event_type != b.event_type for a, b in itertools.pairwise(log)
            if (a.time, a.session_id) == (b.time, b.session_id)]  # fmt: skip
    assert len(ties) > 10
    assert all(ties)
    assert "NA" in {e.country for e in log}
    zeros = {i.item_id.startswith("0") for e in log for i in e.lines}
    assert zeros == {True, False}
    devices = defaultdict(set)
    for e in log:
        devices[e.user_id].add(e.visitor_id)
    assert any(len(d) > 1 for u, d in devices.items() if u)


def test_a_refund_is_of_an_order_before_it(log: TrueLog) -> None:
    sold, places = {}, Counter()
    for e in log:
        if e.event_type == "purchase":
            sold[e.order.order_id] = e
        elif e.event_type == "refund":
            before = sold[e.order.order_id]
            assert (before.visitor_id, before.time < e.time) == (e.visitor_id, True)
            assert e.order.total <= before.order.total
            places[before.session_id == e.session_id] += 1
    assert set(places) == {True, False}


def test_the_server_sends_what_can_be_joined(log: TrueLog) -> None:
    """A purchase known by its user only comes after that user was seen on that device last."""
    last: dict[str, str] = {}
    for e in log:
        if e.server == "user":
            assert last[e.user_id] == e.session_id
        elif e.user_id:
            last[e.user_id] = e.session_id


def test_a_total_counts_once_and_a_refund_is_negative(log: TrueLog) -> None:
    truth = truth_of(log, frozenset(FACTS))
    bought = sum(e.order.total for e in log if e.event_type == "purchase")
    back = sum(e.order.total for e in log if e.event_type == "refund")
    assert truth.revenue == pytest.approx(bought - back)
    assert truth.refunds == pytest.approx(-back)
    assert truth.events == sum(len(e.lines) if e.order else 1 for e in log)


# The forms, by the rules of each tool


def test_ga4_json_adds_up(tmp_path: Path) -> None:
    case = written("ga4-jsonl", tmp_path)
    rows = json_lines(case.log[0])
    paid = sum(r["ecommerce"].get("purchase_revenue", 0) for r in rows if "ecommerce" in r)
    back = sum(r["ecommerce"].get("refund_value", 0) for r in rows if "ecommerce" in r)
    assert paid - back == pytest.approx(case.truth.revenue)
    visitors, users = ({r[n] for r in rows if n in r} for n in ("user_pseudo_id", "user_id"))
    assert (len(visitors), len(users)) == (case.truth.visitors, case.truth.users)
    assert all(isinstance(r["event_timestamp"], str) for r in rows)
    sessions = {
        (r["user_pseudo_id"], p["value"]["int_value"])
        for r in rows
        for p in r["event_params"]
        if p["key"] == "ga_session_id"
    }
    assert len(sessions) == case.truth.sessions
    assert len({s for _, s in sessions}) < len(sessions)
    assert not any(v is None for r in rows for v in r.values())


def test_flat_ga4_repeats_the_orders_revenue(tmp_path: Path) -> None:
    case = written("ga4-flat", tmp_path)
    paid, back, naive = {}, {}, 0.0
    for row in csv_rows(case.log[0]):
        key = (row["transaction_id"], row["event_timestamp"])
        if row["event_name"] == "purchase":
            paid[key] = float(row["purchase_revenue"])
            naive += paid[key]
        elif row["event_name"] == "refund":
            back[key] = float(row["refund_value"])
    assert sum(paid.values()) - sum(back.values()) == pytest.approx(case.truth.revenue)
    assert naive > 1.5 * sum(paid.values())


def test_ga360_is_in_millionths_and_milliseconds(tmp_path: Path) -> None:
    case = written("ga360", tmp_path)
    rows = pq.read_table(case.log[0]).to_pylist()
    paid = sum(r["totals"]["totalTransactionRevenue"] or 0 for r in rows)
    back = sum(h["refund"]["refundAmount"] for r in rows for h in r["hits"] if h["refund"])
    assert (paid - back) / 1e6 == pytest.approx(case.truth.revenue)
    assert (
        len({(r["fullVisitorId"], r["visitId"]) for r in rows}) == len(rows) == case.truth.sessions
    )
    times = {r["visitStartTime"] + h["time"] // 1000 for r in rows for h in r["hits"]}
    assert times == {row["event_time"] for row in case.truth.rows}


def test_segment_calls_follow_the_spec(tmp_path: Path) -> None:
    case = written("segment", tmp_path)
    rows = json_lines(case.log[0])
    sums = Counter()
    for row in rows:
        assert {"type", "messageId", "timestamp"} <= set(row)
        assert row.get("anonymousId") or row.get("userId")
        if row["type"] == "track":
            sums[row["event"]] += row["properties"].get("total", 0)
    told = sums["Order Completed"] - sums["Order Refunded"]
    assert told == pytest.approx(case.truth.revenue)
    assert sum("anonymousId" not in row for row in rows) > 3


def test_amplitudes_event_id_is_no_id_and_minus_one_no_session(tmp_path: Path) -> None:
    case = written("amplitude", tmp_path)
    rows = json_lines(case.log[0])
    assert len({r["event_id"] for r in rows}) < len(rows) / 4
    assert len({r["$insert_id"] for r in rows}) == len(rows)
    assert {(r["device_id"] and None, r["session_id"]) for r in rows if r["session_id"] == -1}
    told = sum(r["event_properties"].get("$revenue", 0) for r in rows)
    assert told == pytest.approx(case.truth.revenue)


def test_posthog_knows_the_device_where_it_names_the_user(tmp_path: Path) -> None:
    case = written("posthog", tmp_path)
    rows = pq.read_table(case.log[0]).to_pylist()
    told = [json.loads(r["properties"]) for r in rows]
    devices = {t["$device_id"] for t in told if "$device_id" in t}
    assert len(devices) == case.truth.visitors
    assert len({r["distinct_id"] for r in rows}) > len(devices)
    assert len({t["$session_id"] for t in told if "$session_id" in t}) == case.truth.sessions


@pytest.mark.parametrize("form", ["shopify", "woocommerce"])
def test_orders_lie_beside_the_clicks(form: str, tmp_path: Path) -> None:
    case = written(form, tmp_path)
    rows = csv_rows(case.orders[0])
    tried = [r for r in rows if r.get("status", "completed") != "completed"]
    assert (len(tried) > 0) == (form == "woocommerce")
    rows = [r for r in rows if r not in tried]
    name, total = ("Name", "Total") if form == "shopify" else ("order_id", "order_total")
    orders = {r[name]: float(r[total]) for r in rows if r[total]}
    assert sum(orders.values()) == pytest.approx(case.truth.revenue)
    assert len(orders) == case.truth.orders
    assert len(rows) == case.truth.purchases
    assert all(bool(r[total]) for r in rows) == (form == "woocommerce")
    assert not any(r["event_name"] == "purchase" for r in csv_rows(case.log[0]))


def test_yoochoose_has_no_header(tmp_path: Path) -> None:
    case = written("yoochoose", tmp_path)
    clicks, buys = ([line.split(",") for line in p.read_text().splitlines()] for p in case.log)
    assert sum(int(row[3]) * int(row[4]) for row in buys) == case.truth.revenue
    assert len({row[0] for row in clicks + buys}) == case.truth.sessions


def test_otto_and_matomo_hold_a_session_in_a_record(tmp_path: Path) -> None:
    case = written("otto", tmp_path)
    rows = json_lines(case.log[0])
    assert len(rows) == case.truth.sessions
    assert sum(len(r["events"]) for r in rows) == case.truth.events
    case = written("matomo", tmp_path)
    actions = [a for v in json.loads(case.log[0].read_text()) for a in v["actionDetails"]]
    told = sum(a["revenue"] for a in actions if a["type"] == "ecommerceOrder")
    assert told == pytest.approx(case.truth.revenue)


def names_of(kind: pa.DataType) -> dict[str, pa.DataType]:
    while pa.types.is_list(kind):
        kind = kind.value_type
    return {f.name: f.type for f in kind} if pa.types.is_struct(kind) else {}


def compare(
    ours: dict[str, pa.DataType], real: dict[str, pa.DataType], where: str = ""
) -> list[str]:
    """Names that only we have, and types that differ; a column all null has no type in the sample."""
    wrong = []
    for name, kind in ours.items():
        if name not in real:
            wrong.append(f"{where}{name}")
        elif names_of(kind):
            wrong += compare(names_of(kind), names_of(real[name]), f"{where}{name}.")
        elif str(kind) != str(real[name]):
            wrong.append(f"{where}{name}: {kind} for {real[name]}")
    return wrong


@pytest.mark.data
@pytest.mark.parametrize(
    ("form", "sample", "newer"),
    [
        (
            "ga4", "ga4_file",
            {"is_active_user", "batch_event_index", "batch_page_id", "batch_ordering_id"},
        ),
        ("ga360", "ga360_file", set()),
    ],
)  # fmt: skip
def test_the_schema_is_that_of_the_real_export(
    form: str, sample: str, newer: set[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    real_file = request.getfixturevalue(sample)
    (path,) = written(form, tmp_path).log
    ours, real = ({f.name: f.type for f in pq.read_schema(p)} for p in (path, real_file))
    assert set(compare(ours, real)) == newer


# Accidents and the matrix


def test_the_truth_stays_where_only_the_file_changes(tmp_path: Path) -> None:
    plain = written("plain", tmp_path).truth
    for name in ("shuffled", "delivered-twice", "semicolons-decimal-comma", "utf-16", "gzip"):
        assert written("plain", tmp_path, name).truth == plain


@pytest.mark.parametrize(
    ("form", "order"),
    [
        ("ga4-jsonl", lambda r: tuple(int(r.get(f"batch_{n}", 0)) for n in _BATCH)),
        ("amplitude", lambda r: r["event_id"]),
        ("snowplow", lambda r: r.get(_CLIENT, [{"eventIndex": 0}])[0]["eventIndex"]),
    ],
)
def test_the_sources_own_order_breaks_ties(form: str, order: Any, tmp_path: Path) -> None:
    rows = json_lines(written(form, tmp_path).log[0])
    shuffled = json_lines(written(form, tmp_path, "shuffled").log[0])
    assert len(rows) == len(shuffled)
    time, who = {"ga4-jsonl": ("event_timestamp", "user_pseudo_id"),
                 "amplitude": ("event_time", "device_id"),
                 "snowplow": ("derived_tstamp", "domain_userid")}[form]  # fmt: skip

    def by_visitor(found: list[dict]) -> dict[str, list[tuple]]:
        kept = defaultdict(list)
        for row in found:
            kept[row.get(who)].append(
                (row[time], str(row.get("event_name", row.get("event_type"))))
            )
        return kept

    inside = sorted(shuffled, key=lambda r: (r[time], order(r)))
    assert by_visitor(inside) == by_visitor(rows)
    assert by_visitor(sorted(shuffled, key=lambda r: r[time])) != by_visitor(rows)


_BATCH = ("page_id", "ordering_id", "event_index")
_CLIENT = "contexts_com_snowplowanalytics_snowplow_client_session_1"


def test_overlapping_files_hold_every_row(tmp_path: Path) -> None:
    whole = {r["event_id"] for r in csv_rows(written("plain", tmp_path).log[0])}
    first, second = (
        {r["event_id"] for r in csv_rows(p)}
        for p in written("plain", tmp_path, "overlapping-files").log
    )
    assert first | second == whole
    assert first & second
    assert first - second


def test_the_clock_change_lies_within_a_session(tmp_path: Path) -> None:
    case = written("bare", tmp_path, "zone-berlin-autumn")
    rows = csv_rows(case.log[0])
    local = [r["datetime"] for r in rows]
    assert sum(a > b for a, b in itertools.pairwise(local)) == 1
    assert case.layout["zone"] == "Europe/Berlin"
    change = 1_761_440_400
    spans = defaultdict(list)
    for row in case.truth.rows:
        spans[row["session_id"]].append(row["event_time"])
    assert any(min(s) < change < max(s) for s in spans.values())


def test_money_per_line_and_per_order(tmp_path: Path) -> None:
    whole = written("plain", tmp_path).truth
    lines = written("plain", tmp_path, "money-line-total")
    rows = csv_rows(lines.log[0])
    signs = {"purchase": 1, "refund": -1}
    told = sum(signs[r["event_type"]] * float(r["line_total"]) for r in rows if r["line_total"])
    assert told == pytest.approx(lines.truth.revenue)
    assert "price" not in rows[0]
    assert lines.truth.revenue != whole.revenue
    assert written("plain", tmp_path, "money-revenue-on-each-line").truth.revenue == whole.revenue


def test_keys_that_come_late_come_late(tmp_path: Path) -> None:
    rows = json_lines(written("ga4-jsonl", tmp_path, "late-keys-deep").log[0])
    assert next(n for n, r in enumerate(rows) if "ecommerce" in r) > 25_000


def test_the_matrix_covers_every_pair() -> None:
    found = list(cases(1))
    assert len({c.name for c in found}) == len(found)
    alone = {(c.form.name, a.name) for c in found for a in c.accidents}
    assert {(c.form.name, a.name) for c in product() for a in c.accidents} == alone
    pairs = {frozenset(p) for c in found for p in itertools.combinations(c.accidents, 2)}
    mains = ("plain", "ga4-flat", "ga4-jsonl", "segment")
    for name in mains:
        able = [a for a in ACCIDENTS.values() if a.can(FORMS[name])]
        assert {frozenset(p) for p in itertools.combinations(able, 2) if p[0].fits(p[1])} <= pairs
    assert all(a.fits(b) for c in found for a, b in itertools.combinations(c.accidents, 2))


def test_every_accident_happens_to_some_form() -> None:
    assert {a.name for c in product() for a in c.accidents} == set(ACCIDENTS)


def test_every_form_writes_the_files_it_declares(tmp_path: Path) -> None:
    for form in FORMS.values():
        assert form.tells <= set(FACTS)
        case = write_case(Case(form), tmp_path)
        assert tuple(p.name for p in (*case.log, *case.orders)) == form.files


# The door


def test_a_form_is_written_where_asked(tmp_path: Path) -> None:
    made = write_form("ga4-jsonl", tmp_path / "log.jsonl", sessions=20)
    again = write_form("ga4-jsonl", tmp_path / "again.jsonl", sessions=20)
    assert made.files[0].read_bytes() == again.files[0].read_bytes()
    assert len(json_lines(made.files[0])) <= made.truth.events


def test_a_wrong_suffix_or_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must end in \.parquet"):
        write_form("ga4", tmp_path / "log.csv")
    with pytest.raises(UsageError, match="Did you mean 'ga4'"):
        write_form("ga5", tmp_path)
    assert not list(tmp_path.iterdir())


# The truth is in the files


@pytest.mark.parametrize(
    "form",
    ["plain", "ga4", "ga4-jsonl", "ga4-flat", "ga360", "segment", "rudderstack", "posthog",
     "amplitude", "mixpanel", "snowplow", "shopify"],
)  # fmt: skip
@pytest.mark.parametrize("accident", ["", "orders-told-again", "ids-with-zeros"])
def test_a_slow_reader_gets_the_truth_back(form: str, accident: str, tmp_path: Path) -> None:
    accidents = tuple(a for a in ACCIDENTS.values() if a.name == accident)
    if not all(a.can(FORMS[form]) for a in accidents):
        return
    case = write_case(Case(FORMS[form], accidents), tmp_path, 1 + len(accident))
    events = slow_reader.read(form, case.log, case.orders)
    got: Counter[tuple] = Counter()
    sums: dict[tuple, float] = {}
    names: dict[object, object] = {}
    for e in events:
        lines = e["lines"] if e["order"] else e["lines"][:1]
        for item, price, quantity in lines or [(None, None, None)]:
            what = (e["type"], item, price, quantity if item else None, e["order"])
            got[(e["visitor"], e["user"], e["time"], *what)] += 1
        names.setdefault(e["session"], len(names))
        if e["order"]:
            sums[e["type"], e["order"]] = e["total"]
    told = Counter(
        tuple(r[n] for n in ("visitor_id", "user_id", "event_time", "event_type", "item_id",
                             "price", "quantity", "order_id"))
        for r in case.truth.rows
    )  # fmt: skip
    assert got == told
    assert len(names) == case.truth.sessions
    revenue = sum(-v if kind == "refund" else v for (kind, _), v in sums.items())
    assert revenue == pytest.approx(case.truth.revenue)
    places = {(r["visitor_id"], r["event_time"]): r["session_id"] for r in case.truth.rows}
    both = {(e["session"], places[e["visitor"], e["time"]]) for e in events}
    assert len(both) == len(names)


def test_the_oracle_knows_nothing_of_the_reader() -> None:
    code = "import sys, cartcast.datasets.disguises as d; list(d.cases()); " \
           "print([m for m in sys.modules if m.startswith('cartcast.events')])"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
