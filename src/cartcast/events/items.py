"""Lists of items in one event: sales become one row per item, other events take the first.

A purchase of three items is one event in GA4 and Segment, with a list. Money is counted per item,
so `purchase` and `refund` become one row per item; a list that was merely shown stays one click. A
flat export may write such an event as one row per item: its layout says which columns name the
event. Money of an order that was given back, where it stands beside the order, is a row more: a
refund.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import duckdb

from cartcast.events.mapping import Resolved
from cartcast.events.nested import flatten
from cartcast.events.numbers import NUMBER_COLUMNS, number_sql
from cartcast.events.references import element_of
from cartcast.events.sql import literal
from cartcast.events.values import Mapped, field_text

__all__ = ["PARTS", "explode", "find_parts"]

PARTS = "parts"
"""Table of the rows (seq) that are a further item of an event that counts once."""

_OF_LINES = ("item_id", "category", "brand", "price", "quantity", "line_value", "tax", "shipping",
             "discount")  # fmt: skip
"""What is not said of money given back."""

_WHOLE = ("price", "quantity", "line_value")
"""What an event says beside a list of several items is not said of each of them."""


def explode(resolved: Resolved, event_type: str) -> tuple[str | None, dict[str, Mapped]]:
    """Return SQL of the items' places in their event (it repeats the row), and the mapping.

    The place of what was given back is 0. Without an item list or a refund the place is None.
    """
    parts, mapped = _listed(resolved, event_type)
    if resolved.refund is None:
        return (None if parts is None else f"unnest({parts})"), mapped
    back = resolved.refund.scaled
    # An order that is no sale took no money, so it gave none back.
    given = (
        f"coalesce(({event_type}) = 'purchase' AND abs({number_sql(back, resolved.mark)}) > 0, "
        "false)"
    )
    parts = f"CASE WHEN {given} THEN list_append({parts or '[1]'}, 0) ELSE {parts or '[1]'} END"
    mapped = {
        target: replace(
            m,
            text=f"CASE WHEN part <> 0 THEN {m.scaled} END",
            native=None,
            divide=None,
            raw=m.raw and f"CASE WHEN part <> 0 THEN {m.raw} END",
        )
        if target in _OF_LINES
        else m
        for target, m in mapped.items()
    }
    for target, text in (("event_type", "'refund'"), ("order_value", back)):
        own = mapped.get(target, Mapped(resolved.refund.column, "NULL"))
        both = f"CASE WHEN part = 0 THEN {text} ELSE {own.scaled} END"
        mapped[target] = replace(own, text=both, native=None, divide=None)
    return f"unnest({parts})", mapped


def _listed(resolved: Resolved, event_type: str) -> tuple[str | None, dict[str, Mapped]]:
    """Return SQL of the list of the items' places, and the mapping with what is known of each."""
    if resolved.items is None:
        return None, resolved.mapped
    listed, column, cell = resolved.items
    length = f"coalesce(len({cell.sql}), 0)"
    each = ", ".join(literal(e) for e in listed.each) or "''"
    parts = (
        f"CASE WHEN ({event_type}) IN ({each}) AND {length} > 1 "
        f"THEN range(1, {length} + 1) ELSE [1]::BIGINT[] END"
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
    return parts, mapped


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
                   row_number() OVER (PARTITION BY __event ORDER BY __place) AS n
            FROM {rows}
            WHERE __event IS NOT NULL AND event_type NOT IN ('purchase', 'refund')) WHERE n > 1
        """
    ).fetchone()
    return int(row[0]) if row else 0
