"""Tables of orders: what their rows and names tell, where no column holds words for events."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cartcast.events.byvalues import plausible, yes_or_no
from cartcast.events.ids import ID_NULLS
from cartcast.events.kinds import kind_said
from cartcast.events.layouts import Value
from cartcast.events.naming import named, unqualified
from cartcast.events.read import Source
from cartcast.events.sql import snake_case
from cartcast.events.statuses import of_orders, speaks_against, status_of
from cartcast.events.words import COLUMN_WORDS

__all__ = ["differs_within", "given_back", "lines_worth", "order_id", "sale_words", "why_orders"]

_MONEY = ("order_value", "line_value", "price")
_OF_ORDERS = re.compile(r"(^|_)(purchase|purchased|order|ordered|paid|payment|sale|sold|invoice)")
_ORDER = re.compile(r"(^|_)(order|grand|transaction|invoice)")
_AFTER = re.compile(r"ship|deliver|dispatch|track|fulfil|updat|view|request|label|open")
"""What happens to an order that was made before."""
_BACK = re.compile(r"((amount|total|money|value)_)?refund(ed)?(_(amount|total|value))?")


def sale_words(
    source: Source, columns: dict[str, Value], reasons: dict[str, str], lists: Sequence[str]
) -> dict[str, str]:
    """Return the word that means a sale where no known one does.

    It alone comes with orders, and each time with money or a list of items.
    """
    if not {"event_type", "order_id"} <= columns.keys():
        return {}
    value, order = columns["event_type"], columns["order_id"]
    money = [c for t in _MONEY if t in columns for c in columns[t].columns]
    rows = source.rows_of(*value.columns, *order.columns, *money, *lists)
    one, two = len(value.columns), len(value.columns) + len(order.columns)
    sold: dict[str, bool] = {}
    kinds: dict[str, str | None] = {}
    for row in rows:
        word, named = _first(row[:one]), _first(row[one:two])
        if word is None:
            continue
        kinds[word] = kind_said(word)
        if kinds[word] == "refund":
            continue
        worth = any(re.search("[1-9]", v or "") for v in row[two:])
        if named:
            sold[word] = sold.get(word, True) and worth
    if "purchase" in kinds.values() or len(sold) != 1:
        return {}
    (word,) = sold
    if kinds[word] not in (None, "add_payment_info") or not sold[word]:
        return {}
    if any(_first(r[:one]) == word and not _first(r[one:two]) for r in rows):
        return {}
    if speaks_against(word) or _AFTER.search(word.lower()):
        return {}
    reasons["events"] = f"{word!r} is a purchase: it alone comes with an order and money"
    return {word.lower(): "purchase"}


def _first(cells: tuple[str | None, ...]) -> str | None:
    return next((c for c in cells if c), None)


def why_orders(source: Source, columns: dict[str, Value]) -> str:
    """Return what tells that the rows are orders or lines of orders; empty where nothing does."""
    money = [t for t in _MONEY if t in columns and _worth(source, columns[t].columns[0])]
    if not money:
        return ""
    if "order_id" in columns and _on_all_rows(source, columns["order_id"].columns[0]):
        return "each row has an order and money"
    if "order_value" in money and _ORDER.search(snake_case(columns["order_value"].columns[0])):
        return f"each row has an order's total in {columns['order_value'].columns[0]!r}"
    when = columns["event_time"].columns[0] if "event_time" in columns else ""
    if _OF_ORDERS.search(snake_case(when)):
        return f"each row has money, and {when!r} is when an order was made"
    found = next((c for c in status_of(source) if of_orders(source, c)), None)
    return f"each row has money, and {found!r} holds statuses of orders" if found else ""


def _worth(source: Source, column: str) -> bool:
    """Return whether each row has money, and few have none of it: visits without a sale have 0."""
    amounts = sum(bool(re.search("[1-9]", v)) for v in source.values(column))
    return _on_all_rows(source, column) and amounts > 0.8 * len(source.sample)


def _on_all_rows(source: Source, column: str) -> bool:
    return 0 < len(source.values(column)) == len(source.sample)


def differs_within(source: Source, by_name: Mapping[str, str], column: str) -> bool:
    """Return whether most orders of several rows state different amounts in a column."""
    order = next((by_name[w] for w in COLUMN_WORDS["order_id"] if w in by_name), None)
    if order is None or order == column:
        return False
    stated: dict[str, list[str]] = {}
    for key, amount in source.rows_of(order, column):
        if key and amount and key.strip().lower() not in ID_NULLS:
            stated.setdefault(key, []).append(amount)
    several = [v for v in stated.values() if len(v) > 1]
    return sum(len(set(v)) > 1 for v in several) > 0.5 * len(several)


def lines_worth(
    source: Source, by_name: Mapping[str, str], columns: dict[str, Value], reasons: dict[str, str]
) -> None:
    """Take what is called a total for a line's where the rows of an order differ in it."""
    value = columns.get("order_value")
    if value is None or "line_value" in columns or "item_id" not in columns:
        return
    if differs_within(source, by_name, value.columns[0]):
        columns["line_value"] = columns.pop("order_value")
        why = f"the lines of an order differ in {value.columns[0]!r}"
        reasons["line_value"] = why
        reasons.pop("order_value", None)


def order_id(source: Source, columns: dict[str, Value], reasons: dict[str, str]) -> None:
    """Take for the order's id what a table of orders calls merely its id or number."""
    names = named(source.columns)
    taken = {c for v in columns.values() for c in v.references}
    for word in ("id", "number", "no", "nr", "#"):
        column = names.get(word, "")
        if not column or column in taken or not _on_all_rows(source, column):
            continue
        if len(set(source.values(column))) == len(source.sample) and _apart(source, columns):
            columns["order_id"] = Value(columns=(column,))
            reasons["order_id"] = f"each row is a purchase, so {column!r} is its order"
            return


def _apart(source: Source, columns: dict[str, Value]) -> bool:
    """Return whether no two rows are of one person and moment: lines of an order are."""
    if not {"item_id", "quantity"} & columns.keys():
        return True
    who = next(columns[t] for t in ("visitor_id", "user_id", "session_id") if t in columns)
    rows = source.rows_of(*who.columns, *columns["event_time"].columns)
    return len(set(rows)) == len(rows)


def given_back(source: Source, columns: dict[str, Value]) -> Value | None:
    """Return the money given back, where each order states one amount of it."""
    if "order_id" not in columns:
        return None
    order = columns["order_id"].columns[0]
    found = (c for c in source.columns if _BACK.fullmatch(snake_case(unqualified(c))))
    # A mere yes or no tells that money was given back, not how much.
    told = (c for c in found if plausible(source, "price", c) and not yes_or_no(source, c))
    return next((Value(columns=(c,)) for c in told if _once(source, order, c)), None)


def _once(source: Source, order: str, column: str) -> bool:
    """Return whether no order has several amounts, of lines: all alike on all rows, or one."""
    stated: dict[str, list[str]] = {}
    for key, amount in source.rows_of(order, column):
        stated.setdefault(key or "", []).append(amount or "")
    amounts = ([a for a in each if re.search("[1-9]", a)] for each in stated.values())
    return all(
        len(some) < 2 or (len(some) == len(each) and len(set(some)) == 1)
        for some, each in zip(amounts, stated.values(), strict=True)
    )
