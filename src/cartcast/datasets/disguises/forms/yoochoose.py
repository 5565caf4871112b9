"""YooChoose (RecSys Challenge 2015): clicks and buys without header, whole prices, no visitor."""

from __future__ import annotations

from dataclasses import replace

from cartcast.datasets.disguises.form import Form
from cartcast.datasets.disguises.forms.public_sets import only
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, TrueLog

__all__ = ["FORMS"]


def _see(log: TrueLog) -> TrueLog:
    """Return views and purchases; prices are whole numbers."""

    def rule(event: Event) -> Event:
        lines = tuple(replace(line, price=float(round(line.price))) for line in event.lines)
        return replace(event, lines=lines)

    return only(log, "view_item", "purchase").change(rule)


def _sheets(log: TrueLog) -> tuple[Sheet, ...]:
    form = "%Y-%m-%dT%H:%M:%S.000Z"
    clicks = tuple(
        {"session": e.session_id, "time": e.at(form), "item": e.lines[0].item_id, "category": "0"}
        for e in log
        if e.event_type == "view_item"
    )
    buys = tuple(
        {"session": e.session_id, "time": e.at(form), "item": line.item_id,
         "price": int(line.price), "quantity": line.quantity}
        for e in log
        if e.event_type == "purchase"
        for line in e.lines
    )  # fmt: skip
    named = (("yoochoose-clicks.dat", clicks), ("yoochoose-buys.dat", buys))
    return tuple(Sheet(name, rows).speak(header=False) for name, rows in named)


FORMS = (
    Form(
        "yoochoose", "yoochoose", ("yoochoose-clicks.dat", "yoochoose-buys.dat"),
        frozenset({"session_id", "event_time", "row_order", "events", "item_id", "price",
                   "quantity"}),
        _sheets, _see, "https://recsys.acm.org/recsys15/challenge/", header=False,
    ),
)  # fmt: skip
"""Clicks and buys."""
