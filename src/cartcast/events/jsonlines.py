"""JSON lines, and JSON files that hold one list, bare or in an answer of an API.

Nested objects become columns `a.b`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb

from cartcast.errors import DataError
from cartcast.events import sniff
from cartcast.events.csvfile import utf8_copy
from cartcast.events.nested import flatten, opened_text
from cartcast.events.read import Source
from cartcast.events.sql import file_literal, literal
from cartcast.events.structure import json_schema, never_there, structure_of, type_of
from cartcast.events.tables import sampled

__all__ = ["open_json"]

_LARGEST_LINE = 16_777_216
_LARGEST_ANSWER = 1 << 29
_MOST_KEYS = 5_000
_LISTS = ("data", "events", "results", "records", "rows", "orders", "result")
"""Keys under which APIs answer with a list of records."""
_ABOUT = frozenset((
    "next", "next_cursor", "next_page", "previous", "prev", "cursor", "links", "has_more",
    "hasmore", "count", "total", "limit", "offset", "page", "pages", "page_size", "per_page",
    "pagination", "paging", "meta", "metadata", "status", "success", "ok", "code", "message",
    "error", "errors", "object", "url", "took",
))  # fmt: skip
"""Keys beside such a list, which speak of the answer and not of a record."""
_KEY = re.compile(r'[{,]\s*"([^"\\]+)"\s*:\s*')


def open_json(con: duckdb.DuckDBPyConnection, path: Path, shown: str, work: Path) -> Source:
    """Return a source over JSON lines, a JSON list, or objects that span lines; plain or gzip.

    The columns are the keys of the whole file, wherever they first appear.

    Raises:
        DataError: it is empty, or holds no objects.
    """
    data = sniff.head(path)
    if sniff.is_gzip(path):
        sniff.check_gzip(path)
    encoding = sniff.encoding_of(data)
    text = data.decode(encoding, errors="replace").lstrip("\ufeff \t\r\n")
    if not text:
        raise DataError(f"{shown}: the file is empty; give JSON objects, one a line.")
    if not encoding.startswith("utf-8"):
        path = utf8_copy(path, encoding, work)
    lines = _lines(path, text)
    structure = structure_of(con, "line", lines, "'OBJECT'")
    if not isinstance(structure, dict) or not structure:
        raise DataError(
            f"{shown}: no JSON object found (starts with {text[:40]!r}); give one object a "
            "line, or a list of objects."
        )
    if len(structure) > _MOST_KEYS:
        raise DataError(
            f"{shown}: its objects have {len(structure):,} different keys, at most {_MOST_KEYS:,} "
            "are looked at; give those that a log needs."
        )
    schema = literal(json.dumps(json_schema(structure)))
    relation = f"(SELECT line, from_json(TRY_CAST(line AS JSON), {schema}) AS j FROM {lines})"
    (kind,) = con.sql(f"SELECT CAST(NULL AS {type_of(structure)}) AS j").types
    cells = {
        name: cell
        for key, inner in kind.children
        for name, cell in flatten(key, f"struct_extract(j, {literal(key)})", inner).items()
    }
    sample = sampled(con, relation, cells)
    opened, columns = opened_text(con, relation, cells, sample, set(never_there(structure)))
    return Source(
        name=shown,
        relation=opened,
        cells=columns,
        # Trimming by Unicode rules walks through the whole line, and few lines need it.
        broken="(j IS NULL OR NOT starts_with(line, '{') AND left(ltrim(line), 1) <> '{')",
        blank="CASE WHEN starts_with(line, '{') THEN false ELSE trim(line) = '' END",
        kind="json",
        path=path,
        encoding=None if encoding.startswith("utf-8") else encoding,
        sample=sample if opened == relation else sampled(con, opened, columns),
    )


def _lines(path: Path, text: str) -> str:
    """Return SQL of the objects of a file, each as the text `line`."""
    if (key := _listed_in(text)) is not None:
        listed = literal(f"$.{key}")
        size = min(max(path.stat().st_size + 1, _LARGEST_LINE), _LARGEST_ANSWER)
        return (
            "(SELECT CAST(unnest(CASE WHEN json_type(json, "
            f"{listed}) = 'ARRAY' THEN json_extract(json, {literal(f'$.{key}[*]')}) ELSE [json] END"
            f") AS VARCHAR) AS line FROM read_json_objects({file_literal(path)}, "
            f"format = 'unstructured', hive_partitioning = false, maximum_object_size = {size}))"
        )
    whole = "auto" if text[0] == "[" else None
    if whole is None and not _is_object(text.split("\n", 1)[0]) and text[0] == "{":
        # The first line is no object: objects span lines.
        whole = "unstructured" if _spans(text) else None
    if whole:
        form = "array" if text[0] == "[" else "unstructured"
        return (
            f"(SELECT CAST(json AS VARCHAR) AS line FROM read_json_objects({file_literal(path)}, "
            f"format = '{form}', hive_partitioning = false, maximum_object_size = {_LARGEST_LINE}))"
        )
    compression = "gzip" if sniff.is_gzip(path) else "none"
    return (
        f"(SELECT coalesce(line, '') AS line FROM read_csv({file_literal(path)}, "
        f"columns = {{'line': 'VARCHAR'}}, delim = '\x01', quote = '', escape = '', "
        f"header = false, auto_detect = false, hive_partitioning = false, "
        f"compression = '{compression}', max_line_size = {_LARGEST_LINE}, "
        f"buffer_size = {2 * _LARGEST_LINE}))"
    )


def _listed_in(text: str) -> str | None:
    """Return the key of the list of records, where a text begins as the answer of an API.

    >>> _listed_in('{"count": 2, "next": null, "results": [{"id": 1}, {"id": 2}]}')
    'results'
    >>> _listed_in('{"session": 1, "events": [{"type": "clicks"}]}')
    """
    if text[0] != "{":
        return None
    decoder, at, found = json.JSONDecoder(), 0, None
    while match := _KEY.match(text, at):
        key, at = match[1], match.end()
        if found is None and key in _LISTS and re.match(r"\[\s*\{", text[at:]):
            found = key
        elif key.lower() not in _ABOUT:
            return None
        try:
            _, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            # The head of a long file ends within a value.
            return found
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _spans(text: str) -> bool:
    """Return whether a text begins with an object that goes over several lines."""
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        # The head of a long file may end inside its first object.
        return text.lstrip("{").lstrip(" \t").startswith(("\n", "\r"))
    return isinstance(value, dict) and "\n" in text[:end]
