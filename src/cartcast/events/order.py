"""The order of events: a log's own direction, ties of time, and positions in the session.

Time comes first. What shares a moment is ordered by the source's own fields (GA4's batch page,
ordering and event index; an index of events), else by the rows, which in a log written newest
first are read from its end. Where neither tells, a finding says for what share of the sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import duckdb

from cartcast.events.mapping import Resolved
from cartcast.events.staged import TYPED
from cartcast.events.summed import counted, decided, grouped
from cartcast.findings import Finding, declare, finding

__all__ = [
    "Direction",
    "directions",
    "in_time_order",
    "number_events",
    "order_findings",
    "own_order",
    "own_order_known",
    "sequence_sql",
]

NEWEST_FIRST = declare(
    "EV130",
    "note",
    "The log is written newest first",
    "Events of the same moment are read from the end of the file, so that they keep their order.",
    "Nothing to do.",
)
UNKNOWN_ORDER = declare(
    "EV131",
    "warn",
    "The order of some events is not known",
    "Events of one session share their time, and neither a column nor the order of the rows tells "
    "which came first: funnels, paths and features by click may count them the wrong way round.",
    "Export a finer time, or a column with the order of events (`event_order`, `ties:`).",
)

_ALL, _SEVERAL = 0.95, 0.01


class Direction(NamedTuple):
    """How the rows of a file lie in time.

    Attributes:
        file: its number.
        falls: rows that are earlier than the one before.
        newest_first: the rows run backwards, in the whole file or within sessions.
        known: the order of rows says something; it does not in a shuffled file.
        start: the first row's time, in microseconds since 1970.
        end: the latest time.
    """

    file: int
    falls: int
    newest_first: bool
    known: bool
    start: int = 0
    end: int = 0

    @property
    def in_order(self) -> bool:
        """Whether the rows lie in the order of their times, or exactly backwards."""
        return self.falls == 0 or self.newest_first


def directions(con: duckdb.DuckDBPyConnection, good: str, clock: str) -> list[Direction]:
    """Return how the rows of each file lie in time."""
    if clock != "time":
        return []
    rows = grouped(
        con,
        "directions",
        f"""
        SELECT file, count(*) FILTER (t > p), count(*) FILTER (t < p),
               count(*) FILTER (s = ps AND t > p), count(*) FILTER (s = ps AND t < p),
               epoch_us(min(p)), epoch_us(max(t))
        FROM (
            SELECT file, t, s, lag(t) OVER () AS p, lag(s) OVER () AS ps, lag(file) OVER () AS pf
            FROM (SELECT __file AS file, event_time AS t,
                         hash(coalesce(session_id, visitor_id, user_id)) AS s
                  FROM {TYPED} WHERE {good} AND event_time IS NOT NULL))
        WHERE pf = file GROUP BY 1 ORDER BY 1
        """,
    )
    return [_direction(*row) for row in rows]


def in_time_order(found: Sequence[Direction], files: int) -> bool:
    """Return whether the rows of all files, one after the other, lie in order of time."""
    ends = [(d.start, d.end) for d in found]
    after = all(later[0] >= before[1] for before, later in pairwise(ends))
    return len(found) == files and after and all(d.falls == 0 for d in found)


def _direction(
    file: int, rises: int, falls: int, own_rises: int, own_falls: int, start: int, end: int
) -> Direction:
    def share(part: int, other: int) -> float:
        return part / (part + other) if part + other else 0.0

    # In a shuffled file few rows of one session lie side by side, and their order is chance.
    several = own_rises + own_falls >= _SEVERAL * (rises + falls)
    backwards = share(falls, rises) >= _ALL or (several and share(own_falls, own_rises) >= _ALL)
    forwards = share(rises, falls) >= _ALL or (several and share(own_rises, own_falls) >= _ALL)
    newest = backwards and not (forwards and own_rises > own_falls)
    known = backwards or forwards or rises + falls == 0
    return Direction(file, falls, newest, known, start, end)


def own_order_known(resolved: Sequence[Resolved]) -> bool:
    """Return whether every source states its own order or the seconds of its sessions."""
    return all({"event_order", "session_seconds"} & set(r.mapped) for r in resolved)


def own_order(con: duckdb.DuckDBPyConnection, rows: str) -> bool:
    """Return whether the source's own order is there for every event, and unique in sessions."""
    known, events = counted(con, "own order", f"SELECT count(event_order), count(*) FROM {rows}")
    own = known == events > 0
    if own:
        (twice,) = counted(
            con,
            "own order twice",
            f"SELECT count(*) FROM (SELECT 1 FROM {rows} "
            "GROUP BY hash(session_id), event_order HAVING count(*) > 1)",
        )
        own = twice == 0
    return bool(decided("own order", own))


def sequence_sql(clock: str, own: bool, ties: int) -> str:
    """Return SQL of the order of events in a session: an ORDER BY list."""
    keys = {"session": ["session_seconds"], "order": []}.get(clock, ["event_time"])
    if own:
        # With a full clock time comes first and the source's order breaks ties.
        keys = [*keys, "event_order"] if clock == "time" else ["event_order"]
    keys += [f"__tie_{i}" for i in range(ties)]
    return ", ".join([*keys, "__place"])


def number_events(con: duckdb.DuckDBPyConnection, rows: str, sequence: str) -> None:
    """Keep the position of each event in its session, from 1, in the table `placed`."""
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE placed AS SELECT __seq AS __of, CAST(row_number() OVER "
        f"(PARTITION BY hash(session_id) ORDER BY {sequence}) AS INTEGER) AS __position FROM {rows}"
    )


def order_findings(
    con: duckdb.DuckDBPyConnection,
    rows: str,
    found: Sequence[Direction],
    clock: str,
    own: bool,
    ties: int,
) -> list[Finding]:
    """Return what must be said of the order of events."""
    out: list[Finding] = []
    newest = [d for d in found if d.newest_first]
    if newest:
        out.append(
            finding(NEWEST_FIRST, f"{len(newest)} file(s) run from the newest event to the oldest.",
                    count=len(newest))
        )  # fmt: skip
    if own or clock not in ("time", "day"):
        return out
    unknown = [d.file for d in found if not d.known]
    if clock == "time" and not unknown:
        return out
    files = f"WHERE __file IN ({', '.join(map(str, unknown))})" if clock == "time" else ""
    keys = ", ".join(["event_time", *(f"__tie_{i}" for i in range(ties))])
    row = counted(
        con,
        "ties",
        f"""
        SELECT count(*) FILTER (tied), count(*) FROM (
            SELECT s, bool_or(several) AS tied FROM (
                SELECT hash(session_id) AS s,
                       min(hash(event_type)) <> max(hash(event_type)) AS several
                FROM {rows} {files} GROUP BY 1, {keys}) GROUP BY 1)
        """,
    )
    if row[0]:
        out.append(
            finding(
                UNKNOWN_ORDER,
                f"in {row[0]:,} of {row[1]:,} sessions ({row[0] / row[1]:.1%}) events of different "
                "kinds share their time, and nothing tells their order.",
                count=row[0],
                share=row[0] / row[1],
            )
        )
    return out
