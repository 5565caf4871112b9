"""References: how a layout names a column of a source, however deep it lies.

`a.b` is a nested field, `params[key]` the value of a key in a list of keys and values, `list[0].a`
a field of a list's first element, `list[*].a` the sum of a field of all elements, and `*` in a name
stands for any text.
"""

from __future__ import annotations

import fnmatch
import re
from typing import Any

from cartcast.events.nested import Cell, flatten
from cartcast.events.numbers import number_sql
from cartcast.events.read import Source
from cartcast.events.sql import identifier, literal

__all__ = ["element_of", "matching", "references"]


def matching(names: list[str], pattern: str) -> list[str]:
    """Return the names that a pattern means, in their own order; case makes no difference.

    >>> matching(["product_1_0_0", "Product_2", "item"], "product_*")
    ['product_1_0_0', 'Product_2']
    """
    wanted = pattern.lower()
    exact = [n for n in names if n.lower() == wanted]
    if exact or "*" not in wanted:
        return exact
    # Only the star is special: a bracket or a question mark is part of the name.
    plain = re.sub(r"([\[?])", r"[\1]", wanted)
    return [n for n in names if fnmatch.fnmatchcase(n.lower(), plain)]


def references(source: Source, reference: str) -> list[tuple[str, Cell]]:
    """Return (column, cell) of what a reference means; none where the source lacks it."""
    names = list(source.cells)
    if found := matching(names, reference):
        return [(name, source.cells[name]) for name in found]
    match = re.fullmatch(r"([^\[]+)\[([^\]]+)\](?:\.(.+))?", reference)
    if not match:
        return []
    inside = (
        (name, cell)
        for name in matching(names, match[1])
        if (cell := _inside(source.cells[name], match[2], match[3])) is not None
    )
    return list(inside)


def element_of(cell: Cell) -> Any:
    """Return the type of a list's elements; None for anything else."""
    if cell.type is None or cell.type.id not in ("list", "array"):
        return None
    return dict(cell.type.children)["child"]


def _inside(cell: Cell, key: str, path: str | None) -> Cell | None:
    """Return what a list (or map) holds at a place or under a key."""
    element = element_of(cell)
    if key == "*":
        held = None if element is None or path is None else _sum(cell.sql, element, path)
        return None if held is None else Cell(held, "DOUBLE")
    if key.isdigit() and element is not None:
        wanted = "x" if path is None else f"x.{path}"
        cells = flatten("x", f"{cell.sql}[{int(key) + 1}]", element)
        return next((c for name, c in cells.items() if name.lower() == wanted.lower()), None)
    return None if cell.type is None or key.isdigit() else _key_value(cell, element, key)


def _sum(sql: str, element: Any, path: str, depth: int = 0) -> str | None:
    """Return SQL of the sum of a field of all elements, which may lie in lists of theirs."""
    one = f"one_{depth}"
    outer, _, inner = path.partition("[*].")
    cells = {n.lower(): c for n, c in flatten("x", one, element).items()}
    cell = cells.get(f"x.{outer.lower()}")
    if cell is None:
        return None
    number: str | None = number_sql(f"CAST({cell.sql} AS VARCHAR)", ".")
    if inner:
        within = element_of(cell)
        number = None if within is None else _sum(cell.sql, within, inner, depth + 1)
    if number is None:
        return None
    return f"list_sum(list_transform({sql}, lambda {one}: {number}))"


def _key_value(cell: Cell, element: Any, key: str) -> Cell | None:
    """Return the value of `key` in a list of {key, value} (as GA4 exports parameters)."""
    if cell.type.id == "map":
        held = f"element_at({_map_of(cell)}, {literal(key)})[1]"
        return next(iter(flatten("x", held, cell.type.children[1][1]).values()), None)
    fields = dict(element.children) if getattr(element, "id", "") == "struct" else {}
    names = {n.lower(): n for n in fields}
    label = next((names[n] for n in ("key", "name", "index") if n in names), None)
    if label is None or "value" not in names:
        return None
    # The engine takes the labels out of a row once, however many keys are asked for.
    labels = f"list_transform({cell.sql}, lambda one: CAST(one.{identifier(label)} AS VARCHAR))"
    found = f"{cell.sql}[list_position({labels}, {literal(key)})]"
    entry = f"{found}.{identifier(names['value'])}"
    inner = fields[names["value"]]
    if inner.id != "struct":
        return next(iter(flatten("x", entry, inner).values()), None)
    slots = [
        f"CAST({entry}.{identifier(f)} AS VARCHAR)"
        for f, kind in inner.children
        if kind.id not in ("list", "struct", "map")
    ]
    return Cell(f"coalesce({', '.join(slots)})", "VARCHAR") if slots else None


def _map_of(cell: Cell) -> str:
    return cell.sql.removeprefix("map_entries(")[:-1]
