"""Assigning the ids of a file in bulk."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from cartcast.atomic import atomic_path
from cartcast.errors import DataError, UsageError
from cartcast.events.ids import id_sql
from cartcast.events.sql import identifier
from cartcast.experiments.allocation import Allocation
from cartcast.experiments.units import open_units
from cartcast.spreadsheet import write_csv

__all__ = ["assign_file"]


def assign_file(
    allocation: Allocation, units: Path | str, column: str, out: Path | str
) -> dict[str, int]:
    """Write `unit, arm` for the distinct ids of a CSV or Parquet file; return units by arm.

    Units that take no part are left out, and counted as `none`.

    Raises:
        UsageError: `out` is neither .csv nor .parquet.
        DataError: there is no such column, or no id in it.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if Path(out).suffix not in (".csv", ".parquet"):
        raise UsageError(f"{out}: write a .csv or .parquet file.")
    with open_units(units, arm=column, texts=[column]) as table:
        # As in a log: a word for nothing, such as guest, is no id, and 1001.0 is 1001.
        unit = id_sql("text", "VARCHAR", "visitor_id")
        ids = table.connection.execute(
            f"SELECT DISTINCT {unit} AS unit FROM (SELECT CAST({identifier(column)} AS VARCHAR) "
            f"AS text FROM {table.relation}) ORDER BY unit"
        ).to_arrow_table()
        ids = ids.drop_null()
        if not ids.num_rows:
            raise DataError(f"{units}: column {column!r} holds no id.")
        found = ids.append_column("arm", allocation.arms_of(ids["unit"]))
        assigned = found.filter(pc.is_valid(found["arm"]))
        with atomic_path(out) as temporary:
            if Path(out).suffix == ".csv":
                write_csv(assigned.to_reader(), temporary)
            else:
                pq.write_table(assigned, temporary)
    counts = Counter(found["arm"].to_pylist())
    return {**{a: counts[a] for a in allocation.arms}, "none": counts[None]}
