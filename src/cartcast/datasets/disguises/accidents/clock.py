"""The shop's own clock: local times without offset, over the days when clocks change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cartcast.datasets.disguises.accidents.accident import Accident, each_log, has
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import TrueLog

__all__ = ["ACCIDENTS"]

_FORM = "%Y-%m-%d %H:%M:%S"

_CHANGES = {
    "berlin-autumn": ("Europe/Berlin", datetime(2025, 10, 26, 1, tzinfo=UTC)),
    "berlin-spring": ("Europe/Berlin", datetime(2025, 3, 30, 1, tzinfo=UTC)),
    "los-angeles-autumn": ("America/Los_Angeles", datetime(2025, 11, 2, 9, tzinfo=UTC)),
    "los-angeles-spring": ("America/Los_Angeles", datetime(2025, 3, 9, 10, tzinfo=UTC)),
}
"""Name of the accident -> zone, and the moment when its clock changes."""


def _moved(moment: datetime) -> Callable[[TrueLog], TrueLog]:
    """Return a shift of the log by which an order's session has the clock change in its middle."""

    def change(log: TrueLog) -> TrueLog:
        orders = [e for e in log if e.event_type == "purchase"]
        middle = orders[len(orders) // 2].time - 30
        shift = int(moment.timestamp()) - middle
        return log.change(lambda e: replace(e, time=e.time + shift))

    return change


def _written(how: Callable[[datetime], object]) -> Callable[[Sheet], Sheet]:
    """Return a change of the times of a sheet, which are UTC, to another way to write them."""

    def change(sheet: Sheet) -> Sheet:
        column = sheet.names["event_time"]
        return sheet.with_rows(row | {column: how(_moment(row[column]))} for row in sheet.rows)

    return change


def _moment(text: str) -> datetime:
    return datetime.strptime(text, _FORM).replace(tzinfo=UTC)


def _local(zone: str) -> Callable[[Sheet], Sheet]:
    """Return a change of the times of a sheet from UTC to the wall clock of `zone`."""
    there = ZoneInfo(zone)

    return _written(lambda moment: moment.astimezone(there).strftime(_FORM))


_WAYS: dict[str, Callable[[datetime], object]] = {
    "seconds": lambda moment: int(moment.timestamp()),
    "milliseconds": lambda moment: int(moment.timestamp()) * 1000,
    "offset": lambda moment: moment.astimezone(ZoneInfo("Asia/Kolkata")).isoformat(),
    "day-first": lambda moment: moment.strftime("%d.%m.%Y %H:%M:%S"),
}
"""Ways to write a time, by the name of their accident."""

ACCIDENTS = tuple(
    Accident(
        f"zone-{name}",
        frozenset({"clock", "rows", "files", "length"}),
        has("event_time"),
        log=_moved(moment),
        sheets=each_log(_local(zone)),
        reading=(("zone", zone),),
        days=2,
    )
    for name, (zone, moment) in _CHANGES.items()
) + tuple(
    Accident(
        f"time-in-{name}",
        frozenset({"clock"}),
        has("event_time"),
        sheets=each_log(_written(way)),
    )
    for name, way in _WAYS.items()
)
"""Local time in two zones, over both changes, rows in their true order; other ways of writing."""
