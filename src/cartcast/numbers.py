"""Figures for people: one way to write counts, shares and money, in texts, tables and charts.

>>> number(0.0316, "share"), number(0.0996, "share"), number(1.0, "share")
('3.2 %', '10 %', '100 %')
>>> number(0.0316, "share"), number(1240.4, "money", "EUR"), number(12330), number(None)
('3.2 %', '€1,240', '12,330', '–')
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

__all__ = ["SYMBOLS", "day", "number"]

SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "PLN": "zł", "INR": "₹"}
"""Signs of currencies; any other is written as its code, behind the amount."""


def _digits(x: float, figures: int) -> int:
    return 0 if x == 0 else max(0, figures - 1 - math.floor(math.log10(abs(x))))


def number(
    value: Any, unit: str = "count", currency: str | None = None, *, figures: int = 3
) -> str:
    """Return a value for people, rounded to what is known; a dash where it is undefined.

    >>> number(0.70123, "points"), number(12.5, "seconds"), number(2.61, "factor")
    ('0.701', '12.5 s', '2.61 times')
    """
    if value is None or (
        not isinstance(value, int | float | str) and not hasattr(value, "__float__")
    ):
        return "–"
    if isinstance(value, str):
        return value
    x = float(value)
    if not math.isfinite(x):
        return "–"
    if unit == "share":
        percent = 100 * x
        places = 0 if percent == 0 else min(_digits(float(f"{percent:.2g}"), 2), 2)
        return f"{percent:.{places}f} %"
    if unit == "money":
        places = 2 if abs(x) < 100 and x != round(x) else 0
        sign, symbol = "−" if x < 0 else "", SYMBOLS.get(currency or "")
        amount = f"{abs(x):,.{places}f}"
        return f"{sign}{symbol}{amount}" if symbol else f"{sign}{amount} {currency or ''}".rstrip()
    if unit == "points":
        return f"{x:.{min(max(_digits(x, figures), figures), 4)}f}".replace("-", "−")
    shown = f"{x:,.0f}" if abs(x) >= 1000 or x == round(x) else f"{x:,.{min(_digits(x, 3), 3)}f}"
    suffix = {"count": "", "seconds": " s", "factor": " times", "": ""}.get(unit, f" {unit}")
    return shown.replace("-", "−") + suffix


def day(iso: str) -> str:
    """Return the day of a moment in words.

    >>> day("2026-03-02T10:00:00+00:00")
    '2 March 2026'
    """
    moment = datetime.fromisoformat(iso)
    return f"{moment.day} {moment:%B %Y}"
