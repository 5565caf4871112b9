"""REES46: the public multi-category store; each bought unit is a row, and there is no order id."""

from __future__ import annotations

from cartcast.datasets.disguises.form import Form
from cartcast.datasets.disguises.forms.public_sets import only, unit_lines
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import TrueLog

__all__ = ["FORMS"]

_WORDS = {
    "view_item": "view", "add_to_cart": "cart", "remove_from_cart": "remove_from_cart",
    "purchase": "purchase",
}  # fmt: skip
_NAMES = {
    "event_time": "event_time", "event_type": "event_type", "item_id": "product_id",
    "category": "category_code", "brand": "brand", "price": "price", "visitor_id": "user_id",
    "session_id": "user_session",
}  # fmt: skip


def _see(log: TrueLog) -> TrueLog:
    return unit_lines(only(log, *_WORDS))


def _sheet(log: TrueLog) -> tuple[Sheet, ...]:
    rows = tuple(
        {
            "event_time": event.at("%Y-%m-%d %H:%M:%S UTC"),
            "event_type": _WORDS[event.event_type],
            "product_id": line.item_id,
            "category_id": 2_053_013_555_631_882_655,
            "category_code": line.category,
            "brand": line.brand,
            "price": line.price,
            "user_id": event.visitor_id,
            "user_session": f"{event.session_id}-aaaa-4bbb-8ccc-dddddddddddd",
        }
        for event in log
        for line in event.lines
    )
    return (Sheet("2025-Mar.csv", rows, names=_NAMES),)


_TELLS = frozenset(
    {"visitor_id", "session_id", "event_time", "row_order", "events", "item_id", "category",
     "brand", "price", "shown_price"}
)  # fmt: skip

FORMS = (
    Form(
        "rees46", "rees46", ("2025-Mar.csv",), _TELLS, _sheet, _see,
        "https://rees46.com/en/datasets",
    ),
)  # fmt: skip
"""One month's file."""
