"""Tables of orders: what their rows and names tell, where no column holds words for events."""

from __future__ import annotations

import re

from cartcast.events.byvalues import plausible
from cartcast.events.kinds import EVENT_KINDS, plain
from cartcast.events.layouts import Value
from cartcast.events.naming import named, unqualified
from cartcast.events.read import Source
from cartcast.events.sql import snake_case
from cartcast.events.statuses import status_of

__all__ = ["given_back", "order_id", "sale_words", "why_orders"]

_MONEY = ("order_value", "line_value", "price")
_OF_ORDERS = re.compile(r"(^|_)(purchase|purchased|order|ordered|paid|payment|sale|sold|invoice)")
_BACK = re.compile(r"((amount|total|money|value)_)?refund(ed)?(_(amount|total|value))?")


def sale_words(
    source: Source, columns: dict[str, Value], reasons: dict[str, str]
) -> dict[str, str]:
    """Return the word that means a sale where no known one does: it alone comes with orders."""
    if not {"event_type", "order_id"} <= columns.keys():
        return {}
    words, orders = (_cells(source, columns[t]) for t in ("event_type", "order_id"))
    kinds = {w: EVENT_KINDS.get(plain(re.split(r"[.:/\]]", w)[-1])) for w in words if w}
    sold = {
        w for w, order in zip(words, orders, strict=True) if w and order and kinds[w] != "refund"
    }
    if "purchase" in kinds.values() or len(sold) != 1:
        return {}
    word = sold.pop()
    without = any(w == word and not order for w, order in zip(words, orders, strict=True))
    if kinds[word] not in (None, "add_payment_info") or without:
        return {}
    reasons["events"] = f"{word!r} is a purchase: it alone comes with an order"
    return {word.lower(): "purchase"}


def _cells(source: Source, value: Value) -> list[str | None]:
    """Return what the first column that speaks says in each row of the sample."""
    places = [source.columns.index(c) for c in value.columns]
    return [next((row[p] for p in places if len(row) > p and row[p]), None)
            for row in source.sample]  # fmt: skip


def why_orders(source: Source, columns: dict[str, Value]) -> str:
    """Return what tells that the rows are orders or lines of orders; empty where nothing does."""
    money = [t for t in _MONEY if t in columns and _worth(source, columns[t].columns[0])]
    if not money:
        return ""
    if "order_id" in columns and _on_all_rows(source, columns["order_id"].columns[0]):
        return "each row has an order and money"
    if "order_value" in money:
        return f"each row has an order's total in {columns['order_value'].columns[0]!r}"
    when = columns["event_time"].columns[0] if "event_time" in columns else ""
    if _OF_ORDERS.search(snake_case(when)):
        return f"each row has money, and {when!r} is when an order was made"
    found = status_of(source)
    return f"each row has money, and {found[0]!r} holds statuses of orders" if found else ""


def _worth(source: Source, column: str) -> bool:
    """Return whether each row has money, and few have none of it: visits without a sale have 0."""
    amounts = sum(bool(re.search("[1-9]", v)) for v in source.values(column))
    return _on_all_rows(source, column) and amounts > 0.8 * len(source.sample)


def _on_all_rows(source: Source, column: str) -> bool:
    return 0 < len(source.values(column)) == len(source.sample)


def order_id(source: Source, columns: dict[str, Value], reasons: dict[str, str]) -> None:
    """Take for the order's id what a table of orders calls merely its id or number."""
    names = named(source.columns)
    taken = {c for v in columns.values() for c in v.references}
    for word in ("id", "number", "no", "nr", "#"):
        column = names.get(word, "")
        if column and column not in taken and _on_all_rows(source, column):
            columns["order_id"] = Value(columns=(column,))
            reasons["order_id"] = f"each row is a purchase, so {column!r} is its order"
            return


def given_back(source: Source, columns: dict[str, Value]) -> Value | None:
    """Return the money given back, in a table with one row an order: on lines it may repeat."""
    if "order_id" not in columns:
        return None
    orders = source.values(columns["order_id"].columns[0])
    if len(set(orders)) < len(orders):
        return None
    found = (c for c in source.columns if _BACK.fullmatch(snake_case(unqualified(c))))
    return next((Value(columns=(c,)) for c in found if plausible(source, "price", c)), None)
