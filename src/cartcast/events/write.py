"""Write the canonical log and the rejects, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from cartcast.atomic import atomic_path
from cartcast.events.contract import STAGE
from cartcast.events.log import CONTRACT
from cartcast.events.schema import METADATA_KEY
from cartcast.events.sessionize import CLEAN, in_time_order
from cartcast.events.sql import identifier, literal

__all__ = ["flags", "write_events", "write_rejects"]

_ROW_GROUP = 122_880


def flags(with_orders: bool) -> list[str]:
    """Return the names of the columns that the contract adds after the source's own."""
    return ["from_orders", "repeat_purchase"] if with_orders else ["repeat_purchase"]


def write_events(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    metadata: Mapping[str, Any],
    own_order: bool,
    orders_file: int | None,
) -> None:
    """Write the clean events as Parquet: in time order, or session by session without a clock.

    Raises:
        StorageError: the disk is full or the place is not writable.
    """
    clock = metadata["clock"]
    selected = ", ".join(
        f"__file = {orders_file} AS from_orders" if c == "from_orders" else identifier(c)
        for c in metadata["columns"]
    )
    source = CLEAN
    order = "ORDER BY event_time, " + ("event_order, __seq" if own_order else "__seq")
    if clock == "time" and not own_order and in_time_order(con):
        order = ""
    elif clock != "time":
        # Sessions stay together, in the order in which they begin.
        starts = "min(event_time) OVER visit AS __day, min(__seq) OVER visit AS __first"
        source = f"(SELECT *, {starts} FROM {CLEAN} WINDOW visit AS (PARTITION BY session_id))"
        order = "ORDER BY __day, __first, session_id, event_order"
    text = json.dumps({"contract": CONTRACT, **metadata}, ensure_ascii=False, sort_keys=True)
    with atomic_path(path) as temporary:
        con.execute(
            f"COPY (SELECT {selected} FROM {source} {order}) TO "
            f"{literal(str(temporary))} (FORMAT parquet, COMPRESSION zstd, "
            f"USE_TMP_FILE false, "
            f"ROW_GROUP_SIZE {_ROW_GROUP}, KV_METADATA {{{METADATA_KEY}: {literal(text)}}})"
        )


def write_rejects(con: duckdb.DuckDBPyConnection, sources: Sequence[str], path: Path) -> None:
    """Write the rejected rows: source, row, reason, column, value; CSV when the name says so."""
    form = "csv, HEADER" if path.suffix.lower() == ".csv" else "parquet"
    files = ", ".join(f"({i}, {literal(name)})" for i, name in enumerate(sources))
    with atomic_path(path) as temporary:
        con.execute(
            f"COPY (SELECT name AS source, __row AS row, __reason AS reason, "
            f'__column AS "column", __value AS value FROM {STAGE} JOIN (VALUES {files}) '
            f"AS files(file, name) ON __file = file WHERE __reason IS NOT NULL "
            f"ORDER BY __file, __row, __seq) TO {literal(str(temporary))} "
            f"(FORMAT {form}, USE_TMP_FILE false)"
        )
