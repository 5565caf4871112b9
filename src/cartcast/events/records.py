"""A layout read one record at a time: the rows of `staged`, for a stream.

The layout is the one mapping of its source. SQL reads files by it, this reads what a tracker sends;
a property test holds the two together. What only a whole file can tell (the decimal mark of a
column, ids that are a default, the order of equal times) is not known of one record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from cartcast.errors import UsageError
from cartcast.events.chains import BreaksRuleError, Chain, Refused, chain, field_link, plus
from cartcast.events.ids import is_nothing
from cartcast.events.kinds import event_kind
from cartcast.events.layouts import ItemList, Layout
from cartcast.events.numbers import EITHER_SIGN, NUMBER_COLUMNS, number_of
from cartcast.events.paths import Found, Paths, opened
from cartcast.events.rules import SALES
from cartcast.events.statuses import with_status
from cartcast.events.times import EARLIEST, LATEST, moment_of
from cartcast.events.words import CURRENCIES

__all__ = ["Records", "Refused", "Row"]

_OF_EACH: Final = frozenset({"price", "quantity", "line_value"})
_OF_LINES: Final = (*_OF_EACH, "item_id", "category", "brand", "tax", "shipping", "discount")
_SIGNED: Final = frozenset(NUMBER_COLUMNS[:4])
_TYPED: Final = frozenset({*NUMBER_COLUMNS, "event_time", "known_time", "event_type", "currency",
                           "event_order", "session_seconds"})  # fmt: skip
_POSITIONS: Final = (("event_order", None), ("session_seconds", 0.0))
_FIRST, _LAST = (moment_of(day) or 0 for day in (EARLIEST, LATEST))
_NOWHERE: Final = Chain()

Row = dict[str, Any]
"""Canonical column -> value where it has one; times are microseconds since 1970."""


class _Items:
    """An item list: its slot and name, the events that it makes rows of, its items' fields."""

    def __init__(self, paths: Paths, column: str, items: ItemList) -> None:
        self.slot = paths.slot(column)
        self.name = column
        self.each = frozenset(items.each)
        self.paths = Paths()
        self.fields = {t: field_link(self.paths, t, v) for t, v in items.fields.items()}


class _Item(NamedTuple):
    """One item of an event: what was found in it, its place, and how many there are."""

    items: _Items
    found: Found
    place: int
    of: int

    def name(self, target: str) -> str:
        """Return the reference of a field, for messages."""
        return f"{self.items.name}[{self.place}].{self.items.fields[target].name(self.found)}"


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
        layout = with_status(layout)
        if layout.clock != "time" or any(
            one.parts or one.one for value in layout.columns.values() for one in value.chain
        ):
            raise UsageError(
                f"layout {layout.name!r} needs whole files: a record of a stream has its own time."
            )
        self.layout = layout
        self._paths = Paths()
        self._mark = layout.decimal or "."
        self._chains = {t: chain(self._paths, t, value) for t, value in layout.columns.items()}
        self._plus = plus(self._paths, layout.columns.get("event_time"))
        self._lists = [_Items(self._paths, c, i) for i in layout.items for c in i.columns]
        self._refund = chain(self._paths, "order_value", layout.refund) if layout.refund else None
        self._texts = [(t, c) for t, c in self._chains.items() if t not in _TYPED]
        known = {*self._chains, *(t for one in self._lists for t in one.fields)}
        self._numbers = [t for t in NUMBER_COLUMNS if t in known]
        self._positions = [p for p in _POSITIONS if p[0] in self._chains]

    def rows(self, record: dict[str, Any]) -> Iterator[Row | Refused]:
        """Yield the rows of a record: an order has one for each item, a session for each hit."""
        for name in self.layout.records:
            if (key := next((k for k in record if k.lower() == name.lower()), None)) is not None:
                for one in opened(record[key]) or [None]:
                    yield from self._event({**record, key: one})
                return
        yield from self._event(record)

    def _event(self, record: dict[str, Any]) -> Iterator[Row | Refused]:
        found = self._paths.find(record)
        word = self._chain("event_type").text(found)
        kind = self.layout.every_event or "other"
        if word is not None:
            kind = event_kind(word, self.layout) or "other"
        items, listed = self._list(found)
        several = items is not None and len(listed) > 1 and kind in items.each
        for place in range(len(listed) if several else 1):
            item = None
            if items is not None and listed:
                one = listed[place] if isinstance(listed[place], dict) else {}
                item = _Item(items, items.paths.find(one), place, len(listed))
            try:
                yield self._row(found, word, kind, item)
            except BreaksRuleError as broken:
                yield broken.refused
        if self._refund is not None and kind == "purchase":
            yield from self._given_back(found, self._refund)

    def _chain(self, target: str) -> Chain:
        return self._chains.get(target, _NOWHERE)

    def _list(self, found: Found) -> tuple[_Items | None, list[Any]]:
        for one in self._lists:
            if one.slot in found and isinstance(listed := opened(found[one.slot]), list):
                return one, listed
        return None, []

    def _row(
        self, found: Found, word: str | None, kind: str, item: _Item | None, of_lines: bool = True
    ) -> Row:
        """Return a row; without what is `of_lines` where it is money given back."""
        row: Row = {"event_type": kind, "source_event": word}
        if item is not None:
            for target, field in item.items.fields.items():
                if target not in _TYPED and (text := field.text(item.found)) is not None:
                    row[target] = text
        have = found.mask
        for target, links in self._texts:
            if links.mask & have and target not in row and (of_lines or target not in _OF_LINES):
                text = links.text(found)
                if text is not None:
                    row[target] = text
        if "arm" in row and "experiment" not in row and self.layout.arm_of_experiment:
            del row["arm"]
        if self.layout.session_per_visitor and "session_id" in row and "visitor_id" in row:
            row["session_id"] = f"{row['visitor_id']}-{row['session_id']}"
        row["event_time"] = self._time(found, "event_time", self.layout.time_format)
        self._time(found, "known_time", "auto")
        if of_lines:
            self._add_numbers(row, found, item)
        for target, least in self._positions:
            row[target] = self._position(found, target, least)
        row["currency"] = self._currency(found, item)
        if not ("visitor_id" in row or "user_id" in row or "session_id" in row):
            known = next(t for t in ("session_id", "visitor_id", "user_id") if t in self._chains)
            raise BreaksRuleError("no_visitor_or_session", self._chain(known).name(found), "")
        return row

    def _add_numbers(self, row: Row, found: Found, item: _Item | None) -> None:
        """Add money and quantities; a purchase below zero is a refund."""
        below = None
        for target in self._numbers:
            if (number := self._number(found, target, item)) is not None:
                row[target] = number
                if number < 0 and target not in EITHER_SIGN:
                    below = below or target
                    if row["event_type"] == "purchase" and target in _SIGNED:
                        row["event_type"] = "refund"
        if below is not None and row["event_type"] not in SALES:
            name = self._name(found, below, item)
            raise BreaksRuleError(f"negative_{below}", name, row[below])

    def _given_back(self, found: Found, refund: Chain) -> Iterator[Row | Refused]:
        """Yield the refund of money that stands beside its order."""
        text = refund.text(found)
        back = None if text is None else number_of(text, self._mark)
        if not back:
            return
        try:
            row = self._row(found, None, "refund", None, of_lines=False)
        except BreaksRuleError as broken:
            yield broken.refused
            return
        divide = refund.links[0].divide
        yield row | {"order_value": back / divide if divide else back, "source_event": "refund"}

    def _own(self, target: str, item: _Item | None) -> str | None:
        """Return the text of an item's own field."""
        field = item.items.fields.get(target) if item is not None else None
        return field.text(item.found) if item is not None and field is not None else None

    def _number(self, found: Found, target: str, item: _Item | None) -> float | None:
        if item is not None and target in item.items.fields:
            if self._own(target, item) is not None:
                try:
                    return item.items.fields[target].number(target, item.found, self._mark)
                except BreaksRuleError as broken:
                    refused = broken.refused._replace(column=item.name(target))
                    raise BreaksRuleError(*refused) from None
            if item.of > 1 and target in _OF_EACH:
                # What an event says beside a list of several items is not said of each of them.
                return None
        return self._chain(target).number(target, found, self._mark)

    def _name(self, found: Found, target: str, item: _Item | None) -> str:
        if item is not None and self._own(target, item) is not None:
            return item.name(target)
        return self._chain(target).name(found)

    def _time(self, found: Found, target: str, form: str) -> int | None:
        text = self._chain(target).text(found)
        if text is None or (target == "known_time" and is_nothing(text)):
            return None
        moment = moment_of(text, form, self.layout.zone)
        if moment is None:
            raise BreaksRuleError("bad_time", self._chain(target).name(found), text)
        if target == "event_time":
            moment += self._plus(found)
            if not _FIRST <= moment <= _LAST:
                raise BreaksRuleError("time_out_of_range", self._chain(target).name(found), text)
        return moment

    def _position(self, found: Found, target: str, least: float | None) -> float | int | None:
        links = self._chain(target)
        text = links.text(found)
        if text is None or is_nothing(text):
            return None
        value = number_of(text)
        if value is None or not abs(value) < 2**63 or (least is not None and value < least):
            reason = "bad_order" if least is None else "bad_seconds"
            raise BreaksRuleError(reason, links.name(found), text)
        divide = links.links[0].divide
        value = value / divide if divide else value
        return round(value) if least is None else value

    def _currency(self, found: Found, item: _Item | None) -> str | None:
        text = self._own("currency", item) or self._chain("currency").text(found)
        if text is None or is_nothing(text):
            return self.layout.currency
        code = text.upper()
        if code not in CURRENCIES:
            raise BreaksRuleError("unknown_currency", self._name(found, "currency", item), text)
        return code
