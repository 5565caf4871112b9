"""OTTO (RecSys data set 2022): JSON lines, one session each with its events; no money."""

from __future__ import annotations

from typing import Any

from cartcast.datasets.disguises.form import Form
from cartcast.datasets.disguises.forms.public_sets import only, unit_lines
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, TrueLog

__all__ = ["FORMS"]

_WORDS = {"view_item": "clicks", "add_to_cart": "carts", "purchase": "orders"}


def _see(log: TrueLog) -> TrueLog:
    return unit_lines(only(log, *_WORDS))


def _line(session: str, events: list[Event]) -> dict[str, Any]:
    return {
        "session": int(session),
        "events": [
            {"aid": int(line.item_id), "ts": event.time * 1000, "type": _WORDS[event.event_type]}
            for event in events
            for line in event.lines
        ],
    }


def _sheet(log: TrueLog) -> tuple[Sheet, ...]:
    return (Sheet("train.jsonl", tuple(_line(s, es) for s, es in log.sessions().items())),)


FORMS = (
    Form(
        "otto", "otto", ("train.jsonl",),
        frozenset({"session_id", "event_time", "event_order", "events", "item_id"}),
        _sheet, _see, "https://github.com/otto-de/recsys-dataset",
    ),
)  # fmt: skip
"""Sessions with their events."""
