"""A simulated log in words that nobody knows: columns c1, c2 ..., words w1, w2 ..., and a key.

What the log says stays the same, so the truth does, too. The outcome is in a table of orders beside
it. A layout says only what a shop could say of any log: who, which visit, when, and where the
event's word stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cartcast.atomic import atomic_path
from cartcast.datasets.simulate_shop import Simulation
from cartcast.datasets.simulate_write import open_writer, suffix_of
from cartcast.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMS", "Opaque", "OpaqueTables", "make_opaque", "write_opaque"]

FORMS = ("codes", "bare", "pages")
"""`codes` holds all columns; `bare` neither items nor prices; `pages` only classes of pages and
whole seconds."""

_IDS = ("visitor_id", "session_id", "event_id", "order_id")
_NUMBERS = ("price", "quantity")
_OF_ITEMS = ("item_id", "brand", "color", "price", "quantity", "currency", "query")
_ROLES = ("visitor_id", "session_id", "event_time", "event_type", "known_time")
_DIGITS = 7


@dataclass(frozen=True)
class OpaqueTables:
    """The opaque form of a simulation, in memory.

    Attributes:
        log: columns c1, c2 ...; the rows that are no purchase, in time order.
        orders: session_id (coded), order_id, event_time, and `amount` or `purchased`.
        layout: what `cartcast.events.load` needs to know of the log, as plain data.
        truth: the simulation's truth by the coded session_id and the event_order that a reader of
            log and orders finds, or None.
        key: what (`column`, `word`, or an id's name), code and meaning.
    """

    log: pa.Table
    orders: pa.Table
    layout: dict[str, Any]
    truth: pa.Table | None
    key: pa.Table


@dataclass(frozen=True)
class Opaque:
    """The files of an opaque form; `truth` is None when the simulation has none."""

    log: Path
    orders: Path
    layout: Path
    key: Path
    truth: Path | None

    def as_dict(self) -> dict[str, str | None]:
        """Return the paths as texts; `out` is the log."""
        truth = None if self.truth is None else str(self.truth)
        return {"out": str(self.log), "orders": str(self.orders), "layout": str(self.layout),
                "key": str(self.key), "truth": truth}  # fmt: skip


def make_opaque(made: Simulation, form: str = "codes", seed: int = 0) -> OpaqueTables:
    """Return the opaque form of a simulation that is held in memory.

    Of events that arrived twice only the first row is kept: without names nobody could tell them.
    A text that stands in several columns has one code, so that what they share is kept.

    Raises:
        UsageError: the form does not exist, or the simulation's events are not in memory.

    >>> from cartcast.datasets import simulate
    >>> opaque = make_opaque(simulate(20, seed=1), "pages")
    >>> sorted(opaque.log.column_names), sorted(opaque.layout["columns"])
    (['c1', 'c2', 'c3', 'c4'], ['event_time', 'event_type', 'session_id', 'visitor_id'])
    """
    if form not in FORMS:
        raise UsageError(f"unknown opaque form {form!r}.{did_you_mean(form, FORMS)}")
    if made.events is None:
        raise UsageError("an opaque form needs the simulation's events in memory (out=None).")
    rng = np.random.default_rng([seed, 77])
    rows = made.events.to_pandas()
    first = ~rows["event_id"].duplicated()
    rows = rows[first]
    ids = {name: _codes(rows[name], rng) for name in _IDS}
    bought = rows["event_type"] == "purchase"
    truth = None
    if made.truth is not None:
        kept = made.truth.filter(pa.array(first))
        truth = _truth(kept, rows, ids["session_id"], bought)
    log, words, names = _log(rows[~bought], form, ids, rng)
    key = [("column", code, name) for name, code in names.items()]
    key += [("word", code, word) for word, code in words.items()]
    key += [(name, code, meaning) for name in _IDS for meaning, code in ids[name].items()]
    what, codes, meanings = zip(*key, strict=True)
    return OpaqueTables(
        log=log,
        orders=_orders(rows[bought], ids, form),
        layout=_layout(names, form),
        truth=truth,
        key=pa.table({"what": what, "code": codes, "meaning": meanings}),
    )


def write_opaque(
    made: Simulation,
    out: Path | str,
    form: str = "codes",
    seed: int = 0,
    truth: Path | str | None = None,
) -> Opaque:
    """Write the opaque form: the log to `out`, and beside it orders, layout, key and truth.

    For `log.parquet` they are `log-orders.parquet`, `log-layout.yaml`, `log-key.csv` and, unless
    `truth` is given and if the simulation has one, `log-truth.parquet`.

    Raises:
        UsageError: the form does not exist, or the suffix is unknown.
        StorageError: a file cannot be written.
    """
    import yaml

    log = Path(out)
    suffix = suffix_of(log)
    tables = make_opaque(made, form, seed)
    stem = log.name[: -len(suffix)]
    files = Opaque(
        log=log,
        orders=log.with_name(f"{stem}-orders{suffix}"),
        layout=log.with_name(f"{stem}-layout.yaml"),
        key=log.with_name(f"{stem}-key.csv"),
        truth=None
        if tables.truth is None
        else Path(truth or log.with_name(f"{stem}-truth{suffix}")),
    )
    _write(files.log, tables.log)
    _write(files.orders, tables.orders)
    _write(files.key, tables.key)
    if files.truth is not None and tables.truth is not None:
        _write(files.truth, tables.truth)
    with atomic_path(files.layout) as temporary:
        temporary.write_text(yaml.safe_dump(tables.layout, sort_keys=False), encoding="utf-8")
    return files


def _write(path: Path, table: pa.Table) -> None:
    with atomic_path(path) as temporary, open_writer(temporary, table.schema, suffix_of(path)) as w:
        w(table)


def _codes(column: pd.Series, rng: np.random.Generator) -> dict[str, str]:
    """Return a code for each id, in no order."""
    values = column.dropna().unique()
    return {
        v: f"{c:0{_DIGITS}d}" for v, c in zip(values, rng.permutation(len(values)), strict=True)
    }


def _log(
    rows: pd.DataFrame, form: str, ids: dict[str, dict[str, str]], rng: np.random.Generator
) -> tuple[pa.Table, dict[str, str], dict[str, str]]:
    """Return the coded log, the code of each word, and the code of each column."""
    rows = rows.drop(columns=["event_order", "order_id"])
    if "source_event" in rows:
        rows = rows.assign(event_type=rows["source_event"].fillna(rows["event_type"]))
        rows = rows.drop(columns="source_event")
    if form == "bare":
        rows = rows.drop(columns=[c for c in _OF_ITEMS if c in rows])
    if form == "pages":
        rows = rows[["visitor_id", "session_id", "event_time", "page"]]
        rows = rows.assign(event_time=rows["event_time"].dt.floor("s"))
        rows = rows.rename(columns={"page": "event_type"})
    texts = [c for c in rows if c not in (*_IDS, *_NUMBERS, "event_time", "known_time")]
    found = sorted({v for c in texts for v in rows[c].dropna().unique()})
    words = {v: f"w{k + 1}" for v, k in zip(found, rng.permutation(len(found)), strict=True)}
    columns = list(rows)
    names = {columns[k]: f"c{i + 1}" for i, k in enumerate(rng.permutation(len(columns)))}
    coded = {}
    for name, code in names.items():
        column = rows[name]
        if name in ids:
            column = column.map(ids[name])
        elif name in texts:
            column = column.map(words)
        text = name in ids or name in texts
        coded[code] = pa.array(column, pa.string() if text else None, from_pandas=True)
    return pa.table(coded), words, names


def _layout(names: dict[str, str], form: str) -> dict[str, Any]:
    roles = [r for r in _ROLES if r in names]
    layout: dict[str, Any] = {
        "name": f"opaque-{form}",
        "columns": {r: names[r] for r in roles},
    }
    numbers = [names[n] for n in _NUMBERS if n in names]
    return layout | ({"numbers": numbers} if numbers else {})


def _orders(rows: pd.DataFrame, ids: dict[str, dict[str, str]], form: str) -> pa.Table:
    """Return one row an order; its columns have names by which tables of orders are known."""
    rows = rows.assign(amount=rows["price"] * rows["quantity"])
    grouped = rows.groupby("order_id", sort=False)
    orders = grouped.agg(session_id=("session_id", "first"), event_time=("event_time", "first"),
                         amount=("amount", "sum")).reset_index()  # fmt: skip
    time = orders["event_time"]
    columns: dict[str, Any] = {
        "session_id": pa.array(orders["session_id"].map(ids["session_id"]), pa.string()),
        "order_id": pa.array(orders["order_id"].map(ids["order_id"]), pa.string()),
        "event_time": pa.array(time.dt.floor("s") if form == "pages" else time),
    }
    if form == "codes":
        return pa.table(columns | {"amount": pa.array(orders["amount"].round(2), pa.float64())})
    return pa.table(columns | {"purchased": pa.array(np.ones(len(orders), np.int64))})


def _truth(
    truth: pa.Table, rows: pd.DataFrame, sessions: dict[str, str], bought: pd.Series
) -> pa.Table:
    """Return the truth where an order is one event, of the rows that are in order by session."""
    keep = ~bought | ~rows["session_id"].where(bought).duplicated()
    rows, table = rows[keep], truth.filter(pa.array(keep))
    order = rows["event_time"].groupby(rows["session_id"]).rank(method="first").astype(np.int64)
    coded = pa.array(rows["session_id"].map(sessions), pa.string())
    position = pa.array(order)
    columns: dict[str, Any] = {n: table[n] for n in table.column_names if n != "event_id"}
    return pa.table(columns | {"session_id": coded, "event_order": position, "click": position})
