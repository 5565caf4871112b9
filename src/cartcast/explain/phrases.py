"""Contributions in words: the value with its unit, and what it does to the chance.

>>> phrase("carts", 6.0, "event"), phrase("price_mean", 12.5, "currency", "EUR")
('6 carts', 'average price seen €12.50')
>>> phrase("seconds_in_session", 754.0, "s"), phrase("device", None, "")
('12.6 min in the session', 'device unknown')
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cartcast.features.words import COUNTED, counted, event_words, in_words
from cartcast.numbers import number

__all__ = ["amount", "describe", "phrase", "sentence"]

_SEVERAL = re.compile(r"(?!1 )([\d.,]+|no) (?!(s|min|h|days|spread)\b)")
"""How a text begins that speaks of several things: "2 carts", "no searches", but not "2 min"."""
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def phrase(name: str, value: Any, unit: str = "", currency: str | None = None) -> str:
    """Return one feature's value in words, with its unit; null is unknown, never 0.

    >>> phrase("price_std", 0.0, "currency", "EUR"), phrase("last_event_type", "view_item")
    ('no spread of prices seen', 'last event: product page')
    """
    words = in_words(name)
    if _unknown(value):
        return f"{words} unknown"
    if isinstance(value, str):
        return f"{words}: {event_words(value)}" if "event" in name else f"{words} {value}"
    x = float(value)
    shown = amount(x, unit, currency)
    if unit == "s" and words.startswith("time "):
        return shown + words.removeprefix("time")
    if unit.startswith("day, Monday") and 0 <= x <= 6:
        return f"on a {shown}"
    if unit == "hour" and name == "hour":
        return f"at {shown}"
    if unit in COUNTED:
        return counted(name, x)
    if unit == "day":
        return f"{_short(x)} days{words.removeprefix('days')}"
    if x == 0 and words.startswith("spread of "):
        return f"no {words}"
    if words.startswith("share ") and 0 <= x <= 1:
        shown = number(x, "share")
    return f"{words} {shown}"


def amount(value: Any, unit: str = "", currency: str | None = None) -> str:
    """Return a feature's value alone, for people.

    >>> amount(754.0, "s"), amount(10.31, "currency", "EUR"), amount(0.0, "day, Monday 0")
    ('12.6 min', '€10.31', 'Monday')
    """
    if _unknown(value):
        return "unknown"
    if isinstance(value, str):
        return event_words(value)
    x = float(value)
    if unit == "s":
        return _duration(x)
    if unit.split("/")[0] == "currency":
        return number(x, "money", currency)
    if unit.startswith("day, Monday") and 0 <= x <= 6:
        return _DAYS[int(x)]
    if unit == "hour":
        return f"{int(x)} o'clock"
    if unit in COUNTED or "/" in unit or not unit:
        return _short(x)
    return f"{_short(x)} {unit}"


def _unknown(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def _short(x: float) -> str:
    return f"{x:,.0f}" if x == int(x) or abs(x) >= 1000 else f"{x:.3g}"


def _duration(x: float) -> str:
    for size, word in ((86_400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if x >= 2 * size:
            return f"{_short(round(x / size, 1))} {word}"
    return f"{_short(round(x, 1))} s"


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
    '2 carts raise the chance of a purchase.'
    """
    parts = []
    for word in ("raises", "lowers"):
        texts = list(table.loc[table["words"] == word, "text"])
        if texts:
            several = len(texts) > 1 or _SEVERAL.match(texts[0]) is not None
            parts.append(f"{_listed(texts)} {word.removesuffix('s') if several else word}")
    if not parts:
        return f"Nothing moves {outcome} away from the average."
    first = parts[0] + f" {outcome}"
    return first[0].upper() + first[1:] + (f"; {parts[1]} it." if len(parts) > 1 else ".")


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " and " + texts[-1]
