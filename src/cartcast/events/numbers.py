"""Numbers: the decimal mark is decided over all values of a column, never by one cell.

`12,50` holds a decimal comma and `12.50` a decimal point for sure; `1.299` alone may be either. A
column with sure values of one kind is read by that mark, and cells that do not fit it are rejects;
a column whose marks are all undecidable is refused.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable

from cartcast.events.sql import literal

__all__ = ["EITHER_SIGN", "LARGEST", "NUMBER_COLUMNS", "doubtful_sql", "mark_of_sample",
           "number_of", "number_sql", "surely_a_point", "votes_sql"]  # fmt: skip

NUMBER_COLUMNS = (
    "price", "quantity", "line_value", "order_value", "tax", "shipping", "discount",
)  # fmt: skip
"""Canonical columns that hold money or counts."""

EITHER_SIGN = ("discount",)
"""What some shops write below zero and some above: both mean the same."""

LARGEST = 1e12
"""Largest amount that is one; what is larger is damage (an id, a time) in its place."""

_GAP = "[ \u00a0\u202f'’]"
"""What may set off thousands besides the other mark."""

_POINT = r"[-+]?(\d+|\d{1,3}(,\d{3})+)(\.\d*)?([eE][-+]?\d+)?"
_COMMA = r"[-+]?(\d+|\d{1,3}(\.\d{3})+)(,\d*)?"
_SURE_POINT = (
    r"[-+]?(\d+\.(\d{1,2}|\d{4,})|0\.\d+|\d{4,}\.\d+|\d{1,3}(,\d{3})+\.\d+|\d{1,3}(,\d{3}){2,})"
)
_SURE_COMMA = (
    r"[-+]?(\d+,(\d{1,2}|\d{4,})|0,\d+|\d{4,},\d+|\d{1,3}(\.\d{3})+,\d+|\d{1,3}(\.\d{3}){2,})"
)
_EITHER = r"[-+]?[1-9]\d{0,2}[.,]\d{3}"
_GAPS = rf"[-+]?\d{{1,3}}({_GAP}\d{{3}})+"
_POINT_GAPS, _COMMA_GAPS = rf"{_GAPS}(\.\d*)?", rf"{_GAPS}(,\d*)?"
_SURE_POINT, _SURE_COMMA = rf"{_SURE_POINT}|{_GAPS}\.\d+", rf"{_SURE_COMMA}|{_GAPS},\d+"


def mark_of_sample(values: Iterable[str]) -> str:
    """Return the decimal mark that a sample speaks for: `.` unless only commas are sure.

    >>> mark_of_sample(["12,50", "3"]), mark_of_sample(["1.299", "1.299,00"]), mark_of_sample(["7"])
    (',', ',', '.')
    """
    texts = [v.strip() for v in values]
    points = sum(map(surely_a_point, texts))
    commas = sum(bool(re.fullmatch(_SURE_COMMA, t)) for t in texts)
    return "," if commas > points else "."


def surely_a_point(text: str) -> bool:
    """Return whether a number has a decimal point that cannot be a mark of thousands."""
    return bool(re.fullmatch(_SURE_POINT, text.strip()))


def number_sql(text: str, mark: str) -> str:
    """Return SQL of a number written with `mark`; null where the text is none.

    Groups of three digits may be set off by the other mark, a space or an apostrophe; accountants
    write `(12.50)` or `12.50-` for an amount below zero.
    """
    plain = text
    text = (
        f"CASE WHEN {plain}[1:1] = '(' AND {plain}[-1:] = ')' THEN '-' || {plain}[2:-2] "
        f"WHEN {plain}[-1:] = '-' THEN '-' || {plain}[:-2] ELSE {plain} END"
    )
    bare = f"regexp_replace({text}, {literal(_GAP)}, '', 'g')"
    if mark == ",":
        return (
            f"CASE WHEN regexp_full_match({text}, '{_COMMA}') THEN "
            f"TRY_CAST(replace(replace({text}, '.', ''), ',', '.') AS DOUBLE) "
            f"WHEN regexp_full_match({text}, {literal(_COMMA_GAPS)}) THEN "
            f"TRY_CAST(replace({bare}, ',', '.') AS DOUBLE) END"
        )
    # Plain numbers are by far the most: they are cast at once.
    return (
        f"coalesce(TRY_CAST({plain} AS DOUBLE), TRY_CAST({text} AS DOUBLE), "
        f"CASE WHEN contains({text}, ',') AND "
        f"regexp_full_match({text}, '{_POINT}') THEN TRY_CAST(replace({text}, ',', '') AS DOUBLE) "
        f"WHEN regexp_full_match({text}, {literal(_POINT_GAPS)}) THEN "
        f"TRY_CAST({bare} AS DOUBLE) END)"
    )


_AS_POINT, _AS_COMMA = (
    re.compile(f"{whole}|{gaps}", re.ASCII).fullmatch
    for whole, gaps in ((_POINT, _POINT_GAPS), (_COMMA, _COMMA_GAPS))
)
_IS_COMMA = re.compile(_SURE_COMMA, re.ASCII).fullmatch
_without_gaps = re.compile(_GAP).sub


def number_of(text: str, mark: str = ".") -> float | None:
    """Return one text as `number_sql` reads a column, or None.

    A column's mark is decided by all of it. One value is read by a comma where it is sure of it.

    >>> number_of("12.50"), number_of("1,299.00"), number_of("12,50"), number_of("12 EUR")
    (12.5, 1299.0, 12.5, None)
    >>> number_of("(12.50)"), number_of("1.299,00-", ",")
    (-12.5, -1299.0)
    """
    text = text.strip()
    if (text[:1], text[-1:]) == ("(", ")"):
        text = f"-{text[1:-1]}"
    elif text[-1:] == "-":
        text = f"-{text[:-1]}"
    if mark == "." and not _IS_COMMA(text):
        if text.isascii():
            with contextlib.suppress(ValueError):
                return float(text)
        return float(_without_gaps("", text).replace(",", "")) if _AS_POINT(text) else None
    if not _AS_COMMA(text):
        return None
    return float(_without_gaps("", text).replace(".", "").replace(",", "."))


def doubtful_sql(text: str) -> str:
    """Return SQL that keeps a cell as text where its mark alone does not tell the number."""
    # A point followed by three last digits, or any comma; the fourth last character is looked at
    # first, because it is cheap.
    return (
        f"CASE WHEN contains({text}, ',') OR ({text}[-4:-4] = '.' AND "
        f"regexp_full_match({text}, '{_EITHER}')) THEN {text} END"
    )


def votes_sql(text: str) -> dict[str, str]:
    """Return SQL counts of cells that are sure of a point, sure of a comma, or of neither."""

    def count(pattern: str) -> str:
        return f"count(*) FILTER (regexp_full_match({text}, {literal(pattern)}))"

    return {
        "point": count(_SURE_POINT),
        "comma": count(_SURE_COMMA),
        "either": count(_EITHER),
    }
