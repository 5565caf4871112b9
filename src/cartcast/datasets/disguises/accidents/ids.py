"""Ids as integers, floats and texts with zeros, and words that stand for nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from cartcast.datasets.disguises.accidents.accident import Accident, Sheets, each_log, has
from cartcast.datasets.disguises.form import Form
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, TrueLog

__all__ = ["ACCIDENTS", "WORDS"]

_IDS = frozenset({"ids"})
_PEOPLE = ("visitor_id", "user_id", "session_id")

WORDS = {
    "not-set": ("(not set)",),
    "undefined": ("undefined",),
    "none": ("None",),
    "n-a": ("N/A",),
    "several": ("nan", "NULL", "null", "\\N", "<NA>", "NaN", "n/a"),
}
"""Words that stand for nothing, by the name of their accident."""

_ZERO_UUID = "00000000-0000-0000-0000-000000000000"


def _people(sheet: Sheet) -> tuple[str, ...]:
    return tuple(sheet.names[name] for name in _PEOPLE if name in sheet.names)


def _convert(kind: Callable[[str], Any]) -> Callable[[Sheet], Sheet]:
    def change(sheet: Sheet) -> Sheet:
        columns = _people(sheet)
        rows = (
            row | {c: kind(row[c]) for c in columns if row.get(c) is not None} for row in sheet.rows
        )
        return sheet.with_rows(rows)

    return change


def _in_text(kind: Callable[[str], Any]) -> Callable[[Sheet], Sheet]:
    """Convert, in text as words: `1001.0`, for a CSV cell would show two decimals."""
    return _convert(lambda text: str(kind(text)))


def _second_file_float(sheets: Sheets, rng: Random) -> Sheets:
    """Cut each log in two; the second was written by pandas, which makes ids with gaps floats."""
    out: list[Sheet] = []
    for sheet in sheets:
        half = len(sheet.rows) // 2
        stem, _, suffix = sheet.name.rpartition(".")
        first, second = sheet.rows[:half], sheet.rows[half:]
        change = _in_text(float) if suffix == "csv" else _convert(float)
        before = sheet if suffix == "csv" else _convert(int)(sheet)
        out.append(before.with_rows(before.rows[: len(first)], f"{stem}-1.{suffix}"))
        out.append(change(sheet.with_rows(second, f"{stem}-2.{suffix}")))
    return tuple(out)


def _zeros(log: TrueLog) -> TrueLog:
    def rule(event: Event) -> Event:
        if int(event.visitor_id) % 2:
            return event
        return replace(event, visitor_id=event.visitor_id.rjust(7, "0"))

    return log.change(rule)


def _words_in_json(word: str) -> Callable[[Sheet], Sheet]:
    """Write the word where a person's id is missing; JSON texts have no other place for it."""

    def change(sheet: Sheet) -> Sheet:
        columns = (*_people(sheet), sheet.names["order_id"], sheet.names["item_id"])
        return sheet.with_rows(dict.fromkeys(columns, word) | row for row in sheet.rows)

    return change


def _code(sheet: Sheet) -> Sheet:
    """Write the kind of the event, as a number, where its id should be."""
    kinds = {kind: n for n, kind in enumerate(dict.fromkeys(r["event_type"] for r in sheet.rows))}
    return sheet.with_rows(row | {"event_id": kinds[row["event_type"]]} for row in sheet.rows)


def _unknown(word: Any) -> Callable[[Sheet], Sheet]:
    """Write `word` for every second visitor of whom nothing but sessions is known."""

    def change(sheet: Sheet) -> Sheet:
        visitor, user, session = (sheet.names[name] for name in _PEOPLE)
        known = {
            row.get(visitor)
            for row in sheet.rows
            if row.get(session) is None or row.get(user) is not None
        }
        others = {str(row[visitor]) for row in sheet.rows if row.get(visitor) not in known}
        chosen = set(sorted(others)[::2])
        return sheet.with_rows(
            row | {visitor: word} if row.get(visitor) in chosen else row for row in sheet.rows
        )

    return change


def _null(words: tuple[str, ...]) -> Callable[[Sheets, Random], Sheets]:
    return each_log(lambda sheet: sheet.speak(null=words))


_TEXTS = frozenset({"category", "brand", "country", "shelf", "currency"})
"""Facts in which a word for nothing is a word like any other."""


def _nobody(sheet: Sheet) -> Sheet:
    visitor = sheet.names["visitor_id"]
    rows = (r if r.get(visitor) is not None else r | {visitor: _ZERO_UUID} for r in sheet.rows)
    return sheet.with_rows(rows)


def _own_json(form: Form) -> bool:
    return form.own and form.lines


def _own_typed(form: Form) -> bool:
    return form.own and not form.flat


def _own_flat(form: Form) -> bool:
    return form.own and form.flat


ACCIDENTS = (
    Accident(
        "event-id-is-a-code",
        frozenset({"event-ids"}),
        has("event_id"),
        sheets=each_log(_code),
        lacks=frozenset({"event_id"}),
        says=True,
    ),
    Accident(
        "visitor-missing",
        frozenset({"who"}),
        has(*_PEOPLE),
        sheets=each_log(_unknown(None)),
        lacks=frozenset({"visitor_id"}),
    ),
    Accident(
        "visitor-zero",
        frozenset({"who", "null", "ids"}),
        has(*_PEOPLE),
        sheets=each_log(_unknown("0")),
        lacks=frozenset({"visitor_id"}),
        says=True,
    ),
    Accident("ids-as-integers", _IDS, _own_typed, sheets=each_log(_convert(int))),
    Accident("ids-as-floats", _IDS, _own_typed, sheets=each_log(_convert(float))),
    Accident("ids-as-float-text", _IDS, _own_flat, sheets=each_log(_in_text(float))),
    Accident(
        "ids-float-in-second-file",
        frozenset({"ids", "rows", "files"}),
        has(),
        sheets=_second_file_float,
    ),
    Accident("ids-with-zeros", _IDS, has("visitor_id"), _zeros),
    Accident(
        "zero-uuid",
        frozenset({"null", "ids"}),
        has("visitor_id", "session_id"),
        sheets=each_log(_nobody),
    ),
    *(
        Accident(
            f"word-{name}",
            frozenset({"null"}),
            lambda form: form.flat and form.header,
            sheets=_null(words),
            lacks=_TEXTS,
        )
        for name, words in WORDS.items()
    ),
    *(
        Accident(
            f"word-{name}-in-json",
            frozenset({"null"}),
            _own_json,
            sheets=each_log(_words_in_json(WORDS[name][0])),
        )
        for name in ("not-set", "undefined")
    ),
)  # fmt: skip
"""Types of ids, and words for nothing."""
