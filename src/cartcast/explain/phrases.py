"""Contributions in words: the value with its unit, and what it does to the chance.

>>> phrase("carts", 6.0, "event"), phrase("price_mean", 12.5, "currency", "EUR")
('6 carts', 'price mean €12.50')
>>> phrase("seconds_in_session", 754.0, "s"), phrase("device", None, "")
('12.6 min in session', 'no device known')
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["describe", "phrase", "sentence"]

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_COUNTED = {
    "event",
    "session",
    "item_id",
    "category",
    "brand",
    "color",
    "location",
    "photo",
    "page",
}
_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£"}


def phrase(name: str, value: Any, unit: str = "", currency: str | None = None) -> str:
    """Return one feature's value in words, with its unit; null is said, not shown as 0."""
    words = name.replace("_", " ")
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return f"no {words} known"
    if isinstance(value, str):
        return f"{words} {value}"
    x = float(value)
    if unit == "s":
        rest = words.removeprefix("seconds ")
        return (
            f"{_duration(x)} {rest}" if words.startswith("seconds ") else f"{words} {_duration(x)}"
        )
    if unit == "currency":
        return f"{words} {_money(x, currency)}"
    if unit.startswith("day, Monday") and 0 <= x <= 6:
        return f"on a {_DAYS[int(x)]}"
    if unit == "hour":
        return f"at {int(x)} o'clock" if words == "hour" else f"{words} {int(x)}"
    if unit in _COUNTED and x == int(x):
        return f"{int(x):,} {_one(words) if x == 1 else words}" if x else f"no {words}"
    if unit == "day":
        return f"{_short(x)} days{words.removeprefix('days')}"
    shown = unit.replace("currency", currency or "money").replace("item_id", "item")
    return f"{words} {_short(x)}" + (f" {shown}" if shown else "")


def _one(words: str) -> str:
    """Return counted things in the singular.

    >>> _one("category repeats"), _one("searches"), _one("categories"), _one("clicks last minute")
    ('category repeat', 'search', 'category', 'clicks last minute')
    """
    for end, short in (("ies", "y"), ("ches", "ch"), ("sses", "ss"), ("s", "")):
        if words.endswith(end):
            return words.removesuffix(end) + short
    return words


def _short(x: float) -> str:
    return f"{x:,.0f}" if x == int(x) or abs(x) >= 1000 else f"{x:.3g}"


def _duration(x: float) -> str:
    for size, word in ((86_400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if x >= 2 * size:
            return f"{_short(round(x / size, 1))} {word}"
    return f"{_short(round(x, 1))} s"


def _money(x: float, currency: str | None) -> str:
    amount = f"{x:,.2f}" if abs(x) < 1000 else f"{x:,.0f}"
    symbol = _SYMBOLS.get(currency or "")
    return f"{symbol}{amount}" if symbol else f"{amount} {currency or ''}".rstrip()


def describe(
    values: Mapping[str, Any],
    contributions: Mapping[str, float],
    units: Mapping[str, str],
    *,
    currency: str | None = None,
    top: int = 6,
) -> pd.DataFrame:
    """Return the strongest contributions of one session in words.

    Columns: feature, text ("6 carts"), contribution, words ("raises" or "lowers").
    """
    names = sorted(contributions, key=lambda n: -abs(contributions[n]))
    names = [n for n in names if contributions[n] != 0.0][:top]
    rows = [
        (
            name,
            phrase(name, values.get(name), units.get(name, ""), currency),
            float(contributions[name]),
            "raises" if contributions[name] > 0 else "lowers",
        )
        for name in names
    ]
    return pd.DataFrame(rows, columns=["feature", "text", "contribution", "words"])


def sentence(table: pd.DataFrame, outcome: str = "the chance of a purchase") -> str:
    """Return the table of `describe` as one sentence.

    >>> sentence(describe({"carts": 2.0}, {"carts": 0.7}, {"carts": "event"}))
    '2 carts raises the chance of a purchase.'
    """
    parts = []
    for word in ("raises", "lowers"):
        texts = list(table.loc[table["words"] == word, "text"])
        if texts:
            many = "raise" if word == "raises" else "lower"
            parts.append(f"{_listed(texts)} {word if len(texts) == 1 else many}")
    if not parts:
        return f"Nothing moves {outcome} away from the average."
    first = parts[0] + f" {outcome}"
    return first[0].upper() + first[1:] + (f"; {parts[1]} it." if len(parts) > 1 else ".")


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " and " + texts[-1]
