"""Files of text in other dialects: separators, encodings, titles above and totals below."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from cartcast.datasets.disguises.accidents.accident import (
    Accident,
    Sheets,
    each_file,
    each_log,
    flat,
)
from cartcast.datasets.disguises.form import Form
from cartcast.datasets.disguises.sheet import Sheet

__all__ = ["ACCIDENTS"]


def _speaks(name: str, *touches: str, **dialect: Any) -> Accident:
    """Return a dialect in which a program wrote all files."""
    return Accident(
        name, frozenset(touches), _comma, sheets=each_file(lambda s: s.speak(**dialect))
    )


def _comma(form: Form) -> bool:
    """Whether the form is a CSV of a program (with header), whose dialect a shop can choose."""
    return form.flat and form.header


def _text(form: Form) -> bool:
    return form.flat or form.lines


def _sep_line(sheet: Sheet) -> Sheet:
    return sheet.speak(separator=";", before=("sep=;",))


def _above(lines: tuple[str, ...]) -> Callable[[Sheets, Random], Sheets]:
    return each_log(lambda sheet: sheet.speak(before=lines))


def _total(sheet: Sheet) -> Sheet:
    """Add the line that spreadsheets put below: a word, and the sums of the money columns."""
    money = [sheet.names[n] for n in ("price", "order_value") if n in sheet.names]
    sums = {name: round(sum(r.get(name) or 0.0 for r in sheet.rows), 2) for name in money}
    return sheet.with_rows([*sheet.rows, {sheet.columns[0]: "Total", **sums}])


def _end(sheet: Sheet) -> Sheet:
    """End every line with one separator more, the header's too."""
    return sheet.speak(end=sheet.dialect.separator)


_TITLES = ("Shop events", "Period: 2025-03-03 - 2025-03-17", "")
_COMMENTS = ("# ----------------------------------------", "# Events", "# 20250303-20250317", "#")

ACCIDENTS = (
    Accident("total-row", frozenset({"tail"}), _comma, sheets=each_log(_total), says=True),
    _speaks("semicolons", "separator", "decimal", separator=";"),
    _speaks("tabs", "separator", "decimal", separator="\t"),
    _speaks("pipes", "separator", "decimal", separator="|"),
    _speaks("semicolons-decimal-comma", "separator", "decimal", separator=";", decimal=","),
    _speaks("tabs-decimal-comma", "separator", "decimal", separator="\t", decimal=","),
    Accident(
        "excel-sep-line",
        frozenset({"separator", "decimal", "head"}),
        _comma,
        sheets=each_log(_sep_line),
    ),
    Accident(
        "empty-last-column", frozenset({"end", "separator"}), _comma, sheets=each_log(_end)
    ),
    *(
        Accident(
            name, frozenset({"head"}), _comma, sheets=_above(lines)
        )
        for name, lines in (("comments-above", _COMMENTS), ("titles-above", _TITLES))
    ),
    Accident(
        "windows-line-ends",
        frozenset({"newline"}),
        _text,
        sheets=each_file(lambda s: s.speak(newline="\r\n")),
    ),
    Accident(
        "byte-order-mark",
        frozenset({"encoding"}),
        _text,
        sheets=each_file(lambda s: s.speak(encoding="utf-8-sig")),
    ),
    Accident(
        "utf-16",
        frozenset({"encoding"}),
        flat,
        sheets=each_file(lambda s: s.speak(encoding="utf-16")),
    ),
    Accident(
        "gzip", frozenset({"packed"}), _text, sheets=each_file(lambda s: s.speak(packed=True))
    ),
)  # fmt: skip
"""Dialects of text."""
