"""A layout read one record at a time: the rows of `staged`, for a stream.

The layout is the one mapping of its source. SQL reads files by it, this reads what a tracker sends;
a property test holds the two together. What only a whole file can tell (the decimal mark of a
column, ids that are a default, the order of equal times) is not known of one record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from cartcast.errors import UsageError
from cartcast.events.ids import is_nothing, plain, text_reader
from cartcast.events.layouts import ItemList, Layout, Value
from cartcast.events.numbers import LARGEST, NUMBER_COLUMNS, number_of
from cartcast.events.paths import Paths, opened
from cartcast.events.rules import SALES, event_words
from cartcast.events.times import EARLIEST, LATEST, moment_of
from cartcast.events.words import CURRENCIES

__all__ = ["Records", "Refused", "Row"]

_UNITS: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
_OF_EACH: Final = frozenset({"price", "quantity", "line_value"})
_OF_LINES: Final = (*_OF_EACH, "item_id", "category", "brand", "tax", "shipping", "discount")
_SIGNED: Final = frozenset(NUMBER_COLUMNS[:4])
_TYPED: Final = frozenset({*NUMBER_COLUMNS, "event_time", "known_time", "event_type", "currency",
                           "event_order", "session_seconds"})  # fmt: skip
_FIRST, _LAST = (moment_of(day) or 0 for day in (EARLIEST, LATEST))

Row = dict[str, Any]
"""Canonical column -> value where it has one; times are microseconds since 1970."""
_Slots = list[Any]
_Text = Callable[[_Slots], str | None]


class Refused(NamedTuple):
    """A row that breaks a rule: its code in `REASONS`, the place in the record, the value."""

    reason: str
    column: str
    value: str


class _BreaksRuleError(Exception):
    """Carries the `Refused` of a row."""

    def __init__(self, reason: str, column: str, value: object) -> None:
        super().__init__(reason)
        self.refused = Refused(reason, column, str(value)[:200])


class _Source(NamedTuple):
    """Where a column comes from: the slots and names of its references, its text, its divisor."""

    slots: tuple[int, ...]
    names: tuple[str, ...]
    text: _Text
    divide: float | None

    def name(self, slots: _Slots) -> str:
        """Return the reference that gave the value."""
        named = zip(self.slots, self.names, strict=True)
        return next((n for k, n in named if slots[k] is not None), self.names[0])


class _Items(NamedTuple):
    """An item list: its slot and name, the events that it makes rows of, its items' fields."""

    slot: int
    name: str
    each: frozenset[str]
    paths: Paths
    fields: dict[str, _Source]


class _Item(NamedTuple):
    """One item of an event: what its paths found, its place, and how many there are."""

    items: _Items
    slots: _Slots
    place: int
    of: int


class Records:
    """Reads records by a layout.

    >>> from cartcast.events.layouts import find_layout
    >>> records = Records(find_layout("segment"))
    >>> call = {"event": "Product Added", "userId": "ann", "properties": {"price": "2.50"}}
    >>> [(row["event_type"], row["user_id"], row["price"]) for row in records.rows(call)]
    [('add_to_cart', 'ann', 2.5)]

    Raises:
        UsageError: the layout needs a whole file.
    """

    def __init__(self, layout: Layout) -> None:
        if layout.clock != "time" or any(
            one.parts or one.one for value in layout.columns.values() for one in value.chain
        ):
            raise UsageError(
                f"layout {layout.name!r} needs whole files: a record of a stream has its own time."
            )
        self.layout = layout
        self._paths = Paths()
        self._words = event_words(layout)
        self._mark = layout.decimal or "."
        self._sources = {t: self._chain(t, value) for t, value in layout.columns.items()}
        self._plus = _plus(self._paths, layout.columns.get("event_time"))
        self._lists = [_listed(self._paths, c, i) for i in layout.items for c in i.columns]
        self._refund = self._chain("order_value", layout.refund) if layout.refund else []
        known = {*self._sources, *(t for one in self._lists for t in one.fields)}
        self._texts = sorted(known - _TYPED)
        self._numbers = [t for t in NUMBER_COLUMNS if t in known]

    def rows(self, record: dict[str, Any]) -> Iterator[Row | Refused]:
        """Yield the rows of a record: an order has one for each item, a session for each hit."""
        for name in self.layout.records:
            if (key := next((k for k in record if k.lower() == name.lower()), None)) is not None:
                for one in opened(record[key]) or [None]:
                    yield from self._event({**record, key: one})
                return
        yield from self._event(record)

    def _chain(self, target: str, value: Value) -> list[_Source]:
        links = value.chain
        told = len(links) > 1
        return [_source(self._paths, target, v, told or len(v.columns) > 1) for v in links]

    def _event(self, record: dict[str, Any]) -> Iterator[Row | Refused]:
        slots = self._paths.find(record)
        word = self._text(slots, "event_type", None)
        kind = self.layout.every_event or "other"
        if word is not None:
            kind = self._words.get(word.lower(), "other")
        items, found = self._list(slots)
        several = items is not None and len(found) > 1 and kind in items.each
        for place in range(len(found) if several else 1):
            item = None
            if items is not None and found:
                one = found[place] if isinstance(found[place], dict) else {}
                item = _Item(items, items.paths.find(one), place, len(found))
            try:
                yield self._row(slots, word, kind, item)
            except _BreaksRuleError as broken:
                yield broken.refused
        if self._refund:
            yield from self._given_back(slots)

    def _list(self, slots: _Slots) -> tuple[_Items | None, list[Any]]:
        for one in self._lists:
            if isinstance(found := opened(slots[one.slot]), list):
                return one, found
        return None, []

    def _row(
        self,
        slots: _Slots,
        word: str | None,
        kind: str,
        item: _Item | None,
        of_lines: bool = True,
    ) -> Row:
        """Return a row; without what is `of_lines` where it is money given back."""
        row: Row = {"event_type": kind, "source_event": word}
        texts, numbers = self._texts, self._numbers
        if not of_lines:
            texts, numbers = [t for t in texts if t not in _OF_LINES], []
        for target in texts:
            text = self._text(slots, target, item)
            if text is not None:
                row[target] = text
        if self.layout.session_per_visitor and "session_id" in row and "visitor_id" in row:
            row["session_id"] = f"{row['visitor_id']}-{row['session_id']}"
        row["event_time"] = self._time(slots, "event_time", self.layout.time_format)
        row["known_time"] = self._time(slots, "known_time", "auto")
        for target in numbers:
            if (number := self._number(slots, target, item)) is not None:
                row[target] = number
                if number < 0 and kind == "purchase" and target in _SIGNED:
                    row["event_type"] = "refund"
        if row["event_type"] not in SALES:
            for target in numbers:
                if row.get(target, 0) < 0:
                    name = self._name(slots, target, item)
                    raise _BreaksRuleError(f"negative_{target}", name, row[target])
        for target, least in (("event_order", None), ("session_seconds", 0.0)):
            if target in self._sources:
                row[target] = self._position(slots, target, least)
        row["currency"] = self._currency(slots, item)
        if not ("visitor_id" in row or "user_id" in row or "session_id" in row):
            known = next(t for t in ("session_id", "visitor_id", "user_id") if t in self._sources)
            raise _BreaksRuleError("no_visitor_or_session", self._name(slots, known, None), "")
        return row

    def _given_back(self, slots: _Slots) -> Iterator[Row | Refused]:
        """Yield the refund of money that stands beside its order."""
        text = next((t for s in self._refund if (t := s.text(slots)) is not None), None)
        back = None if text is None else number_of(text, self._mark)
        if not back:
            return
        try:
            row = self._row(slots, None, "refund", None, of_lines=False)
        except _BreaksRuleError as broken:
            yield broken.refused
            return
        divide = self._refund[0].divide
        yield row | {"order_value": back / divide if divide else back, "source_event": "refund"}

    def _text(self, slots: _Slots, target: str, item: _Item | None) -> str | None:
        own = item.items.fields.get(target) if item else None
        if item is not None and own is not None and (text := own.text(item.slots)) is not None:
            return text
        for source in self._sources.get(target, ()):
            if (text := source.text(slots)) is not None:
                return text
        return None

    def _number(self, slots: _Slots, target: str, item: _Item | None) -> float | None:
        own = item.items.fields.get(target) if item else None
        if item is not None and own is not None:
            if own.text(item.slots) is not None:
                try:
                    return _number(target, [own], item.slots, self._mark)
                except _BreaksRuleError as broken:
                    name = self._name(slots, target, item)
                    raise _BreaksRuleError(*broken.refused._replace(column=name)) from None
            if item.of > 1 and target in _OF_EACH:
                # What an event says beside a list of several items is not said of each of them.
                return None
        return _number(target, self._sources.get(target, ()), slots, self._mark)

    def _name(self, slots: _Slots, target: str, item: _Item | None) -> str:
        own = item.items.fields.get(target) if item else None
        if item is not None and own is not None and own.text(item.slots) is not None:
            return f"{item.items.name}[{item.place}].{own.name(item.slots)}"
        sources = self._sources[target]
        return next((s for s in sources if s.text(slots) is not None), sources[0]).name(slots)

    def _time(self, slots: _Slots, target: str, form: str) -> int | None:
        text = self._text(slots, target, None)
        if text is None or (target == "known_time" and is_nothing(text)):
            return None
        moment = moment_of(text, form, self.layout.zone)
        if moment is None:
            raise _BreaksRuleError("bad_time", self._name(slots, target, None), text)
        if target == "event_time":
            moment += self._plus(slots)
            if not _FIRST <= moment <= _LAST:
                raise _BreaksRuleError("time_out_of_range", self._name(slots, target, None), text)
        return moment

    def _position(self, slots: _Slots, target: str, least: float | None) -> float | int | None:
        text = self._text(slots, target, None)
        if text is None or is_nothing(text):
            return None
        value = number_of(text)
        reason = "bad_order" if least is None else "bad_seconds"
        if value is None or not abs(value) < 2**63 or (least is not None and value < least):
            raise _BreaksRuleError(reason, self._name(slots, target, None), text)
        divide = self._sources[target][0].divide
        value = value / divide if divide else value
        return round(value) if least is None else value

    def _currency(self, slots: _Slots, item: _Item | None) -> str | None:
        text = self._text(slots, "currency", item)
        if text is None or is_nothing(text):
            return self.layout.currency
        code = text.upper()
        if code not in CURRENCIES:
            raise _BreaksRuleError("unknown_currency", self._name(slots, "currency", item), text)
        return code


def _source(paths: Paths, target: str, value: Value, told: bool) -> _Source:
    """Return where one link of a value's chain comes from; `told`: another place may tell it."""
    # Where another place may name the event, a word for nothing in the first must not hide it.
    read = text_reader("item_id" if target == "event_type" and told else target, value.nulls)
    skips = told and target in NUMBER_COLUMNS
    places = tuple(paths.slot(c) for c in value.columns)

    def one(raw: Any) -> str | None:
        text = None if raw is None else read(raw)
        return None if text is None or (skips and is_nothing(text)) else text

    def first(slots: _Slots) -> str | None:
        for k in places:
            if (text := one(slots[k])) is not None:
                return text
        return None

    def joined(slots: _Slots) -> str | None:
        parts = [text for k in places if (text := one(slots[k])) is not None]
        return "-".join(parts) if len(parts) == len(places) else None

    text = _narrowed(paths, joined if value.joined else first, value)
    return _Source(places, value.columns or ("",), text, value.divide)


def _narrowed(paths: Paths, read: _Text, value: Value) -> _Text:
    """Return a reader of a text under the conditions on its value."""
    if (value.pattern, value.unlike, value.says, value.constant) == (None, None, None, None):
        return read
    fits = re.compile(value.pattern).fullmatch if value.pattern is not None else None
    groups = re.compile(value.pattern or "").groups
    other = paths.slot(value.unlike) if value.unlike is not None else None

    def narrowed(slots: _Slots) -> str | None:
        text = read(slots)
        if text is not None and fits is not None:
            found = fits(text)
            text = None if found is None else (found[1] or None) if groups else text
        if text is not None and other is not None and text == plain(slots[other]):
            text = None
        if text is not None and value.says is not None:
            text = value.says
        return value.constant if text is None else text

    return narrowed


def _plus(paths: Paths, value: Value | None) -> Callable[[_Slots], int]:
    """Return what reads the microseconds that are added to a time."""
    if value is None or value.plus is None:
        return lambda _: 0
    place, unit = paths.slot(value.plus), _UNITS[value.plus_unit]

    def read(slots: _Slots) -> int:
        text = plain(slots[place])
        return round((number_of(text) or 0.0) * unit) if text is not None else 0

    return read


def _listed(paths: Paths, column: str, items: ItemList) -> _Items:
    own = Paths()
    fields = {
        target: _source(own, target, Value(value.columns, divide=value.divide, nulls=value.nulls),
                        told=False)
        for target, value in items.fields.items()
    }  # fmt: skip
    return _Items(paths.slot(column), column, frozenset(items.each), own, fields)


def _number(
    target: str, sources: list[_Source] | tuple[()], slots: _Slots, mark: str
) -> float | None:
    """Return the first number of a chain.

    Raises:
        _BreaksRuleError: its text is none.
    """
    for source in sources:
        text = source.text(slots)
        if text is None:
            continue
        value = number_of(text, mark)
        if source.divide and len(sources) > 1 and not _is_plain(text):
            continue
        if value is not None and source.divide:
            value /= source.divide
        if value is None or not abs(value) <= LARGEST:
            if is_nothing(text):
                return None
            raise _BreaksRuleError(f"bad_{target}", source.name(slots), text)
        return value
    return None


def _is_plain(text: str) -> bool:
    """Tell whether the engine casts a text to a number by itself."""
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii()
