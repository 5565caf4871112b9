"""Lists of items in one event: sales become one row per item, other events take the first.

A purchase of three items is one event in GA4 and Segment, with a list. Money is counted per item,
so `purchase` and `refund` become one row per item; a list that was merely shown stays one click.
"""

from __future__ import annotations

from dataclasses import replace

from cartcast.events.layouts import Value
from cartcast.events.mapping import Mapped, Resolved, field_text
from cartcast.events.nested import flatten
from cartcast.events.sql import literal

__all__ = ["explode"]

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
    element = dict(cell.type.children).get("child")
    fields = {
        name.lower()[2:]: inner for name, inner in flatten("x", f"{cell.sql}[part]", element).items()
    } if element is not None else {}
    mapped = dict(resolved.mapped)
    for target, value in listed.fields.items():
        found = [fields[c.lower()] for c in value.columns if c.lower() in fields]
        if not found:
            continue
        own = f"coalesce({', '.join(field_text(f, target, value.nulls) for f in found)}, NULL)"
        scaled = _scaled(own, value)
        plain = mapped.get(target)
        if plain is None:
            mapped[target] = Mapped(f"{column}.{value.columns[0]}", scaled)
            continue
        text = f"coalesce({scaled}, {plain.text})"
        if target in _WHOLE:
            text = f"CASE WHEN {length} > 1 THEN {scaled} ELSE {text} END"
        mapped[target] = replace(plain, text=text, native=None)
    return part, mapped


def _scaled(text: str, value: Value) -> str:
    if value.divide is None:
        return text
    return f"CAST(TRY_CAST({text} AS DOUBLE) / {value.divide} AS VARCHAR)"
