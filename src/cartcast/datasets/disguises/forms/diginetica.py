"""Diginetica (CIKM Cup 2016): item views and purchases by `;`, a date and milliseconds since."""

from __future__ import annotations

from typing import Any

from cartcast.datasets.disguises.form import Form
from cartcast.datasets.disguises.forms.public_sets import only, unit_lines
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, TrueLog

__all__ = ["FORMS"]


def _see(log: TrueLog) -> TrueLog:
    return unit_lines(only(log, "view_item", "purchase"))


def _sheets(log: TrueLog) -> tuple[Sheet, ...]:
    """Return views and purchases; users who are not logged in are `NA`."""
    starts = {s: events[0].time for s, events in log.sessions().items()}

    def head(event: Event) -> dict[str, Any]:
        return {"sessionId": event.session_id, "userId": "NA"}

    def clock(event: Event) -> dict[str, Any]:
        passed = (event.time - starts[event.session_id]) * 1000
        return {"timeframe": passed, "eventdate": event.at("%Y-%m-%d")}

    views = tuple(
        head(e) | {"itemId": e.lines[0].item_id} | clock(e)
        for e in log
        if e.event_type == "view_item"
    )
    purchases = tuple(
        head(e) | clock(e) | {"ordernumber": e.order.order_id, "itemId": line.item_id}
        for e in log
        if e.order is not None
        for line in e.lines
    )
    named = (("train-item-views.csv", views), ("train-purchases.csv", purchases))
    return tuple(Sheet(name, rows).speak(separator=";") for name, rows in named)


FORMS = (
    Form(
        "diginetica", "diginetica", ("train-item-views.csv", "train-purchases.csv"),
        frozenset({"session_id", "row_order", "events", "item_id", "order_id"}),
        _sheets, _see, "https://competitions.codalab.org/competitions/11161",
    ),
)  # fmt: skip
"""Views and purchases."""
