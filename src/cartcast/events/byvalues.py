"""What the values of a source's columns say of their meaning, whatever the columns are called."""

from __future__ import annotations

import re
from itertools import islice

from cartcast.events.ids import ID_NULLS
from cartcast.events.kinds import kind_said
from cartcast.events.layouts import Value
from cartcast.events.naming import within
from cartcast.events.numbers import NUMBER_COLUMNS
from cartcast.events.read import Source
from cartcast.events.signs import bare, sign_of_sample
from cartcast.events.sql import snake_case
from cartcast.events.time_forms import are_serials, find_format

__all__ = [
    "WEAK_IDS",
    "by_times",
    "by_words",
    "hours",
    "kinds_told",
    "known_words",
    "namesakes",
    "of_a_person",
    "plausible",
    "said",
    "yes_or_no",
]

_TIMED = (
    ("times", r"\d[T ]+\d{1,2}:\d\d"),
    ("dates", r"\b\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\b|\b\d{1,2}[-/. ]\w{1,9}[-/. ]+\d{4}\b"
     r"|\w{3,9} \d{1,2},? \d{4}\b"),
    ("seconds since 1970", r"^1\d{9}(\d{3}|\d{6})?(\.\d+)?$"),
)  # fmt: skip
"""What a column holds that tells the time, the most telling first."""
_CREATED = re.compile(r"(^|_)(creat|add(ed)?(_|$)|sign|regist|join|since)")
_TIME_NAME = re.compile(r"(^|_)(date|time|ts|tstamp|timestamp|epoch)(_|$)")
_HOUR = re.compile(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?( ?[AaPp][Mm])?(Z| ?[-+]\d\d:?\d\d)?")
_YES_OR_NO = {"0", "1", "0.0", "1.0", "true", "false", "yes", "no", "y", "n", "t", "f"}
_NUMBER = r"[-+]?[\d.,'’\s\u00a0\u202f]*\d[.,]?([eE][-+]?\d+)?"
_SAMPLE = 200
WEAK_IDS = ("uuid", "uid", "external_id", "cust", "buyer", "shopper", "person", "who", "vid")
"""Names of ids that do not say of what, or may hold something else of a person."""
_FEW = 3
_TELLING = 20
"""Rows that tell whether a value is another on each."""


def by_words(
    source: Source, taken: set[str], columns: dict[str, Value], reasons: dict[str, str]
) -> None:
    """Take for the kind of an event what holds words of events, whatever it is called."""
    told = {c: kinds_told(source, c) for c in source.columns if c not in taken}
    best = max(told, key=lambda c: told[c], default=None)
    if best is not None and told[best][0] > 1 and known_words(source, best) > 0.5:
        columns["event_type"] = Value(columns=(best,))
        reasons["event_type"] = f"column {best!r} holds words of events"
        taken.add(best)


def by_times(
    source: Source, taken: set[str], columns: dict[str, Value], reasons: dict[str, str]
) -> None:
    """Take for the time the only column that holds times, whatever it is called; else days.

    Mere numbers are times only where the name says so.
    """
    for what, form in _TIMED:

        def timed(column: str, form: str = form) -> bool:
            if form == _TIMED[-1][1] and not _TIME_NAME.search(snake_case(column)):
                return False
            values = said(source, column)
            fitting = sum(bool(re.search(form, v)) for v in values)
            return fitting > 0.8 * len(values) > 0 and plausible(source, "event_time", column)

        found = [c for c in source.columns if c not in taken and timed(c)]
        found = [c for c in found if not of_a_person(source, columns, c)]
        # Of several, that of the event itself: a batch of events has a time of its own.
        deepest = max((c.count(".") for c in found), default=0)
        found = [c for c in found if c.count(".") == deepest]
        if len(found) == 1:
            columns["event_time"] = Value(columns=(found[0],))
            reasons["event_time"] = f"column {found[0]!r} is the only one that holds {what}"
            taken.add(found[0])
        if found:
            return


def hours(
    source: Source, taken: set[str], columns: dict[str, Value], reasons: dict[str, str]
) -> None:
    """Join to a day the only column that holds hours, whatever it is called."""
    value = columns.get("event_time")
    if value is None or any(re.search(r"\d:\d\d", v) for v in said(source, value.columns[0])):
        return

    def told(column: str) -> bool:
        values = said(source, column)
        return sum(bool(_HOUR.fullmatch(v.strip())) for v in values) > 0.8 * len(values) > 0

    found = [c for c in source.columns if c not in taken and told(c)]
    if len(found) == 1:
        columns["event_time"] = Value(columns=(value.columns[0], found[0]), joined=True)
        reasons["event_time"] = f"{value.columns[0]!r} holds the day, {found[0]!r} the hour"
        taken.add(found[0])


def of_a_person(source: Source, columns: dict[str, Value], column: str) -> bool:
    """Return whether a time is when a person came to be known: another one tells the events."""
    who = next((columns[t] for t in ("user_id", "visitor_id") if t in columns), None)
    if who is None or not _CREATED.search(snake_case(column)):
        return False

    def differs(other: str) -> bool:
        times: dict[str | None, set[str | None]] = {}
        for person, time in source.rows_of(who.columns[0], other):
            times.setdefault(person, set()).add(time)
        return any(len(told) > 1 for told in times.values())

    def timed(other: str) -> bool:
        values = said(source, other)
        return (
            0
            < 0.8 * len(values)
            < sum(any(re.search(form, v) for _, form in _TIMED[:2]) for v in values)
        )

    others = (c for c in source.columns if c != column and not _CREATED.search(snake_case(c)))
    return not differs(column) and any(timed(c) and differs(c) for c in others)


def plausible(source: Source, target: str, column: str) -> bool:
    """Return whether the values of a column speak against its being a canonical one."""
    values = said(source, column)
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
        return len(set(values)) > 2 or not yes_or_no(source, column)
    if getattr(source.cells[column].type, "id", "") in ("list", "array"):
        return False
    name = snake_case(within(column))
    few = name in ("did", "sid") or len(set(values)) <= max(_FEW, len(values) / 10)
    wordy = name in ("did", "sid", *WEAK_IDS) and not any(re.search(r"[\d@]", v) for v in values)
    if wordy and few:
        # A word for what was done or of which sort, not who did it: there are few of those.
        return False
    if target in ("visitor_id", "user_id") and yes_or_no(source, column):
        return len(values) < _TELLING
    if target in ("visitor_id", "user_id") and name in WEAK_IDS:
        # What is another on every row names the event, not a person.
        return len(set(values)) < len(values) or len(values) < _TELLING
    if target == "event_order":
        # Every row has a place; a number that only some have is an order's.
        told = sum(bool(v.strip()) for v in source.values(column))
        digits = [int(v) for v in values if v.strip().isdecimal()]
        if len(digits) <= 0.8 * len(values) or told <= 0.8 * len(source.sample):
            return False
        # Events are counted from the first; numbers of orders begin where the shop stands.
        return snake_case(column) != "order" or min(digits) < 2 or len(set(digits)) < len(digits)
    if target == "event_time":
        form, ambiguous = find_format(values)
        if form == "iso" and are_serials(column, values):
            return True
        return bool(ambiguous) or form != "iso" or bool(re.match(r"\s*[12]\d{3}[-/]", values[0]))
    if target == "event_type":
        weak = snake_case(column) in ("type", "name", "key")
        return known_words(source, column) > 0.2 or not weak
    return True


def namesakes(
    source: Source, target: str, column: str, columns: dict[str, Value], taken: set[str]
) -> None:
    """Add the columns of the same name in other structures, where no row says two things."""
    bare = snake_case(within(column))
    for other in source.columns:
        if other in taken or snake_case(within(other)) != bare:
            continue
        if _fills(source, column, other) and plausible(source, target, other):
            columns[target] = Value(columns=(*columns[target].columns, other))
            taken.add(other)


def _fills(source: Source, first: str, second: str) -> bool:
    """Return whether one column speaks where the other is null, and never says another thing."""
    cells = source.rows_of(first, second)
    return any(b and not a for a, b in cells) and all(a == b for a, b in cells if a and b)


def yes_or_no(source: Source, column: str) -> bool:
    """Return whether a column holds nothing but words for yes and no."""
    return {v.strip().lower() for v in said(source, column)} <= _YES_OR_NO


def said(source: Source, column: str) -> list[str]:
    """Return values of a column in the sample, without words for nothing."""
    if column not in source.said:
        said = (v for v in source.values(column) if v.strip().lower() not in ID_NULLS)
        source.said[column] = list(islice(said, _SAMPLE))
    return source.said[column]


def known_words(source: Source, column: str) -> float:
    """Return the share of a column's values that are known words for events."""
    values = said(source, column)
    return kinds_told(source, column)[1] / len(values) if values else 0.0


def kinds_told(source: Source, column: str) -> tuple[int, int]:
    """Return how many kinds of events a column's words tell apart, and how many rows have one."""
    kinds = [kind_said(v) for v in said(source, column)]
    told = [k for k in kinds if k is not None]
    return len(set(told)), len(told)
