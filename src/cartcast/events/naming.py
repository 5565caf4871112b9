"""Names of columns: what each may be meant by, whatever stands before, after or around it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from cartcast.events.sql import snake_case

__all__ = ["minor_unit", "named", "names_of", "unqualified", "within"]

_CONTAINERS = ("properties", "event_properties", "props", "event_props", "params", "event_params",
               "attributes", "custom_attributes", "event_data", "data", "payload", "segmentation",
               "sg", "event", "events", "hits", "body", "message", "ecommerce", "commerce",
               "product_action", "actions", "items", "orders", "results", "records",
               "metadata", "meta", "details", "extra", "custom", "udo",
               "customer_info")  # fmt: skip
"""Structures in which trackers keep what they know of an event."""

_KEY = re.compile(
    r"(?i)(customer|user|visitor|person|session|visit|order|product|item|date)[_ -]?(key|sk)"
)
"""What tables of a warehouse call an id of their own."""
_MASK = re.compile(
    r"^(hashed|hash|anon|anonymi[sz]ed|masked|encrypted|encoded)[_ -]|"
    r"[_ -](hash|hashed|sha1|sha256|md5|anon|anonymi[sz]ed|masked|encrypted|encoded)$",
    re.IGNORECASE,
)


_TAX = "(?:tax|taxes|vat|gst|btw|mwst|iva|tva|moms)"
_WITH_TAX = re.compile(
    rf"_(?:(?:incl?|inkl|including|with|con|w)_{_TAX}|{_TAX}_(?:incl?|included|incluido|inclus)|"
    r"ttc|brutto)$"
)
_WITHOUT_TAX = re.compile(
    r"(?i)\b(?:ex(?:cl?|kl)?|excluding|without|pre|before|net|netto|ohne|zzgl|hors|sans|ht|sin|"
    r"senza|esclusa|exklusive|sem|zonder|bez)\b"
)
_BASE = re.compile(r"^base_(?=.*(?:total|amount|price|tax|value|paid))")
"""What stands before money in the shop's own currency."""
_TURNED = re.compile(r"^(id|date|amount)_([^\W_]+)$")
_MINOR = re.compile(r"_(?:in_)?(cents?|pence|minor(?:_units?)?|micros)$")
"""What stands after money in a smaller unit."""


def minor_unit(column: str) -> float | None:
    """Return how many of the units that a column's name states make one of its currency.

    >>> minor_unit("total_cents"), minor_unit("data.price_micros"), minor_unit("total")
    (100.0, 1000000.0, None)
    """
    unit = _MINOR.search(snake_case(within(column)))
    return None if unit is None else 1e6 if unit[1] == "micros" else 100.0


def names_of(column: str) -> tuple[str, ...]:
    """Return the names (snake case) that a column may be meant by, the fullest first.

    >>> names_of("data.amount (EUR)")
    ('data_amount_eur', 'amount_eur', 'amount', 'eur_amount')
    """
    told = (name(_spelled(column)) for name in _forms())
    return tuple(dict.fromkeys(map(snake_case, told)))


def named(columns: Sequence[str]) -> dict[str, str]:
    """Return each column by the names that it may be meant by, the fullest first.

    >>> list(named(["ym:pv:clientID"]))[:5]
    ['ym_pv_client_id', 'ym:pv:clientid', 'ympvclientid', 'client_id', 'clientid']
    >>> named(["properties.sku"])["sku"]
    'properties.sku'
    """
    found: dict[str, str] = {}
    for name in _forms():
        # Of two by the same name but for brackets, the one without the tax comes last.
        for column in sorted(columns, key=lambda c: bool(_WITHOUT_TAX.search(c))):
            told = name(_spelled(column))
            for word in (snake_case(told), told.lower(), snake_case(told).replace("_", "")):
                found.setdefault(word, column)
    return found


def within(column: str) -> str:
    """Return a name without the space of names that it is in."""
    parts = column.split(".")
    inner = next((k for k, part in enumerate(parts) if part.lower() not in _CONTAINERS), -1)
    if inner > 0 or (inner < 0 and len(parts) > 1):
        return ".".join(parts[inner:])
    return column.rpartition(":")[2] or column


def _forms() -> tuple[Callable[[str], str], ...]:
    return str, within, _unmasked, unqualified, _turned


def _spelled(column: str) -> str:
    """Return a name with its `#` as the word that it stands for (`Order #`)."""
    return re.sub(r"(?<=\w)\s*#", " number", column)


def _turned(column: str) -> str:
    """Return a name in the usual order of its words, and without its unit (`id_customer`)."""
    name = snake_case(within(column))
    bare = _WITH_TAX.sub("", _MINOR.sub("", _BASE.sub("", name)))
    return _TURNED.sub(r"\2_\1", bare) if bare == name else bare


def _unmasked(column: str) -> str:
    """Return a name without what says that its values are hashes or keys of a table."""
    bare = within(column)
    return key[1] if (key := _KEY.fullmatch(bare)) else _MASK.sub("", bare) or column


def unqualified(column: str) -> str:
    """Return a name without what stands in brackets after it: a unit, a zone, a currency."""
    return re.sub(r"\s*\([^()]*\)$", "", within(column)) or column
