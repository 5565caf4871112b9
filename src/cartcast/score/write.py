"""Scores on disk: cells are data, never formulas."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

import pandas as pd

from cartcast.atomic import atomic_path

__all__ = ["write_table"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_table(table: pd.DataFrame, out: Path) -> None:
    """Write a table as CSV or Parquet; in CSV, text that a spreadsheet would run is made text."""
    with atomic_path(out) as temporary:
        if out.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            neutral = _neutral(table)
            # The writer leaves a lone carriage return unquoted, which readers take for a line end.
            words = neutral.select_dtypes(exclude="number").astype(str)
            torn = any(words[c].str.contains("\r", regex=False).any() for c in words)
            quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if torn else csv.QUOTE_MINIMAL
            neutral.to_csv(temporary, index=False, quoting=quoting)


def _neutral(table: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before cells that a spreadsheet would take for a formula."""
    out = table.copy()
    for name in out.columns:
        if not pd.api.types.is_numeric_dtype(out[name]):
            text = out[name].astype(object)
            risky = text.map(lambda v: isinstance(v, str) and v.startswith(_FORMULA))
            out[name] = text.where(~risky, "'" + text.astype(str))
    return out
