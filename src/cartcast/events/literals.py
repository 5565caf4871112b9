"""Python literals in a cell: what `to_csv` writes of a list or a dictionary, as JSON.

Only literals are read, never run: the text becomes a tree, and a node that is no literal (but
for the few constructors that pandas and numpy print) makes the cell unreadable.
"""

from __future__ import annotations

import ast
import json
import math
import re
from functools import lru_cache
from typing import Any

__all__ = ["literal_to_json"]

_LONGEST = 4_000_000
_SHORT = 2_000
"""Letters of a cell that is remembered: such cells repeat, and a column is read several times."""
_CONSTRUCTORS = (
    "array",
    "Decimal",
    "Timestamp",
    "UUID",
    "date",
    "datetime",
    "int64",
    "float64",
    "str_",
)
_LISTS = (ast.List, ast.Tuple, ast.Set)
_WORDS = {"nan": None, "NaN": None, "NaT": None, "inf": None, "None": None, "null": None,
          "true": True, "false": False, "NA": None}  # fmt: skip


def literal_to_json(text: str | None) -> str | None:
    """Return the JSON of a Python literal; null when it is none.

    >>> literal_to_json("[{'key': 'id', 'value': None}]")
    '[{"key": "id", "value": null}]'
    >>> literal_to_json("array([{'price': Decimal('9.5')}], dtype=object)")
    '[{"price": "9.5"}]'
    >>> literal_to_json("__import__('os').getcwd()") is None
    True
    """
    if text is None or len(text) > _LONGEST:
        return None
    return _remembered(text) if len(text) <= _SHORT else _json(text)


def _json(text: str) -> str | None:
    # numpy prints the elements of an array without commas between lines.
    plain = re.sub(r"\}\s*\n\s*\{", "}, {", text.strip())
    try:
        value = _value(ast.parse(plain, mode="eval").body)
        return json.dumps(value, allow_nan=False)
    except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError):
        return None


_remembered = lru_cache(8192)(_json)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise ValueError("not a literal")
        return {str(_value(k)): _value(v) for k, v in zip(node.keys, node.values, strict=True) if k}
    if isinstance(node, _LISTS):
        return [_value(e) for e in node.elts]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Name) and node.id in _WORDS:
        return _WORDS[node.id]
    if isinstance(node, ast.Call):
        return _constructed(node)
    raise ValueError("not a literal")


def _constructed(node: ast.Call) -> Any:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name not in _CONSTRUCTORS or not node.args:
        raise ValueError("not a literal")
    values = [_value(a) for a in node.args]
    if name in ("date", "datetime"):
        import datetime as dt

        return str(getattr(dt, name)(*values))
    return values[0]
