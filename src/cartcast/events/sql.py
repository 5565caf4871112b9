"""Quoting: the only way in which a name or a value from outside enters a statement."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["bound", "identifier", "literal", "names", "snake_case", "unbound", "worked_out"]


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
