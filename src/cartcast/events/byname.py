"""A layout from the names of columns alone, each held against a sample of its values."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from pathlib import Path

from cartcast.errors import DataError
from cartcast.events import byorders, bywords
from cartcast.events.byvalues import (
    WEAK_IDS,
    by_times,
    by_words,
    hours,
    kinds_told,
    namesakes,
    of_a_person,
    plausible,
)
from cartcast.events.kinds import EVENT_KINDS, plain
from cartcast.events.layouts import ItemList, Layout, Value
from cartcast.events.naming import minor_unit, named, names_of
from cartcast.events.nested import flatten
from cartcast.events.read import Source
from cartcast.events.references import element_of
from cartcast.events.sql import snake_case
from cartcast.events.statuses import status_of
from cartcast.events.words import AMOUNT_WORDS, COLUMN_WORDS

__all__ = ["has_who_and_when", "layout_by_names", "require_who_and_when"]

_SURE = {"event_time": ("timestamp", "event_timestamp", "datetime"), "price": ("unit_price",)}
"""Names that mean a column for sure, besides its canonical one."""

_ASIDE = ("tax", "shipping", "discount")
"""Money beside an order's: a percentage by such a name is none, and spoils no row."""
_WHEN = {"event_time", "event_order", "session_seconds"}
_TIME_WORDS = COLUMN_WORDS["event_time"]


def layout_by_names(source: Source) -> tuple[Layout, dict[str, str]]:
    """Return the layout that the names and the sample speak for, and why (by canonical column).

    It may lack who or when: `require_who_and_when` says so.
    """
    by_name = named(source.columns)
    columns: dict[str, Value] = {}
    reasons: dict[str, str] = {}
    taken: set[str] = set()
    for target, candidates in COLUMN_WORDS.items():
        words = [v for w in candidates for v in (w, w.replace("_", ""))]
        called = [c for w in words if (c := by_name.get(w, "")) and c not in taken]
        fitting = [c for c in called if plausible(source, target, c)]
        if target == "event_time":
            fitting = [c for c in fitting if not of_a_person(source, columns, c)]
        if target == "order_value":
            # A sum that is 0 on every row is none.
            fitting = [c for c in fitting if any(re.search("[1-9]", v) for v in source.values(c))]
        if target == "event_type":
            # Of several, the one whose words tell most kinds apart: others hold codes, names of
            # pages, or only whether it was a click or a conversion.
            fitting.sort(key=lambda c: tuple(-n for n in kinds_told(source, c)))
        if target == "order_value" and len(fitting) > 1:
            # Of several, one that all rows of an order state alike: others are of a line.
            fitting.sort(key=lambda c: byorders.differs_within(source, by_name, c))
        # A column that bears the very name is meant, whatever its values: they become rejects.
        sure = (target, *_SURE.get(target, ())) if target not in _ASIDE else ()
        meant = [c for c in called if snake_case(c) in sure]
        for column in (fitting or meant)[:1]:
            columns[target] = Value(columns=(column,))
            reasons[target] = f"column {column!r} is called like {target}"
            taken.add(column)
            namesakes(source, target, column, columns, taken)
    byorders.lines_worth(source, by_name, columns, reasons)
    _by_endings(source, columns, reasons, taken)
    _weak_ids(source, by_name, columns, reasons)
    named_so = columns.get("event_type")
    if named_so is None or not kinds_told(source, named_so.columns[0])[0]:
        by_words(source, taken, columns, reasons)
    bywords.other_words(source, columns, reasons, taken)
    if not _WHEN & columns.keys():
        by_times(source, taken, columns, reasons)
    hours(source, taken, columns, reasons)
    bywords.changes_of_cart(source, by_name, columns)
    _people(source, by_name, columns, reasons)
    every_event = _every_event(source, columns, reasons)
    items = _item_lists(source)
    lists = [c for listed in items for c in listed.columns]
    events = byorders.sale_words(source, columns, reasons, lists) | bywords.clicks_on_cart(
        source, columns
    )
    refund: Value | None = None
    status: tuple[str, ...] = ()
    if "event_type" in columns or every_event == "purchase":
        status = status_of(source, columns)
    if every_event == "purchase":
        if "order_id" not in columns:
            byorders.order_id(source, columns, reasons)
        refund = byorders.given_back(source, columns)
    found = Layout(
        name="guessed",
        title="guessed from column names",
        columns={t: _in_units(source, v) for t, v in columns.items()},
        events=events,
        status=status,
        event_prefixes=bywords.prefixes(source, columns),
        every_event=every_event,
        clock=_clock(columns),
        items=items,
        refund=refund,
        amount=_amount(columns),
    )
    return found, reasons


def _in_units(source: Source, value: Value) -> Value:
    """Return money in its currency where its column is called cents or micros, and holds them."""
    unit = minor_unit(value.columns[0]) if value.columns else None
    told = source.values(value.columns[0]) if unit and value.columns[0] in source.cells else ()
    broken = any(re.search(r"[.,]\d*[1-9]", v) for v in told)
    return replace(value, divide=unit) if unit and not broken else value


def _by_endings(
    source: Source, columns: dict[str, Value], reasons: dict[str, str], taken: set[str]
) -> None:
    """Take the only column whose name ends like who or what it names (`app_session_id`)."""
    for target, ending in _ENDINGS.items():
        if target in columns or (target == "visitor_id" and "user_id" in columns):
            continue
        found = [
            c
            for c in source.columns
            if c not in taken
            and ending.search(snake_case(c))
            and not _OF_OTHERS.search(snake_case(c))
            and plausible(source, target, c)
            and not (target == "event_time" and of_a_person(source, columns, c))
            and (target in ("order_id", "item_id") or _on_most_rows(source, c))
        ]
        if len(found) == 1:
            columns[target] = Value(columns=(found[0],))
            reasons[target] = f"the name of {found[0]!r} ends like that of a {target}"
            taken.add(found[0])


def _on_most_rows(source: Source, column: str) -> bool:
    return len(source.values(column)) > 0.8 * len(source.sample)


def _weak_ids(
    source: Source, by_name: dict[str, str], columns: dict[str, Value], reasons: dict[str, str]
) -> None:
    """Take an id that does not say of what, where nothing else names a person."""
    if {"visitor_id", "user_id", "session_id"} & columns.keys():
        return
    found = (by_name[w] for w in WEAK_IDS if w in by_name)
    if column := next((c for c in found if plausible(source, "user_id", c)), None):
        columns["user_id"] = Value(columns=(column,))
        reasons["user_id"] = f"no other column than {column!r} may name a person"


def _item_lists(source: Source) -> tuple[ItemList, ...]:
    """Return the lists whose elements are called like items, with what they say of each."""
    found = []
    for column, cell in source.cells.items():
        element = element_of(cell) if cell.type is not None else None
        if element is None:
            continue
        inner = {name[2:] for name in flatten("x", "x", element)}
        by_name = named(sorted(inner))
        fields = {
            target: _in_units(source, Value(columns=tuple(dict.fromkeys(names))))
            for target in _OF_ITEMS
            if (names := [by_name[w] for w in COLUMN_WORDS[target] if w in by_name])
        }
        if _LINES.search(column) and "id" in by_name:
            fields.setdefault("item_id", Value(columns=(by_name["id"],)))
        if "item_id" in fields and {"price", "quantity", "line_value"} & set(fields):
            found.append(ItemList((column,), ("purchase", "refund"), fields))
    return tuple(found)


def _people(
    source: Source, by_name: dict[str, str], columns: dict[str, Value], reasons: dict[str, str]
) -> None:
    """Settle who is who: the only id of a person is the visitor, the finer of two the visit."""
    session, visit = (by_name.get(w) for w in ("session_id", "visit_id"))
    if "visitor_id" not in columns and session and visit and _nests(source, visit, session):
        columns["session_id"] = Value(columns=(visit,))
        columns["visitor_id"] = Value(columns=(session,))
        reasons["visitor_id"] = f"each {session!r} has several {visit!r}, so it is who came"
        reasons["session_id"] = f"{visit!r} is the finer of two ids of a visit"
    if "user_id" in columns and "visitor_id" not in columns:
        columns["visitor_id"] = columns.pop("user_id")
        reasons["visitor_id"] = reasons.pop("user_id").replace("user_id", "visitor_id")


def _nests(source: Source, fine: str, coarse: str) -> bool:
    """Return whether each value of one column belongs to one of the other, which has fewer."""
    pairs = set(source.rows_of(fine, coarse))
    first, second = ({pair[i] for pair in pairs} for i in (0, 1))
    return len(pairs) == len(first) > len(second) > 1


def _who_and_when(layout: Layout) -> tuple[set[str], set[str]]:
    return {"session_id", "visitor_id"} & set(layout.columns), _WHEN & layout.columns.keys()


def has_who_and_when(layout: Layout) -> bool:
    """Return whether a layout has a column for who and one for when."""
    return all(_who_and_when(layout))


def require_who_and_when(source: Source, layout: Layout) -> None:
    """Raise DataError where a layout by names has no column for who or when."""
    needed = _who_and_when(layout)
    if all(needed):
        return
    what = "a visitor or session" if not needed[0] else "a time or order"
    hint = _near_miss(source, named(source.columns), needed)
    raise DataError(
        f"{source.name}: no column looks like {what} among "
        f"{source.some_columns}.{hint} Write a layout "
        "(`cartcast layout FILE` starts one) or check the separator."
    )


def _every_event(source: Source, columns: dict[str, Value], reasons: dict[str, str]) -> str | None:
    """Return the kind of event of rows that have no word for it."""
    if "event_type" in columns:
        column = columns["event_type"].columns[0]
        if "page" in columns and len(source.values(column)) < len(source.sample):
            reasons["every_event"] = f"rows without {column!r} have a page, and are views of it"
            return "page_view"
        return None
    kind = EVENT_KINDS.get(
        plain(re.split(r"[\W_\d]+", Path(source.short).stem.rstrip("0123456789-_"))[-1])
    )
    if kind in ("purchase", "add_to_cart", "refund"):
        reasons["every_event"] = (
            f"no column holds event words, and the file is called {source.short}"
        )
        return kind
    if why := byorders.why_orders(source, columns):
        reasons["every_event"] = f"{why}, so each row is a purchase"
        return "purchase"
    reasons["every_event"] = "no column holds event words, so every row is one kind of event"
    itemised = "item_id" in columns and source.values(columns["item_id"].columns[0])
    return "view_item" if itemised else "page_view"


def _clock(columns: dict[str, Value]) -> str:
    if "event_time" in columns:
        return "time"
    return "session" if "session_seconds" in columns else "order"


_LINES = re.compile(r"(?i)(^|[._])(line_?)?(items|products|lines|goods|articles)$")
_OF_OTHERS = re.compile(
    r"(^|_)(last|previous|prev|parent|referr\w*|first|next|group|segment|type|role|seller|store|"
    r"support|merchant|agent|vendor|owner|author|admin)(_|$)"
)
_ENDINGS = {
    "session_id": re.compile(r"_(session|visit)_?(id|key)$"),
    "visitor_id": re.compile(
        r"(^|_)(visitor|client|cookie|device|anonymous|customer|user|profile|person|subscriber|"
        r"contact|member|shopper|buyer)(_data|_object|_unique)?_(id|key|identity|no|number|code)$|"
        r"(^|_)(customer|user|buyer|billing|contact|client|payer|shopper|member|from|kunde|kunden|"
        r"cliente|klant|klienta)_(e_?)?mail(_address)?$"
    ),
    "order_id": re.compile(r"_(order|transaction|charged)_?(id|number|no)$"),
    "item_id": re.compile(r"_(product|item)_?id$|_sku$"),
    "event_time": re.compile(
        r"(^|_)(purchase|placed|ordered|created|creation|transaction)_"
        r"(timestamp|datetime|date|time|at|on)$"
    ),
}  # fmt: skip
_OF_ITEMS = ("item_id", "category", "brand", "price", "quantity", "line_value")


def _amount(columns: dict[str, Value]) -> str:
    """Return what the name of the guessed price says that it is, when nothing else holds money."""
    if "price" not in columns or {"line_value", "order_value"} & set(columns):
        return ""
    names = set(names_of(columns["price"].columns[0]))
    return next((meaning for meaning, words in AMOUNT_WORDS.items() if names & set(words)), "price")


def _near_miss(source: Source, by_name: dict[str, str], needed: tuple[set[str], set[str]]) -> str:
    """Return a hint where a column is nearly called like one that is missing, or holds no times."""
    missing = ("session_id", "visitor_id") if not needed[0] else ("event_time", "event_order")
    if needed[0] and (column := next((by_name[w] for w in _TIME_WORDS if w in by_name), None)):
        value = next(iter(source.values(column)), "")
        return (
            f" {column!r} is called like a time, but {value!r} has none of the usual forms; "
            "state `time_format:` in a layout."
        )
    snake = {snake_case(c): c for c in source.columns}
    for target in missing:
        words = (w for w in (target, *COLUMN_WORDS[target]) if len(w) > 4)
        for word in words:
            if near := difflib.get_close_matches(word, snake, n=1, cutoff=0.8):
                return f" Did you mean {target!r} by {snake[near[0]]!r}?"
    return ""
