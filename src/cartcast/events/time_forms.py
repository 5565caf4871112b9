"""The form of a column of times, found from a sample of its texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from cartcast.events.time_words import IN_WORDS, plain
from cartcast.events.times import EPOCH, iso_moment, unit_of

__all__ = ["FORMATS", "are_serials", "find_format"]

FORMATS: tuple[str, ...] = (
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d-%m-%Y %H:%M:%S",
    "%m-%d-%Y %H:%M:%S",
    "%d-%m-%Y %H:%M",
    "%m-%d-%Y %H:%M",
    "%d/%m/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M:%S %p",
    "%d/%m/%Y %I:%M %p",
    "%m/%d/%Y %I:%M %p",
    "%d/%m/%y %H:%M:%S",
    "%m/%d/%y %H:%M:%S",
    "%d/%m/%y %H:%M",
    "%m/%d/%y %H:%M",
    "%d.%m.%y %H:%M:%S",
    "%d.%m.%y %H:%M",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d.%m.%y",
    "%Y%m%d",
    "%Y%m%d%H%M%S",
    "%Y%m%d %H:%M:%S",
    "%d %b %Y %H:%M:%S",
    "%d/%b/%Y:%H:%M:%S %z",
    "%b %d, %Y %H:%M:%S",
    "%b %d, %Y, %I:%M:%S %p",
    "%b %d, %Y %I:%M:%S %p",
    "%a %b %d %H:%M:%S %Y",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%a, %d %b %Y %H:%M:%S %z",
    # As browsers write a time for people, and spreadsheets and databases a day.
    "%d/%m/%Y, %H:%M:%S",
    "%m/%d/%Y, %H:%M:%S",
    "%d/%m/%Y, %I:%M:%S %p",
    "%m/%d/%Y, %I:%M:%S %p",
    "%d.%m.%Y, %H:%M:%S",
    "%d.%m.%Y, %H:%M",
    "%d/%m/%Y %I:%M:%S%p",
    "%m/%d/%Y %I:%M:%S%p",
    "%Y%m%dT%H%M%SZ",
    "%Y%m%dT%H%M%S",
    "%Y-%m-%d %I:%M:%S %p",
    "%Y-%m-%d %I:%M %p",
    "%Y/%m/%d %I:%M:%S %p",
    "%Y/%m/%d %I:%M %p",
    "%Y.%m.%d %H:%M:%S",
    "%Y.%m.%d %H:%M",
    # As tills, mainframes and some countries write an hour.
    "%Y-%m-%d %H.%M.%S",
    "%Y-%m-%d-%H.%M.%S.%f",
    "%d/%m/%Y %H.%M.%S",
    "%d/%m/%Y %H.%M",
    "%d.%m.%Y %H.%M.%S",
    "%d.%m.%Y %H.%M",
    "%d-%m-%Y %H.%M.%S",
    "%d-%m-%Y %H.%M",
    "%d/%m/%Y %Hh%M",
    "%d/%m/%Y à %Hh%M",
    "%d/%m/%Y à %H:%M",
    "%d/%m/%Y %Hh%Mm%Ss",
    "%a %b %d %Y %H:%M:%S GMT%z (Coordinated Universal Time)",
    "%d/%b/%Y %H:%M:%S",
    "%d-%b-%Y %H:%M:%S",
    "%d-%b-%Y %H:%M",
    "%d-%b-%y %H:%M:%S",
    "%d-%b-%y %H:%M",
    "%d %b %Y %H:%M",
    "%d %B %Y %H:%M:%S",
    "%d %B %Y %H:%M",
    "%b %d, %Y %H:%M",
    "%b %d, %Y, %I:%M %p",
    "%B %d, %Y %H:%M:%S",
    "%B %d, %Y %H:%M",
    "%B %d, %Y, %I:%M:%S %p",
    "%B %d, %Y, %I:%M %p",
    "%B %d, %Y %I:%M:%S %p",
    "%B %d, %Y %I:%M %p",
    "%H:%M %d.%m.%Y",
    "%H:%M:%S %d.%m.%Y",
    "%H:%M %d/%m/%Y",
    "%H:%M %m/%d/%Y",
    "%H:%M:%S %d/%m/%Y",
    "%H:%M:%S %m/%d/%Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
)
"""Forms tried, in this order, when times are neither ISO 8601 nor epochs."""

_BARE = tuple(dict.fromkeys(f.replace(",", "") for f in FORMATS if "GMT" not in f))
_IN_WORDS_FORMATS = (
    *_BARE, *(f"{f} %z" for f in _BARE if "%z" not in f),
    *(f"%d %b %Y %I:%M{seconds} %p" for seconds in ("", ":%S")),
)  # fmt: skip
_ISO = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ](?!\d\d\.\d\d\.).*)?"


_STAMPS = {"%Y%m%d%H%M%S": r"(19|20)\d{12}", "%Y%m%d%H%M": r"(19|20)\d{10}"}
"""Digits that are a time as written; as milliseconds since 1970 they would be of no shop's time."""


def find_format(values: Iterable[str | None]) -> tuple[str | None, tuple[str, ...]]:
    """Return the one form of a sample of times, or None and the forms that fit equally well.

    >>> find_format(["2019-10-01 00:00:00 UTC"]), find_format(["1569888000000"])
    (('iso', ()), ('epoch_ms', ()))
    >>> find_format(["20191001120000"])
    ('%Y%m%d%H%M%S', ())
    >>> find_format(["3. März 2020, 10:05 Uhr"])
    ('words %d %b %Y %H:%M', ())
    >>> find_format(["03/04/2020 10:00"])
    (None, ('%d/%m/%Y %H:%M', '%m/%d/%Y %H:%M'))
    """
    texts = [v.strip() for v in values if v and v.strip()]
    if not texts:
        return "iso", ()
    found = _form(texts, FORMATS)
    if found is None:
        usual = list(map(plain, texts))
        again = _form(usual, _IN_WORDS_FORMATS) if usual != texts else None
        if again is None:
            return "iso", ()
        form, ambiguous = again
        said = None if form is None else IN_WORDS + form
        return said, tuple(IN_WORDS + a for a in ambiguous)
    return found


def _form(texts: Sequence[str], forms: Sequence[str]) -> tuple[str | None, tuple[str, ...]] | None:
    """Return the form as `find_format` does, or None where none fits."""
    share = 0.8 * len(texts)
    dates = sum(bool(re.fullmatch(_ISO, t)) for t in texts) >= share
    if dates and any(map(iso_moment, texts[:20])):
        return "iso", ()
    for form, stamp in _STAMPS.items():
        if sum(bool(re.fullmatch(stamp, t)) and _fits(t, form) for t in texts) >= share:
            return form, ()
    whole = [t.split(".")[0] for t in texts if re.fullmatch(EPOCH, t)]
    if len(whole) >= share:
        units = {unit_of(len(w)) for w in whole}
        return (units.pop(), ()) if len(units) == 1 else ("auto", ())
    fitting = [(_fitting(texts, f, share), f) for f in forms]
    best = max(n for n, _ in fitting)
    if best < share:
        return None
    forms = _unlike([f for n, f in fitting if n == best], texts)
    return (forms[0], ()) if len(forms) == 1 else (None, tuple(forms))


def are_serials(column: str, values: Iterable[str]) -> bool:
    """Return whether a column of dates holds days as spreadsheets count them (45,000 is in 2023).

    >>> are_serials("Date", ["45698.9286", "45699"]), are_serials("seconds", ["45698"])
    (True, False)
    """
    if not re.search(r"dat|day|fecha|tag", column.lower()):
        return False
    texts = [v.strip() for v in values]
    fitting = sum(bool(re.fullmatch(r"(3[7-9]|4\d|5[0-4])\d{3}([.,]\d+)?", t)) for t in texts)
    return fitting >= 0.8 * len(texts) > 0


def _unlike(forms: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return the first of those forms that read every text alike: May is short and long."""
    found: dict[tuple[datetime, ...], str] = {}
    for form in forms:
        read = tuple(datetime.strptime(t, form) for t in texts if _fits(t, form))
        found.setdefault(read, form)
    return list(found.values())


def _fitting(texts: Sequence[str], form: str, share: float) -> int:
    """Return how many texts have the form; fewer once it is clear that the share is missed."""
    fits = 0
    for at, text in enumerate(texts):
        fits += _fits(text, form)
        if fits + len(texts) - 1 - at < share:
            break
    return fits


def _fits(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True
