"""A layout from the names of columns alone, each held against a sample of its values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from itertools import islice

from cartcast.errors import DataError
from cartcast.events.ids import ID_NULLS
from cartcast.events.kinds import EVENT_KINDS, plain
from cartcast.events.layouts import ItemList, Layout, Value
from cartcast.events.nested import flatten
from cartcast.events.numbers import NUMBER_COLUMNS
from cartcast.events.read import Source
from cartcast.events.references import element_of
from cartcast.events.signs import bare, sign_of_sample
from cartcast.events.sql import snake_case
from cartcast.events.times import find_format
from cartcast.events.words import AMOUNT_WORDS, COLUMN_WORDS

__all__ = ["layout_by_names", "named", "require_who_and_when"]

_SURE = {"event_time": ("timestamp", "event_timestamp", "datetime"), "price": ("unit_price",)}
"""Names that mean a column for sure, besides its canonical one."""

_CONTAINERS = ("properties", "event_properties", "props", "params", "event_params", "attributes",
               "event_data", "data", "payload", "segmentation", "sg", "event")  # fmt: skip
"""Structures in which trackers keep what they know of an event."""

_WHEN = {"event_time", "event_order", "session_seconds"}
_TIME_WORDS = COLUMN_WORDS["event_time"]
_MONEY = ("order_value", "line_value", "price")
_SAMPLE = 200


def named(columns: Sequence[str]) -> dict[str, str]:
    """Return each column by the names that it may be meant by, the fullest first.

    >>> list(named(["ym:pv:clientID"]))
    ['ym_pv_client_id', 'ym:pv:clientid', 'ympvclientid', 'client_id', 'clientid']
    >>> named(["properties.sku"])["sku"]
    'properties.sku'
    """
    found: dict[str, str] = {}
    for name in (str, _bare):
        for column in columns:
            plain = name(column)
            for word in (snake_case(plain), plain.lower(), snake_case(plain).replace("_", "")):
                found.setdefault(word, column)
    return found


def _bare(column: str) -> str:
    """Return a name without the space of names that it is in."""
    container, _, inner = column.rpartition(".")
    if container.lower() in _CONTAINERS:
        return inner
    return column.rpartition(":")[2] or column


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
        fitting = [c for c in called if _plausible(source, target, c)]
        if target == "event_type":
            # Of several, the one whose words tell most kinds apart: others hold codes, names of
            # pages, or only whether it was a click or a conversion.
            fitting.sort(key=lambda c: tuple(-n for n in _kinds_told(source, c)))
        # A column that bears the very name is meant, whatever its values: they become rejects.
        meant = [c for c in called if snake_case(c) in (target, *_SURE.get(target, ()))]
        for column in (fitting or meant)[:1]:
            columns[target] = Value(columns=(column,))
            reasons[target] = f"column {column!r} is called like {target}"
            taken.add(column)
    if "event_type" not in columns:
        _by_words(source, taken, columns, reasons)
    if not _WHEN & columns.keys():
        _by_times(source, taken, columns, reasons)
    _hours(source, taken, columns, reasons)
    _changes_of_cart(source, by_name, columns)
    _people(source, by_name, columns, reasons)
    every_event = _every_event(source, columns, reasons)
    found = Layout(
        name="guessed",
        title="guessed from column names",
        columns=columns,
        event_prefix=_prefix(source, columns),
        every_event=every_event,
        clock=_clock(columns),
        items=_item_lists(source),
        amount=_amount(columns),
    )
    return found, reasons


def _by_words(
    source: Source, taken: set[str], columns: dict[str, Value], reasons: dict[str, str]
) -> None:
    """Take for the kind of an event what holds words of events, whatever it is called."""
    told = {c: _kinds_told(source, c) for c in source.columns if c not in taken}
    best = max(told, key=lambda c: told[c], default=None)
    if best is not None and told[best][0] > 1 and _known_words(source, best) > 0.5:
        columns["event_type"] = Value(columns=(best,))
        reasons["event_type"] = f"column {best!r} holds words of events"
        taken.add(best)


def _by_times(
    source: Source, taken: set[str], columns: dict[str, Value], reasons: dict[str, str]
) -> None:
    """Take for the time the only column that holds dates with hours, whatever it is called."""

    def timed(column: str) -> bool:
        values = _said(source, column)
        clocks = sum(bool(re.search(r"\d[T ]+\d{1,2}:\d\d", v)) for v in values)
        return clocks > 0.8 * len(values) and _plausible(source, "event_time", column)

    found = [c for c in source.columns if c not in taken and source.values(c) and timed(c)]
    if len(found) == 1:
        columns["event_time"] = Value(columns=(found[0],))
        reasons["event_time"] = f"column {found[0]!r} is the only one that holds times"
        taken.add(found[0])


def _hours(
    source: Source, taken: set[str], columns: dict[str, Value], reasons: dict[str, str]
) -> None:
    """Join to a day the only column that holds hours, whatever it is called."""
    value = columns.get("event_time")
    if value is None or any(re.search(r"\d:\d\d", v) for v in _said(source, value.columns[0])):
        return

    def told(column: str) -> bool:
        values = _said(source, column)
        return sum(bool(_HOUR.fullmatch(v.strip())) for v in values) > 0.8 * len(values) > 0

    found = [c for c in source.columns if c not in taken and told(c)]
    if len(found) == 1:
        columns["event_time"] = Value(columns=(value.columns[0], found[0]), joined=True)
        reasons["event_time"] = f"{value.columns[0]!r} holds the day, {found[0]!r} the hour"
        taken.add(found[0])


def _changes_of_cart(source: Source, by_name: dict[str, str], columns: dict[str, Value]) -> None:
    """Let a column of actions say which way a cart was changed, where one word stands for both."""
    value, action = columns.get("event_type"), by_name.get("action")
    if value is None or action is None or action in value.columns:
        return
    words = {w for w in source.values(value.columns[0]) if _CART.fullmatch(w.strip().lower())}
    if words and set(map(plain, _said(source, action))) <= EVENT_KINDS.keys():
        columns["event_type"] = Value(
            columns=value.columns, nulls=tuple(sorted(words)), otherwise=Value(columns=(action,))
        )


def _prefix(source: Source, columns: dict[str, Value]) -> str:
    """Return what stands before most words for events, when what follows it tells kinds apart.

    One word alone may be one of a few (`abandoned cart`), which mean something else.
    """
    if "event_type" not in columns:
        return ""
    words = {w.lower() for w in _said(source, columns["event_type"].columns[0])}
    ends = {w[: m.end()] for w in words for m in re.finditer(r"[.:/\]_ -]+", w)}
    told = {}
    for prefix in ends:
        inside = [w for w in words if w.startswith(prefix)]
        kinds = {EVENT_KINDS.get(plain(w.removeprefix(prefix))) for w in inside} - {None}
        known = sum(plain(w) in EVENT_KINDS for w in inside)
        if len(inside) >= 0.75 * len(words) and len(kinds) > 1 and known < len(kinds):
            told[prefix] = len(kinds)
    return max(told, key=lambda p: (told[p], len(p)), default="")


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
            target: Value(columns=tuple(dict.fromkeys(names)))
            for target in _OF_ITEMS
            if (names := [by_name[w] for w in COLUMN_WORDS[target] if w in by_name])
        }
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
    places = [source.columns.index(c) for c in (fine, coarse)]
    pairs = {(row[places[0]], row[places[1]]) for row in source.sample if len(row) > max(places)}
    first, second = ({pair[i] for pair in pairs} for i in (0, 1))
    return len(pairs) == len(first) > len(second) > 1


def require_who_and_when(source: Source, layout: Layout) -> None:
    """Raise DataError where a layout by names has no column for who or when."""
    needed = ({"session_id", "visitor_id"} & set(layout.columns), _WHEN & layout.columns.keys())
    if all(needed):
        return
    what = "a visitor or session" if not needed[0] else "a time or order"
    hint = _near_miss(source, named(source.columns), needed)
    raise DataError(
        f"{source.name}: no column looks like {what} among "
        f"{', '.join(source.columns[:10])}.{hint} Write a layout "
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
    if "order_id" in columns and set(_MONEY) & set(columns):
        orders = source.values(columns["order_id"].columns[0])
        if orders and len(orders) == len(source.sample):
            reasons["every_event"] = "each row has an order and money, so it is a purchase"
            return "purchase"
    reasons["every_event"] = "no column holds event words, so every row is one kind of event"
    return "view_item" if "item_id" in columns else "page_view"


def _clock(columns: dict[str, Value]) -> str:
    if "event_time" in columns:
        return "time"
    return "session" if "session_seconds" in columns else "order"


def _plausible(source: Source, target: str, column: str) -> bool:
    values = _said(source, column)
    if not values:
        return True
    if target in (*NUMBER_COLUMNS, "session_seconds"):
        sign = sign_of_sample(values)
        texts = (bare(v, sign).strip() for v in values)
        return sum(bool(re.fullmatch(_NUMBER, t)) for t in texts) > 0.8 * len(values)
    if target == "order_id":
        # A mere yes or no tells that there was an order, not which.
        if snake_case(column) == "order" and not all(any(c.isdigit() for c in v) for v in values):
            return False
        return len(set(values)) > 2 or not {v.strip().lower() for v in values} <= _YES_OR_NO
    if target == "event_order":
        # Every row has a place; a number that only some have is an order's.
        told = sum(bool(v.strip()) for v in source.values(column))
        digits = sum(v.strip().isdigit() for v in values)
        return digits > 0.8 * len(values) and told > 0.8 * len(source.sample)
    if target == "event_time":
        form, ambiguous = find_format(values)
        return bool(ambiguous) or form != "iso" or bool(re.match(r"\s*[12]\d{3}[-/]", values[0]))
    if target == "event_type":
        weak = snake_case(column) in ("type", "name", "key")
        return _known_words(source, column) > 0.2 or not weak
    return True


def _said(source: Source, column: str) -> list[str]:
    """Return values of a column in the sample, without words for nothing."""
    if column not in source.said:
        said = (v for v in source.values(column) if v.strip().lower() not in ID_NULLS)
        source.said[column] = list(islice(said, _SAMPLE))
    return source.said[column]


def _known_words(source: Source, column: str) -> float:
    """Return the share of a column's values that are known words for events."""
    values = _said(source, column)
    return _kinds_told(source, column)[1] / len(values) if values else 0.0


def _kinds_told(source: Source, column: str) -> tuple[int, int]:
    """Return how many kinds of events a column's words tell apart, and how many rows have one."""
    kinds = [EVENT_KINDS.get(plain(re.split(r"[.:/\]]", v)[-1])) for v in _said(source, column)]
    told = [k for k in kinds if k is not None]
    return len(set(told)), len(told)


_HOUR = re.compile(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?( ?[AaPp][Mm])?(Z| ?[-+]\d\d:?\d\d)?")
_YES_OR_NO = {"0", "1", "0.0", "1.0", "true", "false", "yes", "no", "y", "n", "t", "f"}
_NUMBER = r"[-+]?[\d.,'’\s\u00a0\u202f]*\d[.,]?([eE][-+]?\d+)?"
_CART = re.compile(r"(.*[.:/])?(cart|basket)[ _-]?(updated?|changed?)")
_OF_ITEMS = ("item_id", "category", "brand", "price", "quantity", "line_value")


def _amount(columns: dict[str, Value]) -> str:
    """Return what the name of the guessed price says that it is, when nothing else holds money."""
    if "price" not in columns or {"line_value", "order_value"} & set(columns):
        return ""
    name = snake_case(columns["price"].columns[0])
    return next((meaning for meaning, words in AMOUNT_WORDS.items() if name in words), "price")


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
        words = (target, *COLUMN_WORDS[target])
        for word in words:
            if near := difflib.get_close_matches(word, snake, n=1, cutoff=0.8):
                return f" Did you mean {target!r} by {snake[near[0]]!r}?"
    return ""
