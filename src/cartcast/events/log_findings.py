"""What a reader must know of a clean log: absent columns, odd prices, its edges and holes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import duckdb

from cartcast.events.summary import HEAVY, Summary
from cartcast.events.summed import grouped
from cartcast.findings import Finding, declare, finding

if TYPE_CHECKING:
    from cartcast.events.reading import Read
from cartcast.events.sql import literal

__all__ = ["log_findings"]

OTHER_ENCODING = declare(
    "EV107",
    "note",
    "The text is not UTF-8",
    "It was read in the encoding that its bytes suggest; accents may be wrong if that is another.",
    "Export UTF-8.",
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
CENSORED = declare(
    "EV120",
    "note",
    "Sessions cut by the end of the log",
    "What they did later is not in the log, so their outcome is not fully known.",
    "They are dropped from training and counted; use a longer log if there are many.",
)
CUT_AT_START = declare(
    "EV121",
    "note",
    "Sessions that may have begun before the log",
    "Their first clicks are missing, so click numbers and durations are too small.",
    "Use a longer log if there are many.",
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
    "Filter them out at the source if they are not people.",
)
FEW_WORDS = declare(
    "EV116",
    "note",
    "Event words that are not known",
    "They are kept as `other` with the source's word.",
    "Map them under `events:` in a layout if they mean something here.",
)
TWO_WORDS = declare(
    "EV149",
    "warn",
    "Two words may stand for one purchase",
    "Both count as purchases and come in the same sessions, so a purchase may be counted twice; "
    "orders with the same id are one.",
    "Map one of them to `other` under `events:` in a layout if they tell of the same purchase.",
)

_MANY = 0.2
_TOGETHER = 0.5
_USEFUL = ("visitor_id", "item_id", "category", "price")


def log_findings(
    con: duckdb.DuckDBPyConnection, rows: str, s: Summary, read: Read
) -> list[Finding]:
    """Return the findings that the figures give."""
    found = [
        finding(OTHER_ENCODING, f"{source.short}: read as {source.encoding}.")
        for source in read.sources
        if source.encoding is not None
    ]
    clicks = [r for i, r in enumerate(read.resolved) if i != read.orders_file]
    present = {c for r in clicks for c in r.mapped}
    for r in clicks:
        if r.items is not None:
            present |= set(r.items[0].fields)
    absent = [c for c in _USEFUL if c not in present]
    if "price" in absent and {"line_value", "order_value"} & present:
        absent.remove("price")
    if absent:
        found.append(
            finding(
                ABSENT, f"The source has no {', '.join(absent)}.", count=len(absent), columns=absent
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
                f"{s.price_not_positive} events have a price of zero.",
                count=s.price_not_positive,
            )
        )
    known = ", ".join(
        literal(w) for w in {"other", *(w for r in read.resolved for w in r.layout.events)}
    )
    words = grouped(
        con,
        "unknown words",
        f"SELECT source_event, count(*) FROM {rows} WHERE event_type = 'other' "
        f"AND source_event IS NOT NULL AND lower(source_event) NOT IN ({known}) "
        "GROUP BY 1 ORDER BY 2 DESC, 1",
        most_first=True,
    )[:20]
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
    return [*found, *_two_words(con, rows), *_edges(s)]


def _two_words(con: duckdb.DuckDBPyConnection, rows: str) -> Iterator[Finding]:
    """Yield a finding for words for a purchase that mostly come in the same sessions."""
    sets = grouped(
        con,
        "words for purchases",
        "SELECT words, count(*) FROM ("
        "SELECT array_to_string(list_sort(list(DISTINCT source_event)), chr(31)) AS words "
        f"FROM {rows} WHERE event_type = 'purchase' AND source_event IS NOT NULL "
        "GROUP BY session_id) GROUP BY 1 ORDER BY 1",
    )
    alone, both = Counter[str](), Counter[tuple[str, str]]()
    for joined, sessions in sets:
        words = joined.split("\x1f")
        alone.update(dict.fromkeys(words, sessions))
        both.update(dict.fromkeys(itertools.combinations(words, 2), sessions))
    for (one, other), sessions in both.most_common(3):
        share = sessions / min(alone[one], alone[other])
        if share > _TOGETHER and sessions > 1:
            text = f"{one!r} and {other!r} come together in {sessions:,} sessions ({share:.0%})."
            yield finding(TWO_WORDS, text, count=sessions, words=[one, other])


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
