"""What a tracker's layout lacks of a sale, by the shop's own names for the properties it sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cartcast.events.byname import layout_by_names
from cartcast.events.kinds import kind_said
from cartcast.events.layouts import ItemList, Layout
from cartcast.events.naming import within
from cartcast.events.read import Source
from cartcast.events.references import references

__all__ = ["with_properties"]

_OF_SALES = ("order_id", "item_id", "price", "quantity", "line_value", "order_value", "tax",
             "shipping", "discount", "currency")  # fmt: skip


def with_properties(layout: Layout, source: Source) -> Layout:
    """Return the layout with what it lacks of a sale, by the shop's own names for properties.

    A tracker has its own columns, but what a shop sends along is called as the shop likes.
    """
    lacking = {
        t for t in _OF_SALES
        if (v := layout.columns.get(t)) is None
        or not any(references(source, r) for r in v.references)
    }  # fmt: skip
    if not lacking or not any(within(c) != c for c in source.columns):
        return layout
    found, _ = layout_by_names(source)
    more = {
        t: v
        for t, v in found.columns.items()
        if t in lacking and all("." in c and within(c) != c for c in v.columns)
    }
    if "price" in more and found.amount not in ("", "price"):
        # What may be an order's or a line's is left to a layout.
        del more["price"]
    if "order_value" in more and _on_other_events(layout, source, more["order_value"].columns):
        # A cart's worth so far, not an order's.
        del more["order_value"]
    items = _with_fields(layout.items, found.items)
    return replace(layout, columns={**layout.columns, **more}, items=items)


def _on_other_events(layout: Layout, source: Source, money: Sequence[str]) -> bool:
    """Return whether a column of money speaks on events that are no sale."""
    value = layout.columns.get("event_type")
    words = [c for c in value.references if c in source.columns] if value is not None else []
    kinds = {
        kind_said(next(filter(None, told), "")) for cell, *told in source.rows_of(money[0], *words)
        if cell
    }  # fmt: skip
    return bool(kinds - {None, "purchase", "refund"})


def _with_fields(own: Sequence[ItemList], found: Sequence[ItemList]) -> tuple[ItemList, ...]:
    """Return lists of items with the fields that the source calls by other names."""
    told = {one.columns[0].lower(): one.fields for one in found}

    def full(listed: ItemList) -> ItemList:
        fields = next((told[c.lower()] for c in listed.columns if c.lower() in told), {})
        more = {
            t: v
            for t, v in fields.items()
            if t not in listed.fields or not set(listed.fields[t].columns) & set(v.columns)
        }
        return replace(listed, fields={**listed.fields, **more}) if more else listed

    if found and not any(c.lower() in told for one in own for c in one.columns):
        return (*own, *found)
    return tuple(full(one) for one in own)
