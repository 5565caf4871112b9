"""One shop in many disguises: every form and accident must read back as the same shop.

The truth comes from `cartcast.datasets.disguises`, which knows nothing of the reader. A case tells
only what its files can tell; where they leave something open, a finding is due that the form alone
does not get.
"""

from __future__ import annotations

import functools
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from cartcast.datasets.disguises import Case, Truth, Written, cases, product, write_case
from cartcast.events import load

SEED = 1
EPOCH = datetime(1970, 1, 1)
CELLS = ("user_id", "order_id", "category", "brand", "price", "quantity", "country")
Row = dict[str, Any]


def read(case: Case, folder: Path) -> tuple[Written, Any]:
    """Write the case and read it as a user would: no layout, but for what no file can tell."""
    written = write_case(case, folder, SEED)
    layout = None
    if written.layout is not None:
        layout = folder / "layout.yaml"
        layout.write_text(yaml.safe_dump(dict(written.layout)))
    orders = written.orders[0] if written.orders else None
    return written, load(*written.log, layout=layout, orders=orders)


@functools.cache
def codes_of_form(name: str) -> frozenset[str]:
    """The codes of the findings that the form gets without any accident."""
    case = next(product([name]))
    with tempfile.TemporaryDirectory() as folder:
        return frozenset(f.code for f in read(case, Path(folder))[1].findings)


@pytest.mark.parametrize("case", list(cases(SEED)), ids=lambda case: case.name)
def test_a_disguise_reads_back_as_the_shop(case: Case, tmp_path: Path) -> None:
    written, log = read(case, tmp_path)
    rows = [with_seconds(row) for row in log.table().to_pylist()]
    wrong = [
        *figures(written.truth, log.summary),
        *sessions(written, rows),
        *money(written.truth.rows, rows),
        *cells(written, rows),
    ]
    if written.says and {f.code for f in log.findings} <= codes_of_form(case.form.name):
        wrong.append("no finding says what the reading rests on")
    assert not wrong, "\n".join((case.name, *wrong))


def with_seconds(row: Row) -> Row:
    at = row.get("event_time")
    return row if at is None else row | {"event_time": round((at - EPOCH).total_seconds())}


def figures(truth: Truth, summary: Any) -> Iterator[str]:
    for name, told in truth.figures().items():
        if name == "users" and not hasattr(summary, "users"):
            continue
        got = getattr(summary, name, None)
        if got != pytest.approx(told, abs=0.005):
            yield f"{name}: told {told}, read {got}"


def sessions(written: Written, rows: Iterable[Row]) -> Iterator[str]:
    """Compare sessions as sets of events: visitor, and each event's time, type and item in order.

    Lines of one order have no order among themselves; ids of sessions are the form's own.
    """
    told, got = (Counter(_visits(written.tells, found)) for found in (written.truth.rows, rows))
    if "events" in written.tells and told != got:
        yield f"sessions that differ: {len(told - got)} of {told.total()}, {example(told, got)}"


def _visits(tells: frozenset[str], rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    ordered = bool(tells & {"row_order", "event_order"})
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["session_id"], []).append(row)
    for events in found.values():
        events.sort(key=lambda row: row["event_order"])
        keys = [_key(row, tells) for row in events]
        if not ordered:
            keys.sort(key=repr)
        who = {row["visitor_id"] for row in events} if "visitor_id" in tells else ()
        yield (tuple(sorted(who, key=repr)), *_lines_sorted(keys))


def _key(row: Row, tells: frozenset[str]) -> tuple[Any, ...]:
    time = row["event_time"] if "event_time" in tells else None
    return (time, row["event_type"], row["item_id"])


def _lines_sorted(keys: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield the keys with runs of one time and type sorted by item."""
    run: list[tuple[Any, ...]] = []
    for key in [*keys, None]:
        if run and (key is None or key[:2] != run[0][:2]):
            yield from sorted(run, key=repr)
            run = []
        if key is not None:
            run.append(key)


def money(told_rows: Iterable[Row], rows: Iterable[Row]) -> Iterator[str]:
    """Compare the revenue of each order, purchases and refunds apart."""
    told, got = _by_order(told_rows), _by_order(rows)
    if told.keys() != got.keys():
        yield f"orders with money: told {len(told)}, read {len(got)}"
    wrong = [k for k in told.keys() & got.keys() if abs(told[k] - got[k]) > 0.005]
    if wrong:
        k = min(wrong, key=repr)
        yield f"revenue of {len(wrong)} of {len(told)} orders: {k} told {told[k]}, read {got[k]}"


def _by_order(rows: Iterable[Row]) -> dict[Any, float]:
    found: dict[Any, float] = {}
    for row in rows:
        value = float(row.get("revenue") or 0)
        if value:
            order = row["order_id"] or (row["event_time"],)
            key = (order, row["event_type"])
            found[key] = found.get(key, 0.0) + value
    return found


def cells(written: Written, rows: list[Row]) -> Iterator[str]:
    """Compare the values that stand in each column beside an event's type and item."""
    if "events" not in written.tells:
        return
    for name in (*CELLS, "shelf"):
        if name not in written.tells and name != "quantity":
            continue
        column = (
            next((c for c in rows[0] if c.endswith("shelf")), name) if name == "shelf" else name
        )
        chosen = rows
        told_rows: Iterable[Row] = written.truth.rows
        if name == "price" and "shown_price" not in written.tells:
            told_rows, chosen = (
                [r for r in found if r["order_id"] or r["event_type"] in ("purchase", "refund")]
                for found in (told_rows, rows)
            )
        told, got = _counted(told_rows, name), _counted(chosen, column)
        if told != got:
            yield f"{name}: {len(told - got)} of {told.total()} differ, {example(told, got)}"


def _counted(rows: Iterable[Row], name: str) -> Counter[Any]:
    """Count the cells of a column by type and item; money to the cent, nothing without an item."""
    found: Counter[Any] = Counter()
    cells = Counter((row["event_type"], row["item_id"], row.get(name)) for row in rows)
    for (kind, item, value), count in cells.items():
        if isinstance(value, float):
            value = round(value, 2)
        if item is None and name in ("price", "quantity", "category", "brand"):
            value = None
        found[kind, item, value] += count
    return found


def example(told: Counter[Any], got: Counter[Any]) -> str:
    missing, extra = (sorted(c, key=repr)[:1] for c in (told - got, got - told))
    return f"told {str(missing)[:300]}, read {str(extra)[:300]}"
