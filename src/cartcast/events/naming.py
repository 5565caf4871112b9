"""Names of columns: what each may be meant by, whatever stands before, after or around it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cartcast.events.sql import snake_case

__all__ = ["named", "unqualified", "within"]

_CONTAINERS = ("properties", "event_properties", "props", "event_props", "params", "event_params",
               "attributes", "custom_attributes", "event_data", "data", "payload", "segmentation",
               "sg", "event", "events", "hits", "body", "message", "ecommerce", "commerce",
               "product_action", "actions", "items", "orders", "results", "records")  # fmt: skip
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


def named(columns: Sequence[str]) -> dict[str, str]:
    """Return each column by the names that it may be meant by, the fullest first.

    >>> list(named(["ym:pv:clientID"]))
    ['ym_pv_client_id', 'ym:pv:clientid', 'ympvclientid', 'client_id', 'clientid']
    >>> named(["properties.sku"])["sku"]
    'properties.sku'
    """
    found: dict[str, str] = {}
    for name in (str, within, _unmasked, unqualified):
        for column in columns:
            told = name(column)
            for word in (snake_case(told), told.lower(), snake_case(told).replace("_", "")):
                found.setdefault(word, column)
    return found


def within(column: str) -> str:
    """Return a name without the space of names that it is in."""
    *containers, inner = column.split(".")
    if containers and all(c.lower() in _CONTAINERS for c in containers):
        return inner
    return column.rpartition(":")[2] or column


def _unmasked(column: str) -> str:
    """Return a name without what says that its values are hashes or keys of a table."""
    bare = within(column)
    return key[1] if (key := _KEY.fullmatch(bare)) else _MASK.sub("", bare) or column


def unqualified(column: str) -> str:
    """Return a name without what stands in brackets after it: a unit, a zone, a currency."""
    return re.sub(r"\s*\([^()]*\)$", "", within(column)) or column
