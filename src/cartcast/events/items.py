"""Lists of items in one event: purchases become one row per item, other events take the first.

A purchase of three items is one event in GA4 and Segment, with a list. Money is counted per item,
so `purchase` and `refund` become one row per item; a list that was merely shown stays one click.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cartcast.events.mapping import Mapped, Resolved
from cartcast.events.sql import identifier, literal

__all__ = ["Exploded", "explode"]


@dataclass(frozen=True)
class Exploded:
    """SQL after lists of items were taken apart.

    Attributes:
        part: SQL of the item's place in its event, from 0 (may repeat the row).
        mapped: the canonical columns, with the items' fields first.
        carry: further columns that must be carried along.
    """

    part: str
    mapped: dict[str, Mapped]
    carry: tuple[str, ...] = ()


def explode(resolved: Resolved, event_type: str) -> Exploded:
    """Return the SQL that turns lists of items into rows, or the mapping as it was."""
    for item in resolved.layout.items:
        column = resolved.lists.get(item.columns)
        if column is None:
            continue
        array = f"TRY_CAST({identifier(column)} AS JSON)"
        length = f"CAST(coalesce(json_array_length({array}), 0) AS BIGINT)"
        each = ", ".join(literal(e) for e in item.each) or "''"
        part = (
            f"unnest(CASE WHEN ({event_type}) IN ({each}) AND {length} > 1 "
            f"THEN range(0, {length}) ELSE [0] END)"
        )
        mapped = dict(resolved.mapped)
        for target, fields in item.fields.items():
            paths = ", ".join(
                f"json_extract_string({array}, '$[' || __part || ']' || {literal('.' + f)})"
                for f in fields
            )
            own = f"nullif(coalesce({paths}), '')"
            plain = mapped.get(target)
            text = own
            if plain is not None:
                # The whole order's value must not be counted once for each of several items.
                text = f"CASE WHEN {length} > 1 THEN {own} ELSE coalesce({own}, {plain.text}) END"
            mapped[target] = (
                replace(plain, text=text, native=None)
                if plain is not None
                else Mapped(f"{column}.{fields[0]}", text)
            )
        return Exploded(part, mapped)
    return Exploded("0", resolved.mapped)
