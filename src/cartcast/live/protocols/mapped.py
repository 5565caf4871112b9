"""Events by a layout: the layout that reads a tool's exports reads what its tracker sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cartcast.events.ids import PERSON_COLUMNS
from cartcast.events.layouts import Layout
from cartcast.events.records import Records, Refused, Row
from cartcast.events.rules import REASONS
from cartcast.live.event import MAX_ID, MAX_TEXT, Event
from cartcast.live.problems import Problem
from cartcast.live.protocols.fields import corrected_time

__all__ = ["Mapping"]

_IDS: Final = frozenset({*PERSON_COLUMNS, "order_id", "event_id"})


class Mapping:
    """Makes events of a tracker's records, each in the form in which the tool exports it.

    >>> from cartcast.events.layouts import find_layout
    >>> mapping = Mapping(find_layout("posthog"))
    >>> call = {"event": "$pageview", "distinct_id": "ann", "properties": {"$session_id": "s"}}
    >>> [(event.event_type, event.user_id) for event in mapping.events(call, received=0)]
    [('page_view', 'ann')]
    """

    def __init__(self, layout: Layout) -> None:
        self._records = Records(layout)

    def events(
        self, record: dict[str, Any], where: str = "", sent: int | None = None, received: int = 0
    ) -> Iterator[Event | Problem]:
        """Yield the events of a record, and a problem for each of its rows that breaks a rule.

        Args:
            record: one message, as the tool exports it.
            where: its path in the body, for problems.
            sent: when the client sent it, by the client's clock (microseconds since 1970).
            received: when it came, by ours; a clock that is off is corrected.
        """
        for place, row in enumerate(self._records.rows(record)):
            if isinstance(row, Refused):
                yield _problem(where, row)
            else:
                yield _event(row, place, where, sent, received)


def _event(row: Row, place: int, where: str, sent: int | None, received: int) -> Event | Problem:
    for name, value in row.items():
        if isinstance(value, str) and len(value) > MAX_ID:
            most = MAX_ID if name in _IDS else MAX_TEXT
            if len(value) > most:
                return _too_long(where, name, most, value)
    event = Event(**row)
    if sent is not None:
        event.event_time = corrected_time(row["event_time"], sent, received)
    if place and event.event_id:
        # One event of several rows, one for each product: each counts once.
        event.event_id = f"{event.event_id[:240]}#{place}"
    return event


def _problem(where: str, refused: Refused) -> Problem:
    field, rule = f"{where}{refused.column}", REASONS[refused.reason]
    return Problem(422, f"{field}: {rule}, got {refused.value[:80]!r}", field=field, rule=rule)


def _too_long(where: str, name: str, most: int, value: str) -> Problem:
    field, rule = f"{where}{name}", f"must have at most {most} characters"
    return Problem(422, f"{field} {rule}, got {len(value)}", field=field, rule=rule)
