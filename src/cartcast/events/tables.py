"""Sources that are tables: Parquet, in-memory tables and databases, flattened to scalar columns."""

from __future__ import annotations

from typing import Any

import duckdb

from cartcast.errors import UsageError
from cartcast.events.read import Source
from cartcast.events.sql import identifier, literal

__all__ = ["flat_relation", "open_memory"]

_SAMPLE_ROWS = 1000


def flat_relation(con: duckdb.DuckDBPyConnection, relation: str, shown: str) -> Source:
    """Return a source over an SQL relation; structs become `a.b`, lists and maps JSON text."""
    described = con.sql(f"SELECT * FROM {relation} LIMIT 0")
    columns: dict[str, tuple[str, str]] = {}
    for name, kind in zip(described.columns, described.types, strict=True):
        _flatten(columns, name, identifier(name), kind)
    selected = ", ".join(f"{sql} AS {identifier(name)}" for name, (sql, _) in columns.items())
    inner = f"(SELECT row_number() OVER () AS __row, {selected} FROM {relation})"
    as_text = ", ".join(f"CAST({identifier(n)} AS VARCHAR)" for n in columns)
    sample = con.execute(f"SELECT {as_text} FROM {inner} LIMIT {_SAMPLE_ROWS}").fetchall()
    return Source(
        name=shown,
        relation=inner,
        types={name: kind for name, (_, kind) in columns.items()},
        sample=tuple(sample),
    )


def _flatten(columns: dict[str, tuple[str, str]], name: str, sql: str, kind: Any) -> None:
    if kind.id == "struct":
        for field, inner in kind.children:
            _flatten(columns, f"{name}.{field}", f"struct_extract({sql}, {literal(field)})", inner)
    elif kind.id in ("list", "array", "map", "union"):
        columns[name] = (f"CAST(to_json({sql}) AS VARCHAR)", "VARCHAR")
    elif kind.id in ("blob", "bit", "enum", "uuid", "json"):
        columns[name] = (f"CAST({sql} AS VARCHAR)", "VARCHAR")
    else:
        columns[name] = (sql, str(kind).upper())


def open_memory(con: duckdb.DuckDBPyConnection, table: Any) -> Source:
    """Return a source over a pandas or Polars data frame, or an Arrow table.

    Raises:
        UsageError: it is none of these.
    """
    import pyarrow as pa

    module = type(table).__module__.split(".")[0]
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
    count = con.execute("SELECT count(*) FROM duckdb_views() WHERE view_name LIKE 'memory_%'")
    row = count.fetchone()
    name = f"memory_{row[0] if row else 0}"
    con.register(name, arrow)
    return flat_relation(con, name, f"{module} table")
