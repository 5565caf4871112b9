"""Quoting: the only way in which a name or a value from outside enters a statement."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["identifier", "literal", "names", "snake_case"]


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
