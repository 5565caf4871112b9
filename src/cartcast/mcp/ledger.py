"""The ledger: every number that the server handed out, with its id, its unit and what it is of."""

from __future__ import annotations

import math
import threading
import unicodedata
from collections import OrderedDict
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

from cartcast.numbers import number

__all__ = ["UNKNOWN", "Figure", "Ledger", "folded", "is_currency"]

MOST: Final = 20_000
"""Numbers that are remembered; the one that was used least recently goes first."""
COARSEST: Final = 0.05
"""Relative error up to which a rounded number still says the same: two digits always do."""
UNKNOWN: Final = "not known"
"""What stands for an undefined number; it is never 0."""


def is_currency(unit: str) -> bool:
    """Tell whether a unit is an ISO 4217 code, or money of an unknown currency.

    >>> is_currency("EUR"), is_currency("money"), is_currency("sessions")
    (True, True, False)
    """
    return unit == "money" or (len(unit) == 3 and unit.isupper())


@dataclass(frozen=True)
class Figure:
    """One number that was handed out.

    Attributes:
        id: how texts refer to it.
        value: exact; a day as ISO 8601.
        unit: `share`, `seconds`, `points` (a score without a unit), `date`, a currency's code,
            `money`, or the plural of what is counted.
        what: what it is of, in words.
        low, high: its interval, if it has one.
        of: what a share is of, as `sessions`; None where that is not said.
        about: outcome that it tells of, such as `purchase`; None when it tells of none.
        proxy: whether that outcome is only a stand-in.
    """

    id: str
    value: float | int | str
    unit: str
    what: str
    low: float | None = None
    high: float | None = None
    of: str | None = None
    about: str | None = None
    proxy: bool = False

    def written(self, value: float | int | str) -> str:
        """Return a value of this unit for people, with two digits at least.

        >>> f = Figure("n1", 0.0316, "share", "sessions that buy")
        >>> f.written(0.0316), f.written(0.0000123)
        ('3.2 %', '0.0012 %')
        """
        if isinstance(value, str):
            return value
        if self.unit == "share":
            shown = number(value, "share")
            read = float(shown.removesuffix(" %")) / 100
            return shown if _close(read, value) else f"{100 * value:.2g} %"
        if is_currency(self.unit):
            code = None if self.unit == "money" else self.unit
            shown = number(value, "money", code)
            return (
                shown if abs(value) >= 0.1 or value == 0 else f"{value:.2g} {code or ''}".rstrip()
            )
        if self.unit == "points":
            shown = number(value, "points")
            return shown if _close(float(shown.replace("−", "-")), value) else f"{value:.2g}"
        if self.unit == "seconds":
            return f"{value:,.0f} s" if abs(value) >= 100 else f"{value:.3g} s"
        return f"{number(value)} {self.unit[:-1] if value == 1 else self.unit}"

    @property
    def text(self) -> str:
        """The number as the server writes it: with its interval and its id.

        >>> Figure("n2", 0.5, "share", "x", 0.4, 0.6).text
        '50 % (40 % to 60 %) [n2]'
        """
        shown = self.written(self.value)
        if self.low is not None and self.high is not None:
            shown += f" ({self.written(self.low)} to {self.written(self.high)})"
        return f"{shown} [{self.id}]"

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, without what is undefined."""
        told = {k: v for k, v in asdict(self).items() if v is not None}
        return told if self.proxy else {k: v for k, v in told.items() if k != "proxy"}


def folded(text: str) -> str:
    """Return a text in which each number is written in one way: ASCII digits, plain signs."""
    out = []
    for char in unicodedata.normalize("NFKC", text):
        if unicodedata.category(char) == "Cf":
            continue
        if char.isdecimal():
            char = str(unicodedata.decimal(char))
        out.append({"−": "-", "⁄": "/", "٫": ".", "٬": ","}.get(char, char))
    return "".join(out)


def _close(read: float, value: float) -> bool:
    return abs(read - value) <= COARSEST * abs(value)


class Ledger:
    """What was handed out so far; safe to use from several threads.

    >>> ledger = Ledger()
    >>> ledger.hand(1043, "sessions", "sessions of the log").text
    '1,043 sessions [n1]'
    >>> ledger.hand(1043, "sessions", "sessions of the log").id
    'n1'
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._figures: OrderedDict[str, Figure] = OrderedDict()
        self._ids: dict[tuple[Any, ...], str] = {}
        self._quotes: OrderedDict[str, None] = OrderedDict()

    def hand(
        self,
        value: Any,
        unit: str,
        what: str,
        *,
        low: Any = None,
        high: Any = None,
        of: str | None = None,
        about: str | None = None,
        proxy: bool = False,
    ) -> Figure:
        """Return the figure of a defined number; the same number keeps its id."""
        told = (_plain(value), unit, what, _end(low), _end(high), of, about, proxy)
        with self._lock:
            known = self._ids.get(told)
            if known is None:
                self._count += 1
                known = f"n{self._count}"
                self._ids[told] = known
                self._figures[known] = Figure(known, *told)
            self._figures.move_to_end(known)
            while len(self._figures) > MOST:
                _, old = self._figures.popitem(last=False)
                del self._ids[tuple(getattr(old, k) for k in _TOLD)]
            return self._figures[known]

    def find(self, name: str) -> Figure | None:
        """Return the figure of an id, or None."""
        with self._lock:
            return self._figures.get(name)

    def quoted(self, text: str) -> str:
        """Return a text between the signs that mark data, and remember it."""
        key = folded(text)
        with self._lock:
            self._quotes[key] = None
            self._quotes.move_to_end(key)
            while len(self._quotes) > MOST:
                self._quotes.popitem(last=False)
        return f"«{text}»"

    def has_quoted(self, text: str) -> bool:
        """Tell whether a text was handed out as data."""
        with self._lock:
            return folded(text) in self._quotes

    def only_proxies(self) -> bool:
        """Tell whether every outcome that was told of is a stand-in."""
        with self._lock:
            return {f.proxy for f in self._figures.values() if f.about is not None} == {True}


_TOLD = ("value", "unit", "what", "low", "high", "of", "about", "proxy")


def _plain(value: Any) -> float | int | str:
    if isinstance(value, date):
        return value.isoformat()[:10]
    plain = value.item() if hasattr(value, "item") else value
    return plain if isinstance(plain, int | str) else _steady(plain)


def _end(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else _steady(value)


def _steady(value: float) -> float:
    """Return a number without the last bits, which differ with the order of a sum."""
    return float(f"{value:.12g}")
