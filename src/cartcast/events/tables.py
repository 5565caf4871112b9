"""Sources that are tables: Parquet, in-memory tables and databases, flattened to plain columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from cartcast.errors import DataError, UsageError
from cartcast.events.nested import Cell, flatten, opened_text
from cartcast.events.read import Source
from cartcast.events.sql import identifier, read_parquet

__all__ = ["open_memory", "sampled", "table_source"]

_SAMPLE_ROWS = 1000


def table_source(
    con: duckdb.DuckDBPyConnection, relation: str, shown: str, parquet: Path | None = None
) -> Source:
    """Return a source over an SQL relation; structs become `a.b`, lists stay lists.

    The rows of a Parquet file are numbered by the file itself.
    """
    described = con.sql(f"SELECT * FROM {relation} LIMIT 0")
    selected: list[str] = []
    cells: dict[str, Cell] = {}
    for place, (name, kind) in enumerate(zip(described.columns, described.types, strict=True)):
        selected.append(f"{identifier(name)} AS c{place}")
        for flat, cell in flatten(name, f"c{place}", kind).items():
            cells.setdefault(flat, cell)
    positioned = parquet is not None and "file_row_number" not in map(str.lower, described.columns)
    if positioned and parquet is not None:
        selected.append("file_row_number AS row_at")
        relation = read_parquet(parquet, numbered=True)
    inner = f"(SELECT {', '.join(selected)} FROM {relation})"
    sample = sampled(con, inner, cells)
    opened, columns = opened_text(con, inner, cells, sample)
    if opened != inner:
        sample = sampled(con, opened, columns)
    return Source(name=shown, relation=opened, cells=columns, positioned=positioned, sample=sample)


def sampled(
    con: duckdb.DuckDBPyConnection, relation: str, cells: dict[str, Cell]
) -> tuple[tuple[str | None, ...], ...]:
    """Return the first rows of a relation as text."""
    if not cells:
        return ()
    texts = ", ".join(
        f"CAST(to_json({c.sql}) AS VARCHAR)" if c.type is not None else f"CAST({c.sql} AS VARCHAR)"
        for c in cells.values()
    )
    return tuple(con.execute(f"SELECT {texts} FROM {relation} LIMIT {_SAMPLE_ROWS}").fetchall())


def open_memory(con: duckdb.DuckDBPyConnection, table: Any) -> Source:
    """Return a source over a pandas or Polars data frame, or an Arrow table.

    Raises:
        UsageError: it is none of these.
        DataError: a column of a data frame mixes types that no table holds.
    """
    import pyarrow as pa

    module = type(table).__module__.split(".")[0]
    try:
        if module == "pandas" and hasattr(table, "columns"):
            arrow = pa.Table.from_pandas(table, preserve_index=False)
        elif module == "polars":
            lazy = hasattr(table, "collect")
            arrow = (table.collect() if lazy else table).to_arrow()
        elif isinstance(table, pa.Table):
            arrow = table
        elif isinstance(table, pa.RecordBatch):
            arrow = pa.Table.from_batches([table])
        else:
            raise UsageError(
                f"a source must be a path, a table's URL, or a pandas, Polars or Arrow table, "
                f"got {type(table).__name__}."
            )
    except pa.ArrowException as error:
        why = str(error).split("\n")[0]
        raise DataError(
            f"{module} table: a column holds values of several types ({why}); give each column "
            "one type, text for example."
        ) from error
    count = con.execute("SELECT count(*) FROM duckdb_views() WHERE view_name LIKE 'memory_%'")
    row = count.fetchone()
    name = f"memory_{row[0] if row else 0}"
    con.register(name, arrow)
    return table_source(con, name, f"{module} table")
