"""Repeats: an event that was sent twice, a file that was delivered twice, rows in two files.

An event id that comes again is a repeat only if the rows agree; where they do not, it is no id of
an event (a code of the kind of event, say), and the rows are kept. Without event ids, a row that
lies in two files counts once, and a file with every row an even number of times came twice.
Within one file equal rows may be double clicks: nobody can tell, so they are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import duckdb

from cartcast.events.summed import counted, decided, grouped, keyed
from cartcast.findings import Finding, declare, finding

__all__ = ["DROPPED", "Repeats", "find_repeats"]

DROPPED = "dropped"
"""Table of the rows (seq) that are left out because they came before."""

DUPLICATE_ROWS = declare(
    "EV112",
    "note",
    "Rows that repeat another row in every column",
    "They may be double clicks or events sent twice; without an event id nobody can tell, so they "
    "are kept as events.",
    "Export an event id; events with an id seen before are dropped.",
)
DUPLICATE_EVENTS = declare(
    "EV132",
    "note",
    "Events that were sent twice were dropped",
    "Their event id came before, on a row with the same visitor, time and kind of event.",
    "Nothing to do; if there are many, the tracker sends twice.",
)
NO_EVENT_ID = declare(
    "EV133",
    "warn",
    "The event id does not tell events apart",
    "The same id stands on rows that differ in visitor, time or kind of event; they are kept.",
    "If it is a code of the kind of event, map it as `event_type` or leave it out of the layout.",
)
IN_TWO_FILES = declare(
    "EV134",
    "warn",
    "Files overlap",
    "The same rows lie in more than one file; they count once.",
    "Check which periods were exported.",
)
TWICE = declare(
    "EV135",
    "warn",
    "The file holds every row twice",
    "Each row lies in it an even number of times, as when an export is appended to itself; half of "
    "them were dropped.",
    "Export again.",
)

_AGAIN = """
WITH held AS (SELECT * FROM {rows} WHERE key IN (
    SELECT key FROM {rows} GROUP BY 1 HAVING count(DISTINCT (__file, record)) > 1))
SELECT seq, key, first_value((__file, record)) OVER same <> (__file, record) AS later,
       min(h) OVER one <> max(h) OVER one AS unlike
FROM (SELECT *, row_number() OVER (PARTITION BY key, __file, record ORDER BY __at) AS part
      FROM held)
WINDOW same AS (PARTITION BY key, h ORDER BY __file, __at
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING),
       one AS (PARTITION BY key, part)
"""
"""SQL of rows that share an event id: whether it came before and agrees, whether any differ."""

_KEYS = (
    "visitor_id", "user_id", "session_id", "event_time", "event_order", "session_seconds",
    "event_type", "item_id", "page",
)  # fmt: skip
"""What nearly always tells two events apart."""

_FEW = 4
"""Rows under which a file of pairs proves nothing."""


class Repeats(NamedTuple):
    """Rows dropped as repeats, rows kept though they repeat one, and what must be said."""

    events: int
    rows: int
    kept: int
    findings: list[Finding]


def find_repeats(
    con: duckdb.DuckDBPyConnection,
    rows: str,
    columns: Sequence[str],
    *,
    event_ids: bool,
    files: int,
    timed: bool,
) -> Repeats:
    """Keep in the table `dropped` the rows that came before.

    Args:
        con: engine connection.
        rows: relation of the good rows.
        columns: quoted columns that make a row what it is.
        event_ids: some source has event ids.
        files: number of sources.
        timed: the clock tells moments; without one, equal rows in two files may be two events,
            unless they are of one order.
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE {DROPPED} (seq BIGINT)")
    found: list[Finding] = []
    events = 0
    if event_ids:
        events, event_ids = _by_event_id(con, rows, found)
    held = f"FROM {rows} {'WHERE event_id IS NULL' if event_ids else ''}"
    # Rows that are equal have equal keys: where none have, not all columns are looked at.
    keys = ", ".join(c for c in columns if c in _KEYS)
    (alike,) = counted(
        con, "alike", f"SELECT (SELECT count(*) {held}) - (SELECT count(*) FROM "
        f"(SELECT DISTINCT hash({keys}) {held}))",
    )  # fmt: skip
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE twins AS
        SELECT h, count(*) AS n FROM (SELECT hash({", ".join(columns)}) AS h {held})
        {"" if alike else "WHERE false"} GROUP BY h HAVING count(*) > 1
        """
    )
    pairs, spare = counted(
        con, "twins", "SELECT count(*), coalesce(sum(n - 1), 0)::BIGINT FROM twins"
    )
    dropped = 0
    if pairs:
        dropped = _by_row(con, rows, columns, found, files=files, timed=timed, ids=event_ids)
    con.execute("DROP TABLE twins")
    kept = spare - dropped
    if kept:
        found.append(
            finding(
                DUPLICATE_ROWS,
                f"{kept} rows repeat another row in every column; kept.",
                count=kept,
            )
        )
    return Repeats(events, dropped, kept, found)


def _by_event_id(
    con: duckdb.DuckDBPyConnection, rows: str, found: list[Finding]
) -> tuple[int, bool]:
    """Drop rows whose event id came before on an equal row; lines of one record belong together.

    Returns how many, and whether the ids are ids of events at all.
    """
    same = "visitor_id, user_id, session_id, event_time, event_type, item_id"
    held = (
        f"SELECT hash(event_id) AS key, __seq AS seq, coalesce(__record, __at) AS record, __file, "
        f"__at, hash({same}) AS h FROM {rows} WHERE event_id IS NOT NULL"
    )
    con.execute(f"CREATE OR REPLACE TEMP TABLE again AS {_AGAIN.replace('{rows}', f'({held})')}")
    con.execute(f"INSERT INTO {DROPPED} SELECT seq FROM again WHERE later")
    # Rows that agree have one visitor; rows that differ need not.
    told = (
        "SELECT count(*) FILTER (later), count(*) FILTER (unlike AND NOT later), "
        "count(DISTINCT key) FILTER (unlike), count(DISTINCT key) FROM"
    )
    ((dropped, unlike, ids, repeated),) = keyed(
        con, "event ids", held, f"{told} ({_AGAIN})", here=f"{told} again"
    )
    con.execute("DROP TABLE again")
    if unlike:
        found.append(
            finding(
                NO_EVENT_ID,
                f"{ids:,} event ids stand on rows that differ ({unlike:,} rows); those are kept.",
                count=unlike,
                ids=ids,
            )
        )
    # Where most of the repeated ids disagree it is a code, and agreement is chance.
    codes = bool(decided("event ids are codes", 2 * ids > repeated))
    if codes:
        con.execute(f"DELETE FROM {DROPPED}")
        dropped = 0
    if dropped:
        found.append(
            finding(
                DUPLICATE_EVENTS,
                f"{dropped} rows carry an event id that came before and agree with it; dropped.",
                count=dropped,
            )
        )
    return int(dropped), not codes


def _by_row(
    con: duckdb.DuckDBPyConnection,
    rows: str,
    columns: Sequence[str],
    found: list[Finding],
    *,
    files: int,
    timed: bool,
    ids: bool,
) -> int:
    """Drop rows that lie in two files, and every second row of a file of pairs."""
    without = "WHERE event_id IS NULL" if ids else ""
    ordered = "order_id" in columns
    # Two refunds of a day may be equal; an order's line is sold once.
    sold = "order_id IS NOT NULL AND event_type = 'purchase'"
    sure = "true" if timed else sold if ordered else "false"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE alike AS
        SELECT seq, file, h, sure, row_number() OVER (PARTITION BY h, file ORDER BY seq) AS place,
               count(*) OVER (PARTITION BY h, file) AS n
        FROM (SELECT __seq AS seq, __file AS file, hash({", ".join(columns)}) AS h, {sure} AS sure
              FROM {rows} {without})
        WHERE h IN (SELECT h FROM twins)
        """
    )
    dropped = 0
    pairs = grouped(
        con,
        "pairs",
        f"""
        SELECT r.file, r.n, coalesce(a.n, 0), coalesce(a.odd, 0) FROM (
            SELECT __file AS file, count(*) AS n FROM {rows} {without} GROUP BY 1) r
        LEFT JOIN (SELECT file, count(*) AS n, count(*) FILTER (n % 2 = 1) AS odd
                   FROM alike GROUP BY 1) a USING (file) ORDER BY 1
        """,
    )
    twice = [
        (file, total)
        for file, total, alike, odd in pairs
        if alike == total and not odd and total >= _FEW
    ]
    for file, total in decided("files of pairs", twice):
        con.execute(
            f"INSERT INTO {DROPPED} SELECT seq FROM alike WHERE file = {file} AND place > n // 2"
        )
        con.execute(f"DELETE FROM alike WHERE file = {file} AND place > n // 2")
        dropped += total // 2
        found.append(
            finding(TWICE, f"file {file + 1}: each of {total:,} rows lies in it an even number of "
                    "times; half of them were dropped.", count=total // 2)
        )  # fmt: skip
    if files > 1 and (timed or ordered):
        # Of the rows that a file shares with those before it, only what it has more of is new.
        (shared,) = counted(
            con,
            "shared rows",
            f"""
            INSERT INTO {DROPPED}
            SELECT seq FROM (
                SELECT seq, file, sure, min(file) OVER (PARTITION BY h, place) AS first FROM alike)
            WHERE sure AND file > first
            """,
        )
        dropped += shared
        if shared:
            found.append(
                finding(IN_TWO_FILES, f"{shared:,} rows lie in more than one file; each counts "
                        "once.", count=shared)
            )  # fmt: skip
    con.execute("DROP TABLE alike")
    return dropped
