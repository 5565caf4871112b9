"""CSV for people: the one way in which a table is written for a program that runs formulas.

A spreadsheet takes a text cell that begins with `=`, `+`, `-` or `@` for a formula, and some look
past blanks, line ends and signs that are not seen. Such a cell gets an apostrophe in front. Columns
of numbers are written as they are; a number in a text cell is text.

Source: https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["csv_bytes", "neutral", "write_csv"]

# Full-width and small forms become the plain signs in some programs, so does the minus sign.
_SIGNS = (
    r"=+\-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b\u2212"
    r"\u207a-\u207c\u208a-\u208c\u2a75\u2a76\ufb29"
)
# What a program may skip: blanks of any kind, control signs, marks of direction and width zero.
_SKIPPED = (
    r"\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    r"\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff"
    r"\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff\"'`"
)
_FORMULA = re.compile(rf"[{_SKIPPED}]*[{_SIGNS}]|[\t\r\n]")
# A program that separates by these reads what follows as a cell of its own.
_INSIDE = re.compile(rf"([;\t\r\n])(?=[{_SKIPPED}]*[{_SIGNS}])")


def neutral(cell: object) -> object:
    """Return a text cell that no spreadsheet takes for a formula; other cells as they are.

    >>> neutral("=1+1"), neutral("shoes"), neutral(-5.0), neutral("shoes;=1+1")
    ("'=1+1", 'shoes', -5.0, "shoes;'=1+1")
    """
    if not isinstance(cell, str):
        return cell
    inside = _INSIDE.sub(r"\1'", cell)
    return "'" + inside if _FORMULA.match(cell) else inside


def _neutralised(table: pd.DataFrame) -> pd.DataFrame:
    from pandas.api.types import is_scalar

    made = table.copy(deep=False)
    for place in range(made.shape[1]):
        if _is_text(made.iloc[:, place]):
            cells = made.iloc[:, place].astype(object)
            cells = cells.map(lambda c: neutral(c if is_scalar(c) else str(c)))
            made.isetitem(place, cells.to_numpy(dtype=object))
    made.columns = [str(neutral(str(c))) for c in made.columns]
    return made


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as UTF-8 CSV; cells and headings that begin a formula are made text."""
    out = io.BytesIO()
    _write([table], out)
    return out.getvalue()


def write_csv(table: pd.DataFrame | pa.RecordBatchReader, path: Path) -> None:
    """Write a table, or the batches of one, as `csv_bytes` does; the caller makes `path` whole."""
    import pandas as pd

    with path.open("wb") as out:
        if isinstance(table, pd.DataFrame):
            _write([table], out)
        else:
            first = table.schema.empty_table().to_pandas()
            _write(itertools.chain([first], (b.to_pandas() for b in table)), out)


def _write(pieces: Iterable[pd.DataFrame], out: BinaryIO) -> None:
    for number, piece in enumerate(pieces):
        made = _neutralised(piece)
        # A lone carriage return ends a line for many readers, but is no reason to quote for pandas.
        words = itertools.chain(made.columns, *(c for _, c in made.items() if _is_text(c)))
        torn = any(isinstance(word, str) and "\r" in word for word in words)
        quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if torn else csv.QUOTE_MINIMAL
        made.to_csv(out, index=False, header=not number, quoting=quoting, encoding="utf-8")


def _is_text(column: pd.Series) -> bool:
    return column.dtype.kind not in "biufM"
