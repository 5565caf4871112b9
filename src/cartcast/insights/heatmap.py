"""When visitors come and when they buy: hour of day by day of week."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cartcast.errors import DataError
from cartcast.evaluate.share import Share
from cartcast.findings import Finding
from cartcast.insights.caveats import caveats
from cartcast.insights.clusters import clustered, sums, visitor_of
from cartcast.insights.sessions import make_sessions
from cartcast.insights.source import Slice, opened

__all__ = ["HeatCell", "HeatMap", "heat_map"]


class HeatCell(NamedTuple):
    """Sessions that began at `weekday` (Monday 1 to Sunday 7) in `hour` (0 to 23) of the shop."""

    weekday: int
    hour: int
    sessions: int
    conversion: Share | None


@dataclass(frozen=True)
class HeatMap:
    """All 168 hours of a week; `sold` says whether the log has purchases; `zone` None is UTC."""

    sold: bool
    cells: tuple[HeatCell, ...]
    zone: str | None = None
    findings: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        cells = [
            {**c._asdict(), "conversion": c.conversion._asdict() if c.conversion else None}
            for c in self.cells
        ]
        return {**asdict(self), "cells": cells}


def heat_map(
    log: Any,
    *,
    where: Slice | None = None,
    sessions: Path | str | None = None,
    level: float = 0.95,
) -> HeatMap:
    """Return sessions and conversion by weekday and hour at which they began.

    Raises:
        DataError: the log's clock tells no hour.
    """
    with opened(log) as source:
        if source.clock != "time":
            raise DataError(f"a heat map needs a time of day; the clock here is {source.clock!r}.")
        columns = make_sessions(source, sessions)
        condition, parameters = (where or Slice()).condition(source, columns)
        sold = source.row("SELECT count(*) FILTER (purchases > 0) > 0 FROM sessions")[0]
        found = {
            (weekday, hour): bought
            for weekday, hour, bought in source.rows(
                f"SELECT weekday, hour, {sums('bought', 'n')} FROM (SELECT weekday, hour, "
                "count(*) AS n, count(*) FILTER (purchases > 0) AS bought FROM sessions "
                f"WHERE {condition} GROUP BY weekday, hour, {visitor_of(columns)}) GROUP BY ALL",
                parameters,
            )
        }
    cells = []
    for weekday in range(1, 8):
        for hour in range(24):
            bought = clustered(found.get((weekday, hour)), level)
            cells.append(HeatCell(weekday, hour, bought.of, bought if sold else None))
    return HeatMap(bool(sold), tuple(cells), source.zone, caveats(source.findings))
