"""Scores on disk."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cartcast.atomic import atomic_path
from cartcast.errors import UsageError
from cartcast.spreadsheet import write_csv

__all__ = ["write_table"]


def write_table(table: pd.DataFrame, out: Path) -> None:
    """Write a table as CSV or Parquet; in CSV, text that a spreadsheet would run is made text.

    Raises:
        UsageError: `out` ends neither in .csv nor in .parquet.
        StorageError: it cannot be written.
    """
    if out.suffix not in (".csv", ".parquet"):
        raise UsageError(f"{out}: the name must end in .csv or .parquet.")
    with atomic_path(out) as temporary:
        if out.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            write_csv(table, temporary)
