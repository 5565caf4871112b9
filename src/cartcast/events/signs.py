"""Amounts that are written with the sign or the code of their currency (`$3.50`, `12,50 €`)."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from cartcast.events.layouts import Layout, Value
from cartcast.events.numbers import NUMBER_COLUMNS
from cartcast.events.read import Source
from cartcast.events.words import CURRENCIES

__all__ = ["bare", "sign_of_sample", "without_signs"]

_MEANS = {
    "€": "EUR", "£": "GBP", "₹": "INR", "₽": "RUB", "₩": "KRW", "₺": "TRY", "₴": "UAH", "₫": "VND",
    "₪": "ILS", "₱": "PHP", "฿": "THB", "₦": "NGN", "₸": "KZT", "₲": "PYG", "₡": "CRC",
    "zł": "PLN", "Kč": "CZK", "Ft": "HUF", "lei": "RON", "лв": "BGN", "US$": "USD", "R$": "BRL",
    "C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD", "NZ$": "NZD", "HK$": "HKD", "MX$": "MXN",
    "S$": "SGD", "руб": "RUB",
}  # fmt: skip
"""Signs of one currency; `$`, `¥` and `kr` are of several, and tell none."""
_SEVERAL = {"kr", "Kr", "Rs", "Fr"}
_NUMBER = r"[-+]?\d[\d.,'’\s\u00a0\u202f]*(?:[eE][-+]?\d+)?"
_SIGNED = re.compile(
    rf"[-+]?(?P<before>[^\d\s.,+'’-]{{1,4}}\.?)?[\s\u00a0\u202f]*{_NUMBER}"
    r"(?P<after>[^\d\s.,+'’-]{1,4}\.?)?"
)


def sign_of_sample(values: Iterable[str], also: str = "") -> str | None:
    """Return the one sign with which most amounts are written; None without one, or of several.

    A sign that few bear is a fault of theirs. `also` is one more that counts, such as `%`.

    >>> sign_of_sample(["$3.50", "-$1,200.00", "7"]), sign_of_sample(["12,50 €", "EUR 3"])
    ('$', None)
    """
    found = Counter(_sign(v.strip(), also) for v in values if any(c.isdigit() for c in v))
    plain = found.pop(None, 0)
    sign, count = next(iter(found.items()), (None, 0))
    return sign if len(found) == 1 and count >= plain else None


def _sign(text: str, also: str) -> str | None:
    if text[:1].isdigit() and text[-1:].isdigit():
        return None
    match = _SIGNED.fullmatch(text)
    signs = [s for s in match.groups() if s] if match else []
    return signs[0] if len(signs) == 1 and (signs[0] == also or _is_sign(signs[0])) else None


def _is_sign(text: str) -> bool:
    plain = text.rstrip(".")
    symbol = all(unicodedata.category(c) == "Sc" for c in plain)
    return symbol or plain in _MEANS or plain in _SEVERAL or plain in CURRENCIES


def bare(text: str, sign: str | None) -> str:
    """Return a text without the sign.

    >>> bare("-$5.00", "$"), bare("12,50 €", "€")
    ('-5.00', '12,50')
    """
    return text.replace(sign, "").strip() if sign else text


def without_signs(layout: Layout, source: Source) -> Layout:
    """Return the layout with the signs that the source's money bears, to be taken out.

    A sign of one currency tells the currency where the layout has no other word for it. Records
    of a tracker are left as they are: one of a stream must mean what it means in a file.
    """
    if source.kind == "json" and layout.name != "guessed":
        return layout
    changed: dict[str, Value] = {}
    by_name = {c.lower(): c for c in source.columns}
    for target in set(NUMBER_COLUMNS) & layout.columns.keys():
        value = layout.columns[target]
        names = [by_name[r.lower()] for r in value.references if r.lower() in by_name]
        texts = (v for n in names if source.cells[n].kind == "VARCHAR" for v in source.values(n))
        if value.without is None and (sign := sign_of_sample(texts)):
            changed[target] = _chained(value, sign)
    if not changed:
        return layout
    told = {_MEANS.get(s, s) for v in changed.values() if (s := (v.without or "").rstrip("."))}
    code = told.pop() if len(told) == 1 else None
    if layout.currency or "currency" in layout.columns or code not in CURRENCIES:
        code = layout.currency
    return replace(layout, columns={**layout.columns, **changed}, currency=code)


def _chained(value: Value, sign: str) -> Value:
    after = _chained(value.otherwise, sign) if value.otherwise else None
    return replace(value, without=sign, otherwise=after)
