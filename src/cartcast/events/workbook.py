"""Workbooks of spreadsheet programs (Excel, LibreOffice): the one sheet that holds a table."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import zipfile
from pathlib import Path
from typing import Any

from cartcast.errors import DataError, UsageError

__all__ = ["WORKBOOK_SUFFIXES", "sheet_as_csv"]

_MOST_BYTES = 4_000_000_000
WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")


def sheet_as_csv(path: Path, shown: str, work: Path) -> tuple[Path, str]:
    """Write the sheet of a workbook into `work` as CSV; return the file and what to call it.

    Raises:
        DataError: it is damaged or protected, or holds no table or more than one.
        UsageError: the library that reads workbooks is not installed.
    """
    try:
        import python_calamine as calamine
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{shown}: a workbook; save its sheet as CSV, or pip install 'cartcast[excel]'."
        ) from error
    try:
        _require_bounded(path, shown)
        book = calamine.load_workbook(path)
        sheets = [s for s in map(book.get_sheet_by_name, book.sheet_names) if s.height > 1]
    except calamine.PasswordError as error:
        raise DataError(f"{shown}: a password protects it; save it without one.") from error
    except (calamine.CalamineError, zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(
            f"{shown}: a damaged workbook ({error}); save it again, or as CSV."
        ) from error
    if len(sheets) != 1:
        names = ", ".join(repr(s.name) for s in sheets)
        found = f"{len(sheets)} sheets with rows ({names})" if sheets else "no sheet with rows"
        raise DataError(
            f"{shown}: has {found}; save the one that holds the log as a file of its own."
        )
    (sheet,) = sheets
    target = work / f"sheet-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}.csv"
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([_text(cell) for cell in row] for row in sheet.iter_rows())
    return target, f"{shown}:{sheet.name}"


def _require_bounded(path: Path, shown: str) -> None:
    """Raise DataError where the parts of a workbook say that they unpack to far more than it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as parts:
            size = sum(part.file_size for part in parts.infolist())
        if size > _MOST_BYTES:
            raise DataError(f"{shown}: unpacks to {size:,} bytes; save its sheet as CSV.")


def _text(cell: Any) -> str:
    """Return a cell as text; a spreadsheet keeps every number as a fraction.

    >>> _text(1007.0), _text(3.5), _text(dt.datetime(2024, 3, 1, 10)), _text(dt.time(9, 30))
    ('1007', '3.5', '2024-03-01 10:00:00', '09:30:00')
    """
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    if isinstance(cell, dt.timedelta):
        return str(cell) if cell.days else f"{(dt.datetime.min + cell).time()}"
    return str(cell)
