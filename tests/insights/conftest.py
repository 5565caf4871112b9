"""Small random logs with ties, nulls and odd words; and the log as plain Python for oracles."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from cartcast.events.schema import COLUMNS, CONTRACT, METADATA_KEY

TYPES = {
    "VARCHAR": pa.string(),
    "TIMESTAMP": pa.timestamp("us"),
    "SMALLINT": pa.int16(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
}
START = datetime(2024, 1, 3, 22, 15)


def make_log(events: list[dict], clock: str = "time", currency: str | None = "EUR") -> pa.Table:
    """Return canonical events as an Arrow table with the log's metadata."""
    schema = pa.schema([(c.name, TYPES[c.type]) for c in COLUMNS.values()])
    rows = [{name: e.get(name) for name in schema.names} for e in events]
    told = json.dumps({"contract": CONTRACT, "clock": clock, "currency": currency})
    return pa.Table.from_pylist(rows, schema=schema).replace_schema_metadata({METADATA_KEY: told})


def random_events(seed: int, sessions: int = 60, days: int = 40) -> list[dict]:
    """Return events of a small shop: tied times, unknown visitors, devices and prices."""
    rng = random.Random(seed)
    kinds = ["view_item"] * 6 + ["add_to_cart"] * 3 + ["purchase"] * 2 + ["search", "page_view"]
    rows = []
    for s in range(sessions):
        at = START + timedelta(seconds=rng.randrange(days * 86_400))
        visitor = rng.choice([None, *(f"v{k}" for k in range(sessions // 3))])
        device = rng.choice(["mobile", "desktop", "tv; DROP TABLE events", None])
        for k in range(1, rng.randint(1, 9) + 1):
            at += timedelta(seconds=rng.choice([0, 0, 5, 60, 600]))
            kind = rng.choice(kinds)
            rows.append(
                {
                    "visitor_id": visitor,
                    "session_id": f"s{s}",
                    "event_time": at,
                    "event_order": k,
                    "event_type": kind,
                    "item_id": rng.choice(["a", "b", "c", None]),
                    "category": rng.choice(["x", "y", 'qu"oted', None]),
                    "price": rng.choice([None, 1.5, 2.0, 10.0, 99.0]),
                    "quantity": rng.choice([None, 1.0, 2.0]),
                    "currency": "EUR",
                    "order_id": rng.choice([None, f"o{s}"]) if kind == "purchase" else None,
                    "device": device,
                    "page": rng.choice(["1", "2", "3"]),
                }
            )
    return sorted(rows, key=lambda e: (e["event_time"], e["session_id"], e["event_order"]))


@pytest.fixture(params=range(4))
def events(request: pytest.FixtureRequest) -> list[dict]:
    return random_events(request.param)


@pytest.fixture
def log(events: list[dict]) -> pa.Table:
    return make_log(events)


RICH = {
    "view_item[category=x,unknown; price<=10]": lambda e: (
        e["event_type"] == "view_item"
        and e["category"] in ("x", None)
        and e["price"] is not None
        and e["price"] <= 10
    ),
    "add_to_cart|search|page=3": lambda e: (
        e["event_type"] in ("add_to_cart", "search") or e["page"] == "3"
    ),
    'page=1|page=2[category!=qu"oted,x]': lambda e: (
        e["page"] in ("1", "2") and e["category"] not in ('qu"oted', "x")
    ),
    "purchase[price=10]": lambda e: e["event_type"] == "purchase" and e["price"] == 10.0,
}
"""Steps that ask more than one value, and what they mean."""


def done(event: dict, step: str) -> bool:
    """Return whether an event is of a step."""
    if step in RICH:
        return RICH[step](event)
    if "|" in step:
        return any(done(event, part) for part in step.split("|"))
    column, equals, value = step.partition("=")
    return event[column] == value if equals else event["event_type"] == step


def by_session(events: list[dict]) -> dict[str, list[dict]]:
    """Return the events of each session in order."""
    made: dict[str, list[dict]] = {}
    for e in sorted(events, key=lambda e: (e["session_id"], e["event_order"])):
        made.setdefault(e["session_id"], []).append(e)
    return made


def by_visitor(events: list[dict]) -> dict[str, list[dict]]:
    """Return the events of each visitor in time order."""
    made: dict[str, list[dict]] = {}
    for e in sorted(events, key=lambda e: (e["event_time"], e["session_id"], e["event_order"])):
        made.setdefault(e["visitor_id"] or e["session_id"], []).append(e)
    return made


@pytest.fixture
def oracle_units():
    return {"session": by_session, "visitor": by_visitor}


@pytest.fixture(name="as_log")
def as_log_fixture():
    return make_log
