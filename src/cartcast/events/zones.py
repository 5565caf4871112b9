"""The shop's clock: local times to UTC and back, with the hours that a change doubles or skips.

The changes of a zone are few, so they are written out as a CASE over times: exact, fast, and the
same in every engine. A local time that exists twice is read as the first; `clock.py` moves it to
the second where the order of the rows tells.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

__all__ = ["Change", "changes", "doubled_sql", "offset_sql", "skipped_sql", "to_utc_sql"]

_FIRST, _LAST = 1990, 2101


class Change(NamedTuple):
    """One change of a zone's clock: when (UTC), and the minutes east of UTC before and after."""

    at: datetime
    before: int
    after: int


@lru_cache(maxsize=16)
def changes(zone: str) -> tuple[int, tuple[Change, ...]]:
    """Return the minutes east of UTC in 1990, and every change until 2100.

    >>> first, found = changes("Europe/Berlin")
    >>> first, found[0].before, found[0].after, found[0].at.isoformat()
    (60, 60, 120, '1990-03-25T01:00:00')
    """
    info = ZoneInfo(zone)

    def minutes(at: datetime) -> int:
        found = at.replace(tzinfo=UTC).astimezone(info).utcoffset()
        assert found is not None
        return round(found.total_seconds() / 60)

    at = datetime(_FIRST, 1, 1)
    end = datetime(_LAST, 1, 1)
    first = here = minutes(at)
    out: list[Change] = []
    while at < end:
        later = at + timedelta(days=7)
        there = minutes(later)
        if there != here:
            low, high = at, later
            while high - low > timedelta(minutes=1):
                middle = low + (high - low) / 2
                middle = middle.replace(second=0, microsecond=0)
                if middle <= low:
                    break
                low, high = (middle, high) if minutes(middle) == here else (low, middle)
            out.append(Change(high, here, there))
            here = there
        at = later
    return first, tuple(out)


def offset_sql(time: str, zone: str | None) -> str:
    """Return SQL for the minutes east of UTC of a UTC time."""
    if zone is None or zone == "UTC":
        return "0"
    first, found = changes(zone)
    return _case(time, [(c.at, c.before) for c in found], found[-1].after if found else first)


def to_utc_sql(local: str, zone: str | None) -> str:
    """Return SQL for the UTC time of a local one: the first, where it exists twice.

    A time that the clock skips is read by the offset before the change.
    """
    if zone is None or zone == "UTC":
        return local
    first, found = changes(zone)
    # Until the change's last local moment of the old offset, the old offset holds.
    edges = [(c.at + timedelta(minutes=max(c.before, c.after)), c.before) for c in found]
    return f"({local} - to_minutes({_case(local, edges, found[-1].after if found else first)}))"


def doubled_sql(local: str, zone: str | None) -> str:
    """Return SQL: does this local time exist twice?"""
    return _within(local, zone, back=True)


def skipped_sql(local: str, zone: str | None) -> str:
    """Return SQL: is this a local time that the clock skips?"""
    return _within(local, zone, back=False)


def _within(local: str, zone: str | None, *, back: bool) -> str:
    found = changes(zone)[1] if zone and zone != "UTC" else ()
    spans = [
        (c.at + timedelta(minutes=low), c.at + timedelta(minutes=high))
        for c in found
        if (c.after < c.before) == back
        for low, high in [sorted((c.before, c.after))]
    ]
    if not spans:
        return "false"
    # Each leaf is the end of the last such span that had begun.
    ends = ["NULL", *(f"TIMESTAMP '{end}'" for _, end in spans)]
    edges = [(start, ends[i]) for i, (start, _) in enumerate(spans)]
    return f"coalesce({local} < {_halved(local, edges, ends[-1])}, false)"


def _case(time: str, edges: list[tuple[datetime, int]], last: int) -> str:
    return _halved(time, [(at, str(value)) for at, value in edges], str(last))


def _halved(time: str, edges: list[tuple[datetime, str]], last: str) -> str:
    """Write a CASE as a tree, so that a time is compared a few times and not two hundred."""
    if not edges:
        return last
    middle = len(edges) // 2
    at, before = edges[middle]
    low = _halved(time, edges[:middle], before)
    high = _halved(time, edges[middle + 1 :], last)
    return f"CASE WHEN {time} < TIMESTAMP '{at}' THEN {low} ELSE {high} END"
