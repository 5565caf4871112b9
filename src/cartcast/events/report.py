"""What must be said about a log: findings of the contract, with their counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from cartcast.errors import DataError
from cartcast.events.contract import STAGE
from cartcast.events.mapping import Resolved
from cartcast.events.read import Source
from cartcast.events.rules import REASONS
from cartcast.events.sessionize import CLEAN
from cartcast.events.summary import HEAVY, Summary
from cartcast.findings import Finding, declare, finding

__all__ = [
    "duplicate_rows",
    "findings",
    "one_currency",
    "refusal",
    "reject_reasons",
    "settle",
    "swallowed_lines",
]

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
OTHER_ENCODING = declare(
    "EV107",
    "note",
    "The text is not UTF-8",
    "It was read in the encoding that its bytes suggest; accents may be wrong if that is another.",
    "Export UTF-8.",
)
SWALLOWED = declare(
    "EV108",
    "warn",
    "A quote that does not close took in lines",
    "All lines up to the next quote became one cell of one rejected row.",
    "Correct the quote in the row named.",
)
SESSIONS_MADE = declare(
    "EV109",
    "note",
    "Sessions were made by inactivity",
    "The source gives no session for these events, so a pause ends a session.",
    "Choose the pause with --session-gap; export the shop's own session ids if it has them.",
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
REPEATED_PURCHASES = declare(
    "EV113",
    "warn",
    "Purchases counted more than once in the source",
    "The same order and item came again (a reloaded page, an event sent twice): as money it counts "
    "once.",
    "Revenue below is after de-duplication; `repeat_purchase` marks the rows.",
)
SIMILAR_PURCHASES = declare(
    "EV114",
    "note",
    "Purchases that look like repeats, and cannot be told",
    "The same item at the same price was bought again in the session, and there is no order id.",
    "Export an order id, so that a second unit and an event sent twice can be told apart.",
)
NO_ITEM = declare(
    "EV115",
    "note",
    "Purchases without an item",
    "Their money counts; item and category features do not see them.",
    "Export the items of an order.",
)
CENSORED = declare(
    "EV120",
    "note",
    "Sessions cut by the end of the log",
    "What they did later is not in the log, so their outcome is not fully known.",
    "They are dropped from training and counted; use a longer log if they are many.",
)
CUT_AT_START = declare(
    "EV121",
    "note",
    "Sessions that may have begun before the log",
    "Their first clicks are missing, so click numbers and durations are too small.",
    "Use a longer log if they are many.",
)
FEED_GAP = declare(
    "EV122",
    "warn",
    "A gap in the feed",
    "Far fewer events came than must have happened, so sessions there are cut and rates are wrong.",
    "Ask who runs the tracking; leave that stretch out of training and comparisons.",
)
HEAVY_SESSIONS = declare(
    "EV123",
    "warn",
    "Sessions far longer than a person makes",
    "Crawlers and monitors browse without buying; they distort counts and means.",
    "Filter them at the source if they are not people.",
)
FEW_WORDS = declare(
    "EV116",
    "note",
    "Event words that are not known",
    "They are kept as `other` with the source's word.",
    "Map them under `events:` in a layout if they mean something here.",
)


_MANY = 0.2
_USEFUL = ("visitor_id", "item_id", "category", "price")


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
        f"FROM {STAGE} WHERE __reason IS NULL AND event_time IS NOT NULL GROUP BY 1 ORDER BY 1"
    ).fetchall()
    for file, naive, utc, offset, _ in rows:
        if not naive or not (utc or offset):
            continue
        name = sources[file].short
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
    found += [
        finding(OTHER_ENCODING, f"{source.short}: read as {source.encoding}.")
        for source in sources
        if source.encoding is not None
    ]
    if clock == "time" and rows and not any(r[4] for r in rows):
        clock = "day"
    if clock == "day":
        found.append(finding(DATE_ONLY, "The source gives a date but no time of day."))
    return clock, found


def reject_reasons(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return reason code -> rejected rows, the most frequent first."""
    return dict(
        con.execute(
            f"SELECT __reason, count(*) FROM {STAGE} WHERE __reason IS NOT NULL GROUP BY 1 "
            "ORDER BY 2 DESC, 1"
        ).fetchall()
    )


def swallowed_lines(con: duckdb.DuckDBPyConnection) -> int:
    """Return how many lines were taken in by quotes that do not close."""
    row = con.execute(
        f"SELECT sum(TRY_CAST(regexp_extract(__value, 'takes in (\\d+) more lines', 1) AS BIGINT)) "
        f"FROM {STAGE} WHERE __reason IN ('ragged_row', 'unreadable_row')"
    ).fetchone()
    return int(row[0]) if row and row[0] else 0


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
                f"{s.rejects} row(s) rejected: {listed}.",
                count=s.rejects,
                reasons=dict(s.reject_reasons),
            )
        )
    if made:
        found.append(
            finding(SESSIONS_MADE, f"{made} events had no session; made by inactivity.", count=made)
        )
    clicks = [r for r in resolved if r.layout.name != "orders"]
    absent = [c for c in _USEFUL if not any(c in r.mapped for r in clicks)]
    if absent:
        found.append(
            finding(
                ABSENT, f"The source has no {', '.join(absent)}.", count=len(absent), columns=absent
            )
        )
    if s.swallowed_lines:
        found.append(
            finding(
                SWALLOWED,
                f"{s.swallowed_lines} lines were taken in by quotes that do not close.",
                count=s.swallowed_lines,
            )
        )
    if s.shared_sessions:
        ids = "id is" if s.shared_sessions == 1 else "ids are"
        found.append(
            finding(
                SHARED_SESSION,
                f"{s.shared_sessions} session {ids} used by more than one visitor.",
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
    found += _money(con, s)
    found += _edges(s)
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


def _money(con: duckdb.DuckDBPyConnection, s: Summary) -> list[Finding]:
    found: list[Finding] = []
    unit = f" {s.currency}" if s.currency else ""
    if s.repeated_purchases:
        less = (s.revenue or 0.0) - (s.revenue_deduplicated or 0.0)
        found.append(
            finding(
                REPEATED_PURCHASES,
                f"{s.repeated_purchases} purchase events repeat an order's item: de-duplication "
                f"removes {less:,.2f}{unit} of {s.revenue or 0.0:,.2f}{unit}.",
                count=s.repeated_purchases,
                removed=round(less, 4),
            )
        )
    row = con.execute(
        f"""
        SELECT coalesce(sum(n - 1), 0), coalesce(sum((n - 1) * price * quantity), 0) FROM (
            SELECT price, quantity, count(*) AS n FROM {CLEAN}
            WHERE event_type = 'purchase' AND NOT repeat_purchase AND order_id IS NULL
                  AND item_id IS NOT NULL
            GROUP BY session_id, item_id, price, quantity HAVING count(*) > 1)
        """
    ).fetchone()
    if row and row[0]:
        found.append(
            finding(
                SIMILAR_PURCHASES,
                f"{row[0]} purchases ({row[1]:,.2f}{unit}) repeat the item and price of another in "
                "their session at another time; without an order id they are kept as money.",
                count=int(row[0]),
                money=round(row[1], 4),
            )
        )
    row = con.execute(
        f"SELECT count(*) FROM {CLEAN} WHERE event_type = 'purchase' AND item_id IS NULL"
    ).fetchone()
    if row and row[0]:
        found.append(finding(NO_ITEM, f"{row[0]} purchases name no item.", count=row[0]))
    return found


def _edges(s: Summary) -> list[Finding]:
    found: list[Finding] = []
    for share, code, what in (
        (s.censored_share, CENSORED, "were still open when the log ends"),
        (s.cut_at_start_share, CUT_AT_START, "may have begun before the log starts"),
    ):
        if share:
            severity = "warn" if share > _MANY else "note"
            count = round(share * s.sessions)
            part = f" ({share:.1%})" if share >= 0.001 else ""
            found.append(
                finding(
                    code,
                    f"{count:,} of {s.sessions:,} sessions{part} {what}.",
                    count=count,
                    severity=severity,  # type: ignore[arg-type]
                    share=share,
                )
            )
    found += [
        finding(
            FEED_GAP,
            f"Between {gap['start']} and {gap['end']} only {gap['events']} events came where "
            f"about {gap['expected']:,.0f} were to be expected.",
            **gap,
        )
        for gap in s.gaps
    ]
    if s.heavy_sessions:
        found.append(
            finding(
                HEAVY_SESSIONS,
                f"{s.heavy_sessions} session(s) have more than {HEAVY} events (the longest has "
                f"{s.longest_session}).",
                count=s.heavy_sessions,
            )
        )
    return found


def refusal(
    con: duckdb.DuckDBPyConnection, sources: Sequence[Source], s: Summary, share: float
) -> str:
    """Return the one line that says why a log is refused."""
    rows = s.events + s.rejects + s.duplicate_events + s.swallowed_lines
    file, number, reason, column, value = con.execute(
        f"SELECT __file, __row, __reason, __column, __value FROM {STAGE} WHERE __reason = "
        f"(SELECT __reason FROM {STAGE} WHERE __reason IS NOT NULL GROUP BY 1 "
        f"ORDER BY count(*) DESC, 1 LIMIT 1) ORDER BY __file, __row LIMIT 1"
    ).fetchone() or (0, 0, "", "", "")
    bad = s.rejects + s.swallowed_lines
    where = f" in {column!r}" if column else ""
    got = "" if value is None else f", got {value!r}"
    return (
        f"{sources[file].name}: {bad} of {rows} rows ({bad / rows:.1%}) are rejected, "
        f"more than the {share:.1%} allowed; most often {reason}{where}: {REASONS[reason]} "
        f"(row {number}{got}). Correct the source or the layout, or allow more with "
        "--max-reject-share."
    )
