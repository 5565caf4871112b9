"""JSON lines, and JSON files that hold one list: nested objects become columns `a.b`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb

from cartcast.errors import DataError
from cartcast.events import sniff
from cartcast.events.csvfile import utf8_copy
from cartcast.events.read import Source
from cartcast.events.sql import identifier, literal

__all__ = ["open_json"]

_DEPTH = 5
_LARGEST_LINE = 16_777_216


def open_json(con: duckdb.DuckDBPyConnection, path: Path, shown: str, work: Path) -> Source:
    """Return a source over JSON lines or a JSON list, plain or gzip.

    Columns are the keys met in the first lines; lists stay JSON text.

    Raises:
        DataError: it is empty, or holds no objects.
    """
    data = sniff.head(path)
    if sniff.is_gzip(path):
        sniff.check_gzip(path)
    encoding = sniff.encoding_of(data)
    text = data.decode(encoding, errors="replace").lstrip()
    if not text:
        raise DataError(f"{shown}: the file is empty; give JSON objects, one a line.")
    if not encoding.startswith("utf-8"):
        path = utf8_copy(path, encoding, work)
    if text[0] == "[":
        lines = (
            f"SELECT CAST(json AS VARCHAR) AS __line FROM read_json_objects({literal(str(path))}, "
            f"format = 'array', maximum_object_size = {_LARGEST_LINE})"
        )
        sample = [
            json.loads(row[0])
            for row in con.execute(f"SELECT * FROM ({lines}) LIMIT 1000").fetchall()
        ]
    else:
        compression = "gzip" if sniff.is_gzip(path) else "none"
        lines = (
            f"SELECT __line FROM read_csv({literal(str(path))}, columns = {{'__line': 'VARCHAR'}}, "
            f"delim = '\x01', quote = '', escape = '', header = false, auto_detect = false, "
            f"compression = '{compression}', max_line_size = {_LARGEST_LINE}, parallel = false)"
        )
        sample = _objects(text)
    keys: dict[str, str] = {}
    rows = [_flat(o) for o in sample if isinstance(o, dict)]
    for row in rows:
        for name, (pointer, _) in row.items():
            keys.setdefault(name, pointer)
    if not keys:
        raise DataError(
            f"{shown}: no JSON object found (starts with {text[:40]!r}); give one object a "
            "line, or a list of objects."
        )
    pointers = ", ".join(literal(p) for p in keys.values())
    columns = ", ".join(f"__values[{i}] AS {identifier(k)}" for i, k in enumerate(keys, start=1))
    relation = (
        f"(SELECT __row, __line, json_type(__json) IS DISTINCT FROM 'OBJECT' AS __bad, {columns} "
        f"FROM (SELECT *, json_extract_string(__json, [{pointers}]) AS __values "
        f"FROM (SELECT *, TRY_CAST(__line AS JSON) AS __json "
        f"FROM (SELECT row_number() OVER () AS __row, * FROM ({lines})) "
        f"WHERE trim(__line) <> '')))"
    )
    return Source(
        name=shown,
        relation=relation,
        types=dict.fromkeys(keys, "VARCHAR"),
        broken="__bad",
        kind="json",
        encoding=None if encoding.startswith("utf-8") else encoding,
        sample=tuple(tuple(row.get(k, ("", None))[1] for k in keys) for row in rows),
    )


def _objects(text: str) -> list[Any]:
    found: list[Any] = []
    for line in text.splitlines()[:1000]:
        try:
            found.append(json.loads(line))
        except ValueError:
            # Bad lines become rejects when the file is read; the sample only looks for keys.
            continue
    return found


def _flat(
    value: dict[str, Any], name: str = "", pointer: str = "", depth: int = 0
) -> dict[str, tuple[str, str | None]]:
    """Return flat name -> (JSON pointer, value as text)."""
    found: dict[str, tuple[str, str | None]] = {}
    for key, inner in value.items():
        path = f"{name}.{key}" if name else key
        place = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
        if isinstance(inner, dict) and depth < _DEPTH:
            found.update(_flat(inner, path, place, depth + 1))
        else:
            text = inner if isinstance(inner, str) else json.dumps(inner)
            found[path] = (place, None if inner is None else text)
    return found
