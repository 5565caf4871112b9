"""Write the canonical log, whole or not at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import duckdb

from cartcast.atomic import atomic_path
from cartcast.events.engine import keeping_order
from cartcast.events.lookup import look_up
from cartcast.events.money import SOLD
from cartcast.events.schema import COLUMNS, METADATA_KEY, metadata_text
from cartcast.events.sql import identifier, literal, place_literal
from cartcast.events.zones import offset_sql

__all__ = ["canonical_sql", "flags", "form", "write_events"]


def form(columns: int) -> str:
    """Return how a canonical log is written, given how many columns it has.

    Ids of visitors and sessions fill no dictionary in vain; dictionaries of all columns are held
    at once.
    """
    limit = 10_000 if columns <= 100 else max(1_000_000 // columns, 500)
    return (
        "FORMAT parquet, COMPRESSION snappy, USE_TMP_FILE false, ROW_GROUP_SIZE 122880, "
        f"DICTIONARY_SIZE_LIMIT {limit}"
    )


def flags(with_orders: bool) -> list[str]:
    """Return the names of the columns that the contract adds after the source's own."""
    return ["from_orders", "repeat_purchase"] if with_orders else ["repeat_purchase"]


def write_events(
    con: duckdb.DuckDBPyConnection, path: Path, metadata: Mapping[str, Any], canonical: str
) -> None:
    """Write the clean events as Parquet, with what the file says of itself.

    Raises:
        StorageError: the disk is full or the place is not writable.
    """
    text = literal(metadata_text(metadata))
    how = form(len(metadata["columns"]))
    with atomic_path(path) as temporary, keeping_order(con):
        con.execute(
            f"COPY ({canonical}) TO {place_literal(temporary)} ({how}, KV_METADATA "
            f"{{{METADATA_KEY}: {text}}})"
        )


def canonical_sql(
    con: duckdb.DuckDBPyConnection,
    metadata: Mapping[str, Any],
    rows: str,
    *,
    sequence: str,
    in_order: bool,
    orders_file: int | None,
    zone: str | None,
    empty: Collection[str] = (),
) -> str:
    """Return SQL of the clean events: in time order, or session by session without a clock.

    Args:
        con: engine connection, with the tables `placed` and `sold`.
        metadata: what the log says of itself.
        rows: relation of the clean rows.
        sequence: ORDER BY list of events in a session.
        in_order: the rows lie in the order of their times already.
        orders_file: number of the orders table among the sources.
        zone: the shop's zone.
        empty: columns that no row has a value in; they are not sorted with the others.
    """
    made = {
        "utc_offset": "CASE WHEN r.event_time IS NOT NULL THEN "
        f"CAST({offset_sql('r.event_time', zone)} AS SMALLINT) END",
        "event_order": "CAST(__position AS BIGINT)",
        "from_orders": f"r.__file = {orders_file}",
        "revenue": "CAST(NULL AS DOUBLE)",
        "repeat_purchase": "false",
    }
    joins = "JOIN placed p ON p.__of = {}.__seq"
    if con.execute(f"SELECT count(*) FROM {SOLD}").fetchone() != (0,):
        made |= {"revenue": "__revenue", "repeat_purchase": "coalesce(__repeat, false)"}
        joins += (
            f" LEFT JOIN (SELECT seq, revenue AS __revenue, repeat AS __repeat FROM {SOLD}) m "
            "ON m.seq = {}.__seq"
        )
    columns = {n: made.get(n) or f"r.{identifier(n)}" for n in metadata["columns"]}
    if in_order:
        return f"SELECT {_listed(columns)} FROM {look_up(con, rows)} r"
    source = f"{rows} r {joins.format('r', 'r')}"
    # An equal key named twice is sorted by twice.
    keys = dict.fromkeys(["event_time", *sequence.split(", ")])
    order = f"ORDER BY {', '.join(f'r.{key}' for key in keys)}"
    if metadata["clock"] != "time":
        # Sessions stay together, in the order in which they begin.
        starts = "min(event_time) OVER visit AS __day, min(__seq) OVER visit AS __first"
        source = (
            f"(SELECT *, {starts} FROM {rows} x {joins.format('x', 'x')} "
            "WINDOW visit AS (PARTITION BY session_id)) r"
        )
        order = "ORDER BY __day, __first, r.session_id, __position"
    held = {n: sql for n, sql in columns.items() if n not in empty}
    nulls = {n: f"CAST(NULL AS {COLUMNS[n].type})" for n in empty}
    told = {n: nulls.get(n) or identifier(n) for n in columns}
    return f"SELECT {_listed(told)} FROM (SELECT {_listed(held)} FROM {source} {order})"


def _listed(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{sql} AS {identifier(name)}" for name, sql in columns.items())
