"""A layout read record by record gives the rows that SQL gives of the whole file."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cartcast.errors import UsageError
from cartcast.events.builtin import LAYOUTS
from cartcast.events.engine import connect
from cartcast.events.kinds import EVENT_KINDS
from cartcast.events.layoutfile import from_mapping
from cartcast.events.layouts import Layout
from cartcast.events.numbers import NUMBER_COLUMNS
from cartcast.events.reading import read_sources
from cartcast.events.records import Records, Refused
from cartcast.events.schema import COLUMNS

TEXTS: list[Any] = [
    "a", "B", " x ", "", "null", "NULL", "guest", "Guest", "undefined", "(not set)", "n/a", "007",
    "1001.0", "-3.0", "0", 7, 1001.0, 12345678901234567890, True, False, "\u00a0y ", "\tz", "Größe",
    "\U0001f600 hat", ["a", 1], "https://shop.example/p?id=1#x", "x" * 300, " guest ", 1e22, "-1",
]  # fmt: skip
NUMBERS: list[Any] = [
    5, 0, 12.5, "12.50", "3", " 4.5 ", "1,299.00", "1 299.00", "free", "", "n/a", None, -2, "-2.5",
    "9e99", 1e13, True, "7.", ".5", "+8", "1e2", "1_000", "0x10", "NaN", "inf", "5 EUR",
]  # fmt: skip
TIMES: dict[str, list[Any]] = {
    "iso": [
        "2026-05-04T10:15:00Z", "2026-05-04T10:15:00.123456Z", "2026-05-04 10:15:00 UTC",
        "2026-05-04T12:15:00+02:00", "2026-05-04 12:15:00.5 +0200", "2026-05-04T10:15:00.123456789Z",
        "2026-05-04T24:00:00Z", "2026-05-04T10:15:00-03:30", "2026-05-04T10:15Z",
    ],
    "local": ["2026-05-04 10:15:00", "2026-10-25 02:30:00", "2026-03-29 02:30:00",
              "2026-05-04T10:15", "2026/5/4 1:02:03.25"],
    "epoch_s": [1777888800, "1777888800", 1777888800.25, "1777888800.5", "1777888800.2501075"],
    "epoch_ms": [1777888800000, "1777888800123", 1777888800000.5],
    "epoch_us": [1777888800000000, "1777888800123456"],
}  # fmt: skip
BAD_TIMES: list[Any] = [-5, "soon", 10**20, "2026-02-30T00:00:00Z", "1970-01-01T00:00:00Z", None]
CURRENCIES: list[Any] = ["EUR", "usd", " eur ", "", "n/a", "EURO", "XXA", 978, None]
WORDS = [*EVENT_KINDS, "Order_Completed", "OrderCompleted", "dance", "unknown", "", "action",
         "transaction_item", "revenue_amount", "list_click", "refunded", "pending"]  # fmt: skip
WIRE = ("segment", "rudderstack", "posthog", "amplitude", "mixpanel", "matomo", "snowplow", "ga4",
        "shopify", "woocommerce")  # fmt: skip


def put(record: Any, path: str, value: Any) -> None:
    """Set what a reference names in a record."""
    found = re.fullmatch(r"([^\[]+)\[([^\]]+)\](?:\.(.+))?", path)
    if found and found[2] == "*":
        for one in (value, 7.25, None):
            record.setdefault(found[1], []).append(inner := {})
            put(inner, found[3], one)
    elif found and found[2].isdigit():
        inner = record.setdefault(found[1].replace("*", "x"), [{}])
        if found[3]:
            put(inner[0], found[3], value)
        else:
            inner[0] = value
    elif found:
        pairs = record.setdefault(found[1], [])
        if value is not None:
            pairs.append({"key": found[2], "value": {"string_value": str(value)}})
    else:
        name, _, rest = path.partition(".")
        name = name.replace("*", "x")
        if rest:
            put(record.setdefault(name, {}), rest, value)
        else:
            record[name] = value


def value_of(random: random.Random, target: str, times: list[Any], odd: float) -> Any:
    """Draw a value of a column; a share of them is what trackers should not send."""
    strange = random.random() < odd
    if target in ("event_time", "known_time"):
        return random.choice(BAD_TIMES if strange and random.random() < 0.3 else times)
    if target in NUMBER_COLUMNS:
        return random.choice(NUMBERS if strange else [3, "2.5", 10.25, "1,299.00"])
    if target == "currency":
        return random.choice(CURRENCIES if strange else ["EUR", "usd"])
    if target == "event_type":
        return random.choice(WORDS)
    return random.choice(TEXTS)


def records_of(layout: Layout, seed: int, count: int = 150) -> list[dict[str, Any]]:
    """Make records in which any reference of the layout may hold anything."""
    draw = random.Random(seed)
    form = layout.time_format if layout.time_format in TIMES else list(TIMES)[seed % len(TIMES)]
    times = TIMES[form]
    named = [n for v in layout.columns.values() for n in v.references if "[Amp" not in n]
    # A name that is an object here and a text there, or in two cases, is a fault of its own.
    lower = [n.lower() for n in named]
    named = [
        n for k, n in enumerate(named)
        if n.lower() not in lower[:k] and not any(o.startswith(f"{n.lower()}.") for o in lower)
    ]  # fmt: skip
    made = []
    for number in range(count):
        record: dict[str, Any] = {"later": number % 3 * 1.5}
        odd = draw.choice([0.0, 0.1, 0.3])
        for target, value in layout.columns.items():
            for name in value.references:
                if name in named and draw.random() < (0.8 if number else 1.0):
                    put(record, name, value_of(draw, target, times, odd))
        for items in layout.items:
            if draw.random() < (0.6 if number else 1.0):
                listed = []
                for _ in range(draw.choice([0, 1, 1, 2, 3]) if number else 2):
                    item: dict[str, Any] = {}
                    for target, value in items.fields.items():
                        for name in value.references:
                            if draw.random() < 0.7:
                                put(item, name, value_of(draw, target, times, odd))
                    listed.append(item)
                put(record, items.columns[0], listed)
        for name in layout.records:
            # The fields of a record list were put as if it were one object.
            record[name] = [record[name]] if draw.random() < 0.9 else [record[name], {}]
        if layout.refund is not None:
            for name in layout.refund.columns:
                put(record, name, draw.choice([None, 0, "5.00", "-3", "x", "1,299.00"]))
        made.append(record)
    return made


COMPARED = [c for c in COLUMNS if c not in ("utc_offset", "revenue", "event_order", "known_time")]


def by_file(layout: Layout, path: Path, work: Path) -> list[Any]:
    """Return each row as SQL types it: its columns, or the reason why it is refused."""
    with connect(work) as con:
        read = read_sources(con, [path], layout, None, work, lambda *_: None, None)
        present = ", ".join("epoch_us(event_time)" if c == "event_time" else c for c in COMPARED)
        rows = con.sql(f"SELECT __reason, __at, {present} FROM typed ORDER BY __seq").fetchall()
        assert read.sources
    return [
        row[0]
        if row[0]
        else {k: v for k, v in zip(COMPARED, row[2:], strict=True) if v is not None}
        for row in rows
    ]


def by_record(layout: Layout, records: list[dict[str, Any]]) -> Iterator[Any]:
    """Return each row as the stream reads it; a row without a time is a reject of a file."""
    reader = Records(layout)
    for record in json.loads(json.dumps(records)):
        for row in reader.rows(record):
            if isinstance(row, Refused):
                yield row.reason
            elif row["event_time"] is None:
                yield "missing_time"
            else:
                found = {k: v for k, v in row.items() if k in COMPARED and v is not None}
                found["quantity"] = found.get("quantity", 1.0)
                yield found


def agree(layout: Layout, records: list[dict[str, Any]], folder: Path) -> None:
    path = folder / "records.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    expected, found = by_file(layout, path, folder), list(by_record(layout, records))
    assert len(found) == len(expected)
    kept = 0
    for number, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        if isinstance(mine, str) or isinstance(theirs, str):
            # Both refuse it; of several broken rules either may be named.
            assert isinstance(mine, str) == isinstance(theirs, str), (
                number,
                mine,
                theirs,
                records[number],
            )
        else:
            assert mine == theirs, number
            kept += 1
    assert kept > len(records) / 5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", WIRE)
def test_the_layouts_of_trackers(name: str, seed: int, tmp_path: Path) -> None:
    agree(LAYOUTS[name], records_of(LAYOUTS[name], seed), tmp_path)


AT = "2026-05-04T10:15:00Z"
EXPOSURES: dict[str, list[tuple[dict[str, Any], str | None, str | None]]] = {
    "posthog": [
        ({"$feature_flag": "free", "$feature_flag_response": "test"}, "free", "test"),
        ({"$feature_flag": "free", "$feature_flag_response": False}, "free", "false"),
        ({"experiment_id": "free", "variation_id": 1}, "free", "1"),
        ({"variation_id": "of a product"}, None, None),
    ],
    "segment": [
        ({"experiment_id": 7, "experiment_name": "Free", "variation_name": "B"}, "7", "B"),
        ({"experimentId": "free", "variationId": 0}, "free", "0"),
        ({"experiment_name": "Free"}, "Free", None),
        ({"variation_id": "of a product"}, None, None),
    ],
    "mixpanel": [({"Experiment name": "free", "Variant name": "b"}, "free", "b")],
    "amplitude": [
        ({"flag_key": "free", "variant": "on"}, "free", "on"),
        ({"experimentId": "free", "variantId": "1"}, "free", "1"),
        ({"variant": "red"}, None, None),
    ],
    "ga4": [
        ({"experiment_id": "free", "variation_id": 1}, "free", "1"),
        ({"exp_variant_string": "TOOL-free-shipping-B"}, "free-shipping", "B"),
        ({"exp_variant_string": "TOOL-free"}, None, None),
    ],
    "cartcast": [({"experiment": "free", "arm": "b"}, "free", "b"), ({"arm": "own"}, None, "own")],
}  # fmt: skip
EXPOSURES["rudderstack"] = EXPOSURES["segment"]


def exposure(name: str, told: dict[str, Any]) -> dict[str, Any]:
    """Return an event of a tool with these properties, as the tool exports it."""
    pairs = [{"key": k, "value": {"string_value": str(v)}} for k, v in told.items()]
    known: dict[str, dict[str, Any]] = {
        "posthog": {"event": "x", "distinct_id": "v", "timestamp": AT, "properties": told},
        "mixpanel": {"event": "x", "properties": {"time": 1777888800, "$device_id": "v", **told}},
        "amplitude": {"event_type": "x", "device_id": "v", "event_time": AT,
                      "event_properties": told},
        "ga4": {"event_name": "x", "user_pseudo_id": "v", "event_timestamp": 1777888800000000,
                "event_params": pairs},
        "cartcast": {"event_type": "x", "visitor_id": "v", "event_time": AT, **told},
    }  # fmt: skip
    call = {"event": "x", "anonymousId": "v", "timestamp": AT, "properties": told}
    return known.get(name, call)


@pytest.mark.parametrize("name", EXPOSURES)
def test_exposures_of_other_tools(name: str, tmp_path: Path) -> None:
    records = [exposure(name, told) for told, _, _ in EXPOSURES[name]]
    agree(LAYOUTS[name], records, tmp_path)
    found = [(r.get("experiment"), r.get("arm")) for r in by_record(LAYOUTS[name], records)]
    assert found == [(experiment, arm) for _, experiment, arm in EXPOSURES[name]]


OWN: dict[str, Any] = {
    "conditions": {
        "columns": {
            "visitor_id": {"columns": ["who.device", "device"], "nulls": ["7"]},
            "user_id": {"columns": "login", "unlike": "who.device", "pattern": "[^$x].*"},
            "session_id": {"columns": ["visit", "no"], "joined": True},
            "event_time": {"columns": "at", "plus": "later", "plus_unit": "s"},
            "event_type": {"columns": "sku", "says": "view_item", "otherwise": {"column": "what"}},
            "item_id": {"column": "sku", "pattern": "(.+?)-.*"},
            "price": {"column": "cents", "divide": 100},
            "order_value": {"column": "micros", "divide": 10, "otherwise": "total"},
            "currency": {"column": "money", "constant": "EUR"},
            "category": {"constant": "all"},
        },
        "session_per_visitor": True,
        "zone": "Europe/Berlin",
        "events": {"dance": "search"},
    },
    "refunds": {
        "columns": {"user_id": "mail", "event_time": "at", "order_id": "no", "order_value": "total",
                    "price": "price"},
        "every_event": "purchase",
        "refund": "back",
        "currency": "EUR",
    },
    "a comma": {
        "columns": {"visitor_id": "v", "event_time": "at", "event_type": "what", "price": "p"},
        "decimal": ",",
    },
}  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", OWN)
def test_layouts_of_ones_own(name: str, seed: int, tmp_path: Path) -> None:
    layout = from_mapping(OWN[name], name)
    records = records_of(layout, seed)
    for number, record in enumerate(records):
        record["later"] = [0, 3, "2.5", None, "x"][number % 5]
    if name == "a comma":
        for number, record in enumerate(records):
            record["p"] = ["12,50", "1.299,00", "3", "1.299", "1.5", "x", None][number % 7]
    agree(layout, records, tmp_path)


def test_a_layout_for_whole_files_is_refused() -> None:
    for name in ("ga360",):
        with pytest.raises(UsageError, match="whole files"):
            Records(LAYOUTS[name])
    day = from_mapping({"columns": {"visitor_id": "v", "event_time": "d"}, "clock": "day"})
    with pytest.raises(UsageError, match="whole files"):
        Records(day)
