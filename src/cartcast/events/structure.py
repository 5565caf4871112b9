"""The structure of JSON texts: which keys there are and what lies under them, over all rows.

The structure of the first rows is written as a pattern, and a text that matches it adds nothing: to
match it costs a third of what its own structure does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from typing import Any

import duckdb

from cartcast.events.sql import identifier, literal

__all__ = ["DEEPEST", "json_schema", "merged", "never_there", "structure_of", "type_of"]

DEEPEST = 40
"""Levels of nesting that are looked at."""

_FIRST = 10_000
_LONGEST = 50_000
_SCALAR = r'(?:"(?:[^"\\]|\\.)*"|[-+0-9.eE]+|true|false|null)'
_NEVER = r"[^\x00-\x{10FFFF}]"


def structure_of(
    con: duckdb.DuckDBPyConnection, text: str, relation: str, kinds: str = "'OBJECT', 'ARRAY'"
) -> Any:
    """Return the merged structure of the JSON in a text column over all rows of a relation.

    Texts that are no JSON, or of no such kind, are left out.
    """
    texts = f"(SELECT {text} AS text FROM {relation})"
    found: set[str] = set()
    for most in (_FIRST, None):
        pattern = _pattern(merged(map(json.loads, sorted(found))), 0)
        known = f"regexp_full_match(text, {literal(pattern)})"
        rows = texts if most is None else f"(FROM {texts} LIMIT {most})"
        found |= _structures(con, rows, kinds, known if len(pattern) < _LONGEST else "false")
    # Sorted: the order of the columns must not depend on the engine's threads.
    return merged(map(json.loads, sorted(found)))


def _structures(con: duckdb.DuckDBPyConnection, texts: str, kinds: str, known: str) -> set[str]:
    rows = con.execute(
        "SELECT DISTINCT CAST(json_structure(value) AS VARCHAR) FROM "
        f"(SELECT CASE WHEN {known} THEN NULL ELSE TRY_CAST(text AS JSON) END AS value "
        f"FROM {texts}) WHERE json_type(value) IN ({kinds})"
    ).fetchall()
    return {row[0] for row in rows if row[0] is not None}


def _pattern(structure: Any, depth: int) -> str:
    """Return the pattern (RE2) of JSON texts that add nothing to a structure.

    >>> bool(re.fullmatch(_pattern({"a": ["VARCHAR"]}, 0), '{"a": ["x", "y:{"]}'))
    True
    """
    if structure in ("NULL", "JSON"):
        return "null" if structure == "NULL" else r"(?:null|\{\s*\})"
    if structure == "MIXED" or depth > DEEPEST or structure == []:
        return _NEVER
    if isinstance(structure, dict):
        pairs = "|".join(
            rf"{re.escape(json.dumps(key, ensure_ascii=False))}\s*:\s*{_pattern(value, depth + 1)}"
            for key, value in structure.items()
        )
        return rf"(?:null|\{{\s*(?:(?:{pairs})\s*,?\s*)*\}})"
    if isinstance(structure, list):
        return rf"(?:null|\[\s*(?:{_pattern(structure[0], depth + 1)}\s*,?\s*)*\])"
    return _SCALAR


def merged(structures: Iterable[Any]) -> Any:
    """Return one JSON structure (as `json_structure` gives it) that holds all of these.

    >>> merged([{"a": "VARCHAR"}, {"b": [{"c": "UBIGINT"}]}, {"b": [{"d": "NULL"}]}])
    {'a': 'VARCHAR', 'b': [{'c': 'UBIGINT', 'd': 'NULL'}]}
    >>> merged([{"a": "JSON"}, {"a": {"b": "VARCHAR"}}]), merged(["VARCHAR", {"a": "VARCHAR"}])
    ({'a': {'b': 'VARCHAR'}}, 'MIXED')
    """
    return reduce(_merge, structures, "NULL")


def _merge(a: Any, b: Any) -> Any:
    if isinstance(a, dict) and isinstance(b, dict):
        out = dict(a)
        for key, value in b.items():
            out[key] = _merge(out[key], value) if key in out else value
        return out
    if isinstance(a, list) and isinstance(b, list):
        return [_merge(a[0], b[0])] if a and b else a or b
    if a == "NULL" or a == b:
        return b
    if b == "NULL":
        return a
    if {a if isinstance(a, str) else "", b if isinstance(b, str) else ""} == {"", "JSON"}:
        # `{}` has this structure: it says nothing against the keys that others have.
        return b if a == "JSON" else a
    # An object here and a text there: both are kept as JSON text, whatever comes after.
    if "MIXED" in (a, b) or isinstance(a, dict | list) or isinstance(b, dict | list):
        return "MIXED"
    return "VARCHAR"


def never_there(structure: Any, name: str = "") -> Iterator[str]:
    """Yield the names (`a.b`) of keys that are null in all rows.

    >>> list(never_there({"a": "NULL", "b": {"c": "NULL", "d": "BIGINT"}}))
    ['a', 'b.c']
    """
    if structure == "NULL":
        yield name
    elif isinstance(structure, dict):
        for key, inner in structure.items():
            yield from never_there(inner, f"{name}.{key}" if name else key)


def type_of(structure: Any) -> str:
    """Return the DuckDB type of a merged structure; every leaf is text.

    >>> type_of({"a": "UBIGINT", "b": [{"c": "VARCHAR"}]})
    'STRUCT("a" VARCHAR, "b" STRUCT("c" VARCHAR)[])'
    """
    if isinstance(structure, dict) and structure:
        fields = ", ".join(f"{identifier(k)} {type_of(v)}" for k, v in _unlike(structure).items())
        return f"STRUCT({fields})"
    if isinstance(structure, list):
        return (type_of(structure[0]) if structure else "VARCHAR") + "[]"
    return "VARCHAR"


def _unlike(structure: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the first of keys that differ in case only: the engine's names know no case."""
    seen: dict[str, Any] = {}
    lower: set[str] = set()
    for key, value in structure.items():
        if key.lower() not in lower:
            lower.add(key.lower())
            seen[key] = value
    return seen


def json_schema(structure: Any) -> Any:
    """Return a merged structure as `from_json` wants it; every leaf is text."""
    if isinstance(structure, dict) and structure:
        return {k: json_schema(v) for k, v in _unlike(structure).items()}
    if isinstance(structure, list):
        return [json_schema(structure[0])] if structure else ["VARCHAR"]
    return "VARCHAR"
