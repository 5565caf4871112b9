"""Machines: visitors who click as no person does, and so are on no list of whom to act on.

Ten clicks at different seconds within eighteen are the speed of a machine: two seconds a click is
what no page can be read in. What a page sends in one second counts once, so trackers that send
several events a page do not make a machine of its visitor. Somebody who has bought is none. Where
more than a fifth of all visitors look like that, the tracker sends on its own (a beat each second),
and nobody is a machine.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from cartcast.events import Log
from cartcast.findings import Finding, declare, finding

__all__ = ["left_out", "machines", "sends_alone", "without_machines"]

CLICKS: Final = 10
SECONDS_A_CLICK: Final = 2
MOST: Final = 0.2
"""Share of visitors above which it is the tracker that clicks."""

LEFT_OUT = declare(
    "TL105", "note", "Visitors at the speed of machines are on no list",
    "Robots and monitors buy nothing; slow ones, and those of a few clicks, are not told from "
    "people.",
    "Filter them at the tracker; an own visitor who is taken for one can be seen with "
    "`--everything`.",
)  # fmt: skip


def machines(part: Log) -> pd.DataFrame:
    """Return who clicks at the speed of machines; nobody where the clock shows no seconds.

    Columns: visitor (session_id where there is none), since, bought (the first time; null: never).
    """
    if part.clock != "time":
        return pd.DataFrame({"visitor": [], "since": [], "bought": []}, dtype="object")
    took = (CLICKS - 1) * SECONDS_A_CLICK
    with part.connect() as con:
        return con.execute(
            "WITH fast AS (SELECT visitor, min(tick) AS since FROM ("
            "SELECT visitor, tick, epoch(tick) - lag(epoch(tick), $steps) OVER "
            "(PARTITION BY session_id ORDER BY tick) AS took FROM ("
            "SELECT DISTINCT session_id, coalesce(visitor_id, session_id) AS visitor, "
            "date_trunc('second', event_time) AS tick FROM events)) WHERE took < $took GROUP BY 1) "
            "SELECT visitor, since, min(event_time) FILTER (event_type = 'purchase') AS bought "
            "FROM fast JOIN events ON visitor = coalesce(visitor_id, session_id) GROUP BY ALL",
            {"steps": CLICKS - 1, "took": took},
        ).df()


def sends_alone(log: Log) -> bool:
    """Return whether the tracker sends on its own: too many visitors are fast."""
    fast, _, visitors = _counted(log)
    return fast > MOST * visitors


def _counted(log: Log) -> tuple[int, int, int]:
    """Return how many visitors are fast, how many of these have not bought, and how many are."""
    fast, unsold, visitors = (sum(n) for n in zip(*log.map_parts(_counted_part), strict=True))
    return fast, unsold, visitors


def _counted_part(part: Log) -> tuple[int, int, int]:
    found = machines(part)
    with part.connect() as con:
        (visitors,) = con.execute(
            "SELECT count(DISTINCT coalesce(visitor_id, session_id)) FROM events"
        ).fetchone() or (0,)
    return len(found), int(found["bought"].isna().sum()), int(visitors)


def without_machines(rows: pd.DataFrame, part: Log) -> pd.DataFrame:
    """Return the rows (session_id, visitor_id, anchor_time) of whom no machine was known then."""
    found = machines(part)
    if found.empty or rows.empty:
        return rows
    visitor = rows["visitor_id"].fillna(rows["session_id"])
    told = found.set_index("visitor")
    since, bought = visitor.map(told["since"]), visitor.map(told["bought"])
    then = rows["anchor_time"]
    return rows[~((since <= then) & ~(bought <= then))].reset_index(drop=True)


def left_out(log: Log) -> list[Finding]:
    """Return what to say of a list at the end of a log: how many visitors were left out of it."""
    fast, count, visitors = _counted(log)
    if fast > MOST * visitors:
        return []
    text = f"visitors with {CLICKS} clicks within {(CLICKS - 1) * SECONDS_A_CLICK} s: {count:,}."
    return [finding(LEFT_OUT, text, count=count)] if count else []
