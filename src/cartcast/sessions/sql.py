"""Session rules as SQL: the events of each visitor, cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cartcast.sessions.rules import SessionRules

__all__ = ["visits_sql"]

_BEFORE: Final[Mapping[str, str]] = {
    "midnight": "CAST({local} AS DATE) <> CAST(lag({local}) OVER visit AS DATE)",
    "purchase": (
        "lag(event_type) OVER visit = 'purchase' AND NOT (event_type = 'purchase' AND "
        "coalesce(order_id, '') = coalesce(lag(order_id) OVER visit, ''))"
    ),
}
"""Breaks that an event and the one before it tell -> SQL condition."""


def visits_sql(
    rules: SessionRules, rows: str, visitor: str, columns: str, local: str, sequence: str
) -> str:
    """Return a query of `columns`, the visitor as `v`, and `visit`: 1, 2, ... of each visitor.

    `rows` is what stands after FROM, `visitor` and `local` (`event_time` by the shop's clock) are
    SQL over it, `sequence` orders a visitor's events by `columns`.
    """
    new = " OR ".join(
        [
            "lag(event_time) OVER visit IS NULL",
            f"epoch_us(event_time) - epoch_us(lag(event_time) OVER visit) > {rules.microseconds}",
            *(_BEFORE[b].format(local=local) for b in rules.breaks if b in _BEFORE),
        ]
    )
    count = f"sum(starts) OVER (PARTITION BY v ORDER BY {sequence} ROWS UNBOUNDED PRECEDING)"
    marked = (
        f"SELECT {columns}, campaign, {visitor} AS v, CAST({new} AS INTEGER) AS starts "
        f"FROM {rows} WINDOW visit AS (PARTITION BY {visitor} ORDER BY {sequence})"
    )
    if "campaign" in rules.breaks:
        # What else ends a session is known first: a campaign is held against the session's own.
        span = f"SELECT *, {count} AS span FROM ({marked})"
        other = "campaign IS DISTINCT FROM lag(campaign IGNORE NULLS) OVER span"
        marked = (
            "SELECT * REPLACE (CAST(starts = 1 OR (campaign IS NOT NULL AND "
            f"{other}) AS INTEGER) AS starts) "
            f"FROM ({span}) WINDOW span AS (PARTITION BY v, span ORDER BY {sequence})"
        )
    return f"SELECT *, {count} AS visit FROM ({marked})"
