"""Helpers of the public data sets' forms: numbers for ids, and events that a set knows."""

from __future__ import annotations

from dataclasses import replace

from cartcast.datasets.disguises.shop import Event, TrueLog

__all__ = ["only", "unit_lines"]


def only(log: TrueLog, *kinds: str) -> TrueLog:
    """Return the log with these event types alone, sent by the browser, and ids as numbers."""

    def rule(event: Event) -> Event | None:
        if event.event_type not in kinds:
            return None
        lines = event.lines if event.order else event.lines[:1]
        lines = tuple(replace(line, item_id=str(int(line.item_id))) for line in lines)
        order = event.order and replace(event.order, order_id=event.order.order_id[1:])
        return replace(event, lines=lines, order=order, server=None, user_id=None)

    return log.change(rule)


def unit_lines(log: TrueLog) -> TrueLog:
    """Return the log with one unit a line, for sets that know no quantity, an item only once."""

    def rule(event: Event) -> Event:
        once = {line.item_id: replace(line, quantity=1) for line in reversed(event.lines)}
        return replace(event, lines=tuple(reversed(once.values())))

    return log.change(rule)
