"""Quoting: the only way in which a name or a value from outside enters a statement."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from cartcast.errors import UsageError

__all__ = [
    "bound",
    "file_literal",
    "identifier",
    "literal",
    "names",
    "place_literal",
    "read_parquet",
    "snake_case",
    "unbound",
    "worked_out",
]


def identifier(name: str) -> str:
    """Return `name` as a quoted SQL identifier.

    >>> identifier('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | float | int | bool | None) -> str:
    """Return `value` as an SQL literal.

    >>> literal("it's"), literal(None), literal(3)
    ("'it''s'", 'NULL', '3')
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(value)
    return "'" + value.replace("'", "''") + "'"


_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
"""Two characters that no text holds: Unicode keeps them for a program's own use."""
_BOUND = re.compile(f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")


def bound(sql: str) -> str:
    """Return SQL that `worked_out` lets the engine work out once, however often it is written."""
    plain = sql.isidentifier() or _OPEN in sql or _CLOSE in sql
    return sql if plain else f"{_OPEN}{sql}{_CLOSE}"


def unbound(sql: str) -> str:
    """Return SQL with what `bound` marked written out.

    >>> unbound(f"{bound('a + b')} * {bound('a + b')}")
    'a + b * a + b'
    """
    return _BOUND.sub(r"\1", sql)


def worked_out(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return columns for what `bound` marked in some texts, and the texts that read these.

    >>> worked_out([f"{bound('f(a)')} > 0", f"{bound('f(a)')} * b"])
    (['f(a) AS b_0'], ['b_0 > 0', 'b_0 * b'])
    """
    found: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        return found.setdefault(match[1], f"b_{len(found)}")

    read = [_BOUND.sub(name, text) for text in texts]
    return [f"{sql} AS {column}" for sql, column in found.items()], read


def place_literal(path: Path | str) -> str:
    """Return a path as SQL for a place that the engine writes to or opens, and never matches.

    Nothing before the first slash is left to be read as a home folder (`~`) or a scheme.

    >>> print(place_literal("out.parquet"), place_literal("~/a.csv"), place_literal("/a*.csv"))
    './out.parquet' './~/a.csv' '/a*.csv'
    """
    text = str(path)
    return literal(text if Path(text).is_absolute() else f"./{text}")


def file_literal(path: Path | str) -> str:
    """Return one file's path as SQL for a reading function, which takes `*`, `?`, `[` for patterns.

    Raises:
        UsageError: the path holds a pattern's sign and a backslash, which no engine's pattern can
            name.

    >>> print(file_literal("/a*.csv"))
    '/a[*].csv'
    """
    text = str(path)
    if os.sep == "/" and "\\" in text and re.search(r"[*?\[]", text):
        raise UsageError(f"{text}: the name holds a backslash and one of * ? [; rename it.")
    return re.sub(r"([*?\[])", r"[\1]", place_literal(text))


def read_parquet(*paths: Path | str, numbered: bool = False, named: bool = False) -> str:
    """Return SQL of the rows of Parquet files, by their own names and with their own columns.

    Folders named like `month=3` add no columns. `numbered` adds `file_row_number`,
    `named` adds `filename`.

    >>> print(read_parquet("/a[1].parquet"))
    read_parquet(['/a[[]1].parquet'], hive_partitioning = false)
    """
    files = ", ".join(file_literal(p) for p in paths)
    more = ", file_row_number = true" if numbered else ""
    more += ", filename = true" if named else ""
    return f"read_parquet([{files}], hive_partitioning = false{more})"


def names(columns: Iterable[str]) -> str:
    """Return quoted identifiers, separated by commas."""
    return ", ".join(identifier(c) for c in columns)


def snake_case(name: str) -> str:
    """Return a column name in lower case with underscores.

    >>> snake_case("page 2 (clothing model)"), snake_case("pageViews"), snake_case("ID")
    ('page_2_clothing_model', 'page_views', 'id')
    """
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"[^0-9a-zA-Z\u0080-\U0010ffff]+", "_", words).strip("_").lower() or "column"
