"""Lists of items in one event: sales become one row per item, other events take the first.

A purchase of three items is one event in GA4 and Segment, with a list. Money is counted per item,
so `purchase` and `refund` become one row per item; a list that was merely shown stays one click. A
flat export may write such an event as one row per item: its layout says which columns name the
event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import duckdb

from cartcast.events.mapping import Resolved
from cartcast.events.nested import flatten
from cartcast.events.numbers import NUMBER_COLUMNS
from cartcast.events.references import element_of
from cartcast.events.sql import literal
from cartcast.events.values import Mapped, field_text

__all__ = ["PARTS", "explode", "find_parts"]

PARTS = "parts"
"""Table of the rows (seq) that are a further item of an event that counts once."""

_WHOLE = ("price", "quantity", "line_value")
"""What an event says beside a list of several items is not said of each of them."""


def explode(resolved: Resolved, event_type: str) -> tuple[str | None, dict[str, Mapped]]:
    """Return SQL of the items' places in their event (it repeats the row), and the mapping.

    Without an item list the place is None.
    """
    if resolved.items is None:
        return None, resolved.mapped
    listed, column, cell = resolved.items
    length = f"coalesce(len({cell.sql}), 0)"
    each = ", ".join(literal(e) for e in listed.each) or "''"
    part = (
        f"unnest(CASE WHEN ({event_type}) IN ({each}) AND {length} > 1 "
        f"THEN range(1, {length} + 1) ELSE [1] END)"
    )
    element = element_of(cell)
    fields = (
        {
            name.lower()[2:]: inner
            for name, inner in flatten("x", f"{cell.sql}[part]", element).items()
        }
        if element is not None
        else {}
    )
    mapped = dict(resolved.mapped)
    for target, value in listed.fields.items():
        found = [fields[c.lower()] for c in value.columns if c.lower() in fields]
        if not found:
            continue
        text = f"coalesce({', '.join(field_text(f, target, value.nulls) for f in found)}, NULL)"
        if target in NUMBER_COLUMNS and resolved.mark == ",":
            # Records in a cell keep JSON's point, whatever mark the file's own cells have.
            text = f"replace({text}, '.', ',')"
        own = Mapped(f"{column}.{value.columns[0]}", text, divide=value.divide)
        plain = mapped.get(target)
        if plain is None:
            mapped[target] = own
            continue
        text = f"coalesce({own.scaled}, {plain.scaled})"
        if target in _WHOLE:
            text = f"CASE WHEN {length} > 1 THEN {own.scaled} ELSE {text} END"
        mapped[target] = replace(plain, text=text, native=None, divide=None)
    return part, mapped


def find_parts(con: duckdb.DuckDBPyConnection, rows: str, resolved: Sequence[Resolved]) -> int:
    """Keep in the table `parts` all but the first row of each event that is no sale.

    Returns how many they are. Rows that name no event are events of their own.
    """
    if not any(one.event for one in resolved):
        return 0
    row = con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {PARTS} AS
        SELECT seq FROM (
            SELECT __seq AS seq,
                   row_number() OVER (PARTITION BY __event ORDER BY __file, __place) AS n
            FROM {rows}
            WHERE __event IS NOT NULL AND event_type NOT IN ('purchase', 'refund')) WHERE n > 1
        """
    ).fetchone()
    return int(row[0]) if row else 0
