"""What must be said about a log: findings of the contract, with their counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from cartcast.errors import DataError
from cartcast.events.contract import REASONS, STAGE
from cartcast.events.mapping import Resolved
from cartcast.events.read import Source
from cartcast.events.sessionize import CLEAN
from cartcast.events.summary import Summary
from cartcast.findings import Finding, declare, finding

__all__ = ["duplicate_rows", "findings", "one_currency", "refusal", "settle"]

REJECTED = declare(
    "EV103",
    "warn",
    "Rows were rejected",
    "They break the contract and are in no figure; each is kept with its reason.",
    "Look at the rejects file, and correct the source or the layout.",
)
MIXED_ZONES = declare(
    "EV104",
    "warn",
    "Times with and without a time zone are mixed",
    "A time without an offset beside times with one may be local or UTC.",
    "State `zone:` in the layout, or export all times with an offset.",
)
DATE_ONLY = declare(
    "EV105",
    "note",
    "The clock tells days only",
    "No time of day: seconds, hours and gaps between clicks are null, and time splits are by day.",
    "Export the time of each event if it is known.",
)
ABSENT = declare(
    "EV106",
    "note",
    "Columns that help are missing",
    "Features that need them will be null.",
    "Add them to the export or the layout if the shop has them.",
)
SHARED_SESSION = declare(
    "EV110",
    "warn",
    "A session id is used by more than one visitor",
    "Its events are one session here, though two visitors may hide in it.",
    "Check how the shop makes session ids; a log-in during a visit also looks like this.",
)
ZERO_PRICE = declare(
    "EV111",
    "note",
    "Prices of zero",
    "A price of zero is often a price not known; it lowers every mean.",
    "Leave the price empty when it is not known.",
)
DUPLICATE_ROWS = declare(
    "EV112",
    "note",
    "Rows that repeat another row in every column",
    "They may be double clicks or events sent twice; without an event id nobody can tell, so they "
    "are kept as events.",
    "Export an event id; events with an id seen before are dropped.",
)
FEW_WORDS = declare(
    "EV116",
    "note",
    "Event words that are not known",
    "They are kept as `other` with the source's word.",
    "Map them under `events:` in a layout if they mean something here.",
)


def settle(
    con: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    resolved: Sequence[Resolved],
    clock: str,
) -> tuple[str, list[Finding]]:
    """Decide what only the whole column can tell: mixed zones, and whether the clock is a date."""
    found: list[Finding] = []
    rows = con.execute(
        f"SELECT __file, count(*) FILTER (__zone = 0), count(*) FILTER (__zone = 1), "
        f"count(*) FILTER (__zone = 2), count(*) FILTER (NOT coalesce(__date_only, false)) "
        f"FROM {STAGE} WHERE __reason IS NULL GROUP BY 1 ORDER BY 1"
    ).fetchall()
    for file, naive, utc, offset, _ in rows:
        if not naive or not (utc or offset):
            continue
        name = sources[file].name
        if offset:
            mapped = resolved[file].mapped["event_time"].column
            con.execute(
                f"UPDATE {STAGE} SET __reason = 'ambiguous_time', __column = ?, "
                f"__value = event_time::VARCHAR WHERE __file = ? AND __zone = 0 "
                f"AND __reason IS NULL",
                [mapped, file],
            )
            message = (
                f"{name}: {naive} times have no offset while {offset + utc} have one: rejected."
            )
        else:
            message = f"{name}: {naive} times have no zone while {utc} say UTC: read as UTC."
        found.append(
            finding(MIXED_ZONES, message, count=naive, without=naive, with_zone=utc + offset)
        )
    if clock == "time" and rows and not any(r[4] for r in rows):
        clock = "day"
    if clock == "day":
        found.append(finding(DATE_ONLY, "The source gives a date but no time of day."))
    return clock, found


def duplicate_rows(con: duckdb.DuckDBPyConnection) -> int:
    """Return how many rows repeat an earlier one in every column of the source."""
    row = con.execute(
        f"SELECT count(*) - count(DISTINCT (__hash, __file)) FROM {CLEAN} WHERE __seq & 1023 = 0"
    ).fetchone()
    return int(row[0]) if row else 0


def one_currency(con: duckdb.DuckDBPyConnection, shown: str) -> str | None:
    """Return the currency of all prices, or None.

    Raises:
        DataError: there is more than one.
    """
    rows = con.execute(
        f"SELECT currency, count(*) FROM {CLEAN} WHERE currency IS NOT NULL GROUP BY 1 "
        "ORDER BY 2 DESC, 1"
    ).fetchall()
    if len(rows) > 1:
        listed = ", ".join(f"{code} ({count} events)" for code, count in rows[:5])
        raise DataError(
            f"{shown}: one currency per log is needed, got {listed}; convert the prices first, or "
            "read each currency apart."
        )
    return rows[0][0] if rows else None


def findings(
    con: duckdb.DuckDBPyConnection, s: Summary, resolved: Sequence[Resolved], made: int
) -> list[Finding]:
    """Return the findings that the figures give."""
    found: list[Finding] = []
    if s.rejects:
        listed = ", ".join(f"{n} {reason}" for reason, n in list(s.reject_reasons.items())[:4])
        found.append(
            finding(
                REJECTED,
                f"{s.rejects} rows rejected: {listed}.",
                count=s.rejects,
                reasons=dict(s.reject_reasons),
            )
        )
    if s.shared_sessions:
        found.append(
            finding(
                SHARED_SESSION,
                f"{s.shared_sessions} session id(s) are used by more than one visitor.",
                count=s.shared_sessions,
            )
        )
    if s.price_not_positive:
        found.append(
            finding(
                ZERO_PRICE,
                f"{s.price_not_positive} events have a price at or below zero (all are 0).",
                count=s.price_not_positive,
            )
        )
    if s.duplicate_rows:
        found.append(
            finding(
                DUPLICATE_ROWS,
                f"{s.duplicate_rows} rows repeat another row in every column; kept.",
                count=s.duplicate_rows,
            )
        )
    words: list[tuple[Any, ...]] = con.execute(
        f"SELECT source_event, count(*) FROM {CLEAN} WHERE event_type = 'other' "
        "AND source_event IS NOT NULL AND lower(source_event) <> 'other' "
        "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20"
    ).fetchall()
    if words:
        listed = ", ".join(f"{w!r} ({n})" for w, n in words[:5])
        found.append(
            finding(
                FEW_WORDS,
                f"Words not known as events: {listed}.",
                count=sum(n for _, n in words),
                words=dict(words),
            )
        )
    return found


def refusal(
    con: duckdb.DuckDBPyConnection, sources: Sequence[Source], s: Summary, share: float
) -> str:
    """Return the one line that says why a log is refused."""
    rows = s.events + s.rejects
    file, number, reason, column, value = con.execute(
        f"SELECT __file, __row, __reason, __column, __value FROM {STAGE} WHERE __reason = "
        f"(SELECT __reason FROM {STAGE} WHERE __reason IS NOT NULL GROUP BY 1 "
        f"ORDER BY count(*) DESC, 1 LIMIT 1) ORDER BY __file, __row LIMIT 1"
    ).fetchone() or (0, 0, "", "", "")
    where = f" in {column!r}" if column else ""
    got = "" if value is None else f", got {value!r}"
    return (
        f"{sources[file].name}: {s.rejects} of {rows} rows ({s.rejects / rows:.1%}) are rejected, "
        f"more than the {share:.1%} allowed; most often {reason}{where}: {REASONS[reason]} "
        f"(row {number}{got}). Correct the source or the layout, or allow more with "
        "--max-reject-share."
    )
