"""Nested columns: structs become columns `a.b`, lists of structs stay lists, JSON text is opened.

The same record comes as a struct in Parquet, as an object in JSON lines, as JSON text in a cell
(CSV, or Parquet written by a loader that knows no structs), or as the text of a Python literal
(`to_csv` of a data frame). All become the same native columns, so that nothing after this file
sees the form.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeGuard

import duckdb

from cartcast.events.ids import ID_NULLS
from cartcast.events.sql import identifier, literal
from cartcast.events.structure import DEEPEST, json_schema, structure_of, type_of

__all__ = ["Cell", "flatten", "opened_text"]

_DEPTH = 8
_NESTED = ("struct", "list", "array", "map", "union")
_LOOKED_AT = 200
"""Values of a column that tell whether it holds JSON or Python literals."""
_MOST = 4000
"""Columns that one nested value may open into; more is data in the place of names."""


class Cell(NamedTuple):
    """A column of a source: its SQL over the source's relation, and its DuckDB type."""

    sql: str
    kind: str
    type: Any = None


def flatten(name: str, sql: str, kind: Any) -> dict[str, Cell]:
    """Return flat name -> cell of a column of a DuckDB type; structs are opened.

    A Parquet list that was written as `list.element` is a plain list.
    """
    found: dict[str, Cell] = {}
    if _deeper(kind, DEEPEST):
        # No Parquet file holds it, and no column of ours is that deep.
        return {name: Cell(f"CAST(to_json({sql}) AS VARCHAR)", "VARCHAR")}
    _flatten(found, name, sql, kind, 0)
    return found


def _deeper(kind: Any, most: int) -> bool:
    """Return whether a type is nested more than `most` levels deep."""
    level = [kind]
    for _ in range(most):
        level = [c for k in level if k.id in _NESTED for _, c in k.children if hasattr(c, "id")]
        if not level:
            return False
    return True


def _flatten(found: dict[str, Cell], name: str, sql: str, kind: Any, depth: int) -> None:
    if kind.id == "struct" and depth < _DEPTH:
        children = dict(kind.children)
        if list(children) == ["list"] and children["list"].id == "list":
            inner = dict(children["list"].children)["child"]
            element = dict(inner.children) if inner.id == "struct" else {}
            if len(element) == 1 and next(iter(element)) in ("element", "item", "array"):
                field = next(iter(element))
                listed = f"list_transform({sql}.list, lambda one: one.{identifier(field)})"
                _flatten(found, name, listed, _list_of(element[field]), depth + 1)
                return
        for field, inner in kind.children:
            _flatten(
                found, f"{name}.{field}", f"struct_extract({sql}, {literal(field)})", inner,
                depth + 1,
            )  # fmt: skip
    elif kind.id == "map":
        found[name] = Cell(f"map_entries({sql})", str(kind).upper(), kind)
    elif kind.id in ("list", "array"):
        found[name] = Cell(sql, "LIST", kind)
    elif kind.id in ("blob", "bit", "enum", "uuid", "json", "union"):
        found[name] = Cell(f"CAST({sql} AS VARCHAR)", "VARCHAR")
    else:
        found[name] = Cell(sql, str(kind).upper())


def _list_of(kind: Any) -> Any:
    return duckdb.list_type(kind)


def opened_text(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    cells: Mapping[str, Cell],
    sample: Sequence[Sequence[str | None]],
    empty: Collection[str] = (),
) -> tuple[str, dict[str, Cell]]:
    """Return the relation and the cells with columns of JSON text (or Python literals) opened.

    Columns that are known to be `empty` in all rows are not looked into.
    """
    out: dict[str, Cell] = {}
    added: list[str] = []
    later = _first_records(con, relation, cells, sample, empty)
    for place, (name, cell) in enumerate(cells.items()):
        said = (v for row in sample if len(row) > place and _says(v := row[place]))
        values = list(islice(said, _LOOKED_AT)) or later.get(name, [])
        form = _form(values) if cell.kind == "VARCHAR" else None
        if form is None:
            out[name] = cell
            continue
        text = cell.sql
        if form == "python":
            _declare_literals(con)
            text = f"python_literal({text})"
        structure = structure_of(con, text, relation)
        if not isinstance(structure, dict | list) or not structure or _leaves(structure) > _MOST:
            out[name] = cell
            continue
        column = f"o{len(added)}"
        schema = literal(json.dumps(json_schema(structure)))
        added.append(f"from_json(TRY_CAST({text} AS JSON), {schema}) AS {column}")
        (kind,) = con.sql(f"SELECT CAST(NULL AS {type_of(structure)}) AS x").types
        out.update({k: v for k, v in flatten(name, column, kind).items() if k not in out})
    if added:
        relation = f"(SELECT *, {', '.join(added)} FROM {relation})"
    return relation, out


def _first_records(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    cells: Mapping[str, Cell],
    sample: Sequence[Sequence[str | None]],
    known: Collection[str],
) -> dict[str, list[str]]:
    """Return a record of each text column that is empty in the first rows and not later."""
    held = {i for row in sample for i, value in enumerate(row) if _says(value)}
    empty = [
        n
        for i, (n, c) in enumerate(cells.items())
        if c.kind == "VARCHAR" and i not in held and n not in known
    ]
    if not empty:
        return {}
    firsts = ", ".join(
        f"any_value({cells[n].sql}) FILTER (left(ltrim({cells[n].sql}), 1) IN ('{{', '[') "
        f"AND strlen({cells[n].sql}) > 2)"
        for n in empty
    )
    found = con.execute(f"SELECT {firsts} FROM {relation}").fetchone() or ()
    return {name: [value] for name, value in zip(empty, found, strict=False) if value}


def _says(value: str | None) -> TypeGuard[str]:
    """Return whether a cell says anything: an empty list is no example of a list."""
    return bool(value) and value not in ("[]", "{}")


def _leaves(structure: Any) -> int:
    if isinstance(structure, dict):
        return sum(_leaves(v) for v in structure.values())
    return _leaves(structure[0]) if isinstance(structure, list) and structure else 1


def _form(values: Sequence[str]) -> str | None:
    """Return `json` or `python` when all of a sample's texts are such objects or lists."""
    texts = [t for v in values if (t := v.strip()).lower() not in ID_NULLS]
    if not texts or not all(t[0] in "{[" for t in texts):
        return None
    if all(_loads(t) for t in texts):
        return "json"
    from cartcast.events.literals import literal_to_json

    return "python" if all(literal_to_json(t) is not None for t in texts) else None


def _loads(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _declare_literals(con: duckdb.DuckDBPyConnection) -> None:
    from duckdb.func import FunctionNullHandling
    from duckdb.sqltypes import VARCHAR

    from cartcast.events.literals import literal_to_json

    known = con.execute(
        "SELECT 1 FROM duckdb_functions() WHERE function_name = 'python_literal'"
    ).fetchone()
    if known is None:
        con.create_function(
            "python_literal", literal_to_json, [VARCHAR], VARCHAR,
            null_handling=FunctionNullHandling.SPECIAL,
        )  # fmt: skip
