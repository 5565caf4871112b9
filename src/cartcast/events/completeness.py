"""Is this a whole log? Signs of a sample by event, of a row limit, of one kind of event only."""

from __future__ import annotations

import duckdb

from cartcast.events.summary import Summary
from cartcast.events.summed import counted, in_a_part
from cartcast.findings import Finding, declare, finding

__all__ = ["completeness_findings"]

SAMPLED = declare(
    "EV142",
    "warn",
    "The log looks sampled by event",
    "Most sessions hold a single event, and far fewer begin or look at anything than buy: events "
    "were drawn, not visits. No rate, funnel or path of it means anything.",
    "Export all events of a period; draw whole visitors if it is too much.",
)
ROW_LIMIT = declare(
    "EV143",
    "warn",
    "The log may be cut by a row limit",
    "It holds exactly as many rows as spreadsheets, editors or queries stop at, so what came after "
    "is missing.",
    "Export again without the limit, or in parts.",
)
ONE_KIND = declare(
    "EV144",
    "note",
    "All events are of one kind",
    "Without views there is no conversion, and without purchases no outcome to learn.",
    "Export the other kinds of event too, or give outcomes with --orders.",
)

_LIMITS = frozenset({65_535, 65_536, 1_048_575, 1_048_576}) | {
    base * 10**power for base in (1, 5) for power in range(4, 9)
}
_ENOUGH = 100
_THIN = 1.5
_STARTS = ("session_start", "visit_start", "session start", "session started")


def completeness_findings(
    con: duckdb.DuckDBPyConnection, rows: str, summary: Summary
) -> list[Finding]:
    """Return what speaks against this being the whole log of a shop."""
    found: list[Finding] = []
    if summary.events in _LIMITS:
        found.append(finding(ROW_LIMIT, f"exactly {summary.events:,} rows.", count=summary.events))
    kinds = [k for k, n in summary.event_types.items() if n]
    if len(kinds) == 1 and summary.events > 1 and not in_a_part():
        found.append(finding(ONE_KIND, f"all {summary.events:,} events are {kinds[0]}."))
        return found
    thin = summary.sessions >= _ENOUGH and summary.events < _THIN * summary.sessions
    if not thin and not in_a_part():
        return found
    buying, alone, starts = counted(
        con,
        "thin sessions",
        f"""
        SELECT count(*) FILTER (buys), count(*) FILTER (buys AND n = 1),
               coalesce(sum(starts), 0)::BIGINT FROM (
            SELECT bool_or(event_type = 'purchase') AS buys, count(*) AS n,
                   count(*) FILTER (lower(source_event) IN {_STARTS}) AS starts
            FROM {rows} GROUP BY hash(session_id))
        """,
    )
    few_starts = 0 < starts < 0.5 * summary.sessions
    lone_buyers = buying >= 10 and alone > 0.5 * buying
    if few_starts or lone_buyers:
        each = summary.events / summary.sessions
        told = [f"{each:.2f} events a session"]
        if few_starts:
            told.append(f"{starts:,} session starts for {summary.sessions:,} sessions")
        if lone_buyers:
            told.append(f"{alone:,} of {buying:,} buying sessions hold nothing but a purchase")
        found.append(finding(SAMPLED, ", ".join(told) + ".", count=summary.events))
    return found
