"""Assigning the ids of a file in bulk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cartcast.atomic import atomic_path
from cartcast.errors import UsageError
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
        DataError: there is no such column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if Path(out).suffix not in (".csv", ".parquet"):
        raise UsageError(f"{out}: write a .csv or .parquet file.")
    with open_units(units, arm=column) as table:
        ids = table.connection.execute(
            f"SELECT DISTINCT CAST({identifier(column)} AS VARCHAR) AS unit "
            f"FROM {table.relation} WHERE {identifier(column)} IS NOT NULL ORDER BY unit"
        ).to_arrow_table()
        place = allocation.assign_many(ids["unit"])
        inside = place >= 0
        arms = np.array(allocation.arms, dtype=object)[place[inside]]
        assigned = ids.filter(pa.array(inside)).append_column("arm", pa.array(arms, pa.string()))
        with atomic_path(out) as temporary:
            if Path(out).suffix == ".csv":
                write_csv(assigned.to_reader(), temporary)
            else:
                pq.write_table(assigned, temporary)
    counts = np.bincount(place[inside], minlength=len(allocation.arms))
    found = {a: int(n) for a, n in zip(allocation.arms, counts, strict=True)}
    return {**found, "none": int((~inside).sum())}
