"""Retailrocket: events.csv of the public data set; no price, no session, no name of a user."""

from __future__ import annotations

from cartcast.datasets.disguises.form import Form
from cartcast.datasets.disguises.forms.public_sets import only, unit_lines
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import TrueLog

__all__ = ["FORMS"]

_WORDS = {"view_item": "view", "add_to_cart": "addtocart", "purchase": "transaction"}
_NAMES = {"event_time": "timestamp", "visitor_id": "visitorid", "event_type": "event",
          "item_id": "itemid", "order_id": "transactionid"}  # fmt: skip


def _see(log: TrueLog) -> TrueLog:
    return unit_lines(only(log, *_WORDS))


def _sheet(log: TrueLog) -> tuple[Sheet, ...]:
    rows = tuple(
        {
            "timestamp": event.time * 1000,
            "visitorid": event.visitor_id,
            "event": _WORDS[event.event_type],
            "itemid": line.item_id,
            "transactionid": event.order and event.order.order_id,
        }
        for event in log
        for line in event.lines
    )
    return (Sheet("events.csv", rows, names=_NAMES),)


FORMS = (
    Form(
        "retailrocket", "retailrocket", ("events.csv",),
        frozenset({"visitor_id", "event_time", "row_order", "events", "item_id", "order_id"}),
        _sheet, _see, "https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset",
    ),
)  # fmt: skip
"""The file of events."""
